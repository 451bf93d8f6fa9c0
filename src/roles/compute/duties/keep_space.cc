#include "platform/runtime/join.h"
#include "roles/compute/core_internal.h"

#include <algorithm>

namespace weft::compute {
namespace {

constexpr Nanos kIdle = 1 * kSecond;
constexpr Nanos kNothingToDo = 50 * kMillisecond;
constexpr Nanos kUntilFreed = 2 * kMillisecond;
// A segment that could not be emptied, as something in it cannot be read, is left alone so long.
constexpr Nanos kNotAgainFor = 5 * kSecond;
constexpr int kTriesMost = 3;
constexpr Nanos kRebuildAgainLeast = 5 * kSecond;
constexpr Nanos kRebuildAgainMost = 60 * kSecond;
// Segments with a smaller share of dead blocks are not worth moving the rest; nor are these
// when writers already wait.
constexpr std::uint64_t kDeadShareLeast = 8;
constexpr std::uint64_t kDeadShareLeastInNeed = 32;

}  // namespace

// Of closed segments without live blocks: they are free as soon as that is durable.
std::uint64_t Core::emptied_blocks() const {
    std::uint64_t emptied = 0;
    for (const auto& [id, shard] : shards) emptied += shard->segments.emptied_segments();
    return emptied * space().segment_blocks;
}

// The best of all shards' segments.
std::optional<Core::Victim> Core::choose_victim() {
    segments::SegmentSpace space = this->space();
    bool in_need = space.free_blocks < cleaning_starts_below(space) / 2;
    std::uint64_t share = in_need ? kDeadShareLeastInNeed : kDeadShareLeast;
    std::optional<Victim> best;
    for (auto& [id, shard] : shards) {
        std::map<SegmentId, Nanos>& passed = passed_over[id];
        std::erase_if(passed, [this](const auto& item) { return item.second <= reactor.now(); });
        std::set<SegmentId> except;
        for (const auto& [segment, until] : passed) except.insert(segment);
        auto choice = shard->segments.best_to_clean(except);
        if (!choice.has_value()) continue;
        bool enough = choice->dead_blocks * share >= choice->dead_blocks + choice->live_blocks;
        if (!enough) continue;
        if (!best.has_value() || choice->worth > best->choice.worth) best = {shard.get(), *choice};
    }
    return best;
}

Task<Done> Core::clean_victim(Victim victim) {
    Shard* shard = victim.shard;
    SegmentId id = victim.choice.id;
    if (victim.choice.stream == StreamKind::index) {
        auto lock = co_await or_return(co_await shard->maintenance.lock());
        co_return co_await shard->index.move_out_of(id);
    }
    for (int tries = 0; tries < kTriesMost; ++tries) {
        // What was overwritten in part just then is left behind.
        bool emptied = co_await or_return(co_await shard->data.clean(id));
        if (emptied) co_return Done{};
    }
    co_return Error{Code::would_block, "compute.clean"};
}

// Whatever one segment has that cannot be read, the next may be cleaned; where no room, no claim or
// no role is left, none can.
Task<Done> Core::clean_or_pass_over(Victim victim) {
    auto& passed = passed_over[victim.shard->id()];
    passed[victim.choice.id] = INT64_MAX;  // So that no other cleaner takes it.
    auto done = co_await clean_victim(victim);
    bool no_room = done.code() == Code::out_of_space;
    bool others_too = no_room || done.code() == Code::fenced || done.code() == Code::cancelled;
    cleaned_in_vain = no_room;
    if (done.ok() || others_too) {
        passed.erase(victim.choice.id);
        co_return done;
    }
    passed[victim.choice.id] = reactor.now() + kNotAgainFor;
    co_return Done{};
}

// One of a few cleaners: when few segments are free, moves what lives out of the segment that is
// worth it most.
Task<Done> Core::keep_space() {
    while (!closing) {
        segments::SegmentSpace space = this->space();
        std::uint64_t low = cleaning_starts_below(space);
        if (space.free_blocks >= low) {
            (void)co_await cleaning.wait(reactor.now() + kIdle);
            continue;
        }
        // What was emptied takes a moment to come back; moving more meanwhile only takes room.
        if (space.free_blocks + emptied_blocks() >= low) {
            co_await sleep(reactor, kUntilFreed);
            cleaned.notify_all();
            continue;
        }
        auto victim = choose_victim();
        if (!victim.has_value()) {
            co_await sleep(reactor, kNothingToDo);
            continue;
        }
        Task<Done> cleaning_one = clean_or_pass_over(*victim);
        auto ended = co_await cleaning_one;
        if (!ended.ok()) co_await sleep(reactor, kNothingToDo);
        cleaned.notify_all();
    }
    co_return Done{};
}

// Makes chunks that are missing again, all shards at once. False if some are left: a drive that
// is needed for them is away, or there is no room.
Task<bool> Core::rebuild_all() {
    std::vector<Task<std::uint64_t>> rebuilds;
    for (auto& [id, shard] : shards) rebuilds.push_back(shard->segments.rebuild());
    auto left = co_await join(rebuilds);
    co_return std::all_of(left.begin(), left.end(),
                          [](const auto& one) { return one.ok() && one.value() == 0; });
}

// When the map changes, and as long as something is left: nobody tells that a drive is back.
Task<Done> Core::keep_redundancy() {
    Nanos pause = kRebuildAgainLeast;
    while (!closing) {
        Epoch of = map.epoch;
        bool all = co_await or_return(co_await rebuild_all());
        if (closing) break;
        if (of == map.epoch) {
            Nanos again = all ? Signal::kNoDeadline : reactor.now() + pause;
            bool woken = co_await redundancy.wait(again);
            pause = woken ? kRebuildAgainLeast : std::min(2 * pause, kRebuildAgainMost);
        }
    }
    co_return Done{};
}

}  // namespace weft::compute
