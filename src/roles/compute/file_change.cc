#include "roles/compute/file_change_internal.h"

#include <algorithm>

namespace weft::compute {

Task<Done> admit_regions(Core* core, Caller caller, FileId file, std::uint64_t offset,
                         std::uint64_t length) {
    HeldUp held(*core, caller.session);
    std::uint64_t first = offset / kRegionBytes;
    std::uint64_t end = divide_up(offset + std::max<std::uint64_t>(length, 1), kRegionBytes);
    for (ShardId id : core->shards_of(file, first, end)) {
        co_await or_return(co_await core->shard(id).data.admit());
    }
    co_return Done{};
}

Task<Done> FileChange::write(std::uint64_t offset, ConstBytes from) {
    while (!from.empty()) {
        std::uint64_t region = offset / kRegionBytes;
        std::uint64_t room = (region + 1) * kRegionBytes - offset;
        ConstBytes part = from.first(std::min<std::uint64_t>(room, from.size()));
        ShardId shard = core_->routing.of(inode_->id, region);
        auto prepared = co_await or_return(
            co_await core_->shard(shard).data.prepare_write(inode_->id, offset, part));
        parts_.emplace_back(shard, std::move(prepared));
        offset += part.size();
        from = from.subspan(part.size());
    }
    co_return Done{};
}

Task<Done> FileChange::punch(std::uint64_t offset, std::uint64_t length, bool keep_reserved) {
    ShardId shard = core_->routing.of(inode_->id, offset / kRegionBytes);
    auto prepared = co_await or_return(
        co_await core_->shard(shard).data.prepare_punch(inode_->id, offset, length, keep_reserved));
    parts_.emplace_back(shard, std::move(prepared));
    co_return Done{};
}

Task<Done> FileChange::reserve(std::uint64_t offset, std::uint64_t length) {
    ShardId shard = core_->routing.of(inode_->id, offset / kRegionBytes);
    auto prepared = co_await or_return(
        co_await core_->shard(shard).data.prepare_reserve(inode_->id, offset, length));
    parts_.emplace_back(shard, std::move(prepared));
    co_return Done{};
}

Task<Done> FileChange::share(FileId from, std::uint64_t from_offset, std::uint64_t offset,
                             std::uint64_t length) {
    ShardId shard = core_->routing.of(inode_->id, offset / kRegionBytes);
    auto prepared = co_await or_return(co_await core_->shard(shard).data.prepare_share(
        from, from_offset, inode_->id, offset, length));
    parts_.emplace_back(shard, std::move(prepared));
    co_return Done{};
}

std::int64_t FileChange::blocks_delta() const {
    std::int64_t sum = 0;
    for (const auto& [shard, part] : parts_) sum += part.blocks_delta;
    return sum;
}

bool FileChange::empty() const {
    return std::all_of(parts_.begin(), parts_.end(),
                       [](const auto& part) { return part.second.batch.empty(); });
}

void FileChange::move_into(Change& change) {
    InodeRecord& record = change.edit(inode_);
    for (auto& [shard, part] : parts_) {
        record.blocks += static_cast<std::uint64_t>(part.blocks_delta);
        change.charge(inode_->id.filesystem, shard, part.blocks_delta, 0);
        change.on(shard).append(std::move(part.batch));
    }
}

}  // namespace weft::compute
