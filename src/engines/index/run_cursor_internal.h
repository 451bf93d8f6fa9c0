#pragma once

#include "engines/index/page_reader_internal.h"

#include <optional>
#include <string>
#include <vector>

namespace weft::index {

// What is read: keys in [from, to), and all of it if `to` is empty.
struct CursorRange {
    std::string from;
    std::string to;
    // If all keys of the range have one scan prefix: its filter_hash().
    std::optional<std::uint64_t> prefix_hash;

    bool ends_before(std::string_view key) const { return !to.empty() && key >= to; }
};

// Whether the run surely has nothing in the range, as far as its filter, cached, can tell at no
// cost. Most runs have nothing of a small file.
bool is_ruled_out(PageReader& reader, const Run& run, const CursorRange& range);

// Goes through the entries of runs that do not overlap, in key order. Waits only in load():
//     if (!cursor.step()) co_await or_return(co_await cursor.load());
// puts it on the first entry, and after each advance() on the next.
class RunCursor {
public:
    // `runs` by key.
    RunCursor(PageReader& reader, std::vector<RunPtr> runs, const CursorRange& range, PageUse use);

    // True when it stands on an entry or behind the last; false when load() must come first.
    bool step();
    // Ends standing on an entry or behind the last.
    Task<Done> load();
    bool valid() const { return state_ == State::at_entry; }
    // Until the next advance().
    EntryView entry() const { return EntryView{item_.kind, key_, item_.value}; }
    void advance();

private:
    enum class State : std::uint8_t { moving, at_entry, ended };
    enum class Progress : std::uint8_t { again, wait, stop };

    const Run& run() const { return *runs_[run_index_]; }
    const Partition& partition() const { return run().head().partitions[partition_index_]; }
    PagePtr take(std::uint32_t block);
    void next_partition();
    Progress step_partition();
    Progress step_fences();
    Progress step_entries();
    Task<Done> load_pages(PageKind kind, std::vector<PageBlocks> pages, PageUse use);
    std::vector<PageBlocks> pages_ahead();

    PageReader& reader_;
    std::vector<RunPtr> runs_;
    const CursorRange& range_;
    PageUse use_;

    State state_ = State::moving;
    bool seeking_ = true;  // The first entry at or after range_.from is still to be found.
    std::size_t run_index_ = 0;
    std::size_t partition_index_ = 0;
    bool filter_passed_ = false;
    PagePtr fences_;
    std::uint32_t child_ = 0;
    PagePtr entries_;
    std::uint32_t item_index_ = 0;
    PageItem item_;
    std::string key_;

    std::vector<PagePtr> window_;  // Read ahead.
    std::size_t ahead_ = 1;
};

}  // namespace weft::index
