#include "engines/index/filter.h"
#include "engines/index/run_cursor_internal.h"

#include <algorithm>

namespace weft::index {
namespace {

constexpr std::size_t kReadAheadBlocks = 16;

}  // namespace

bool is_ruled_out(PageReader& reader, const Run& run, const CursorRange& range) {
    if (!range.prefix_hash.has_value()) return false;
    const auto& partitions = run.head().partitions;
    std::size_t index = run.partition_of(range.from);
    if (index + 1 < partitions.size() && !range.ends_before(partitions[index + 1].key)) {
        return false;
    }
    const Partition& partition = partitions[index];
    std::uint32_t which = filter_block_of(*range.prefix_hash, partition.filter_count());
    PagePtr filter = reader.cached(run, partition.filter_first + which);
    if (!filter || filter_may_hold(filter->bytes.bytes(), *range.prefix_hash)) return false;
    ++reader.counters().bloom_skips;
    return true;
}

RunCursor::RunCursor(PageReader& reader, std::vector<RunPtr> runs, const CursorRange& range,
                     PageUse use)
    : reader_(reader), runs_(std::move(runs)), range_(range), use_(use) {
    if (use_ == PageUse::once) ahead_ = kReadAheadBlocks;
    if (runs_.empty()) {
        state_ = State::ended;
    } else {
        partition_index_ = run().partition_of(range_.from);
    }
}

PagePtr RunCursor::take(std::uint32_t block) {
    for (PagePtr& page : window_) {
        if (page->block == block && page->run == run().id()) return page;
    }
    return reader_.cached(run(), block);
}

void RunCursor::next_partition() {
    fences_ = PagePtr();
    filter_passed_ = false;
    child_ = 0;
    ++partition_index_;
    if (partition_index_ < run().head().partitions.size()) return;
    partition_index_ = 0;
    ++run_index_;
}

// Passes over what the filter rules out, and comes to a partition's page of fences.
RunCursor::Progress RunCursor::step_partition() {
    if (run_index_ == runs_.size() || (!seeking_ && range_.ends_before(partition().key))) {
        state_ = State::ended;
        return Progress::stop;
    }
    if (range_.prefix_hash.has_value() && !filter_passed_) {
        std::uint32_t which = filter_block_of(*range_.prefix_hash, partition().filter_count());
        PagePtr filter = take(partition().filter_first + which);
        if (!filter) return Progress::wait;
        if (!filter_may_hold(filter->bytes.bytes(), *range_.prefix_hash)) {
            ++reader_.counters().bloom_skips;
            seeking_ = false;  // Whatever comes now is behind `from`.
            next_partition();
            return Progress::again;
        }
        filter_passed_ = true;
    }
    fences_ = take(partition().fences_block());
    if (!fences_) return Progress::wait;
    child_ = seeking_ ? fences_->view.child_of(range_.from) : 0;
    return Progress::again;
}

RunCursor::Progress RunCursor::step_fences() {
    if (child_ == fences_->view.count()) {
        next_partition();
        return Progress::again;
    }
    entries_ = take(child_first(fences_->view.item(child_).value));
    if (!entries_) return Progress::wait;
    item_index_ = seeking_ ? entries_->view.lower_bound(range_.from) : 0;
    return Progress::again;
}

RunCursor::Progress RunCursor::step_entries() {
    if (item_index_ == entries_->view.count()) {
        entries_ = PagePtr();
        seeking_ = false;
        ++child_;
        return Progress::again;
    }
    item_ = entries_->view.item(item_index_);
    key_.assign(entries_->view.prefix());
    key_.append(item_.suffix);
    seeking_ = false;
    state_ = range_.ends_before(key_) ? State::ended : State::at_entry;
    return Progress::stop;
}

bool RunCursor::step() {
    while (state_ == State::moving) {
        Progress progress = entries_ ? step_entries() : fences_ ? step_fences() : step_partition();
        if (progress == Progress::wait) return false;
    }
    return true;
}

void RunCursor::advance() {
    CHECK(valid());
    ++item_index_;
    state_ = State::moving;
}

// The next pages of entries, up to the window, the end of the range or one that is cached.
std::vector<PageBlocks> RunCursor::pages_ahead() {
    const PageView& fences = fences_->view;
    std::vector<PageBlocks> pages;
    std::size_t blocks = 0;
    for (std::uint32_t child = child_; child < fences.count() && blocks < ahead_; ++child) {
        PageItem fence = fences.item(child);
        if (child > child_) {
            if (reader_.holds(run(), child_first(fence.value))) break;
            key_.assign(fences.prefix());
            key_.append(fence.suffix);
            if (range_.ends_before(key_)) break;
        }
        pages.push_back(decode_child(fence.value));
        blocks += pages.back().count();
    }
    ahead_ = std::min(ahead_ * 2, kReadAheadBlocks);
    return pages;
}

Task<Done> RunCursor::load_pages(PageKind kind, std::vector<PageBlocks> pages, PageUse use) {
    RunPtr run = runs_[run_index_];
    window_ = co_await or_return(co_await reader_.load(run, kind, std::move(pages), use));
    co_return Done{};
}

Task<Done> RunCursor::load() {
    while (!step()) {
        PageKind kind = PageKind::entries;
        PageUse use = use_;
        std::vector<PageBlocks> pages;
        if (fences_) {
            pages = pages_ahead();
        } else {
            PageBlocks page;
            if (range_.prefix_hash.has_value() && !filter_passed_) {
                kind = PageKind::filter;
                std::uint32_t which =
                    filter_block_of(*range_.prefix_hash, partition().filter_count());
                page.first = partition().filter_first + which;
                page.crcs.push_back(partition().filter_crcs[which]);
            } else {
                kind = PageKind::fences;
                page.first = partition().fences_block();
                page.crcs.push_back(partition().fences_crc);
            }
            if (use == PageUse::scan) use = PageUse::often;
            pages.push_back(std::move(page));
        }
        co_await or_return(co_await load_pages(kind, std::move(pages), use));
    }
    co_return Done{};
}

}  // namespace weft::index
