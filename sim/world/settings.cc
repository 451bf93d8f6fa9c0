#include "sim/world/settings.h"

#include <algorithm>
#include <array>

namespace weft::sim {
namespace {

void draw_shape(Chance& chance, WorldSettings& settings) {
    settings.parity_width = chance.one_in(6) ? 3 : 2;
    settings.data_width = static_cast<std::uint8_t>(settings.parity_width + 1 + chance.below(3));
    auto width = std::uint32_t{settings.data_width} + settings.parity_width;
    settings.drive_count = width + static_cast<std::uint32_t>(chance.below(3));
    settings.shard_count = 1U << chance.below(4);
    settings.power_safe = chance.one_in(5);
    settings.disk_latency = (10 * kMicrosecond) << chance.below(6);
    // Sometimes ones that the cleaner has to keep from filling.
    if (chance.one_in(4)) settings.drive_bytes = 48 * kMiB;
    settings.capacity_bytes = settings.drive_bytes * settings.data_width / 2;
    // Sometimes one that the clients fill.
    if (chance.one_in(6)) settings.capacity_bytes = (2 + chance.below(6)) * kMiB;
}

bool takes_drives(Event event) {
    return event == Event::lose_drives || event == Event::crash_degraded ||
           event == Event::outage || event == Event::rot || event == Event::damage;
}

// Drives so small that they fill with what is dead, so that the cleaner has always to do. With
// fewer drives they would not hold what the filesystem may.
void draw_crowded(Chance& chance, WorldSettings& settings) {
    settings.crowded = chance.one_in(5);
    std::uint64_t drive_bytes = (24 + chance.below(16)) * kMiB;
    if (!settings.crowded) return;
    settings.drive_bytes = drive_bytes;
    settings.capacity_bytes = drive_bytes * settings.data_width / 4;
    settings.shard_count = std::min(settings.shard_count, 2U);
    settings.sharers = 0;
    settings.file_bytes_most = std::max(settings.file_bytes_most, kMiB);
    settings.clients.front() = Shape::hoard;
    std::erase_if(settings.events, takes_drives);
    if (settings.events.empty()) settings.events.push_back(Event::power_loss);
}

void draw_compute(Chance& chance, compute::ComputeSettings& compute) {
    bool short_journal = chance.one_in(2);
    compute.journal_bytes_most = kMiB << (short_journal ? 0 : chance.below(4));
    compute.index.memtable_bytes_most = kKiB << chance.below(9);
    bool deep = chance.one_in(2);
    compute.index.fanout = 2 + static_cast<std::uint32_t>(deep ? 0 : chance.below(7));
    // Smaller than a user may set it: so that lookups of small trees read drives.
    compute.index_cache_bytes = (32 * kKiB) << chance.below(8);
    compute.data.direct_write_bytes_least = (16 * kKiB) << chance.below(4);
    compute.data.staged_bytes_usual = (64 * kKiB) << chance.below(4);
    compute.cached_inodes_most = 16ULL << chance.below(8);
    // So few that clients meet the bound.
    if (chance.one_in(2)) compute.links_most = 2 + static_cast<std::uint32_t>(chance.below(6));
}

void draw_clients(Chance& chance, WorldSettings& settings) {
    std::uint64_t count = 1 + chance.below(3);
    for (std::uint64_t i = 0; i < count; ++i) {
        settings.clients.push_back(static_cast<Shape>(chance.below(kShapes)));
    }
    settings.sharers = static_cast<std::uint32_t>(chance.below(4));
    bool hoards = std::ranges::find(settings.clients, Shape::hoard) != settings.clients.end();
    // Sharers take it for a mistake that there is no room.
    if (hoards && settings.capacity_bytes < 16 * kMiB) settings.sharers = 0;
    settings.never_syncs = chance.one_in(3);
    settings.habits.page_bytes = 128U << chance.below(6);
    if (!chance.one_in(3)) settings.pause_most = kMillisecond << chance.below(11);
    settings.habits.twice_one_in = chance.one_in(2) ? 8 : 0;
    settings.file_bytes_most = (256 * kKiB) << chance.below(4);
}

// A few kinds a run: rare ones come together, and often ones do not hide them.
void draw_events(Chance& chance, WorldSettings& settings) {
    for (std::size_t i = 0; i < kEventsInPlace; ++i) {
        if (chance.one_in(2)) settings.events.push_back(static_cast<Event>(i));
    }
    if (settings.events.empty()) settings.events.push_back(Event::power_loss);
}

}  // namespace

std::string_view name_of(Event event) {
    static constexpr std::array<std::string_view, kEvents> kNames = {
        "crash",       "power_loss", "stop",       "lose_drives", "crash_degraded",
        "outage",      "rot",        "take_over",  "damage",      "reset",
        "partition",   "slow_link",  "drives_cut", "lies",        "slow_drives",
        "full_drives", "outlive",    "pause",      "drives_end"};
    return kNames[static_cast<std::size_t>(event)];
}

WorldSettings random_settings(Chance& chance) {
    WorldSettings settings;
    settings.rounds = 3 + static_cast<std::uint32_t>(chance.below(5));
    draw_shape(chance, settings);
    draw_compute(chance, settings.compute);
    draw_clients(chance, settings);
    draw_events(chance, settings);
    draw_crowded(chance, settings);
    return settings;
}

void draw_network(Chance& chance, WorldSettings& settings) {
    NetworkSettings& network = settings.network;
    network.clients = chance.one_in(2);
    SimulatedLink& link = network.link;
    link.delay = (5 * kMicrosecond) << chance.below(9);
    // Steps go into pieces and their delays as well.
    if (network.clients) settings.work_steps_most *= 3;
    link.jitter = link.delay * static_cast<Nanos>(chance.below(8));
    link.window_bytes = (16 * kKiB) << chance.below(5);
    link.piece_bytes_most = 512U << chance.below(8);
    link.reset_one_in = chance.one_in(3) ? 0 : 50ULL << chance.below(6);
    for (std::size_t i = kEventsInPlace; i < kEventsOfClients; ++i) {
        bool happens = chance.one_in(2);
        if (happens && network.clients) settings.events.push_back(static_cast<Event>(i));
    }
}

void draw_drive_network(Chance& chance, WorldSettings& settings) {
    NetworkSettings& network = settings.network;
    network.drives = chance.one_in(2) && network.clients && !settings.crowded;
    SimulatedLink& link = network.drive_link;
    link.delay = (5 * kMicrosecond) << chance.below(6);
    link.jitter = link.delay * static_cast<Nanos>(chance.below(8));
    link.window_bytes = (64 * kKiB) << chance.below(3);
    link.piece_bytes_most = (4 * kKiB) << chance.below(5);
    network.drive_deadline = (100 * kMillisecond) << chance.below(5);
    if (network.drives) settings.events.push_back(Event::drives_cut);
    bool drives_end = !chance.one_in(3);
    if (network.drives && drives_end) settings.events.push_back(Event::drives_end);
}

void draw_faults(Chance& chance, WorldSettings& settings) {
    for (std::size_t i = kEventsOfNetworks; i < kEventsOfFaults; ++i) {
        bool happens = chance.one_in(3);
        if (happens && !settings.crowded) settings.events.push_back(static_cast<Event>(i));
    }
    bool stalls = chance.one_in(4);
    std::uint64_t one_in = 64ULL << chance.below(6);
    Nanos stall = kMillisecond << chance.below(6);
    if (!stalls) return;
    settings.stall_one_in = one_in;
    settings.stall = stall;
}

// What docs/protocols/leases.md promises to bear, and what there is still room for.
void draw_clocks(Chance& chance, WorldSettings& settings) {
    constexpr std::int64_t kPromisedPpm = 10'000;
    constexpr std::int64_t kBornePpm = 150'000;
    bool differ = !chance.one_in(3);
    std::int64_t most = chance.one_in(2) ? kBornePpm : kPromisedPpm;
    if (differ) settings.network.rate_ppm_most = most;
    bool jumps = chance.one_in(3);
    Nanos jump = kSecond << chance.below(14);  // To more than two hours.
    if (jumps) settings.wall_jump_most = jump;
    // A drive that lost its tables tells generations by a clock that was not set back.
    bool lies = std::ranges::find(settings.events, Event::lies) != settings.events.end();
    settings.wall_goes_back = !lies;
}

void draw_mounts(Chance& chance, WorldSettings& settings) {
    bool has_mounts = chance.one_in(4);
    MountSettings& mounts = settings.mounts;
    mounts.minor = chance.one_in(3) ? 40 : 45;
    auto count = 1 + static_cast<std::uint32_t>(chance.below(3));
    // Not where others fill all the room.
    bool fits = settings.capacity_bytes >= 16 * kMiB && !settings.crowded;
    if (has_mounts && fits) mounts.count = count;
}

void draw_sharing(Chance& chance, WorldSettings& settings) {
    std::uint64_t kind = chance.below(5);
    auto more = static_cast<std::uint32_t>(chance.below(4));
    bool room = settings.capacity_bytes >= 16 * kMiB && !settings.crowded;
    if (kind > 2 && settings.sharers > 0 && room) {
        settings.sharing = kind == 3 ? Sharing::records : Sharing::small_files;
        settings.sharers += more;
    }
    // So few that sharers meet the bound.
    bool few = chance.one_in(4);
    std::size_t locks_most = 2 + chance.below(3);
    if (few && settings.mounts.count == 0) settings.compute.locks.locks_most = locks_most;
}

void draw_outliving(Chance& chance, WorldSettings& settings) {
    bool happens = !chance.one_in(3);
    if (happens && settings.network.clients) settings.events.push_back(Event::outlive);
    bool pauses = chance.one_in(3);
    if (pauses && settings.network.clients) settings.events.push_back(Event::pause);
}

std::string to_text(const WorldSettings& settings) {
    std::string text =
        std::to_string(settings.drive_count) + " drives, " + std::to_string(settings.data_width) +
        "+" + std::to_string(settings.parity_width) + ", " + std::to_string(settings.shard_count) +
        " shards, capacity " + std::to_string(settings.capacity_bytes / kMiB) + " MiB";
    if (settings.crowded) text += ", crowded";
    if (settings.power_safe) text += ", power safe";
    if (settings.stall_one_in > 0) {
        text += ", one operation of a disk in " + std::to_string(settings.stall_one_in) +
                " stalls for " + std::to_string(settings.stall / kMillisecond) + " ms";
    }
    if (settings.network.clients) text += ", over a network";
    if (settings.network.clients && settings.network.rate_ppm_most > 0) {
        text += " with clocks that differ by " + std::to_string(settings.network.rate_ppm_most) +
                " ppm";
    }
    if (settings.wall_jump_most > 0) {
        text +=
            ", the time jumps by up to " + std::to_string(settings.wall_jump_most / kSecond) + " s";
    }
    if (settings.network.drives) text += " to compute and on to drives";
    text += "; clients:";
    if (settings.pause_most > 0) {
        text += " (pausing up to " + std::to_string(settings.pause_most / kMillisecond) + " ms)";
    }
    for (Shape shape : settings.clients) text += " " + std::string(name_of(shape));
    text += ", " + std::to_string(settings.sharers) + " sharers";
    if (settings.sharing == Sharing::records) text += " of records";
    if (settings.sharing == Sharing::small_files) text += " of small files";
    if (settings.mounts.count > 0) {
        text += ", " + std::to_string(settings.mounts.count) + " mounts of 7." +
                std::to_string(settings.mounts.minor);
    }
    text += "; events:";
    for (Event event : settings.events) text += " " + std::string(name_of(event));
    return text;
}

}  // namespace weft::sim
