#pragma once

#include "model/ids/ids.h"
#include "platform/base/siphash.h"

namespace weft {

// File data is spread over the shards by regions of 1 MiB; region 0 lives with its inode.
inline constexpr std::uint64_t kRegionBytes = kMiB;
inline constexpr std::uint64_t kRegionBlocks = kRegionBytes / kBlockBytes;

// Every client computes this; nobody forwards. The key and count are fixed when the cluster
// is created.
struct ShardRouting {
    SipKey key{};
    std::uint32_t shard_count = 1;

    ShardId of(InodeId inode) const { return shard_of(inode); }
    ShardId of(FileId file, std::uint64_t region) const;
    // Where the inode of a new directory goes.
    ShardId of_new_directory(FileId parent, std::uint64_t name_hash) const;
};

}  // namespace weft
