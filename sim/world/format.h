#pragma once

#include "model/cluster/cluster_map.h"
#include "platform/simulated/simulated_disk.h"

namespace weft::sim {

inline constexpr std::uint64_t kClusterNumber = 4711;
inline constexpr std::uint32_t kSlotBytes = 1 * kMiB;

// Makes the disk an empty drive, alone in its failure domain, by the drive's own clock.
Task<DriveEntry> format_disk(Reactor* reactor, SimulatedDisk* disk, DriveId id);

}  // namespace weft::sim
