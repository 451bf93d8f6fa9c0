#include "roles/drive/drive_format.h"
#include "roles/drive/drive_role.h"
#include "sim/world/commons.h"
#include "sim/world/format.h"
#include "sim/world/mounts.h"
#include "sim/world/world_internal.h"

#include <algorithm>

// Drives that serve and are not to be relied on. Each event leaves the world whole.

namespace weft::sim {
namespace {

constexpr std::uint64_t kLostDoublings = 8;
constexpr std::uint64_t kMisdirectedDoublings = 8;
constexpr std::uint64_t kSlownessDoublings = 8;
// On the average, of an operation: who is slower for long is to be declared failed.
constexpr Nanos kStalledMost = 10 * kMillisecond;
constexpr Nanos kStallLeast = 5 * kMillisecond;
constexpr std::uint64_t kStallDoublings = 11;  // 10 s and more.
constexpr std::uint64_t kStalledDoublings = 8;

}  // namespace

// Of some writes, that end well, nothing is to be found, or it is found in another place.
void World::let_lie(std::size_t victim) {
    DriveId id = map_.drives[victim].id;
    std::uint64_t kind = chance_->below(3);
    DiskLies lies;
    std::uint64_t lost = 1ULL << chance_->below(kLostDoublings);
    std::uint64_t misdirected = 2ULL << chance_->below(kMisdirectedDoublings);
    if (kind != 0) lies.lost_one_in = lost;
    if (kind != 1) lies.misdirected_one_in = misdirected;
    disks_[id.value]->lie(lies, chance_->draw());
    say("drive " + std::to_string(id.value) + " loses one write in " +
        std::to_string(lies.lost_one_in) + " and puts one in " +
        std::to_string(lies.misdirected_one_in) + " elsewhere");
    ruined_.insert(id);
    watch_.expect_lies_of(id);
}

// Up to m drives at a time. Then a check finds all of it, unless the drives are given up first.
bool World::lies() {
    if (!become_whole()) return false;
    auto victims = choose_drives(1 + chance_->below(settings_.parity_width));
    for (std::size_t victim : victims) {
        let_lie(victim);
        work();
        if (!failure_.empty()) return false;
    }
    if (chance_->one_in(2) && !start_again(Lost::process)) return false;
    if (!work_and_pause() || !settle(Lost::nothing)) return false;
    bool restarts = chance_->one_in(2);
    if (restarts && (!stop_and_start(true) || !work_and_pause())) return false;
    // What a loss of power tears has to be made whole before more of it goes.
    bool power = chance_->one_in(3) && !settings_.power_safe;
    if (power) crash(true);
    for (std::size_t victim : victims) disks_[map_.drives[victim].id.value]->lie({}, 0);
    say("they lie no more");
    if (power && (!start() || !settle(Lost::power))) return false;
    bool given_up = chance_->one_in(3) || !refused_.empty();
    if (!given_up) {
        if (!find_lies()) return false;
        given_up = !refused_.empty();
    }
    if (given_up) return give_up(victims);
    ruined_.clear();
    return survive_loss();
}

// The stop puts the journal, which no scrub reads, into stripes. A start may find that a drive's
// tables are beyond use.
bool World::find_lies() {
    if (!stop_and_start(true)) return false;
    if (!refused_.empty()) return true;
    // Slots that a drive has forgotten are made anew; then all is there that a check looks at.
    if (!finish_done(until_whole(), "redundancy after lies")) return false;
    return check_findings() && finish_done(until_whole(), "redundancy after a check");
}

// One after the other is known to have failed, and replaced.
bool World::give_up(const std::vector<std::size_t>& victims) {
    for (std::size_t victim : victims) {
        if (!tell_of_loss({victim}) || !work_and_pause()) return false;
    }
    if (!settle(Lost::nothing)) return false;
    for (std::size_t victim : victims) {
        if (!replace({victim}) || !work_and_pause()) return false;
    }
    ruined_.clear();
    refused_.clear();
    return finish_done(until_whole(), "rebuild") && settle(Lost::nothing);
}

// Management notices that they are as they were.
bool World::have_drives_back(const char* what) {
    ++map_.epoch.value;
    if (!finish_done(compute_->set_map(map_), what)) return false;
    if (!work_and_pause() || !finish_done(until_whole(), what)) return false;
    if (chance_->one_in(2)) return survive_loss();
    return settle(Lost::nothing);
}

// Up to m of them take their time, always or now and then.
bool World::slow_drives() {
    if (!become_whole()) return false;
    auto victims = choose_drives(1 + chance_->below(settings_.parity_width));
    for (std::size_t victim : victims) {
        SimulatedDisk& disk = *disks_[map_.drives[victim].id.value];
        Nanos latency = settings_.disk_latency << chance_->below(kSlownessDoublings);
        Nanos stall = kStallLeast << chance_->below(kStallDoublings);
        std::uint64_t one_in = 1ULL << chance_->below(kStalledDoublings);
        one_in = std::max(one_in, static_cast<std::uint64_t>(stall / kStalledMost));
        disk.set_latency(latency);
        disk.set_stalls(one_in, stall);
        say("drive " + std::to_string(map_.drives[victim].id.value) + " takes " +
            std::to_string(latency / kMicrosecond) + " us, and one time in " +
            std::to_string(one_in) + " " + std::to_string(stall / kMicrosecond) + " us more");
    }
    work();
    if (!failure_.empty()) return false;
    if (chance_->one_in(3) && !start_again(Lost::power)) return false;
    if (!work_and_pause() || !settle(Lost::nothing)) return false;
    for (std::size_t victim : victims) set_usual_speed(*disks_[map_.drives[victim].id.value]);
    return have_drives_back("a map after slow drives");
}

void World::set_usual_speed(SimulatedDisk& disk) const {
    disk.set_latency(settings_.disk_latency);
    disk.set_stalls(settings_.stall_one_in, settings_.stall);
}

// What a drive says of what it keeps beside its slots.
struct World::Known {
    std::vector<std::vector<SlotInfo>> slots;  // Of each owner.
    std::vector<Code> fences;                  // To each owner of before this start.
    Result<std::string> map = Error{Code::invalid, "sim"};
    bool operator==(const Known& other) const {
        bool same_map =
            map.code() == other.map.code() && (!map.ok() || map.value() == other.map.value());
        return same_map && slots == other.slots && fences == other.fences;
    }
};

// Of each thing one copy, the one whose turn it is; the next time the other one.
void World::spoil_tables(DriveId drive) {
    SimulatedDisk& disk = *disks_[drive.value];
    auto layout = drive::lay_out(disk.size_bytes(), kSlotBytes);
    CHECK(layout.ok());
    const drive::Superblock& superblock = layout.value();
    std::uint64_t which = rotting_[drive];
    auto spoil_one = [&](std::uint64_t first, std::uint64_t second) {
        std::uint64_t at = (which % 2 == 0 ? first : second) + chance_->below(kBlockBytes);
        which = which / 2 | which % 2 << 63;
        if (chance_->one_in(3)) return disk.make_unreadable(at);
        disk.flip_bit(at, static_cast<int>(chance_->below(8)));
    };
    spoil_one(drive::kSuperblockOffsets[0], drive::kSuperblockOffsets[1]);
    spoil_one(drive::kFenceTableOffset, drive::kFenceTableOffset + kBlockBytes);
    spoil_one(superblock.map_offset, superblock.map_offset + drive::kMapAreaBytes);
    for (std::uint64_t i = 0; i < superblock.slot_table_blocks(); ++i) {
        std::uint64_t pair = superblock.slot_table_offset + 2 * i * kBlockBytes;
        spoil_one(pair, pair + kBlockBytes);
    }
    rotting_[drive] = ~rotting_[drive];
}

// While it is served nothing reads it: a check has to find it.
bool World::find_rot_of_tables() {
    say("one copy of each of the drives' tables rots");
    for (const DriveEntry& entry : map_.drives) spoil_tables(entry.id);
    if (!check_findings()) return false;
    for (const DriveEntry& entry : map_.drives) {
        Result<std::uint64_t> left = std::uint64_t{0};
        if (!finish(drives_->verify(entry.id), &left, "verify")) return false;
        // Over a network it may not have been reached in time.
        if (left.value() == 0 || settings_.network.drives) continue;
        return fail("check", "rot of tables was left on drive " + std::to_string(entry.id.value));
    }
    return true;
}

bool World::attach_and_ask(DriveId drive, Known* known) {
    drive::DriveRole role(drives_->clock_of(drive));
    std::shared_ptr<Disk> disk = disks_[drive.value];
    auto ask = [](drive::DriveRole* of, std::shared_ptr<Disk> on, DriveId id,
                  std::vector<Fence> old, Known* out) -> Task<Done> {
        co_await or_return(co_await of->attach(std::move(on), kClusterNumber));
        for (const Fence& fence : old) {
            out->slots.push_back(co_await or_return(co_await of->list(id, fence.owner)));
            auto fenced = co_await of->fence(id, fence);
            out->fences.push_back(fenced.code());
        }
        out->map = co_await of->load_map(id);
        co_return co_await of->detach(id);
    };
    Epoch before{map_.epoch.value - 1};
    std::vector<Fence> old{{OwnerId::of(JournalId{0}), before}};
    for (std::uint32_t i = 0; i < settings_.shard_count; ++i) {
        old.push_back({OwnerId::of(ShardId{i}), before});
    }
    return finish_done(ask(&role, std::move(disk), drive, std::move(old), known),
                       "a drive after rot");
}

// Nothing else runs.
bool World::outlives_rot(DriveId drive) {
    Known before;
    Known after;
    if (!attach_and_ask(drive, &before)) return false;
    spoil_tables(drive);
    if (!attach_and_ask(drive, &after)) return false;
    if (before == after) return true;
    return fail("drives", "drive " + std::to_string(drive.value) + " forgot what it had twice");
}

// On all drives: once their tables are settled one copy of each does.
bool World::rot_of_tables() {
    for (const DriveEntry& entry : map_.drives) rotting_[entry.id] = chance_->draw();
    if (chance_->one_in(2) && !find_rot_of_tables()) return false;
    if (!stop()) return false;
    for (const DriveEntry& entry : map_.drives) {
        std::string map = "a map at epoch " + std::to_string(map_.epoch.value);
        if (!finish_done(drives_->store_map(entry.id, std::move(map)), "store_map")) return false;
        if (!finish_done(drives_->detach(entry.id), "detach")) return false;
    }
    crash(true);
    say("one copy of each of the drives' tables rots while they are away");
    for (const DriveEntry& entry : map_.drives) {
        if (!outlives_rot(entry.id)) return false;
    }
    return start() && settle(Lost::process);
}

// Up to m of them, files on filesystems that others have filled, take nothing that is new.
bool World::full_drives() {
    if (!become_whole()) return false;
    auto victims = choose_drives(1 + chance_->below(settings_.parity_width));
    auto set_full = [&](bool full) {
        for (std::size_t victim : victims) disks_[map_.drives[victim].id.value]->set_full(full);
    };
    work();
    say(std::to_string(victims.size()) + " drives have no room beneath");
    set_full(true);
    if (!failure_.empty() || !work_and_pause() || !settle(Lost::nothing)) return false;
    if (chance_->one_in(3) && !start_again(Lost::power)) return false;
    if (!work_and_pause()) return false;
    set_full(false);
    return have_drives_back("a map after full drives");
}

}  // namespace weft::sim
