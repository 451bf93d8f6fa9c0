#include "engines/segments/state_internal.h"
#include "model/layout/keys.h"
#include "platform/base/planted.h"

#include <algorithm>

namespace weft::segments {
namespace {

constexpr std::size_t kFreedTogetherMost = 16;

}  // namespace

void SegmentStore::State::note_live(SegmentId id, std::int64_t delta, Lsn at) {
    Segment* segment = find(id);
    if (segment == nullptr) return;
    segment->live += delta;
    CHECK(segment->live >= 0);  // Else something would be freed that is still in use.
    if (delta > 0) {
        segment->killed_before_restore = false;
    } else {
        segment->killed_at = std::max(segment->killed_at, at);
    }
    wake_reaper(*segment);
}

bool SegmentStore::State::can_free(const Segment& segment) const {
    std::uint32_t holders = segment.holders;
    if (planted(Bug::segment_freed_while_written)) holders -= segment.claims;
    return segment.record.closed && segment.live == 0 && holders == 0;
}

std::uint64_t SegmentStore::State::user_blocks_written() const {
    return counters.blocks_written[static_cast<std::size_t>(StreamKind::hot)] +
           counters.blocks_written[static_cast<std::size_t>(StreamKind::cold)];
}

void SegmentStore::State::note_lifetime(const Segment& segment) {
    if (segment.record.stream != StreamKind::hot) return;
    constexpr std::uint64_t kAveragedOver = 16;
    std::uint64_t lived = user_blocks_written() - segment.opened_after;
    if (hot_lifetime == UINT64_MAX) {
        hot_lifetime = lived;
    } else {
        hot_lifetime = (hot_lifetime * (kAveragedOver - 1) + lived) / kAveragedOver;
    }
}

// Called in the midst of commits and destructors: the reaper begins later, by itself.
void SegmentStore::State::wake_reaper(const Segment& segment) {
    if (!opened || closing || !can_free(segment)) return;
    dying.insert(segment.id);
    if (std::exchange(reaping, true)) return;
    gate.spawn(reap());
}

std::vector<SegmentId> SegmentStore::State::next_to_free() {
    std::vector<SegmentId> ids;
    for (auto at = dying.begin(); at != dying.end() && ids.size() < kFreedTogetherMost;) {
        const Segment* segment = find(*at);
        if (segment == nullptr || !can_free(*segment)) {
            at = dying.erase(at);
        } else {
            ids.push_back(*at++);
        }
    }
    return ids;
}

Task<Done> SegmentStore::State::reap() {
    co_await yield(reactor);
    while (!closing) {
        auto ids = next_to_free();
        if (ids.empty()) break;
        auto freed = co_await reap_some(std::move(ids));
        if (freed.ok()) continue;
        // The journal is closed or somebody else owns the segments now: nothing is left to do.
        dying.clear();
        break;
    }
    reaping = false;
    co_return Done{};
}

Task<Done> SegmentStore::State::reap_some(std::vector<SegmentId> ids) {
    // As long as the record that killed the last block may be lost with the power, a replay
    // may want the block back.
    Lsn killed;
    for (SegmentId id : ids) {
        Segment* segment = find(id);
        CHECK(segment != nullptr);
        // Any record logged now comes after the one that killed it.
        if (segment->killed_before_restore) segment->killed_at = log_record(*segment);
        killed = std::max(killed, segment->killed_at);
    }
    bool flushes = killed.value > 0 && !planted(Bug::segment_freed_before_flush);
    if (flushes) co_await or_return(co_await log.flushed(killed));

    Batch batch;
    std::vector<SegmentSlot> slots;
    for (SegmentId id : ids) {
        Segment* segment = find(id);
        if (segment == nullptr || !can_free(*segment)) continue;
        if (segment->killed_at > killed) continue;
        batch.erase(keys::segment(id));
        batch.erase(keys::live(id));
        for (unsigned chunk = 0; chunk < segment->width(); ++chunk) {
            const SegmentSlot& slot = segment->record.slots[chunk];
            if (!slot_missing(*segment, chunk)) slots.push_back(slot);
        }
        note_lifetime(*segment);
        segments.erase(id);
        dying.erase(id);
        ++counters.segments_freed;
    }
    if (batch.empty()) co_return Done{};
    // Should this record be lost, the segment comes back without live blocks and is freed once
    // more: a slot that has another generation by then is left alone.
    (void)log.log(std::move(batch));
    auto freed = co_await free_slots(std::move(slots));
    if (freed.code() == Code::fenced) co_return freed.error();
    co_return Done{};
}

}  // namespace weft::segments
