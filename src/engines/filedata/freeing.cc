#include "engines/filedata/state_internal.h"
#include "model/layout/keys.h"
#include "platform/base/planted.h"

#include <algorithm>

namespace weft::filedata {
namespace {

// The parts of [from, to) that fill no block, at most one at each end.
std::vector<std::pair<std::uint64_t, std::uint64_t>> partial_ends(std::uint64_t from,
                                                                  std::uint64_t to) {
    BlockSpan filled = filled_blocks(from, to);
    std::uint64_t head_end = std::min(to, round_up(from, kBlockBytes));
    std::uint64_t tail_begin = std::max(head_end, filled.end * kBlockBytes);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> parts;
    if (from < head_end) parts.emplace_back(from, head_end);
    if (tail_begin < to) parts.emplace_back(tail_begin, to);
    return parts;
}

}  // namespace

Task<PreparedChange> FileData::State::prepare_punch(FileId file, std::uint64_t offset,
                                                    std::uint64_t length, bool keep_reserved) {
    PreparedChange change;
    if (length == 0) co_return change;
    CHECK(in_one_region(offset, length));
    std::uint64_t end = offset + length;
    BlockSpan touched = touched_blocks(offset, end);
    BlockSpan filled = filled_blocks(offset, end);
    if (planted(Bug::punch_leaves_a_block) && filled.count() > 1) --filled.end;
    RegionTable::Pin pin = regions.pin(region_at(file, offset));
    auto lock = co_await or_return(co_await pin->mutex.lock());
    ExtentSet before = co_await or_return(co_await scan(file, touched));

    BlockSet staged = pin->staged.blocks(touched);
    BlockSet of_range = block_set(touched);
    BlockSet present = (before.blocks() | staged) & of_range;
    BlockSet with_data = before.data_blocks() | staged;
    ExtentSet after = before;
    after.cut(filled);
    if (keep_reserved) after.reserve(touched);
    record_difference(file, before, after, change.batch);

    BlockSet remaining = (after.blocks() | (staged & ~block_set(filled))) & of_range;
    change.blocks_delta = count_of(remaining) - count_of(present);
    std::uint64_t filled_from = filled.first * kBlockBytes;
    std::uint64_t filled_to = filled.end * kBlockBytes;
    bool over_staged = filled.count() > 0 && pin->staged.any(filled_from, filled_to);
    if (over_staged) push_unstage(change.batch, file, filled_from, filled_to, kEveryRecord);
    for (auto [from, to] : partial_ends(offset, end)) {
        if ((with_data & block_set(touched_blocks(from, to))).none()) continue;
        push_stage(change.batch, file, from, std::string(to - from, '\0'));
    }
    change.locks.push_back(std::move(lock));
    co_return change;
}

Task<std::vector<RegionId>> FileData::State::next_region(FileId file, std::uint64_t from_block) {
    std::vector<RegionId> found;
    std::string from = keys::extent(file, from_block + 1);
    std::string to = keys::after_prefix(keys::extent_prefix(file));
    auto entries = co_await or_return(co_await index.scan(std::move(from), std::move(to), 1));
    if (!entries.empty()) {
        auto extent = keys::parse_extent(entries.front().first);
        if (!extent.has_value() || extent->end_block == 0) {
            co_return Error{Code::corrupt, "filedata.extent"};
        }
        found.push_back({file, (extent->end_block - 1) / kRegionBlocks});
    }
    // Or one that only has staged bytes.
    RegionId first{file, from_block / kRegionBlocks};
    for (auto at = regions.at_or_behind(first); at != regions.end(); ++at) {
        const auto& [id, region] = *at;
        if (id.file != file || (!found.empty() && found.front() <= id)) break;
        std::uint64_t begin = std::max(from_block * kBlockBytes, id.first_byte());
        if (!region.staged.any(begin, id.first_byte() + kRegionBytes)) continue;
        found.assign(1, id);
        break;
    }
    co_return found;
}

Task<std::uint64_t> FileData::State::purge_region(RegionId id, std::uint64_t from_block,
                                                  PreparedChange* change) {
    BlockSpan span{std::max(from_block, id.first_block()), id.end_block()};
    RegionTable::Pin pin = regions.pin(id);
    auto lock = co_await or_return(co_await pin->mutex.lock());
    ExtentSet before = co_await or_return(co_await scan(id.file, span));
    BlockSet staged = pin->staged.blocks(span);
    ExtentSet after = before;
    after.cut(span);
    record_difference(id.file, before, after, change->batch);
    bool over_staged = pin->staged.any(span.first * kBlockBytes, span.end * kBlockBytes);
    if (over_staged && !planted(Bug::purge_keeps_staged)) {
        push_unstage(change->batch, id.file, span.first * kBlockBytes, span.end * kBlockBytes,
                     kEveryRecord);
    }
    change->blocks_delta -= count_of((before.blocks() | staged) & block_set(span));
    change->locks.push_back(std::move(lock));
    co_return std::max<std::uint64_t>(before.map().size(), 1);
}

Task<FileData::Purge> FileData::State::prepare_purge(FileId file, std::uint64_t from_block,
                                                     std::size_t most) {
    Purge purge;
    std::uint64_t taken = 0;
    // Locks are taken in order of place, as everybody takes them.
    for (std::uint64_t block = from_block;;) {
        auto next = co_await or_return(co_await next_region(file, block));
        if (next.empty()) break;
        if (taken >= most) {
            purge.more = true;
            break;
        }
        RegionId id = next.front();
        taken += co_await or_return(co_await purge_region(id, from_block, &purge.change));
        block = id.end_block();
    }
    co_return purge;
}

}  // namespace weft::filedata
