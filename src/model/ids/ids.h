#pragma once

#include "platform/base/types.h"

namespace weft {

using DriveId = Id<struct DriveTag, std::uint32_t>;
using FailureDomainId = Id<struct FailureDomainTag, std::uint32_t>;
using SlotIndex = Id<struct SlotTag, std::uint32_t>;  // Position in a drive's slot table.
using Generation = Id<struct GenerationTag>;          // Incarnation of a slot; only rises.
using Epoch = Id<struct EpochTag>;                    // Version of the cluster map; only rises.
using Lsn = Id<struct LsnTag>;  // Number of a journal record; rises by one. 0: none.
using ShardId = Id<struct ShardTag, std::uint32_t>;
using JournalId = Id<struct JournalTag, std::uint32_t>;
using SegmentId = Id<struct SegmentTag>;  // Unique among its owner's segments; never reused.
using FilesystemId = Id<struct FilesystemTag, std::uint32_t>;  // 0: nothing of a filesystem.
using InodeId = Id<struct InodeTag>;
using SessionId = Id<struct SessionTag>;  // One frontend's connection state, across reconnects.

// Who owns a segment: a shard or a journal.
struct OwnerId {
    enum class Kind : std::uint32_t { none = 0, shard = 1, journal = 2 };
    Kind kind = Kind::none;
    std::uint32_t number = 0;
    friend constexpr auto operator<=>(OwnerId, OwnerId) = default;

    static constexpr OwnerId of(ShardId shard) { return {Kind::shard, shard.value}; }
    static constexpr OwnerId of(JournalId journal) { return {Kind::journal, journal.value}; }
};

// The root directory of every filesystem. It lives in shard 0.
inline constexpr InodeId kRootInode{1};

// An inode number names its shard: 14 bits of shard over 48 bits of counter. The two topmost
// bits stay zero, so that the number is positive everywhere.
inline constexpr int kInodeShardShift = 48;
constexpr ShardId shard_of(InodeId inode) {
    return ShardId{static_cast<std::uint32_t>(inode.value >> kInodeShardShift)};
}
constexpr InodeId make_inode(ShardId shard, std::uint64_t counter) {
    return InodeId{(static_cast<std::uint64_t>(shard.value) << kInodeShardShift) | counter};
}

// A file within the cluster.
struct FileId {
    FilesystemId filesystem;
    InodeId inode;
    friend constexpr auto operator<=>(FileId, FileId) = default;
};

}  // namespace weft

template <>
struct std::hash<weft::FileId> {
    std::size_t operator()(weft::FileId file) const noexcept {
        return std::hash<std::uint64_t>{}(file.inode.value * 0x9e3779b97f4a7c15ULL +
                                          file.filesystem.value);
    }
};
