#include "platform/base/planted.h"
#include "roles/compute/core_internal.h"

#include <algorithm>

namespace weft::compute {
namespace {

constexpr Nanos kDelayMost = 20 * kMillisecond;
// How long a writer waits for the cleaner while something can be won. A freed segment takes
// some seconds until its slots are given back.
constexpr Nanos kWaitMost = 60 * kSecond;

}  // namespace

std::uint64_t Core::physical_free_blocks() const {
    std::uint64_t least = UINT64_MAX;
    for (const auto& [id, shard] : shards) least = std::min(least, shard->segments.free_blocks());
    return shards.empty() ? 0 : least;
}

// Data blocks that all drives together hold, before parity is taken off.
std::uint64_t Core::physical_blocks() const {
    std::uint64_t total = 0;
    for (const DriveEntry& drive : map.drives) {
        if (drive.state == DriveState::active) total += drive.size_bytes / kBlockBytes;
    }
    std::uint64_t width = std::uint64_t{map.data_width} + map.parity_width;
    return total / std::max<std::uint64_t>(width, 1) * map.data_width;
}

std::uint64_t Core::staged_blocks() const {
    std::uint64_t bytes = 0;
    for (const auto& [id, shard] : shards) bytes += shard->data.staged_bytes();
    return divide_up(bytes, kBlockBytes);
}

Task<Done> Core::admit() {
    if (waiting_for_segments && !closing) co_await sleep(reactor, kDelayMost);
    co_return co_await journal.admit();
}

Task<Done> Core::admit_space(std::uint64_t bytes) {
    Nanos deadline = reactor.now() + kWaitMost;
    while (reactor.now() < deadline) {
        // What is staged will want its room too.
        std::uint64_t needed = divide_up(bytes, kBlockBytes) + staged_blocks();
        std::uint64_t free = physical_free_blocks();
        std::uint64_t slow_below = cleaning_starts_below() / 2;
        if (free > needed && free >= slow_below) co_return Done{};
        work.notify_all();
        if (free > needed) {
            // The closer to full, the slower: so that the cleaner keeps up, and nobody fails.
            auto share = static_cast<double>(slow_below - free) / static_cast<double>(slow_below);
            if (nothing_reclaimable) co_return Done{};
            co_await sleep(reactor, static_cast<Nanos>(share * static_cast<double>(kDelayMost)));
            co_return Done{};
        }
        bool may_come = co_await or_return(co_await wait_for_room());
        if (!may_come) break;
    }
    co_return Error{Code::out_of_space, "compute.space"};
}

Task<bool> Core::wait_for_room() {
    if (nothing_reclaimable || closing) co_return false;
    work.notify_all();
    (void)co_await cleaned.wait(reactor.now() + kSecond);
    co_return !nothing_reclaimable;
}

Result<Done> Core::check_capacity(FilesystemId id, std::int64_t more_blocks) const {
    if (more_blocks <= 0 || planted(Bug::capacity_is_not_checked)) return Done{};
    auto found = filesystems.find(id);
    if (found == filesystems.end()) return Error{Code::stale, "compute.space"};
    const Filesystem& filesystem = found->second;
    auto capacity = static_cast<std::int64_t>(filesystem.capacity_blocks);
    if (filesystem.used_blocks + more_blocks <= capacity) return Done{};
    return Error{Code::out_of_space, "compute.capacity"};
}

FilesystemUsage Core::usage_of(FilesystemId id) const {
    FilesystemUsage usage;
    auto found = filesystems.find(id);
    if (found == filesystems.end()) return usage;
    const Filesystem& filesystem = found->second;
    auto used = static_cast<std::uint64_t>(std::max<std::int64_t>(filesystem.used_blocks, 0));
    std::uint64_t promised =
        filesystem.capacity_blocks > used ? filesystem.capacity_blocks - used : 0;
    std::uint64_t physical = physical_free_blocks() + reclaimable_blocks() + open_blocks();
    std::uint64_t staged = staged_blocks();
    physical = physical > staged ? physical - staged : 0;
    usage.capacity_blocks = filesystem.capacity_blocks;
    usage.used_blocks = used;
    usage.free_blocks = std::min(promised, physical);
    usage.inodes = static_cast<std::uint64_t>(std::max<std::int64_t>(filesystem.inodes, 0));
    return usage;
}

// Where new data goes next: what is written there takes room, as programs see it, at once.
std::uint64_t Core::open_blocks() const {
    std::uint64_t open = 0;
    for (const auto& [id, shard] : shards) open += shard->segments.open_blocks(StreamKind::hot);
    return open;
}

// Dead blocks of closed segments.
std::uint64_t Core::reclaimable_blocks() const {
    std::uint64_t dead = 0;
    for (const auto& [id, shard] : shards) {
        for (const segments::SegmentStatus& status : shard->segments.list()) {
            const SegmentRecord& record = status.record;
            std::uint64_t used = std::uint64_t{record.used_blocks} * record.data_width;
            if (record.closed && used > status.live_blocks) dead += used - status.live_blocks;
        }
    }
    return dead;
}

// Of closed segments without live blocks: they are free as soon as that is durable.
std::uint64_t Core::coming_blocks() const {
    std::uint64_t coming = 0;
    for (const auto& [id, shard] : shards) {
        for (const segments::SegmentStatus& status : shard->segments.list()) {
            const SegmentRecord& record = status.record;
            if (!record.closed || status.live_blocks > 0) continue;
            coming += std::uint64_t{record.slot_blocks} * record.data_width;
        }
    }
    return coming;
}

std::uint64_t Core::cleaning_starts_below() const {
    return physical_blocks() / 8;
}

}  // namespace weft::compute
