#pragma once

#include "model/cluster/cluster_map.h"
#include "model/ids/ids.h"
#include "model/services/drive_service.h"
#include "platform/runtime/sync.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace weft::journal {

struct JournalCounters {
    std::uint64_t records = 0;
    std::uint64_t commits = 0;  // Appends to the drives; records / commits is the group size.
    std::uint64_t record_bytes = 0;
    std::uint64_t commits_reduced = 0;  // With fewer copies than any m failures call for.
    std::uint64_t commits_copied = 0;   // When opened: pieces were missing.
    std::uint64_t blocks_written = 0;   // All copies and parity.
    std::uint64_t flushes = 0;
    std::uint64_t segments_live = 0;  // With records.
};

// What drives that failed have taken of the segments that are still needed.
struct JournalHealth {
    std::uint64_t segments = 0;
    std::uint64_t segments_exposed = 0;  // With a slot on a drive that is not active any more.
    std::uint32_t missing_most = 0;      // Such slots of the worst of them.
    // The last record of those: once it is trimmed, nothing is exposed.
    Lsn exposed_through;
    // That serve, and could not be flushed when they were to be: loss of power may take from them
    // what was flushed elsewhere, of stripes too. flushed() asks them again from time to time.
    std::uint32_t drives_unflushed = 0;
};

// The write-ahead journal of one core.
//
// Records are gathered into commits: while one commit is in flight, the next gathers. A commit
// is mirrored on m+1 drives of distinct domains, or, when larger, written as a row of k'+m
// chunks. Commits lie one behind the other in journal segments, which are slots at the same
// block number on each drive; a new segment is taken when one is full or a drive failed.
//
// Prefix: recovery yields a prefix of what was appended that has everything committed (and
// after a loss of power everything flushed). Torn, old and foreign bytes are told by checksum,
// lsn, journal and epoch.
//
// Format: docs/formats/journal.md.
class Journal {
public:
    Journal(Reactor& reactor, DriveService& drives, JournalId id);
    ~Journal();

    void set_map(const ClusterMap& map);

    // Fences the journal at its drives with `epoch`, reads it, and gives each record in lsn
    // order to `visit`; then goes on appending behind the last. `verify` says whether what the
    // record points at is there (asked only for records that no flush is known to cover); the
    // first record for which it is not ends the prefix, and the rest is discarded for good.
    // corrupt or unavailable: a record that was acked cannot be read any more.
    using Visit = std::function<Task<Done>(Lsn, std::string_view)>;
    using Verify = std::function<Task<bool>(Lsn, std::string_view)>;
    Task<Done> open(Epoch epoch, Visit visit, Verify verify);
    // Ends when all appended records are committed; nothing can be appended any more.
    Task<Done> close();

    // Queues a record (at most kRecordBytesMost) and returns its lsn. Never waits: callers
    // that are about to append in bulk await admit() first, which bounds what is queued.
    Lsn append(std::string record);
    static constexpr std::size_t kRecordBytesMost = 8 * kMiB;
    Task<Done> admit();

    // Ends when the record and all before it survive the loss of any m failure domains.
    // An error here is for good: the journal cannot be written (fenced, unavailable).
    Task<Done> committed(Lsn lsn);
    // Ends when the record, and everything written to any drive before this call (stripes
    // too), survives loss of power. Concurrent calls share their flushes.
    Task<Done> flushed(Lsn lsn);
    // Drives that were written outside the journal since their last flush, so that flushed()
    // flushes them too.
    void note_written(DriveId drive);

    Lsn last_appended() const;
    Lsn last_committed() const;
    Lsn last_flushed() const;

    // Records up to and including `lsn` are not needed any more; their space is reused. Where
    // drives failed, goes on in a segment on others, so that what is left is not exposed.
    Task<Done> trim(Lsn lsn);
    // Bytes between the trim point and the head: what a replay would read.
    std::uint64_t live_bytes() const;

    // Nothing is copied when a drive fails: whoever owns the journal sees to it that records up
    // to `exposed_through` are soon not needed, and trims.
    JournalHealth health() const;
    // That hold slots: beside those with records, those that are prepared and held in reserve.
    std::uint64_t segments_taken() const;
    const JournalCounters& counters() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft::journal
