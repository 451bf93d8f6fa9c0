#include "engines/journal/replay_internal.h"
#include "engines/journal/state_internal.h"
#include "platform/base/check.h"

#include <algorithm>
#include <utility>

namespace weft::journal {

// Opening ends with a commit without records, the mark, in a fresh segment. It links to the
// last segment with something that counts, and says where the prefix ended: what is behind
// that in older segments never counts again. Before the mark is written, all it builds on is
// flushed; after it, the mark is; only then are segments outside the chain freed. So at every
// moment a crash leaves either the old chain whole or the new one.
Task<Done> Journal::State::open(Epoch epoch, Visit visit, Verify verify) {
    CHECK(!opened);
    opened = true;
    std::vector<FoundSlot> slots = co_await or_return(co_await drives.take_over(epoch));
    if (drives.slot_blocks() == 0) co_return Error{Code::unavailable, "journal.drives"};
    Recovery recovery(reactor, drives, id);
    co_await or_return(co_await recovery.find(slots));
    for (const FoundSlot& found : slots) {
        if (recovery.is_spare(found.segment)) spare_slots.push_back(found.part);
    }
    writer.begin(SegmentId{recovery.highest().value + 1});
    spare_pieces = drives.parity_width();
    trimmed = trim_wanted = recovery.trimmed();
    co_await or_return(co_await read_all(&recovery, std::move(visit), std::move(verify)));

    Lsn last = last_appended;
    co_await or_return(co_await flush_what_was_read());
    co_await or_return(co_await mark(last));
    co_await or_return(co_await flush_drives());
    last_committed = last_flushed = last;
    note_committed(next_commit - 1, trimmed);
    co_await or_return(co_await free_strays(std::move(slots)));
    drives.take_back_what([this](SegmentId segment) { return writer.in_use(segment); });
    co_return co_await hold_reserve();
}

// Before others use up the last of the space; where they have, with the next trim.
Task<Done> Journal::State::hold_reserve() {
    auto held = co_await writer.hold_reserve();
    if (held.code() == Code::fenced) co_return held;
    co_return Done{};
}

// A commit that misses a piece, because a drive is away or because it was never acked, is
// copied to fresh segments, and so is everything behind it: what goes on from here must not
// rest on fewer pieces than the promise needs. The same for one that was written narrow, when
// few drives served. That costs at most one more write of what was
// read; a journal is short, and after the checkpoint that follows a recovery it is empty.
Task<Done> Journal::State::read_all(Recovery* recovery, Visit visit, Verify verify) {
    Replay replay(*recovery, std::move(visit), std::move(verify));
    enum class Copying { not_yet, on, given_up } copying = Copying::not_yet;
    std::deque<Segment> read;
    bool in_prefix = true;
    while (in_prefix) {
        auto commit = co_await or_return(co_await recovery->next(replay.next_lsn()));
        if (!commit.has_value()) break;
        std::uint64_t bytes_before = replay.bytes();
        in_prefix = co_await or_return(co_await replay.take(&*commit));
        live.add(Lsn{replay.next_lsn().value - 1}, replay.bytes() - bytes_before);
        if (copying == Copying::not_yet && needs_copy(*commit)) {
            copying = Copying::on;
            for (const Segment& segment : read) writer.adopt(segment);
            writer.leave_segment(true);
        }
        note_read(recovery->segment(), commit->header, read);
        std::uint32_t spare = commit->pieces - commit->header.pieces_needed();
        spare_pieces = std::min(spare_pieces, spare);
        if (copying != Copying::on) continue;
        auto copied = co_await copy(&*commit, &replay);
        if (copied.ok()) continue;
        if (copied.code() != Code::out_of_space) co_return copied;
        // Fewer pieces, then, until the caller has trimmed.
        copying = Copying::given_up;
        co_await or_return(co_await writer.give_up_copies());
    }
    if (copying != Copying::on) {
        for (Segment& segment : read) writer.adopt(std::move(segment));
    }
    next_commit = recovery->number();
    last_appended = Lsn{replay.next_lsn().value - 1};
    co_return Done{};
}

// What is read is flushed before anything builds on it.
void Journal::State::note_read(const Segment& segment, const CommitHeader& header,
                               std::deque<Segment>& read) {
    if (read.empty() || read.back().name != segment.name) {
        read.push_back(segment);
        for (const SegmentPart& part : segment.parts) drives.note_written(part.slot.drive);
    }
    ++read.back().commit_count;
    read.back().last_lsn = Lsn{header.first_lsn.value + header.entry_count - 1};
}

bool Journal::State::needs_copy(const ReadCommit& commit) const {
    std::uint32_t spare = commit.pieces - commit.header.pieces_needed();
    return commit.pieces < commit.header.pieces() || spare + 1 < drives.copies_wanted();
}

Task<Done> Journal::State::copy(const ReadCommit* commit, const Replay* replay) {
    batch.clear();
    batch.number = commit->header.number;
    bool any = replay->entries() > 0;
    batch.first_lsn = any ? commit->header.first_lsn : replay->next_lsn();
    batch.continues = any ? commit->header.continues() : replay->inside_record();
    for (std::size_t i = 0; i < replay->entries(); ++i) batch.add(commit->entries[i]);
    CommitWriter::Facts facts{Lsn{}, trimmed};
    auto written = co_await write_batch(facts);
    batch.clear();
    if (written.ok()) ++counters.commits_copied;
    co_return written;
}

Task<Done> Journal::State::mark(Lsn last) {
    writer.leave_segment();
    batch.clear();
    batch.number = next_commit++;
    batch.first_lsn = Lsn{last.value + 1};
    CommitWriter::Facts facts{last, trimmed};
    co_return co_await write_batch(facts);
}

// Slots of segments that do not count are freed early only where there is no other space: what
// little was written to one on a drive that is away now would look like more once it is back.
Task<Done> Journal::State::write_batch(CommitWriter::Facts facts) {
    auto written = co_await writer.write(&batch, facts);
    if (written.code() != Code::out_of_space) co_return written;
    co_await or_return(co_await drives.free(std::move(spare_slots)));
    spare_slots.clear();
    co_return co_await writer.write(&batch, facts);
}

// And the copies. Where this fails, the next opening finds the drive gone, or not.
Task<Done> Journal::State::flush_what_was_read() {
    std::vector<CommitWriter::DriveGroup> copies = writer.take_unflushed();
    for (const auto& group : copies) {
        auto pieces = static_cast<std::uint32_t>(group.drives.size());
        spare_pieces = std::min(spare_pieces, pieces - group.needed);
    }
    auto flushed = co_await or_return(co_await drives.flush());
    if (flushed.domains_failed > spare_pieces) co_return Error{Code::unavailable, "journal.flush"};
    co_return Done{};
}

Task<Done> Journal::State::free_strays(std::vector<FoundSlot> slots) {
    std::vector<SegmentPart> strays;
    for (const FoundSlot& found : slots) {
        if (!writer.in_use(found.segment)) strays.push_back(found.part);
    }
    co_return co_await drives.free(std::move(strays));
}

}  // namespace weft::journal
