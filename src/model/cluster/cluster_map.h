#pragma once

#include "model/ids/ids.h"
#include "platform/base/siphash.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

enum class DriveState : std::uint8_t {
    active = 1,    // Read and written.
    failed = 2,    // Neither; its chunks are to be rebuilt elsewhere.
    draining = 3,  // Read, not written; its chunks are to move elsewhere.
};

struct DriveEntry {
    DriveId id;
    FailureDomainId domain;
    DriveState state = DriveState::active;
    std::string path;  // File or block device at its drive process.
    std::uint64_t size_bytes = 0;
    friend bool operator==(const DriveEntry&, const DriveEntry&) = default;
};

struct FilesystemEntry {
    FilesystemId id;
    std::string name;
    std::uint64_t capacity_bytes = 0;  // Thin: promised, not set aside.
    std::int64_t created_ns = 0;
    friend bool operator==(const FilesystemEntry&, const FilesystemEntry&) = default;
};

// Who exists and in what state, at an epoch. A value: changes make a new one with the next
// epoch. Owned by management; everybody else holds a copy.
struct ClusterMap {
    std::uint64_t cluster = 0;  // Random at creation; every drive carries it.
    Epoch epoch;
    std::string name;
    std::uint8_t data_width = 0;    // k: 3 to 16
    std::uint8_t parity_width = 0;  // m: 2 to 4, less than k
    std::uint32_t slot_bytes = 0;   // 1 to 16 MiB, a power of two
    std::uint32_t shard_count = 0;
    SipKey routing_key{};
    // Ids given out so far: none is ever used again.
    std::uint32_t drives_made = 0;
    std::uint32_t filesystems_made = 0;
    std::vector<DriveEntry> drives;
    std::vector<FilesystemEntry> filesystems;

    const DriveEntry* drive(DriveId id) const;
    const FilesystemEntry* filesystem(FilesystemId id) const;
    const FilesystemEntry* filesystem(std::string_view name) const;
};

// Format: docs/formats/cluster-map.md. Decode is empty on anything malformed.
std::string encode(const ClusterMap& map);
std::optional<ClusterMap> decode_cluster_map(std::string_view in);

}  // namespace weft
