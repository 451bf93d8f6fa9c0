#include "platform/base/planted.h"
#include "roles/compute/core_internal.h"

#include <algorithm>
#include <vector>

namespace weft::compute {
namespace {

constexpr Nanos kIdle = 1 * kSecond;
constexpr int kPurgeWorkers = 4;
// A merge takes room for what it writes until what it read is freed: so few go on at a time.
constexpr int kMergers = 2;
constexpr int kCleaners = 3;
constexpr int kMergeStepsMost = 64;  // Of one index, before it is asked again which needs it most.

}  // namespace

void Core::wake_duties() {
    for (Signal* signal : {&cleaning, &merging, &trimming, &purging, &saving, &redundancy}) {
        signal->notify_all();
    }
    for (auto& [id, shard] : shards) shard->due.notify_all();
}

void Core::start_duties() {
    recovering = false;
    for (auto& [id, shard] : shards) gate.spawn(keep_shard(shard.get()));
    gate.spawn(keep_journal());
    for (int i = 0; i < kCleaners; ++i) gate.spawn(keep_space());
    for (int i = 0; i < kMergers; ++i) gate.spawn(keep_merging());
    gate.spawn(keep_inodes());
    gate.spawn(keep_redundancy());
    for (int i = 0; i < kPurgeWorkers; ++i) gate.spawn(purge_worker());
}

// Runs into fewer runs, first where there are most of them.
Task<Done> Core::keep_merging() {
    while (!closing) {
        std::vector<Shard*> order;
        for (auto& [id, shard] : shards) {
            bool due = shard->index.needs_merge() && !being_merged.contains(id);
            if (due) order.push_back(shard.get());
        }
        std::sort(order.begin(), order.end(), [](const Shard* a, const Shard* b) {
            std::pair more(b->index.fresh_runs(), a->id());
            return std::pair(a->index.fresh_runs(), b->id()) > more;
        });
        bool any = false;
        bool failed = false;
        for (Shard* shard : order) {
            if (any || closing || !being_merged.insert(shard->id()).second) continue;
            bool more = true;
            for (int step = 0; step < kMergeStepsMost && more && !closing; ++step) {
                auto lock = co_await or_return(co_await shard->maintenance.lock());
                auto stepped = co_await shard->index.compact_step();
                failed = failed || !stepped.ok();
                more = stepped.ok() && stepped.value();
                any = any || more;
            }
            being_merged.erase(shard->id());
            // Only then: whoever waits for it wakes the mergers when woken in vain.
            if (any) merged.notify_all();
        }
        // After a failure wait for a while, whoever notifies.
        if (failed) {
            co_await sleep(reactor, kIdle);
        } else if (!any) {
            (void)co_await merging.wait(reactor.now() + kIdle);
        }
    }
    co_return Done{};
}

// Staged bytes to stripes, the index's table to a run.
Task<Done> Core::keep_shard(Shard* shard) {
    Nanos look_again = 0;
    while (!closing) {
        bool failed = false;
        // Bytes of blocks that are lost stay staged: they are tried again, but not all the time.
        bool much = shard->data.staged_bytes() > settings.data.staged_bytes_usual;
        if (shard->data.destage_is_due() || (much && reactor.now() >= look_again)) {
            look_again = reactor.now() + kIdle;
            auto destaged = co_await shard->data.destage(journal.last_appended());
            failed = !destaged.ok();
        }
        {
            auto lock = co_await or_return(co_await shard->maintenance.lock());
            if (shard->index.needs_checkpoint()) {
                auto done = co_await shard->checkpoint();
                failed = failed || !done.ok();
                if (done.ok()) merged.notify_all();
                if (shard->index.needs_merge()) merging.notify_all();
            }
        }
        if (closing) break;
        // After a failure wait for a while, whoever notifies.
        if (failed) {
            co_await sleep(reactor, kIdle);
        } else if (!shard->is_due()) {
            (void)co_await shard->due.wait(reactor.now() + kIdle);
        }
    }
    co_return Done{};
}

// Keeps the journal short enough for a quick restart: checkpoints whichever shard needs its
// oldest record, then trims.
Task<Done> Core::keep_journal() {
    while (!closing) {
        journal::JournalHealth health = journal.health();
        if (health.drives_unflushed > 0) {
            (void)co_await journal.flushed(journal.last_committed());
            health = journal.health();
        }
        bool exposed = health.segments_exposed > 0;
        if (!exposed && journal_bytes() <= settings.journal_bytes_most) {
            (void)co_await trimming.wait(reactor.now() + kIdle);
            continue;
        }
        std::uint64_t before = journal_bytes();
        Task<Done> trimming_now = exposed ? mend_journal() : trim_journal();
        auto trimmed = co_await trimming_now;
        if (!trimmed.ok()) co_await sleep(reactor, kIdle);
        // All that can be trimmed is: what is left is in use. A drive that fails does not wait.
        Nanos again = reactor.now() + kIdle / 10;
        while (!closing && reactor.now() < again && journal.health().segments_exposed == 0 &&
               journal_bytes() >= before) {
            (void)co_await trimming.wait(again);
        }
    }
    co_return Done{};
}

// What a replay would read, and what the journal takes of each drive: a small commit takes a
// block however few bytes it has.
std::uint64_t Core::journal_bytes() const {
    constexpr std::uint64_t kSegmentsLeast = 2;  // The one in use, and the one before.
    std::uint64_t live = journal.counters().segments_live;
    std::uint64_t taken = (live - std::min(live, kSegmentsLeast)) * map.slot_bytes;
    return std::max(journal.live_bytes(), taken);
}

Task<Done> Core::checkpoint(Shard* shard) {
    auto lock = co_await or_return(co_await shard->maintenance.lock());
    co_await or_return(co_await shard->checkpoint());
    if (shard->index.needs_merge()) merging.notify_all();
    co_return Done{};
}

Task<Done> Core::mend_journal() {
    Lsn through = journal.health().exposed_through;
    for (auto& [id, shard] : shards) {
        Lsn needed = shard->first_needed();
        if (closing || needed.value == 0 || needed > through) continue;
        co_await or_return(co_await checkpoint(shard.get()));
    }
    co_return co_await trim_to_needed();
}

Task<Done> Core::trim_journal() {
    // Each shard once at most: then nothing of what was there before is needed.
    for (std::size_t i = 0; i < shards.size(); ++i) {
        if (closing || journal_bytes() <= settings.journal_bytes_most / 2) break;
        Shard* oldest = nullptr;
        for (auto& [id, shard] : shards) {
            Lsn needed = shard->first_needed();
            if (needed.value == 0) continue;
            if (oldest == nullptr || needed < oldest->first_needed()) oldest = shard.get();
        }
        if (oldest == nullptr) break;
        co_await or_return(co_await checkpoint(oldest));
        co_await or_return(co_await trim_to_needed());
    }
    co_return co_await trim_to_needed();
}

// What is not needed any more is so by a record that came later: a manifest, or one that says
// that staged bytes lie in stripes now. As long as loss of power can take that record away, a
// replay may want the older ones back.
Task<Done> Core::trim_to_needed() {
    Lsn appended = journal.last_appended();
    Lsn keep{appended.value + 1};
    for (const auto& [id, shard] : shards) {
        Lsn needed = shard->first_needed();
        if (needed.value != 0) keep = std::min(keep, needed);
    }
    Lsn through{keep.value - 1};
    bool flushes = !planted(Bug::trim_before_flush);
    if (flushes) co_await or_return(co_await journal.flushed(appended));
    std::uint64_t before = journal_bytes();
    auto trimmed = co_await journal.trim(through);
    if (journal_bytes() < before) merged.notify_all();
    co_return trimmed;
}

}  // namespace weft::compute
