#include "engines/filedata/state_internal.h"
#include "platform/base/planted.h"

#include <algorithm>

namespace weft::filedata {
namespace {

using Kind = ExtentRecord::Kind;

// The data of `from` in the span, moved to where it is shared.
ExtentSet shifted(const ExtentSet& from, BlockSpan span, std::uint64_t to_first) {
    ExtentSet moved;
    for (const auto& [first, record] : from.map()) {
        std::uint64_t begin = std::max(first, span.first);
        std::uint64_t end = std::min(first + record.count, span.end);
        if (record.kind != Kind::data || begin >= end) continue;
        ExtentRecord part = part_of(record, begin - first, end - begin);
        CHECK(moved.insert(to_first + (begin - span.first), std::move(part)));
    }
    return moved;
}

}  // namespace

Task<std::vector<SharedMutex::Lock>> FileData::State::lock_both(RegionTable::Pin* first,
                                                                RegionTable::Pin* second) {
    std::vector<SharedMutex::Lock> locks;
    if (second->id() < first->id()) std::swap(first, second);
    locks.push_back(co_await or_return(co_await (*first)->mutex.lock()));
    if (first->id() == second->id()) co_return locks;
    locks.push_back(co_await or_return(co_await (*second)->mutex.lock()));
    co_return locks;
}

Task<PreparedChange> FileData::State::prepare_share(FileId from, std::uint64_t from_offset,
                                                    FileId to, std::uint64_t to_offset,
                                                    std::uint64_t length) {
    PreparedChange change;
    if (length == 0) co_return change;
    CHECK(in_one_region(from_offset, length) && in_one_region(to_offset, length));
    CHECK((from_offset | to_offset | length) % kBlockBytes == 0);
    bool overlap =
        from == to && from_offset < to_offset + length && to_offset < from_offset + length;
    if (overlap) co_return Error{Code::invalid, "filedata.share"};
    BlockSpan source = touched_blocks(from_offset, from_offset + length);
    BlockSpan target = touched_blocks(to_offset, to_offset + length);
    RegionTable::Pin from_pin = regions.pin(region_at(from, from_offset));
    RegionTable::Pin to_pin = regions.pin(region_at(to, to_offset));

    // Only blocks in segments can be shared.
    if (from_pin->staged.any(from_offset, from_offset + length)) {
        co_await or_return(co_await destage_alone(&from_pin, last_lsn));
    }
    change.locks = co_await or_return(co_await lock_both(&from_pin, &to_pin));
    if (from_pin->staged.any(from_offset, from_offset + length)) {
        co_await or_return(co_await destage_locked(&from_pin, last_lsn));
        bool left = from_pin->staged.any(from_offset, from_offset + length);
        if (left) co_return Error{Code::corrupt, "filedata.share"};  // The rest of a block is lost.
    }
    ExtentSet shared = co_await or_return(co_await scan(from, source));
    ExtentSet before = co_await or_return(co_await scan(to, target));
    ExtentSet after = before;
    after.cut(target);
    ExtentSet moved = shifted(shared, source, target.first);
    for (const auto& [first, record] : moved.map()) {
        CHECK(after.insert(first, record));
    }
    ExtentSet counted = planted(Bug::share_is_not_counted) ? after : before;
    record_difference(to, counted, after, change.batch);
    BlockSet of_range = block_set(target);
    BlockSet present = (before.blocks() | to_pin->staged.blocks(target)) & of_range;
    change.blocks_delta = count_of(after.blocks() & of_range) - count_of(present);
    if (to_pin->staged.any(to_offset, to_offset + length)) {
        push_unstage(change.batch, to, to_offset, to_offset + length, kEveryRecord);
    }
    co_return change;
}

}  // namespace weft::filedata
