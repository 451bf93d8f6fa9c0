#pragma once

#include "engines/index/entry.h"
#include "engines/index/run_cursor_internal.h"

#include <memory>
#include <vector>

namespace weft::index {

// Goes through many cursors at once, key by key, with all entries of a key folded into one.
//     co_await or_return(co_await merge.start());
//     while (merge.valid()) { ...; if (!merge.next()) co_await or_return(co_await merge.load()); }
class Merge {
public:
    // The cursors read this range.
    explicit Merge(CursorRange range) : range_(std::move(range)) {}
    Merge(const Merge&) = delete;
    Merge& operator=(const Merge&) = delete;

    const CursorRange& range() const { return range_; }
    // Newest first.
    void add(PageReader& reader, std::vector<RunPtr> runs, PageUse use);

    bool empty() const { return sources_.empty(); }
    Task<Done> start();
    // False when load() must come before anything else.
    bool next();
    Task<Done> load();
    bool valid() const { return !group_.empty(); }
    // Until next().
    std::string_view key() const { return group_.front()->cursor.entry().key; }
    Fold& fold() { return fold_; }

    // Keys and values of all entries that were passed.
    std::uint64_t bytes_taken() const { return bytes_taken_; }

private:
    struct Source {
        RunCursor cursor;
        std::size_t age;
    };
    static bool later(const Source* a, const Source* b);
    void push(Source* source);
    void gather();

    CursorRange range_;
    std::vector<std::unique_ptr<Source>> sources_;
    std::vector<Source*> heap_;
    std::vector<Source*> group_;    // All that stand on the key, newest first.
    std::vector<Source*> waiting_;  // These want load().
    Fold fold_;
    std::uint64_t bytes_taken_ = 0;
};

}  // namespace weft::index
