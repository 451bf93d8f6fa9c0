#include "platform/base/planted.h"
#include "roles/compute/core_internal.h"

#include <algorithm>
#include <utility>

// What fits is counted in live blocks, and not in free segments: as long as less lives than the
// drives can hold with room left to clean, the cleaner always finds a segment that is worth it,
// and writers are slowed down to its pace, never refused. So df is true at once, and ENOSPC means
// that something must be deleted.

namespace weft::compute {
namespace {

constexpr Nanos kDelayMost = 20 * kMillisecond;
// How long a request waits for a cleaner that frees nothing, and for one that gets on.
constexpr Nanos kWaitInVain = 60 * kSecond;
constexpr Nanos kWaitMost = 600 * kSecond;
// Nothing is left to clean for so long: it is no moment between two segments.
constexpr Nanos kOverfullFor = 5 * kSecond;
// More than what indexes that grow, and requests that are under way, come to on full drives.
constexpr std::uint64_t kOverfullSegments = 4;
// How long a request waits for a purge to make room.
constexpr Nanos kPurgeWaitMost = 60 * kSecond;
// Emptied segments are freed by the journal's next flush, which nobody announces.
constexpr Nanos kLookAgain = 5 * kMillisecond;
// Of the segments that data may fill, the part that is left dead for cleaning at the least.
constexpr std::uint64_t kSlackShare = 12;

std::uint64_t part_of_shard(const ClusterMap& map, std::uint64_t share) {
    std::uint64_t bytes = 0;
    for (const DriveEntry& drive : map.drives) {
        if (drive.state == DriveState::active) bytes += drive.size_bytes;
    }
    std::uint64_t width = std::uint64_t{map.data_width} + map.parity_width;
    std::uint64_t data = bytes / std::max<std::uint64_t>(width, 1) * map.data_width;
    return data / std::max<std::uint64_t>(map.shard_count, 1) / share;
}

// Waits while what has no name any more is being purged. False: that has not made room enough.
Task<bool> room_has_come(Core* core, FilesystemId filesystem, std::int64_t lacking, Nanos by) {
    while (lacking > 0 && core->reactor.now() < by) {
        if (core->check_capacity(filesystem, lacking).ok()) co_return true;
        auto found = core->being_purged.lower_bound(FileId{filesystem, InodeId()});
        bool none = found == core->being_purged.end() || found->filesystem != filesystem;
        if (none) co_return false;
        (void)co_await core->cleaned.wait(core->earlier_of(by, kLookAgain));
        if (core->closing) co_return Error{Code::cancelled, "compute.space"};
    }
    co_return false;
}

}  // namespace

ComputeSettings fitted(ComputeSettings settings, const ClusterMap& map) {
    auto limit = [](std::uint64_t& value, std::uint64_t least, std::uint64_t most) {
        value = std::min(value, std::max(least, round_down(most, kBlockBytes)));
    };
    std::uint64_t all = part_of_shard(map, 1) * map.shard_count;
    std::uint64_t share = all / std::max<std::uint64_t>(map.data_width, 1) / 24;
    // At least as much as keeps it from being trimmed all the time.
    limit(settings.journal_bytes_most, 2 * std::uint64_t{map.slot_bytes}, share);
    limit(settings.index.memtable_bytes_most, 128 * kKiB, part_of_shard(map, 128));
    limit(settings.index.run_bytes_most, kMiB, part_of_shard(map, 16));
    limit(settings.data.staged_bytes_usual, 256 * kKiB, part_of_shard(map, 64));
    limit(settings.data.staged_bytes_most, kMiB, part_of_shard(map, 16));
    return settings;
}

// It takes a slot of nearly each drive for each of them, as a segment of data does.
std::uint64_t Core::journal_segments_most() const {
    constexpr std::uint64_t kInUse = 4;  // The one in use, the next, the reserve, one to be freed.
    return divide_up(journal_bytes_wait(), std::max<std::uint32_t>(map.slot_bytes, 1)) + kInUse;
}

std::uint64_t Core::journal_segments_to_come() const {
    std::uint64_t most = journal_segments_most();
    return most - std::min(most, journal.segments_taken());
}

segments::SegmentSpace Core::space() const {
    if (shards.empty()) return {};
    return shards.begin()->second->segments.space();
}

std::uint64_t Core::usable_blocks() const {
    segments::SegmentSpace space = this->space();
    // Each shard has some segments open that are half full.
    std::uint64_t open = std::min<std::uint64_t>(2 * shards.size(), space.segments / 8);
    std::uint64_t taken = space.segments_kept + open + journal_segments_most();
    std::uint64_t left = space.segments > taken ? space.segments - taken : 0;
    return left * space.segment_blocks / kSlackShare * (kSlackShare - 1);
}

std::int64_t Core::blocks_left() const {
    std::int64_t used = 0;
    for (const auto& [id, filesystem] : filesystems) used += filesystem.used_blocks;
    // A small index is counted as it may be between two merges: else room would come and go with
    // them.
    std::uint64_t index_least = 2 * settings.index.memtable_bytes_most / kBlockBytes;
    for (const auto& [id, shard] : shards) {
        used += static_cast<std::int64_t>(std::max(shard->index_blocks(), index_least));
    }
    return static_cast<std::int64_t>(usable_blocks()) - used;
}

// As little as keeps writers from waiting: what is free does not help the cleaner to find
// segments that are mostly dead.
std::uint64_t Core::cleaning_starts_below(const segments::SegmentSpace& space) const {
    std::uint64_t few = std::max<std::uint64_t>(4, std::min<std::uint64_t>(shards.size(), 16));
    return std::max(few, space.segments / 64) * space.segment_blocks;
}

bool Core::is_overfull() {
    if (room_blocks() > 0 || !being_purged.empty() || emptied_blocks() > 0) return false;
    for (const auto& [id, passed] : passed_over) {
        for (const auto& [segment, until] : passed) {
            if (until == INT64_MAX) return false;  // It is being cleaned.
        }
    }
    if (!choose_victim().has_value()) return true;
    // There may be segments with something dead for ever, and no room to move the rest to. Drives
    // that are just full are not meant: there the cleaner gets on, however slowly.
    auto margin = static_cast<std::int64_t>(kOverfullSegments * space().segment_blocks);
    return cleaned_in_vain && blocks_left() < -margin;
}

Task<Done> Core::wait_for_segments(Nanos by, SpacePatience* patience) {
    std::uint64_t freed = 0;
    for (const auto& [id, shard] : shards) freed += shard->segments.counters().segments_freed;
    bool first = patience->ends == 0;
    if (first) patience->ends = earlier_of(by, kWaitMost);
    if (first || freed != patience->freed) {
        patience->freed = freed;
        patience->since = reactor.now();
        patience->until = earlier_of(patience->ends, kWaitInVain);
    }
    bool late = reactor.now() >= patience->until;
    if (late) co_return Error{Code::retry_later, "compute.space"};
    bool long_enough = reactor.now() - patience->since >= kOverfullFor;
    if (long_enough && is_overfull()) co_return Error{Code::out_of_space, "compute.overfull"};
    cleaning.notify_all();
    (void)co_await cleaned.wait(earlier_of(patience->until, kLookAgain));
    if (closing) co_return Error{Code::cancelled, "compute.space"};
    co_return Done{};
}

std::optional<Nanos> Core::delay_for(std::uint64_t bytes) {
    segments::SegmentSpace space = this->space();
    std::uint64_t low = cleaning_starts_below(space);
    if (space.free_blocks < low) cleaning.notify_all();
    // No cleaner makes more room than that, however long it is waited for.
    std::uint64_t needed = std::min(divide_up(bytes, kBlockBytes), low);
    std::uint64_t slow_below = low / 2;
    if (space.free_blocks >= std::max(needed, slow_below)) return 0;
    if (space.free_blocks <= needed) return std::nullopt;
    // The closer to none, the slower, so that the cleaner keeps up.
    auto missing = static_cast<double>(slow_below - space.free_blocks);
    double share = missing / static_cast<double>(slow_below);
    return static_cast<Nanos>(share * static_cast<double>(kDelayMost));
}

Task<Done> Core::admit_space(std::uint64_t bytes, Caller caller, SpacePatience* patience) {
    HeldUp held(*this, caller.session);
    auto delay = delay_for(bytes);
    while (!delay.has_value()) {
        co_await or_return(co_await wait_for_segments(caller.deadline, patience));
        delay = delay_for(bytes);
    }
    if (*delay > 0) co_await sleep(reactor, *delay);
    co_return Done{};
}

Result<Done> Core::check_capacity(FilesystemId id, std::int64_t more_blocks) const {
    if (more_blocks <= 0 || planted(Bug::capacity_is_not_checked)) return Done{};
    auto found = filesystems.find(id);
    if (found == filesystems.end()) return Error{Code::stale, "compute.space"};
    const Filesystem& filesystem = found->second;
    auto capacity = static_cast<std::int64_t>(filesystem.capacity_blocks);
    if (filesystem.used_blocks + more_blocks > capacity) {
        return Error{Code::out_of_space, "compute.capacity"};
    }
    bool fits = room_blocks() >= static_cast<std::uint64_t>(more_blocks);
    if (!fits) return Error{Code::out_of_space, "compute.room"};
    return Done{};
}

Result<Done> Core::check_capacity(FilesystemId id, std::int64_t more_blocks,
                                  std::int64_t* lacking) const {
    auto checked = check_capacity(id, more_blocks);
    *lacking = checked.code() == Code::out_of_space ? more_blocks : 0;
    return checked;
}

Task<bool> Core::has_passed(Shortage* shortage, FilesystemId filesystem, Caller caller) {
    HeldUp held(*this, caller.session);
    std::int64_t lacking = std::exchange(shortage->lacking, 0);
    bool no_segment = std::exchange(shortage->no_segment, false);
    bool begins = lacking > 0 && shortage->purged_by == 0;
    if (begins) shortage->purged_by = earlier_of(caller.deadline, kPurgeWaitMost);
    Nanos by = shortage->purged_by;
    bool has_come = co_await or_return(co_await room_has_come(this, filesystem, lacking, by));
    if (has_come || !no_segment) co_return has_come;
    co_await or_return(co_await wait_for_segments(caller.deadline, &shortage->patience));
    co_return true;
}

Result<Done> Core::check_metadata_room() const {
    if (room_blocks() > 0) return Done{};
    return Error{Code::out_of_space, "compute.room"};
}

std::uint64_t Core::blocks_being_purged(FilesystemId filesystem) {
    std::uint64_t blocks = 0;
    for (FileId file : being_purged) {
        if (file.filesystem != filesystem) continue;
        InodePin inode = inodes.pin(file);
        if (inode->loaded && inode->gone()) blocks += inode->record.blocks;
    }
    return blocks;
}

FilesystemUsage Core::usage_of(FilesystemId id) {
    FilesystemUsage usage;
    auto found = filesystems.find(id);
    if (found == filesystems.end()) return usage;
    const Filesystem& filesystem = found->second;
    // What has no name any more is as good as gone.
    std::uint64_t leaving = blocks_being_purged(id);
    auto used = static_cast<std::uint64_t>(std::max<std::int64_t>(filesystem.used_blocks, 0));
    leaving = std::min(leaving, used);
    used -= leaving;
    std::uint64_t promised =
        filesystem.capacity_blocks > used ? filesystem.capacity_blocks - used : 0;
    usage.capacity_blocks = filesystem.capacity_blocks;
    usage.used_blocks = used;
    usage.free_blocks = std::min(promised, room_blocks() + leaving);
    usage.inodes = static_cast<std::uint64_t>(std::max<std::int64_t>(filesystem.inodes, 0));
    return usage;
}

}  // namespace weft::compute
