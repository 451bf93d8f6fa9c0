#include "engines/segments/state_internal.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>

namespace weft::segments {
namespace {

constexpr std::uint32_t kRowBlocks = 64;  // At most (16 + 4) x 256 KiB in memory at a time.
constexpr int kTargetTriesMost = 3;
constexpr Nanos kAppendsLookedAtEvery = 1 * kMillisecond;
constexpr Nanos kAppendsEndWithin = 30 * kSecond;
constexpr Nanos kClaimsLookedAtEvery = 50 * kMillisecond;

bool holds_blocks(const Segment& segment) {
    return segment.live > 0 || segment.claims > 0;
}

// Blocks that are lost are what parity may be needed for: it is left as it is.
Task<Done> expect_none_lost(SegmentLog* log, SegmentId id) {
    std::uint64_t lost = co_await or_return(co_await log->verify(id));
    if (lost > 0) co_return Error{Code::corrupt, "segments.verify"};
    co_return Done{};
}

}  // namespace

// Chunks of one segment on their way to other slots.
struct SegmentStore::State::Move {
    Move(State& with_state, Segment& moved) : state(with_state), segment(moved) {
        state.allocating.insert(segment.id);
    }
    Move(const Move&) = delete;
    Move& operator=(const Move&) = delete;
    ~Move() { state.allocating.erase(segment.id); }

    std::uint32_t chunk_set() const {
        std::uint32_t set = 0;
        for (unsigned chunk : chunks) set |= 1U << chunk;
        return set;
    }

    State& state;
    Segment& segment;
    std::vector<unsigned> chunks;
    std::vector<SegmentSlot> targets;  // One for each chunk.
    bool doubtful = false;             // The chunks may have been made from bad ones.
};

// Missing, or on a drive that is to be emptied.
bool SegmentStore::State::should_move(const Segment& segment, unsigned chunk) const {
    return slot_missing(segment, chunk) || !table.writable(segment.record.slots[chunk].drive);
}

bool SegmentStore::State::needs_move(const Segment& segment) const {
    if (!holds_blocks(segment)) return false;
    for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
        if (should_move(segment, chunk)) return true;
    }
    return false;
}

bool SegmentStore::State::needs_rebuild(const Segment& segment) const {
    bool unsure = segment.doubtful != 0 || segment.torn;
    return needs_move(segment) || (holds_blocks(segment) && unsure);
}

// What lost a slot and holds nothing is not made whole: it goes, and the next append finds
// another.
void SegmentStore::State::close_empty() {
    for (auto& [id, segment] : segments) {
        bool holds = holds_blocks(segment) || segment.appends > 0;
        if (!holds && missing_slots(segment) > 0) close_segment(segment);
    }
}

// The one that has the least redundancy left comes last.
std::vector<SegmentId> SegmentStore::State::rebuild_order(const std::set<SegmentId>& tried) const {
    std::vector<std::pair<int, SegmentId>> order;
    for (const auto& [id, segment] : segments) {
        if (tried.contains(id) || !needs_rebuild(segment)) continue;
        auto missing = static_cast<int>(missing_or_doubtful(segment));
        int redundancy = segment.record.parity_width - missing;
        order.emplace_back(redundancy, id);
    }
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a > b; });
    std::vector<SegmentId> ids;
    for (const auto& [redundancy, id] : order) ids.push_back(id);
    return ids;
}

Task<std::uint64_t> SegmentStore::State::rebuild() {
    CHECK(opened);
    auto lock = co_await or_return(co_await rebuilding.lock());
    co_await or_return(co_await table.refresh(0));
    co_await or_return(co_await sweep());
    close_empty();
    std::set<SegmentId> tried;
    std::set<SegmentId> tried_again;
    std::vector<SegmentId> queue;
    std::uint64_t seen_changes = map_changes;
    // Ends: each round tries a segment that was not tried under this map, or waits for claims, and
    // those end.
    for (;;) {
        if (closing) co_return Error{Code::cancelled, "segments.rebuild"};
        if (seen_changes != map_changes) {
            seen_changes = map_changes;
            tried.clear();
            tried_again.clear();
            queue.clear();
        }
        if (queue.empty()) queue = rebuild_order(tried);
        if (queue.empty()) {
            bool more = co_await or_return(co_await resolve_left(&tried_again));
            if (!more) break;
            continue;
        }
        SegmentId id = queue.back();
        queue.pop_back();
        tried.insert(id);
        auto outcome = co_await rebuild_segment(id);
        if (outcome.code() == Code::fenced || outcome.code() == Code::cancelled) {
            co_return outcome.error();
        }
    }
    std::uint64_t missing = 0;
    for (const auto& [id, segment] : segments) {
        if (needs_rebuild(segment)) ++missing;
    }
    co_return missing;
}

// Rows that are being written now would be copied half.
Task<Done> SegmentStore::State::wait_for_appends(Segment* segment) {
    Nanos deadline = reactor.now() + kAppendsEndWithin;
    while (segment->appends > 0) {
        if (closing) co_return Error{Code::cancelled, "segments.rebuild"};
        if (reactor.now() >= deadline) co_return Error{Code::retry_later, "segments.rebuild"};
        co_await sleep(reactor, kAppendsLookedAtEvery);
    }
    co_return Done{};
}

Task<Done> SegmentStore::State::rebuild_segment(SegmentId id) {
    Segment* segment = find(id);
    if (segment == nullptr) co_return Done{};
    Hold hold(*this, *segment);
    close_segment(*segment);
    co_await or_return(co_await wait_for_appends(segment));

    Result<Done> outcome = Done{};
    for (int tries = 0; tries < kTargetTriesMost && needs_move(*segment); ++tries) {
        Move move(*this, *segment);
        co_await or_return(co_await choose_targets(&move));
        outcome = co_await move_rows(&move);
        if (outcome.ok()) outcome = co_await adopt_targets(&move);
        if (outcome.ok()) continue;  // Fewer targets than chunks: the rest is tried again.
        (void)co_await free_slots(std::move(move.targets));
        bool final = outcome.code() == Code::fenced || outcome.code() == Code::cancelled ||
                     outcome.code() == Code::unavailable;
        if (final) break;
    }
    bool unsure = segment->doubtful != 0 || segment->torn;
    if (unsure) co_await or_return(co_await resolve_doubt(segment));
    co_return outcome;
}

// Parity cannot be mended while some blocks are not claimed: nobody can tell whether they are good.
// Once all others are made whole, that is waited for. False if nothing is left; true after one
// segment was done, or if it is not time yet.
Task<bool> SegmentStore::State::resolve_left(std::set<SegmentId>* tried) {
    bool waiting = false;
    for (auto& [id, segment] : segments) {
        if (!holds_blocks(segment) || segment.doubtful == 0 || tried->contains(id)) continue;
        waiting = true;
        if (segment.claims > 0) continue;
        tried->insert(id);
        Hold hold(*this, segment);
        auto outcome = co_await resolve_doubt(&segment);
        bool final = outcome.code() == Code::fenced || outcome.code() == Code::cancelled;
        if (final) co_return outcome.error();
        co_return true;
    }
    if (waiting) co_await sleep(reactor, kClaimsLookedAtEvery);
    co_return waiting;
}

// A drive may hold noise long before it is known to have failed. What was made from that is
// made right by those who have checksums, as long as enough of the row is good; then parity is
// brought to agree. Where blocks are lost, the doubt stays, and so does all that is there.
Task<Done> SegmentStore::State::resolve_doubt(Segment* segment) {
    Verify verify = [this](SegmentId id) {
        return expect_none_lost(&log, id);
    };
    auto even = co_await scrub_one(segment, &verify);
    if (!even.ok()) co_return even.error();
    co_return Done{};
}

// Takes slots on domains that no other chunk of the segment uses; where there are too few,
// for the missing chunks before those that are only to move.
Task<Done> SegmentStore::State::choose_targets(Move* move) {
    Segment& segment = move->segment;
    std::vector<unsigned> wanted;
    for (bool missing : {true, false}) {
        for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
            if (!should_move(segment, chunk) || slot_missing(segment, chunk) != missing) continue;
            wanted.push_back(chunk);
        }
    }
    Result<Done> outcome = Error{Code::out_of_space, "segments.rebuild"};
    for (; !wanted.empty(); wanted.pop_back()) {
        std::set<FailureDomainId> taken;
        for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
            bool moves = std::find(wanted.begin(), wanted.end(), chunk) != wanted.end();
            if (moves || slot_missing(segment, chunk)) continue;
            taken.insert(table.domain(segment.record.slots[chunk].drive));
        }
        auto width = static_cast<unsigned>(wanted.size());
        auto on = choose_drives(table.candidates(false), width, taken, reactor);
        if (!on.has_value()) continue;
        auto slots = co_await allocate_slots(std::move(*on), wanted, segment.id);
        if (slots.ok()) {
            move->chunks = std::move(wanted);
            move->targets = std::move(slots).value();
            co_return Done{};
        }
        outcome = slots.error();
        if (slots.code() == Code::fenced) break;
    }
    co_return outcome;
}

Task<Done> SegmentStore::State::move_rows(Move* move) {
    const Segment& segment = move->segment;
    for (std::uint32_t first = 0; first < segment.record.used_blocks; first += kRowBlocks) {
        if (closing) co_return Error{Code::cancelled, "segments.rebuild"};
        for (unsigned chunk : move->chunks) {
            // The part has come back.
            if (!should_move(segment, chunk))
                co_return Error{Code::retry_later, "segments.rebuild"};
        }
        std::uint32_t count = std::min(kRowBlocks, segment.record.used_blocks - first);
        bool last = first + count == segment.record.used_blocks;
        if (last && planted(Bug::rebuild_ends_early)) break;
        co_await or_return(co_await move_row(move, first, count));
        co_await yield(reactor);
    }
    co_return Done{};
}

Task<Done> SegmentStore::State::move_row(Move* move, std::uint32_t first, std::uint32_t count) {
    Segment& segment = move->segment;
    Row row(segment.width(), first, count);
    auto filled = co_await fill_row(move, &row);
    if (row.splits()) {
        // What cannot be read of one chunk and of another may be different blocks.
        for (std::uint32_t block = first; block < first + count; ++block) {
            co_await or_return(co_await move_row(move, block, 1));
        }
        co_return Done{};
    }
    co_await or_return(filled);

    std::vector<Task<Done>> writes;
    for (std::size_t i = 0; i < move->chunks.size(); ++i) {
        ConstBytes bytes = row.chunks[move->chunks[i]].bytes();
        writes.push_back(drives.write(move->targets[i], fence(), first, bytes));
    }
    auto results = co_await join(writes);
    for (std::size_t i = 0; i < results.size(); ++i) {
        bool failed = !results[i].ok() && results[i].code() != Code::fenced;
        if (failed) table.suspect(move->targets[i].drive);
    }
    auto outcome = first_error(results);
    // Another target may serve; that is not the same as too few sources.
    if (outcome.code() == Code::unavailable) co_return Error{Code::io_failed, "segments.rebuild"};
    co_return outcome;
}

// Of those chunks that are to move: a chunk that is still to be had is copied; what it holds is as
// good as what is decoded.
Task<Done> SegmentStore::State::fill_row(Move* move, Row* row) {
    Segment& segment = move->segment;
    std::uint32_t moving = move->chunk_set();
    for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
        row->tried[chunk] = (moving >> chunk & 1) == 0 || slot_missing(segment, chunk);
    }
    co_await or_return(co_await gather(&segment, row, segment.width()));
    if ((moving & ~row->there()) == 0) co_return Done{};
    co_return co_await make_chunks(move, row);
}

// Nobody can make the block of the row that was asked for: what is missing of it is on failed
// drives, or its drive serves and cannot read it.
bool SegmentStore::State::lost_for_good(const Segment& segment, const Row& row) const {
    if (row.count > 1) return false;
    std::uint32_t gone = row.unreadable;
    for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
        if (slot_missing(segment, chunk)) gone |= 1U << chunk;
    }
    return (gone | row.there()) == (1U << segment.width()) - 1;
}

// Of those that are to move and could not be read. More of the row than that takes is read: where
// it agrees, all of it is good.
Task<Done> SegmentStore::State::make_chunks(Move* move, Row* row) {
    Segment& segment = move->segment;
    std::uint32_t moving = move->chunk_set();
    std::uint32_t to_decode = moving & ~row->there();
    for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
        row->tried[chunk] = (moving >> chunk & 1) != 0;
    }
    co_await or_return(co_await gather(&segment, row, segment.width()));
    auto k = static_cast<int>(segment.data_width());
    std::uint32_t there = row->there();
    bool enough = std::popcount(there) >= k;
    if (!enough && !lost_for_good(segment, *row)) {
        co_return Error{Code::unavailable, "segments.rebuild"};
    }
    bool agree = (there & segment.doubtful) == 0 && survivors_agree(segment, *row, there);
    if (!agree) move->doubtful = true;
    std::uint32_t survivors = there;
    // The ones in doubt last.
    while (std::popcount(survivors) > k) {
        std::uint32_t doubtful = survivors & segment.doubtful;
        std::uint32_t from = doubtful != 0 ? doubtful : survivors;
        survivors &= ~(from & (~from + 1));
    }
    for (unsigned chunk : move->chunks) {
        if ((to_decode >> chunk & 1) == 0) continue;
        Buffer made(row->bytes());
        if (enough) {
            decode(segment, *row, survivors, chunk, 0, made.bytes());
        } else {
            // Anything does: it is nobody's, or its checksum tells that it is lost. It stops
            // nothing else from being made again.
            std::fill(made.bytes().begin(), made.bytes().end(), std::byte{0});
        }
        row->chunks[chunk] = std::move(made);
    }
    co_return Done{};
}

// False too if there are no more of them than it takes to make the others.
bool SegmentStore::State::survivors_agree(const Segment& segment, const Row& row,
                                          std::uint32_t there) {
    auto k = static_cast<int>(segment.data_width());
    if (std::popcount(there) <= k) return false;
    std::uint32_t survivors = there;
    while (std::popcount(survivors) > k) survivors &= survivors - 1;
    Buffer made(row.bytes());
    for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
        if (((there & ~survivors) >> chunk & 1) == 0) continue;
        decode(segment, row, survivors, chunk, 0, made.bytes());
        ConstBytes stored = row.chunks[chunk].bytes();
        if (!std::equal(stored.begin(), stored.end(), made.bytes().begin())) return false;
    }
    return true;
}

Task<Done> SegmentStore::State::adopt_targets(Move* move) {
    std::vector<Task<Done>> flushes;
    for (const SegmentSlot& target : move->targets) {
        if (!planted(Bug::rebuild_without_flush)) flushes.push_back(drives.flush(target.drive));
    }
    auto results = co_await join(flushes);
    for (std::size_t i = 0; i < results.size(); ++i) {
        if (results[i].ok()) continue;
        table.suspect(move->targets[i].drive);
        co_return Error{Code::io_failed, "segments.rebuild"};
    }

    Segment& segment = move->segment;
    std::vector<SegmentSlot> left;
    for (std::size_t i = 0; i < move->chunks.size(); ++i) {
        unsigned chunk = move->chunks[i];
        // A slot on a drive that is away is swept when it comes back.
        if (!slot_missing(segment, chunk)) left.push_back(segment.record.slots[chunk]);
        segment.record.slots[chunk] = move->targets[i];
        segment.lost &= ~(1U << chunk);
        segment.doubtful &= ~(1U << chunk);
        ++counters.slots_rebuilt;
    }
    if (move->doubtful) {
        // A restart is to know that parity may not be right.
        segment.doubtful |= move->chunk_set();
        segment.uneven = true;
    }
    // Until this record is safe a restart looks for the chunk in the old slot, there or gone.
    auto flushed = co_await log.flushed(log_record(segment));
    if (flushed.ok()) (void)co_await free_slots(std::move(left));
    co_return Done{};
}

}  // namespace weft::segments
