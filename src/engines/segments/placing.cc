#include "engines/segments/state_internal.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <numeric>

namespace weft::segments {
namespace {

constexpr Nanos kStatusAge = 1 * kSecond;
constexpr int kOpenTriesMost = 8;
constexpr std::uint64_t kJournalSegments = 4;  // That it may want before it can be trimmed.

unsigned domains_of(const std::vector<Candidate>& candidates) {
    std::set<FailureDomainId> domains;
    for (const Candidate& candidate : candidates) domains.insert(candidate.domain);
    return static_cast<unsigned>(domains.size());
}

}  // namespace

// The widest scheme that the domains which serve now allow: narrower in k, never in m.
SegmentStore::State::Width SegmentStore::State::find_width() const {
    for (bool with_suspects : {false, true}) {
        unsigned domains = domains_of(table.candidates(with_suspects));
        if (domains < parity_width + 1) continue;
        return {std::min(data_width, domains - parity_width), parity_width, with_suspects};
    }
    return {};
}

SegmentStore::State::Width SegmentStore::State::width_now() {
    if (present_width_change != table.changes()) {
        present_width_change = table.changes();
        present_width = find_width();
    }
    return present_width;
}

// Segments that users' writes leave to cleaning, to the index and to the journal, so that deleting
// and cleaning go on when the drives are full. All shards clean at once, each into one segment
// beside one of the index; a small cluster can spare only a part of that.
std::uint64_t SegmentStore::State::kept_in_all(unsigned width) const {
    if (planted(Bug::reserve_is_not_kept)) return 0;
    std::uint64_t capacity = table.slot_count() / width;
    std::uint64_t least = std::min<std::uint64_t>(2, capacity / 4);
    std::uint64_t most = 2 * std::uint64_t{shard_count} + 8;
    return std::clamp(capacity / 8, least, most);
}

// Without the journal nothing goes on, without cleaning nothing comes back. A cleaner gives back
// more than it takes as soon as it is done with one segment, so it is the last to be refused:
// what else goes on may take what there is only as far as cleaning can win it back.
std::uint64_t SegmentStore::State::kept_from(Purpose purpose, unsigned width) const {
    std::uint64_t all = kept_in_all(width);
    std::uint64_t least = std::min<std::uint64_t>(all / 4, kJournalSegments);
    switch (purpose) {
        case Purpose::user:
            return all;
        case Purpose::destage:
            return least + (all - least) / 2;
        case Purpose::index:
            return least;
        case Purpose::cleaning:
            return least / 2;
    }
    return all;
}

Result<std::vector<DriveId>> SegmentStore::State::place(Purpose purpose, Width& at) {
    at = width_now();
    if (at.data == 0) return Error{Code::unavailable, "segments.place"};
    auto candidates = table.candidates(at.with_suspects);
    std::uint64_t kept = kept_from(purpose, at.total()) + table.promised();
    std::uint64_t kept_slots = kept * at.total();
    std::uint64_t free_slots = 0;
    for (const Candidate& candidate : candidates) free_slots += candidate.free_slots;
    // Who frees space may go narrower where single domains are full, but not to take what is kept.
    while (segments_that_fit(candidates, at.total()) <= kept) {
        bool full = purpose == Purpose::user || at.data == 1;
        --at.data;
        if (full || free_slots < kept_slots + at.total()) {
            return Error{Code::out_of_space, "segments.place"};
        }
    }
    auto chosen = choose_drives(candidates, at.total(), {}, reactor);
    CHECK(chosen.has_value());  // At least one segment fits.
    return std::move(*chosen);
}

Task<Done> SegmentStore::State::free_slots(std::vector<SegmentSlot> slots) {
    std::vector<Task<Done>> calls;
    for (const SegmentSlot& slot : slots) {
        calls.push_back(drives.free(slot.drive, fence(), slot.slot, slot.generation));
    }
    auto results = co_await join(calls);
    for (std::size_t i = 0; i < slots.size(); ++i) {
        // One that stays behind on a drive that is away is swept later.
        if (results[i].ok()) table.gave_slot(slots[i].drive);
    }
    co_return first_error(results);
}

// A slot for chunks[i] on on[i]; all or none.
Task<std::vector<SegmentSlot>> SegmentStore::State::allocate_slots(std::vector<DriveId> on,
                                                                   std::vector<unsigned> chunks,
                                                                   SegmentId id) {
    CHECK(on.size() == chunks.size());
    std::vector<Task<SegmentSlot>> calls;
    for (std::size_t i = 0; i < on.size(); ++i) {
        calls.push_back(drives.allocate(on[i], fence(), id, static_cast<std::uint16_t>(chunks[i])));
    }
    auto results = co_await join(calls);

    std::vector<SegmentSlot> taken;
    Result<Done> outcome = Done{};
    for (std::size_t i = 0; i < on.size(); ++i) {
        if (results[i].ok()) {
            taken.push_back(results[i].value());
            table.took_slot(on[i]);
            continue;
        }
        if (results[i].code() == Code::out_of_space) {
            table.found_full(on[i]);
        } else {
            table.suspect(on[i]);
        }
        if (outcome.ok() || results[i].code() == Code::fenced) outcome = results[i].error();
    }
    if (outcome.ok()) co_return taken;
    (void)co_await free_slots(std::move(taken));
    co_return outcome.error();
}

Task<Done> SegmentStore::State::open_segment(StreamKind stream, Purpose purpose) {
    Result<Done> outcome = Done{};
    for (int tries = 0; tries < kOpenTriesMost; ++tries) {
        Width seen = width_now();
        bool doubtful = tries > 0 || seen.data == 0 || seen.with_suspects;
        Nanos age = doubtful ? 1 : kStatusAge;
        co_await or_return(co_await table.refresh(age));
        Width chosen_width;
        auto chosen = place(purpose, chosen_width);
        if (chosen.code() == Code::out_of_space && table.older_than(1)) {
            // Others may have given slots back since.
            co_await or_return(co_await table.refresh(1));
            chosen = place(purpose, chosen_width);
        }
        auto on = co_await or_return(std::move(chosen));

        SegmentId id{++last_id};
        allocating.insert(id);
        std::vector<unsigned> chunks(on.size());
        std::iota(chunks.begin(), chunks.end(), 0U);
        auto slots = co_await allocate_slots(std::move(on), std::move(chunks), id);
        allocating.erase(id);
        if (!slots.ok()) {
            if (slots.code() == Code::fenced) co_return slots.error();
            outcome = slots.error();
            continue;
        }
        Segment& segment = segments[id];
        segment.id = id;
        segment.possible_width = width_now().total();
        segment.record.data_width = static_cast<std::uint8_t>(chosen_width.data);
        segment.record.parity_width = static_cast<std::uint8_t>(chosen_width.parity);
        segment.record.stream = stream;
        segment.record.slot_blocks = slot_blocks;
        segment.record.born_ns = reactor.wall_now();
        segment.opened_after = user_blocks_written();
        segment.record.slots = std::move(slots).value();
        open_segments[static_cast<std::size_t>(stream)] = id;
        (void)log_record(segment);
        co_return Done{};
    }
    co_return outcome.error();
}

Task<Done> SegmentStore::State::refresh_in_background() {
    (void)co_await table.refresh(kStatusAge);
    refreshing = false;
    co_return Done{};
}

void SegmentStore::State::refresh_soon() {
    if (!opened || closing || refreshing || !table.older_than(kStatusAge)) return;
    refreshing = true;
    gate.spawn(refresh_in_background());
}

SegmentSpace SegmentStore::State::space() {
    refresh_soon();
    SegmentSpace space;
    // A drive that is merely slow or suspected takes nothing away from what there is.
    unsigned domains = table.active_domains();
    if (domains <= parity_width) return space;
    unsigned data = std::min(data_width, domains - parity_width);
    space.segments = table.segments_in_all(data + parity_width);
    space.segments_kept = kept_in_all(data + parity_width);
    space.segment_blocks = std::uint64_t{data} * slot_blocks;
    Width now = width_now();
    if (now.data == 0) return space;
    std::uint64_t free = table.segments_free(now.total(), now.with_suspects);
    std::uint64_t kept = kept_in_all(now.total());
    if (free > kept) space.free_blocks = (free - kept) * now.data * slot_blocks;
    return space;
}

}  // namespace weft::segments
