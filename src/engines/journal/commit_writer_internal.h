#pragma once

#include "engines/journal/commit_internal.h"
#include "engines/journal/drive_set_internal.h"
#include "engines/journal/journal.h"
#include "platform/runtime/gate.h"
#include "platform/runtime/sync.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace weft::journal {

// Puts commits onto drives, one behind the other, and holds the segments they lie in.
//
// A commit is written whole or again: if one piece fails, the commit goes to a fresh segment,
// so that no commit that ended well has fewer pieces than its promise needs.
class CommitWriter {
public:
    CommitWriter(Reactor& reactor, DriveSet& drives, JournalId journal, JournalCounters& counters,
                 Gate& gate)
        : reactor_(reactor),
          drives_(drives),
          journal_(journal),
          counters_(counters),
          gate_(gate),
          prepared_(reactor) {}

    // New segments get numbers from `first` on.
    void begin(SegmentId first) { first_id_ = next_id_ = first; }
    // A segment that was read and stays; oldest first.
    void adopt(Segment segment);
    // Forgets all that was adopted, and frees the copies written since.
    Task<Done> give_up_copies();
    // The next commit opens a segment. Segments of copies are told from others (see recovery).
    void leave_segment(bool then_of_copies = false);
    // The next commit looks whether its segment's drives are still to be written.
    void note_drives_changed() { recheck_ = true; }

    // What a commit may carry so that it fits into any segment.
    std::uint32_t payload_most() const;

    struct Facts {
        Lsn flushed;
        Lsn trimmed;
    };
    // `commit` stays as it is until this ends. Errors: fenced; unavailable; out_of_space: it
    // needs a fresh segment, and drives are full.
    Task<Done> write(const Commit* commit, Facts facts);
    // The drives that commits since the last call went to, as sets of which `needed` are enough.
    struct DriveGroup {
        std::vector<DriveId> drives;
        std::uint32_t needed = 1;
    };
    std::vector<DriveGroup> take_unflushed();

    // Frees segments whose records are all trimmed, but none from `before` on: they hold what
    // says so.
    bool can_free(Lsn trimmed, SegmentId before) const;
    Task<Done> free_up_to(Lsn trimmed, SegmentId before);
    // The same for segments that never held a whole commit.
    void free_left(SegmentId before);
    // Takes the slots that the next opening will need, unless it has them. Errors: out_of_space,
    // fenced.
    Task<Done> hold_reserve();
    // Of the last commit.
    SegmentId segment() const { return live_.empty() ? SegmentId{} : live_.back().name.id; }
    // Gives back what was prepared and not used.
    Task<Done> release();
    bool in_use(SegmentId id) const;
    // That hold slots, whatever for.
    std::size_t segments_taken() const {
        std::size_t held = (next_.has_value() ? 1U : 0U) + (reserve_.has_value() ? 1U : 0U);
        return live_.size() + left_.size() + held;
    }
    JournalHealth health() const;
    // The segment of the last commit has a slot on a drive that is not active any more.
    bool newest_exposed() const { return !live_.empty() && slots_missing(live_.back()) > 0; }

private:
    Task<Segment*> segment_for(std::uint32_t payload_bytes);
    Task<Segment> open_segment();
    void prepare_in_time(const Segment& current);
    Task<Done> prepare();
    Task<Done> discard(Segment segment);
    void leave_current();
    void take_into_use(Segment segment);
    std::vector<Task<Done>> piece_writes(const Segment& segment, const EncodedCommit& encoded);
    void settle(const Segment& segment, const std::vector<Result<Done>>& results,
                const EncodedCommit& encoded);
    void apply(Segment& segment, const Commit& commit, const EncodedCommit& encoded);
    SegmentPart part_of(const Segment& segment, const EncodedCommit& encoded,
                        std::uint32_t index) const;
    bool writable(const Segment& segment) const;
    std::uint32_t slots_missing(const Segment& segment) const;

    Reactor& reactor_;
    DriveSet& drives_;
    JournalId journal_;
    JournalCounters& counters_;
    Gate& gate_;
    RowCode code_;
    std::deque<Segment> live_;   // Oldest first.
    std::deque<Segment> left_;   // Without a commit; oldest first.
    bool current_open_ = false;  // The last live segment takes commits.
    bool of_copies_ = false;
    bool recheck_ = false;
    std::optional<Segment> next_;
    // Never written: its slots are what the next opening finds, however full the drives are.
    std::optional<Segment> reserve_;
    bool preparing_ = false;
    Nanos prepare_after_ = 0;
    Signal prepared_;
    SegmentId first_id_{1};
    SegmentId next_id_{1};
};

}  // namespace weft::journal
