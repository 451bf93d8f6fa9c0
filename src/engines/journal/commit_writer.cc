#include "engines/journal/commit_writer_internal.h"
#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <utility>

namespace weft::journal {
namespace {

constexpr int kWritesMost = 8;  // Of one commit, each to another segment.
constexpr int kRoundsMost = 4;  // Of allocation, to get slots on enough domains.
constexpr Nanos kPauseLeast = 10 * kMillisecond;
constexpr Nanos kPrepareAgainAfter = 100 * kMillisecond;
// Only a commit without records may use a segment's last block: so what says that segments
// can be freed can be written even when there is no other space left.
constexpr std::uint32_t kReservedBlocks = 1;

}  // namespace

void CommitWriter::adopt(Segment segment) {
    live_.push_back(std::move(segment));
    counters_.segments_live = live_.size();
}

Task<Done> CommitWriter::give_up_copies() {
    current_open_ = of_copies_ = false;
    std::deque<Segment> all = std::exchange(live_, std::deque<Segment>());
    for (Segment& segment : all) {
        if (segment.name.id >= first_id_) {
            co_await or_return(co_await discard(std::move(segment)));
        }
    }
    co_return Done{};
}

void CommitWriter::leave_segment(bool then_of_copies) {
    leave_current();
    of_copies_ = then_of_copies;
}

// A segment without a commit is no part of the chain: nothing may link to it. Pieces of one
// that failed may be there, though; while it could be taken for the newest, no slot of it may
// go, or the others would look as if there were more in it.
void CommitWriter::leave_current() {
    if (!std::exchange(current_open_, false) || live_.back().commit_count > 0) return;
    left_.push_back(std::move(live_.back()));
    live_.pop_back();
    counters_.segments_live = live_.size();
}

std::uint32_t CommitWriter::payload_most() const {
    std::uint64_t slot_bytes = drives_.slot_blocks() * kBlockBytes;
    CHECK(slot_bytes > kReservedBlocks * kBlockBytes);
    std::uint64_t room = slot_bytes - kReservedBlocks * kBlockBytes - sizeof(CommitHeader);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(room, kPayloadBytesMost));
}

bool CommitWriter::writable(const Segment& segment) const {
    return std::all_of(segment.parts.begin(), segment.parts.end(),
                       [this](const auto& part) { return drives_.writable(part.slot.drive); });
}

std::uint32_t CommitWriter::slots_missing(const Segment& segment) const {
    auto missing =
        std::count_if(segment.parts.begin(), segment.parts.end(),
                      [this](const auto& part) { return !drives_.in_service(part.slot.drive); });
    return static_cast<std::uint32_t>(missing);
}

JournalHealth CommitWriter::health() const {
    JournalHealth health;
    health.segments = live_.size();
    health.drives_unflushed = drives_.owing();
    for (const Segment& segment : live_) {
        std::uint32_t missing = slots_missing(segment);
        if (missing == 0) continue;
        ++health.segments_exposed;
        health.missing_most = std::max(health.missing_most, missing);
        health.exposed_through = std::max(health.exposed_through, segment.last_lsn);
    }
    return health;
}

bool CommitWriter::in_use(SegmentId id) const {
    bool live = std::any_of(live_.begin(), live_.end(),
                            [id](const Segment& segment) { return segment.name.id == id; });
    bool left = std::any_of(left_.begin(), left_.end(),
                            [id](const Segment& segment) { return segment.name.id == id; });
    bool held = (next_.has_value() && next_->name.id == id) ||
                (reserve_.has_value() && reserve_->name.id == id);
    return live || left || held;
}

Task<Done> CommitWriter::discard(Segment segment) {
    co_return co_await drives_.free(std::move(segment.parts));
}

Task<Segment> CommitWriter::open_segment() {
    Nanos pause = kPauseLeast;
    for (int round = 1;; ++round) {
        Segment segment;
        segment.name = SegmentName{SegmentId{next_id_.value++}, reactor_.random()};
        segment.epoch = drives_.fence().epoch;
        segment.block_count = drives_.slot_blocks();
        auto allocated = co_await or_return(co_await drives_.allocate(segment.name.id));
        segment.parts = std::move(allocated.parts);
        for (const SegmentPart& part : segment.parts) segment.chunks |= 1U << part.chunk;

        bool all = !segment.parts.empty() && segment.parts.size() >= drives_.copies_wanted();
        bool last = round >= kRoundsMost;
        // Where drives don't answer, fewer copies are better than none; where they are full,
        // waiting is better than fewer copies.
        bool some = !segment.parts.empty() && last && !allocated.some_full;
        if (all || some) co_return segment;
        co_await or_return(co_await drives_.free(std::move(segment.parts)));
        if (allocated.some_full) co_return Error{Code::out_of_space, "journal.allocate"};
        if (last) co_return Error{Code::unavailable, "journal.allocate"};
        co_await sleep(reactor_, pause);
        pause *= 2;
    }
}

// Records wait for space rather than use up the last of it. Slots on drives that failed hold
// nothing for the next opening.
Task<Done> CommitWriter::hold_reserve() {
    bool exposed = reserve_.has_value() && slots_missing(*reserve_) > 0;
    if (reserve_.has_value() && !exposed) co_return Done{};
    auto segment = co_await open_segment();
    if (segment.ok()) {
        std::optional<Segment> old = std::exchange(reserve_, std::move(segment).value());
        if (old.has_value()) co_return co_await discard(std::move(*old));
        co_return Done{};
    }
    bool none = segment.code() == Code::out_of_space && !reserve_.has_value();
    if (none || segment.code() == Code::fenced) co_return segment.error();
    co_return Done{};
}

// In the background, so that the commit that needs it doesn't wait.
Task<Done> CommitWriter::prepare() {
    auto segment = co_await open_segment();
    if (segment.ok())
        next_ = std::move(segment).value();
    else
        prepare_after_ = reactor_.now() + kPrepareAgainAfter;
    preparing_ = false;
    prepared_.notify_all();
    co_return Done{};
}

void CommitWriter::take_into_use(Segment segment) {
    leave_current();
    segment.of_copies = of_copies_;
    if (!live_.empty()) segment.previous = live_.back().name;
    live_.push_back(std::move(segment));
    current_open_ = true;
    counters_.segments_live = live_.size();
}

Task<Segment*> CommitWriter::segment_for(std::uint32_t payload_bytes) {
    bool recheck = std::exchange(recheck_, false);
    bool leave = newest_exposed() || (recheck && current_open_ && !writable(live_.back()));
    if (leave) leave_current();
    if (current_open_) {
        Segment& current = live_.back();
        auto slots = static_cast<std::uint32_t>(current.parts.size());
        std::uint32_t blocks = blocks_of(payload_bytes, slots, drives_.parity_width());
        if (payload_bytes > 0) blocks += kReservedBlocks;
        if (current.next_block + blocks <= current.block_count) co_return &current;
    }
    while (preparing_) co_await prepared_.wait();
    if (payload_bytes > 0) co_await or_return(co_await hold_reserve());
    if (next_.has_value() && writable(*next_)) {
        take_into_use(std::move(*std::exchange(next_, std::nullopt)));
        co_return &live_.back();
    }
    if (next_.has_value()) {
        co_await or_return(co_await discard(std::move(*std::exchange(next_, std::nullopt))));
    }
    Segment fresh = co_await or_return(co_await open_segment());
    take_into_use(std::move(fresh));
    co_return &live_.back();
}

// Which slots of a mirrored commit: from one commit to the next they move on by one.
SegmentPart CommitWriter::part_of(const Segment& segment, const EncodedCommit& encoded,
                                  std::uint32_t index) const {
    if (!encoded.header.mirrored()) return segment.parts[index];
    return segment.parts[(encoded.header.number + index) % segment.parts.size()];
}

std::vector<Task<Done>> CommitWriter::piece_writes(const Segment& segment,
                                                   const EncodedCommit& encoded) {
    std::vector<Task<Done>> writes;
    writes.reserve(encoded.header.pieces());
    for (std::uint32_t i = 0; i < encoded.header.pieces(); ++i) {
        SegmentPart part = part_of(segment, encoded, i);
        writes.push_back(drives_.service().write(part.slot, drives_.fence(), segment.next_block,
                                                 encoded.piece(i)));
    }
    return writes;
}

void CommitWriter::settle(const Segment& segment, const std::vector<Result<Done>>& results,
                          const EncodedCommit& encoded) {
    for (std::uint32_t i = 0; i < results.size(); ++i) {
        DriveId drive = part_of(segment, encoded, i).slot.drive;
        if (results[i].ok()) {
            drives_.note_written(drive);
            counters_.blocks_written += encoded.header.blocks();
        } else {
            drives_.note_failed(drive);
        }
    }
}

void CommitWriter::apply(Segment& segment, const Commit& commit, const EncodedCommit& encoded) {
    const CommitHeader& header = encoded.header;
    segment.next_block += header.blocks();
    segment.last_lsn = commit.last_lsn();
    ++segment.commit_count;
    std::uint64_t first_part = header.number % segment.parts.size();
    segment.unflushed |= header.mirrored() ? 1U << first_part : Segment::kRowBit;
    std::uint32_t spare = header.pieces() - header.pieces_needed();
    ++counters_.commits;
    if (spare < drives_.parity_width()) ++counters_.commits_reduced;

    prepare_in_time(segment);
}

void CommitWriter::prepare_in_time(const Segment& current) {
    bool soon_full = 2 * current.next_block >= current.block_count;
    if (!soon_full || preparing_ || next_.has_value() || gate_.closed()) return;
    if (reactor_.now() < prepare_after_) return;
    preparing_ = true;
    gate_.spawn(prepare());
}

Task<Done> CommitWriter::write(const Commit* commit, Facts facts) {
    for (int tries = 1; tries <= kWritesMost; ++tries) {
        Segment* segment = co_await or_return(co_await segment_for(commit->payload_bytes));
        CommitHeader header;
        header.flags = segment->of_copies ? kSegmentOfCopies : 0;
        header.epoch = segment->epoch;
        header.segment = segment->name;
        header.previous = segment->previous;
        header.flushed_lsn = facts.flushed;
        header.trimmed_lsn = facts.trimmed;
        header.journal = journal_;
        header.chunks = segment->chunks;
        EncodedCommit encoded = encode_commit(header, *commit, drives_.parity_width(), code_);
        CHECK(segment->next_block + encoded.header.blocks() <= segment->block_count);

        std::vector<Task<Done>> writes = piece_writes(*segment, encoded);
        auto results = co_await join(writes);
        settle(*segment, results, encoded);
        auto written = first_error(results);
        if (written.ok() || planted(Bug::journal_acks_failed_pieces)) {
            apply(*segment, *commit, encoded);
            co_return Done{};
        }
        for (const auto& result : results) {
            if (result.code() == Code::fenced) co_return result.error();
        }
        leave_current();
    }
    co_return Error{Code::unavailable, "journal.commit"};
}

// Only the newest segments can have any: what is before one without is flushed.
std::vector<CommitWriter::DriveGroup> CommitWriter::take_unflushed() {
    std::vector<DriveGroup> groups;
    for (auto segment = live_.rbegin(); segment != live_.rend(); ++segment) {
        if (segment->commit_count > 0 && segment->unflushed == 0) break;
        auto slots = static_cast<std::uint32_t>(segment->parts.size());
        std::uint32_t parity = drives_.parity_width();
        for (std::uint32_t first = 0; first < slots; ++first) {
            if ((segment->unflushed >> first & 1) == 0) continue;
            DriveGroup& group = groups.emplace_back();
            for (std::uint32_t i = 0; i < std::min(parity + 1, slots); ++i) {
                group.drives.push_back(segment->parts[(first + i) % slots].slot.drive);
            }
        }
        if ((segment->unflushed & Segment::kRowBit) != 0) {
            DriveGroup& group = groups.emplace_back();
            for (const SegmentPart& part : segment->parts) group.drives.push_back(part.slot.drive);
            group.needed = slots - parity;
        }
        segment->unflushed = 0;
    }
    return groups;
}

bool CommitWriter::can_free(Lsn trimmed, SegmentId before) const {
    if (live_.empty()) return false;
    const Segment& oldest = live_.front();
    return oldest.last_lsn <= trimmed && oldest.name.id < before;
}

Task<Done> CommitWriter::free_up_to(Lsn trimmed, SegmentId before) {
    while (can_free(trimmed, before)) {
        Segment oldest = std::move(live_.front());
        live_.pop_front();
        counters_.segments_live = live_.size();
        co_await or_return(co_await discard(std::move(oldest)));
    }
    co_return Done{};
}

void CommitWriter::free_left(SegmentId before) {
    while (!left_.empty() && left_.front().name.id < before) {
        gate_.spawn(discard(std::move(left_.front())));
        left_.pop_front();
    }
}

Task<Done> CommitWriter::release() {
    for (std::optional<Segment>* held : {&next_, &reserve_}) {
        if (!held->has_value()) continue;
        Segment unused = std::move(*std::exchange(*held, std::nullopt));
        co_await or_return(co_await discard(std::move(unused)));
    }
    co_return Done{};
}

}  // namespace weft::journal
