#pragma once

#include "platform/simulated/simulated_network.h"
#include "roles/compute/settings.h"
#include "sim/model/operation.h"
#include "sim/world/client.h"

#include <cstdint>
#include <string>
#include <vector>

namespace weft::sim {

// What can happen to a world between two stretches of work.
enum class Event {
    crash,           // The process ends anywhere and starts again.
    power_loss,      // The same, and drives lose what was not flushed.
    stop,            // It stops as asked, then power is lost.
    lose_drives,     // Up to m drives vanish for good, in the midst of work, and are replaced.
    crash_degraded,  // The process ends, and up to m drives do not come back.
    outage,          // Up to m drives are away for a while.
    rot,             // Bits flip on one drive and are repaired; then up to m others vanish.
    take_over,       // Another process takes over while the old one still runs.
    damage,          // Up to m drives turn to noise, end early or vanish; it is noticed late.
    // Where clients come over a network:
    reset,      // Connections break, again and again.
    partition,  // Nothing passes for a while, one way or both.
    slow_link,  // It takes its time.
    // Where drives are reached over a network:
    drives_cut,  // Up to m of them are out of reach for a while, or their connections break.
    // Drives that serve and are not to be relied on, up to m at a time:
    lies,         // What they say is written is not there, or elsewhere; it is found out.
    slow_drives,  // They take their time.
    full_drives,  // The filesystems that their files are on have no room.
    // Where clients come over a network:
    outlive,  // Compute's process alone crashes, stops or loses power, and starts again.
    pause,    // It does nothing for a while.
    // Where drives are reached over a network:
    drives_end,  // Processes of up to m of them end or pause, and compute's goes on.
};
inline constexpr std::size_t kEvents = 19;
inline constexpr std::size_t kEventsInPlace = 9;
inline constexpr std::size_t kEventsOfClients = 12;
inline constexpr std::size_t kEventsOfNetworks = 13;
inline constexpr std::size_t kEventsOfFaults = 16;
std::string_view name_of(Event event);

// The network between the processes of a run; drawn from its seed.
struct NetworkSettings {
    bool clients = false;  // Reach compute over it; else in place.
    bool drives = false;   // So does compute each drive.
    SimulatedLink link;    // Between clients and compute.
    SimulatedLink drive_link;
    Nanos drive_deadline = kSecond;  // Of a call to a drive.
    // How much faster or slower than compute's the clocks of clients may run, in millionths; 0:
    // they have no clocks of their own.
    std::int64_t rate_ppm_most = 0;
};

// What those who share a directory do most, beside its registers.
enum class Sharing {
    registers,    // Nothing else.
    records,      // Each writes its own of one file, as `ior` in its hard shape.
    small_files,  // Each makes and removes files that all look at, as `mdtest` in its hard shape.
};

// Mounts: the product's frontend behind a simulated kernel; drawn from the run's seed.
struct MountSettings {
    std::uint32_t count = 0;
    // At most, until a kernel acts on a notification. Not drawn: what a READ brought that no lease
    // covers is then seen for as long (docs/status.md).
    std::uint64_t notice_delay = 0;
    std::uint32_t links_most = UINT32_MAX;  // Of a file.
    std::uint32_t minor = 45;               // Of the FUSE protocol that the kernel speaks: 7.MINOR.
};

// What a run is like; drawn from its seed.
struct WorldSettings {
    std::uint32_t drive_count = 6;
    std::uint64_t drive_bytes = 96 * kMiB;
    std::uint8_t data_width = 4;
    std::uint8_t parity_width = 2;
    std::uint32_t shard_count = 4;
    std::uint64_t capacity_bytes = 0;
    bool crowded = false;  // Little more than the capacity is on the drives.
    std::uint64_t file_bytes_most = 3 * kMiB;
    std::uint32_t rounds = 6;              // Of work and one event each.
    std::uint64_t work_steps_most = 2500;  // Reactor steps a round.
    bool power_safe = false;
    Nanos wall_jump_most = 0;     // Of the servers' wall clock, before an event.
    bool wall_goes_back = false;  // Or forward alone.
    Nanos disk_latency = 50 * kMicrosecond;
    std::uint64_t stall_one_in = 0;  // Operations of a disk, of which one takes `stall` longer.
    Nanos stall = 0;
    std::vector<Shape> clients;  // Each in a tree of its own.
    std::uint32_t sharers = 0;   // Clients of one directory, with caches.
    Sharing sharing = Sharing::registers;
    bool never_syncs = false;  // Nobody asks for a flush: what is flushed, the product chose.
    ClientHabits habits;
    Nanos pause_most = 0;       // Between two operations of a client.
    std::vector<Event> events;  // Those that happen; drawn from with equal chance.
    compute::ComputeSettings compute;
    NetworkSettings network;
    MountSettings mounts;
};
WorldSettings random_settings(Chance& chance);
// By a stream of chance of its own.
void draw_network(Chance& chance, WorldSettings& settings);
void draw_drive_network(Chance& chance, WorldSettings& settings);
void draw_faults(Chance& chance, WorldSettings& settings);
void draw_clocks(Chance& chance, WorldSettings& settings);
void draw_mounts(Chance& chance, WorldSettings& settings);
void draw_sharing(Chance& chance, WorldSettings& settings);
void draw_outliving(Chance& chance, WorldSettings& settings);

// One line for people.
std::string to_text(const WorldSettings& settings);

}  // namespace weft::sim
