#pragma once

#include "roles/compute/core_internal.h"

#include <map>

namespace weft::compute {

// Walks what is there of a file, over all its shards, without looking at holes: each shard is
// asked for its first region with anything at or after an offset, and asked again only once the
// walk has passed its answer. The caller holds the inode's lock.
class FirstExtent {
public:
    FirstExtent(Core* core, FileId file) : core_(core), file_(file) {}

    // The first byte at or after `offset` in a region with anything; at least `end` if there is
    // none below it.
    // Offsets must not fall from call to call.
    Task<std::uint64_t> at_or_after(std::uint64_t offset, std::uint64_t end);

private:
    Task<std::uint64_t> in_shard(Shard* shard, std::uint64_t offset, std::uint64_t end);

    Core* core_;
    FileId file_;
    std::map<ShardId, std::uint64_t> next_;  // What a shard answered last.
};

}  // namespace weft::compute
