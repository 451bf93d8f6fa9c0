#pragma once

#include "engines/index/page_reader_internal.h"

#include <optional>
#include <string_view>

namespace weft::index {

// Looks for one key in one run: filter, fences, entries. Waits and allocates only where a page
// is not in the cache:
//     while (!lookup.step()) co_await or_return(co_await lookup.load());
class PointLookup {
public:
    // `key` is borrowed; `hash` is its filter_hash().
    PointLookup(PageReader& reader, const RunPtr& run, std::string_view key, std::uint64_t hash);

    // True when it is decided; false when load() must come first.
    bool step();
    Task<Done> load();
    // What the run says of the key; its value is valid as long as this is.
    const std::optional<PageItem>& found() const { return found_; }

private:
    enum class Stage : std::uint8_t { filter, fences, entries, done };
    PagePtr take(std::uint32_t block);

    PageReader& reader_;
    const RunPtr& run_;
    std::string_view key_;
    std::uint64_t hash_;
    const Partition* partition_;
    Stage stage_ = Stage::filter;
    PagePtr page_;  // Of the stage before; at the end, that of what was found.
    PagePtr arrived_;
    std::optional<PageItem> found_;
};

}  // namespace weft::index
