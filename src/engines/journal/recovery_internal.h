#pragma once

#include "engines/journal/drive_set_internal.h"
#include "engines/journal/segment_reader_internal.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace weft::journal {

// Finds the segments that make up the journal, and reads its commits in order.
//
// Each segment's first commit names the segment before it; the journal is the chain that ends
// in the newest segment (highest epoch, then highest number) which is not one of copies. From
// a segment only what comes before its successor's first commit counts. So everything that an
// owner discarded stays discarded, and copies count only once something links to them.
class Recovery {
public:
    Recovery(Reactor& reactor, DriveSet& drives, JournalId journal)
        : reactor_(reactor), drives_(drives), journal_(journal) {}

    // Errors: corrupt or unavailable (a segment that is needed is not there).
    Task<Done> find(std::vector<FoundSlot> slots);

    // The next commit; empty at the end. `next_lsn` is that of the record to come.
    // Errors: corrupt or unavailable (the journal goes on behind what can't be read).
    Task<std::optional<ReadCommit>> next(Lsn next_lsn);
    // The segment of the commit that was given last.
    const Segment& segment() const { return reader_->segment(); }
    // Records of the segment from here on were discarded by a later owner.
    struct Cap {
        Lsn lsn{~std::uint64_t{0}};
        bool continues = false;  // Of the record `lsn` the beginning was kept.
    };
    Cap cap() const;

    // Where the chain begins.
    Lsn begin_lsn() const { return chain_.empty() ? Lsn{1} : chain_.front().head.first_lsn; }
    bool begins_inside_record() const { return !chain_.empty() && chain_.front().head.continues(); }
    // Of the commit that would come next.
    std::uint64_t number() const { return number_; }
    // Nothing of the segment counts, nor would if the opening ended here: nothing was written
    // to it, or only copies that nothing links to.
    bool is_spare(SegmentId id) const;
    Lsn flushed() const { return flushed_; }
    Lsn trimmed() const { return trimmed_; }
    SegmentId highest() const { return highest_; }

private:
    struct Candidate {
        Segment segment;
        CommitHeader head;
    };
    Task<Done> read_block(SegmentSlot slot, Bytes into);
    Task<Done> read_heads(SegmentId id, std::vector<SegmentPart> parts);
    const Candidate* named(SegmentName name) const;
    bool covers(const CommitHeader& head) const;
    Task<Done> build_chain();
    bool link_back(const Candidate& last);
    Result<Done> judge_hole(Lsn next_lsn) const;
    void note(Lsn flushed, Lsn trimmed);
    void open_reader();
    Error lost(std::string_view what) const;

    Reactor& reactor_;
    DriveSet& drives_;
    JournalId journal_;
    std::vector<Candidate> candidates_;
    std::deque<Candidate> chain_;  // Oldest first.
    std::size_t at_ = 0;
    std::uint64_t number_ = 1;
    std::unique_ptr<SegmentReader> reader_;
    Lsn flushed_;
    Lsn trimmed_;
    SegmentId highest_;
    bool unreadable_ = false;  // The beginning of a slot could not be read.
};

}  // namespace weft::journal
