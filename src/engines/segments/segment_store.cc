#include "engines/segments/segment_store.h"

#include "engines/segments/state_internal.h"
#include "model/layout/keys.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <cmath>

namespace weft::segments {
namespace {

// Segment numbers begin, at each opening, at seconds since 2020 times this: a number that was
// given out before a restart and then freed is never given out again, though nothing stores it.
constexpr std::uint64_t kSegmentsPerSecond = 1 << 16;
constexpr std::int64_t kIdsBeganSecond = 1'577'836'800;

std::uint64_t first_id_at(std::int64_t wall_now) {
    std::int64_t seconds = wall_now / kSecond - kIdsBeganSecond;
    return static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 0)) * kSegmentsPerSecond;
}

// What its slots could hold: one that was closed before it was full keeps whole slots as well.
std::int64_t blocks_taken(const Segment& segment) {
    return std::int64_t{segment.record.slot_blocks} * segment.record.data_width;
}

double cleaning_worth(const Segment& segment, std::int64_t wall_now) {
    auto taken = static_cast<double>(blocks_taken(segment));
    double u = std::min(1.0, static_cast<double>(segment.live) / taken);
    auto age = static_cast<double>(std::max<std::int64_t>(wall_now - segment.record.born_ns, 1));
    // The root of the age: where everything is written alike, age says little, and where it is
    // not, the streams are apart already.
    return (1 - u) * std::sqrt(age) / (1 + u);
}

}  // namespace

Segment* SegmentStore::State::find(SegmentId id) {
    auto found = segments.find(id);
    return found == segments.end() ? nullptr : &found->second;
}

Lsn SegmentStore::State::log_record(const Segment& segment) {
    SegmentRecord stored = segment.record;
    if (segment.uneven) stored.closed = false;
    Batch batch;
    batch.put(keys::segment(segment.id), encode(stored));
    return log.log(std::move(batch));
}

void SegmentStore::State::close_segment(Segment& segment) {
    if (segment.record.closed) return;
    segment.record.closed = true;
    segment.record.used_blocks = segment.reserved;
    auto stream = static_cast<std::size_t>(segment.record.stream);
    if (open_segments[stream] == segment.id) open_segments[stream] = SegmentId{};
    (void)log_record(segment);
    wake_reaper(segment);
}

bool SegmentStore::State::slot_missing(const Segment& segment, unsigned chunk) const {
    const SegmentSlot& slot = segment.record.slots[chunk];
    return slot.drive == kNoDrive || !table.readable(slot.drive) ||
           (segment.lost >> chunk & 1) != 0;
}

unsigned SegmentStore::State::missing_slots(const Segment& segment) const {
    unsigned missing = 0;
    for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
        if (slot_missing(segment, chunk)) ++missing;
    }
    return missing;
}

unsigned SegmentStore::State::missing_or_doubtful(const Segment& segment) const {
    unsigned count = 0;
    for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
        bool doubtful = (segment.doubtful >> chunk & 1) != 0;
        if (doubtful || slot_missing(segment, chunk)) ++count;
    }
    return count;
}

erasure::Codec& SegmentStore::State::codec(unsigned k, unsigned m) {
    return codecs.try_emplace(std::pair(k, m), k, m).first->second;
}

Task<Done> SegmentStore::State::fence_drives() {
    std::vector<Task<Done>> calls;
    for (DriveId drive : table.readable_drives()) calls.push_back(drives.fence(drive, fence()));
    auto results = co_await join(calls);
    for (const auto& result : results) {
        // A drive that is away now meets our epoch with the first write.
        if (result.code() == Code::fenced) co_return result.error();
    }
    co_return Done{};
}

bool SegmentStore::State::slot_known(DriveId drive, const SlotInfo& info) const {
    if (allocating.contains(info.segment)) return true;
    auto found = segments.find(info.segment);
    if (found == segments.end()) return false;
    SegmentSlot slot{drive, info.slot, info.generation};
    const auto& slots = found->second.record.slots;
    return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

Task<Done> SegmentStore::State::sweep_drive(DriveId drive) {
    // Slots that are taken while the drive answers may be missing from its answer.
    std::uint64_t settled_id = last_id;
    std::set<SegmentId> changing = allocating;
    auto listed = co_await or_return(co_await drives.list(drive, owner));
    std::set<std::pair<SlotIndex, Generation>> there;
    std::vector<SlotInfo> leaked;
    for (const SlotInfo& info : listed) {
        there.emplace(info.slot, info.generation);
        last_id = std::max(last_id, info.segment.value);
        if (!slot_known(drive, info)) leaked.push_back(info);
    }
    for (auto& [id, segment] : segments) {
        if (id.value > settled_id || changing.contains(id)) continue;
        for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
            const SegmentSlot& slot = segment.record.slots[chunk];
            if (slot.drive != drive) continue;
            // A drive that was replaced or formatted serves, but not this slot.
            if (!there.contains(std::pair(slot.slot, slot.generation))) segment.lost |= 1U << chunk;
        }
    }
    for (const SlotInfo& info : leaked) {
        auto freed = co_await drives.free(drive, fence(), info.slot, info.generation);
        if (freed.ok()) table.gave_slot(drive);
        if (freed.code() == Code::fenced) co_return freed.error();
    }
    co_return Done{};
}

Task<Done> SegmentStore::State::sweep() {
    std::vector<Task<Done>> sweeps;
    for (DriveId drive : table.readable_drives()) sweeps.push_back(sweep_drive(drive));
    auto results = co_await join(sweeps);
    for (const auto& result : results) {
        // What leaks on a drive that is away is swept when it is back: rebuild() sweeps too.
        if (result.code() == Code::fenced) co_return result.error();
    }
    co_return Done{};
}

Task<Done> SegmentStore::State::open() {
    CHECK(!opened && slot_blocks > 0);
    fence_epoch = map_epoch;
    opened = true;
    co_await or_return(co_await fence_drives());
    co_await or_return(co_await table.refresh(0));
    co_await or_return(co_await sweep());
    last_id = std::max(last_id, first_id_at(reactor.wall_now()));
    for (auto& [id, segment] : segments) wake_reaper(segment);
    co_return Done{};
}

Task<Done> SegmentStore::State::close() {
    // So the next opening knows that its rows are whole.
    for (SegmentId id : open_segments) {
        Segment* segment = find(id);
        if (segment != nullptr && segment->appends == 0) close_segment(*segment);
    }
    closing = true;
    co_return co_await gate.close();
}

SegmentStore::SegmentStore(Reactor& reactor, DriveService& drives, SegmentLog& log, OwnerId owner) {
    auto own = std::make_unique<DriveTable>(reactor, drives);
    DriveTable& table = *own;
    state_ = std::make_unique<State>(reactor, drives, log, owner, table, std::move(own));
}

SegmentStore::SegmentStore(Reactor& reactor, DriveTable& table, DriveService& drives,
                           SegmentLog& log, OwnerId owner)
    : state_(std::make_unique<State>(reactor, drives, log, owner, table, nullptr)) {}

SegmentStore::~SegmentStore() = default;

void SegmentStore::set_map(const ClusterMap& map) {
    CHECK(map.data_width >= 1 && map.data_width <= erasure::kDataWidthMost);
    CHECK(map.parity_width >= erasure::kParityWidthLeast &&
          map.parity_width <= erasure::kParityWidthMost);
    if (state_->own_table != nullptr) state_->own_table->set_map(map);
    state_->data_width = map.data_width;
    state_->parity_width = map.parity_width;
    state_->slot_blocks = static_cast<std::uint32_t>(map.slot_bytes / kBlockBytes);
    state_->shard_count = map.shard_count;
    state_->map_epoch = map.epoch;
    ++state_->map_changes;
    state_->present_width_change = 0;
    CHECK(state_->slot_blocks > 0);
}

void SegmentStore::restore(SegmentId id, SegmentRecord record, std::int64_t live_blocks) {
    CHECK(!state_->opened && live_blocks >= 0);
    CHECK(record.slots.size() == std::size_t{record.data_width} + record.parity_width);
    Segment& segment = state_->segments[id];
    segment.id = id;
    segment.record = std::move(record);
    segment.live = live_blocks;
    segment.killed_before_restore = live_blocks == 0;
    if (!segment.record.closed) {
        segment.uneven = true;
        segment.torn = true;
        segment.record.closed = true;
        segment.record.used_blocks = segment.record.slot_blocks;
    }
    segment.reserved = segment.record.used_blocks;
    state_->last_id = std::max(state_->last_id, id.value);
}

Task<Done> SegmentStore::open() {
    return state_->open();
}

Task<Done> SegmentStore::close() {
    return state_->close();
}

Task<std::vector<BlockRun>> SegmentStore::append(StreamKind stream, ConstBytes data,
                                                 Purpose purpose, Claims* claims) {
    return state_->append(stream, data, purpose, claims);
}

void Claims::add(Claims other) {
    std::move(other.held_.begin(), other.held_.end(), std::back_inserter(held_));
}

std::uint64_t SegmentStore::max_append_bytes() const {
    CHECK(state_->data_width > 0);
    return std::uint64_t{state_->data_width} * kExtentBlocksMost * kBlockBytes;
}

Task<Done> SegmentStore::read(BlockRun run, std::span<const std::uint32_t> crcs, Bytes into) {
    return state_->read(run, crcs, into);
}

void SegmentStore::note_live(SegmentId id, std::int64_t delta, Lsn at) {
    state_->note_live(id, delta, at);
}

Task<std::uint64_t> SegmentStore::rebuild() {
    return state_->rebuild();
}

Task<Done> SegmentStore::scrub(std::function<Task<Done>(SegmentId)> verify) {
    return state_->scrub(std::move(verify));
}

std::optional<CleaningChoice> SegmentStore::best_to_clean(const std::set<SegmentId>& except) const {
    std::int64_t now = state_->reactor.wall_now();
    std::optional<CleaningChoice> best;
    for (const auto& [id, segment] : state_->segments) {
        std::int64_t taken = blocks_taken(segment);
        if (!segment.record.closed || segment.live <= 0 || segment.live >= taken) continue;
        if (segment.claims > 0 || except.contains(id)) continue;
        double worth = cleaning_worth(segment, now);
        if (best.has_value() && best->worth >= worth) continue;
        best = {id, segment.record.stream, worth, static_cast<std::uint64_t>(segment.live),
                static_cast<std::uint64_t>(taken - segment.live)};
    }
    return best;
}

StreamKind SegmentStore::stream_for(SegmentId previous) const {
    const Segment* segment = state_->find(previous);
    if (segment == nullptr) return StreamKind::cold;
    bool written_by_user =
        segment->record.stream == StreamKind::hot || segment->record.stream == StreamKind::cold;
    std::uint64_t lived = state_->user_blocks_written() - segment->opened_after;
    bool short_lived = written_by_user && lived < state_->hot_lifetime;
    return short_lived ? StreamKind::hot : StreamKind::cold;
}

std::uint64_t SegmentStore::emptied_segments() const {
    return state_->dying.size();
}

std::vector<SegmentStatus> SegmentStore::list() const {
    std::vector<SegmentStatus> listed;
    for (const auto& [id, segment] : state_->segments) {
        SegmentStatus status;
        status.id = id;
        status.record = segment.record;
        status.live_blocks = static_cast<std::uint64_t>(segment.live);
        status.missing_slots = state_->missing_or_doubtful(segment);
        status.torn = segment.torn;
        listed.push_back(std::move(status));
    }
    return listed;
}

const SegmentRecord* SegmentStore::find(SegmentId id) const {
    Segment* segment = state_->find(id);
    return segment == nullptr ? nullptr : &segment->record;
}

std::uint64_t SegmentStore::free_blocks() const {
    return state_->space().free_blocks;
}

SegmentSpace SegmentStore::space() const {
    return state_->space();
}

const SegmentCounters& SegmentStore::counters() const {
    return state_->counters;
}

}  // namespace weft::segments
