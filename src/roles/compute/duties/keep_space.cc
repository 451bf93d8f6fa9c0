#include "platform/runtime/join.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

constexpr Nanos kIdle = 1 * kSecond;
constexpr Nanos kBetweenRounds = 100 * kMillisecond;
constexpr std::size_t kCandidates = 8;
// A segment with less than this share of dead blocks is not worth moving the rest.
constexpr std::uint64_t kDeadShareLeast = 16;

bool worth_cleaning(const segments::SegmentStatus& status) {
    std::uint64_t used = std::uint64_t{status.record.used_blocks} * status.record.data_width;
    if (!status.record.closed || status.live_blocks == 0 || used <= status.live_blocks)
        return false;
    return (used - status.live_blocks) * kDeadShareLeast >= used;
}

// The best of the candidates that is worth it; 0 if none is.
SegmentId choose(const segments::SegmentStore& segments) {
    std::map<SegmentId, bool> worth;
    for (const segments::SegmentStatus& status : segments.list()) {
        worth[status.id] = worth_cleaning(status);
    }
    for (SegmentId id : segments.cleaning_candidates(kCandidates)) {
        if (worth[id]) return id;
    }
    return SegmentId{};
}

}  // namespace

// One segment of the shard, if there is one worth it. True if it was moved.
Task<bool> Core::clean_one(Shard* shard) {
    SegmentId id = choose(shard->segments);
    const SegmentRecord* record = shard->segments.find(id);
    if (id.value == 0 || record == nullptr) co_return false;
    if (record->stream == StreamKind::index) {
        auto lock = co_await or_return(co_await shard->maintenance.lock());
        co_await or_return(co_await shard->index.move_out_of(id));
        co_return true;
    }
    co_return co_await shard->data.clean(id);
}

// The cleaner: when free space falls low, moves what lives out of the segments that are worth
// it most, shard by shard. It says when nothing can be won any more.
Task<Done> Core::keep_space() {
    while (!closing) {
        if (physical_free_blocks() >= cleaning_starts_below()) {
            nothing_reclaimable = false;
            waiting_for_segments = false;
            (void)co_await work.wait(reactor.now() + kIdle);
            continue;
        }
        // What was emptied takes a while to come back; moving more meanwhile only takes room.
        std::size_t moved = 0;
        std::uint64_t free = physical_free_blocks();
        std::uint64_t coming = coming_blocks();
        bool enough = free + coming >= cleaning_starts_below();
        waiting_for_segments = free == 0 && coming > 0;
        for (auto& [id, shard] : shards) {
            if (closing || enough) break;
            auto cleaned_one = co_await clean_one(shard.get());
            if (cleaned_one.ok() && cleaned_one.value()) ++moved;
        }
        // Segments are freed once the records that emptied them are flushed.
        Lsn last = journal.last_appended();
        if (moved > 0) (void)co_await journal.flushed(last);
        nothing_reclaimable = moved == 0 && coming_blocks() == 0;
        cleaned.notify_all();
        // Whoever waits for space notifies at once: not a reason to look again at once.
        if (moved == 0) co_await sleep(reactor, kBetweenRounds);
    }
    co_return Done{};
}

// Makes chunks that are missing again, all shards at once; again when the map changes.
Task<Done> Core::rebuild_all() {
    std::vector<Task<std::uint64_t>> rebuilds;
    for (auto& [id, shard] : shards) rebuilds.push_back(shard->segments.rebuild());
    (void)co_await join(rebuilds);
    co_return Done{};
}

}  // namespace weft::compute
