#pragma once

#include "model/cluster/cluster_map.h"
#include "platform/runtime/task.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace weft {

// What management asks of the drive role, beside the data path.
class DriveAdmin {
public:
    virtual ~DriveAdmin() = default;

    // Makes the file or device at entry.path an empty drive of this cluster (a file is created
    // with entry.size_bytes) and serves it. Returns the entry with its true size.
    // already_exists: it holds a drive already (of any cluster) and `overwrite` is false.
    virtual Task<DriveEntry> format(DriveEntry entry, std::uint64_t cluster,
                                    std::uint32_t slot_bytes, bool overwrite) = 0;
    // Serves the drive that lies at `path` and says which it is.
    // corrupt: no superblock can be read. invalid: another cluster's. limit_reached: another
    // process serves it.
    virtual Task<DriveEntry> attach(std::string path, std::uint64_t cluster) = 0;
    // Serves it no more. Not an error if it was not served.
    virtual Task<Done> detach(DriveId drive) = 0;
    // Whether the drive is still what was attached: its path leads to it, its superblock reads.
    virtual Task<Done> probe(DriveId drive) = 0;
};

// One sentence of a check: where, and what is wrong.
struct Finding {
    std::string where;
    std::string what;
};

struct FilesystemReport {
    FilesystemId id;
    std::uint64_t used_blocks = 0;
    std::uint64_t free_blocks = 0;
    std::uint64_t inodes = 0;
};

// How the data fares, for `status`, `top` and `doctor`. Counters rise since the process began.
struct ComputeReport {
    std::vector<FilesystemReport> filesystems;
    std::uint64_t segments = 0;
    // At least one chunk missing; rebuild has them to do. The journal's count too, until it has
    // moved off the drives that failed.
    std::uint64_t segments_degraded = 0;
    std::uint64_t segments_lost = 0;         // More missing than the parity covers.
    std::uint32_t missing_most = 0;          // The worst segment's count of missing chunks.
    std::uint64_t physical_free_blocks = 0;  // Data blocks that fit into free slots.
    std::uint64_t live_blocks = 0;
    std::uint64_t staged_bytes = 0;
    std::uint64_t journal_bytes = 0;
    std::uint64_t memory_bytes = 0;
    // Named counters, such as "ops.create" or "segments.blocks_repaired", in a stable order.
    std::vector<std::pair<std::string, std::uint64_t>> counters;
};

// What management asks of the compute role, beside the data path.
class ComputeAdmin {
public:
    virtual ~ComputeAdmin() = default;

    // A newer map: drives that came, failed or drain; filesystems and their capacity.
    virtual Task<Done> set_map(ClusterMap map) = 0;
    // Makes the root directory. Not an error if it is there already.
    virtual Task<Done> create_filesystem(FilesystemId id) = 0;
    // Everything in it goes, in the background; the id is never used again.
    virtual Task<Done> remove_filesystem(FilesystemId id) = 0;
    virtual Task<ComputeReport> report() = 0;
    // Holds invariants against each other while serving: link counts, entries, extents, live
    // blocks, slots used once, usage. `full` also reads every live block and all parity.
    virtual Task<std::vector<Finding>> check(bool full) = 0;
};

}  // namespace weft
