#pragma once

#include "engines/journal/commit_writer_internal.h"
#include "engines/journal/drive_set_internal.h"
#include "engines/journal/journal.h"
#include "engines/journal/recovery_internal.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace weft::journal {

class Replay;

// How many bytes of records lie behind an lsn, in steps of some hundred KiB.
class LiveBytes {
public:
    void add(Lsn last, std::uint64_t bytes);
    void trim(Lsn lsn);
    std::uint64_t total() const { return total_; }

private:
    static constexpr std::uint64_t kStepBytes = 256 * kKiB;
    struct Step {
        Lsn last;
        std::uint64_t bytes = 0;
    };
    std::deque<Step> steps_;
    std::uint64_t total_ = 0;
};

// Three loops run in the gate, each only while it has work: commits, flushes, trims. They
// share nothing but the lsns and counts below, read and changed between awaits.
struct Journal::State {
    State(Reactor& reactor_in, DriveService& service, JournalId id_in);
    void set_map(const ClusterMap& map);

    // Opening (open.cc).
    Task<Done> open(Epoch epoch, Visit visit, Verify verify);
    Task<Done> read_all(Recovery* recovery, Visit visit, Verify verify);
    bool needs_copy(const ReadCommit& commit) const;
    void note_read(const Segment& segment, const CommitHeader& header, std::deque<Segment>& read);
    Task<Done> copy(const ReadCommit* commit, const Replay* replay);
    Task<Done> mark(Lsn last);
    Task<Done> write_batch(CommitWriter::Facts facts);
    Task<Done> flush_what_was_read();
    Task<Done> free_strays(std::vector<FoundSlot> slots);
    Task<Done> hold_reserve();

    // Committing.
    Lsn append(std::string record);
    void start_commits();
    Task<Done> commit_loop();
    Task<Done> commit_batch();
    Task<Done> squeeze_mark();
    void gather();
    void finish_commit();
    void note_committed(std::uint64_t number, Lsn trimmed_in_it);
    Task<Done> committed(Lsn lsn);
    Task<Done> admit();
    bool mark_due() const {
        return mark_wanted && (last_commit_trimmed < trimmed || writer.newest_exposed());
    }
    bool commit_due() const { return !queue.empty() || mark_due(); }

    // Flushing.
    Task<Done> flushed(Lsn lsn);
    Task<Done> flush_round();
    Task<Done> flush_loop();
    Task<Done> flush_once();
    Task<Done> flush_drives();

    // Trimming.
    Task<Done> trim(Lsn lsn);
    bool trim_due() const;
    Task<Done> trim_loop();
    Task<Done> trim_once(Lsn target);
    Task<Done> commit_mark();

    Task<Done> close();
    void fail(Error error);

    Reactor& reactor;
    JournalId id;
    JournalCounters counters;
    DriveSet drives;
    LiveBytes live;

    std::vector<SegmentPart> spare_slots;  // While opening: of segments that do not count.

    std::uint32_t spare_pieces = 0;  // While opening: the least of any commit that was read.

    bool opened = false;
    bool closing = false;
    std::optional<Error> failed;  // For good.

    std::deque<std::string> queue;  // Records not committed yet, oldest first.
    std::size_t front_used = 0;     // Bytes of the oldest that are committed already.
    std::uint64_t queued_bytes = 0;
    Commit batch;                // In flight, or the last one.
    std::size_t batch_part = 0;  // Bytes of a record that goes on in the next.
    bool committing = false;
    bool mark_wanted = false;  // A commit is to say what is trimmed, even without records.
    Signal& committed_signal(std::uint64_t number) {
        return number % 2 == 0 ? committed_even : committed_odd;
    }
    std::uint64_t next_commit = 1;
    std::uint64_t last_commit = 0;
    SegmentId last_commit_segment;
    Lsn last_commit_trimmed;  // What its header says.
    Lsn batch_trimmed;        // What that of the one in flight says.
    Lsn last_appended;
    Lsn last_committed;
    Lsn last_flushed;
    // By the number of the commit that is waited for: two of them are enough.
    Signal committed_even;
    Signal committed_odd;
    Signal room;  // In the queue.

    std::uint64_t rounds_wanted = 0;
    std::uint64_t rounds_begun = 0;
    std::uint64_t rounds_ended = 0;
    bool flushing = false;
    Signal flush_ended;

    Lsn trim_wanted;
    Lsn trimmed;  // Flushed, and not needed: what the headers of new commits say.
    bool trimming = false;
    Signal trim_ended;

    CommitWriter writer;
    Gate gate;  // Last: what runs in it uses all the above.
};

}  // namespace weft::journal
