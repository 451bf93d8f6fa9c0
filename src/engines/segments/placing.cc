#include "engines/segments/state_internal.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <numeric>

namespace weft::segments {
namespace {

constexpr Nanos kStatusAge = 1 * kSecond;
constexpr int kOpenTriesMost = 8;

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

// Segments that hot and cold streams leave to cleaning and to the index, so that deleting and
// cleaning go on when the drives are full. All shards clean at once, each into one segment
// beside one of the index, and journals take slots of the same drives; a small cluster can
// spare only a part of that.
std::uint64_t SegmentStore::State::reserved_segments(unsigned width) const {
    std::uint64_t capacity = table.slot_count() / width;
    std::uint64_t least = std::min<std::uint64_t>(2, capacity / 4);
    std::uint64_t most = 2 * std::uint64_t{shard_count} + 8;
    return std::clamp(capacity / 16, least, most);
}

Result<std::vector<DriveId>> SegmentStore::State::place(StreamKind stream, Width& at) {
    at = width_now();
    if (at.data == 0) return Error{Code::unavailable, "segments.place"};
    auto candidates = table.candidates(at.with_suspects);
    bool may_take_last = stream == StreamKind::cleaner || stream == StreamKind::index;
    std::uint64_t kept = may_take_last ? 0 : reserved_segments(at.total());
    // Who frees space may go narrower where single domains are full.
    while (segments_that_fit(candidates, at.total()) <= kept) {
        if (!may_take_last || at.data == 1) return Error{Code::out_of_space, "segments.place"};
        --at.data;
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

Task<Done> SegmentStore::State::open_segment(StreamKind stream) {
    Result<Done> outcome = Done{};
    for (int tries = 0; tries < kOpenTriesMost; ++tries) {
        Width seen = width_now();
        bool doubtful = tries > 0 || seen.data == 0 || seen.with_suspects;
        Nanos age = doubtful ? 1 : kStatusAge;
        co_await or_return(co_await table.refresh(age));
        Width chosen_width;
        auto chosen = place(stream, chosen_width);
        if (chosen.code() == Code::out_of_space && table.older_than(1)) {
            // Others may have given slots back since.
            co_await or_return(co_await table.refresh(1));
            chosen = place(stream, chosen_width);
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

std::uint64_t SegmentStore::State::free_blocks() {
    refresh_soon();
    Width now = width_now();
    if (now.data == 0) return 0;
    std::uint64_t fit = segments_that_fit(table.candidates(now.with_suspects), now.total());
    std::uint64_t kept = reserved_segments(now.total());
    std::uint64_t segments_free = fit > kept ? fit - kept : 0;
    return segments_free * now.data * slot_blocks;
}

}  // namespace weft::segments
