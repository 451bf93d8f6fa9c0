#pragma once

#include "roles/compute/shard_internal.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weft::compute {

// Reads the journal back: gathers its records, says which of the newest ones may stand, and
// opens the shards from them. What it keeps in memory is bounded by the journal's length.
class Recovery {
public:
    Recovery(ShardHost host, const ClusterMap* map) : host_(host), map_(map) {}

    // For Journal::open().
    Task<Done> visit(Lsn lsn, std::string_view record);
    // Whether the stripes that the record's extents point at can be read. Only segments that
    // were open at the shard's last checkpoint, or came later, can hold what was not flushed.
    Task<bool> verify(Lsn lsn, std::string_view record);

    // All shards, up to open(): with everything replayed.
    Task<Done> open_shards(std::map<ShardId, std::unique_ptr<Shard>>* shards);

private:
    using Segments = std::map<SegmentId, SegmentRecord>;

    void learn(const Transaction& transaction);
    void learn_moves(ManifestRecord* manifest);
    Task<bool> readable(ShardId shard, SegmentId id, ExtentRecord extent);
    Task<Done> replay(std::map<ShardId, std::unique_ptr<Shard>>* shards);

    ShardHost host_;
    const ClusterMap* map_;
    std::vector<std::pair<Lsn, std::string>> records_;
    std::map<ShardId, ManifestRecord> manifests_;  // The latest of each shard.
    std::map<ShardId, Segments> segments_;         // Those that may hold what was not flushed.
};

}  // namespace weft::compute
