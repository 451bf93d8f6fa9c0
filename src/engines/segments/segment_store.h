#pragma once

#include "model/cluster/cluster_map.h"
#include "model/layout/batch.h"
#include "model/layout/records.h"
#include "model/services/drive_service.h"
#include "platform/runtime/gate.h"
#include "platform/runtime/sync.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace weft::segments {

// The journal and the index of the owner, as far as segments need them.
class SegmentLog {
public:
    virtual ~SegmentLog() = default;
    // Appends a record with these mutations of the owner's index, and applies them. What is
    // appended later replays only if this does.
    virtual Lsn log(Batch batch) = 0;
    // Ends when the record, and all before it, survives loss of power.
    virtual Task<Done> flushed(Lsn lsn) = 0;
    // Reads every live block of the segment, so that what is bad is repaired; how many are lost.
    virtual Task<std::uint64_t> verify(SegmentId segment) = 0;
};

struct SegmentStatus {
    SegmentId id;
    SegmentRecord record;
    std::uint64_t live_blocks = 0;
    // On failed or unknown drives, or made anew from what was not all good.
    std::uint32_t missing_slots = 0;
    bool torn = false;  // Its owner ended while it was open, and nobody has looked at it since.
};

struct SegmentCounters {
    std::uint64_t blocks_written[kStreamCount] = {};  // Data only, padding included.
    std::uint64_t parity_blocks_written = 0;
    std::uint64_t blocks_read = 0;
    std::uint64_t degraded_reads = 0;   // Runs that had to be decoded.
    std::uint64_t blocks_repaired = 0;  // Bad on a drive, and written anew.
    std::uint64_t blocks_lost = 0;      // Beyond what parity covers.
    std::uint64_t slots_rebuilt = 0;
    std::uint64_t segments_freed = 0;
};

// Keeps blocks that append() handed out from being taken for nobody's, until the record that
// makes them live has been applied. Goes before the store does.
class Claims {
public:
    Claims() = default;
    Claims(Claims&&) = default;
    Claims& operator=(Claims&&) = default;
    Claims(const Claims&) = delete;
    Claims& operator=(const Claims&) = delete;
    void add(Claims other);
    void clear() { held_.clear(); }

private:
    friend class SegmentStore;
    std::vector<std::shared_ptr<void>> held_;
};

// What an append is for: which of the last free segments it may take.
enum class Purpose : std::uint8_t {
    user,     // None: it is refused, or waits.
    destage,  // Of what has been acked: some of them.
    cleaning,
    index,
};

// A closed segment with blocks that are dead, or never were written, and what cleaning would win.
struct CleaningChoice {
    SegmentId id;
    StreamKind stream = StreamKind::hot;
    double worth = 0;
    std::uint64_t live_blocks = 0;
    std::uint64_t dead_blocks = 0;  // Or never written.
};

// What the drives hold of segments at the present scheme, whoever they belong to. Segments are
// counted whole, blocks are data blocks.
struct SegmentSpace {
    std::uint64_t segments = 0;       // That would fit on the drives of the map if they were empty.
    std::uint64_t segments_kept = 0;  // Kept back for cleaning, the index and the journal.
    std::uint64_t segment_blocks = 0;
    std::uint64_t free_blocks = 0;  // What is kept back is not among them.
};

class DriveTable;

// One shard's segments: append-only stripes over k+m slots on distinct failure domains.
//
// Written once, never in place, so there is no write hole. One open segment a stream; a
// segment whose write failed is closed, and the stripe goes whole to a fresh one on healthy
// drives. Where fewer than k+m domains are left, new segments are narrower in k, never in m,
// down to k = 1; below that append ends with unavailable.
//
// Live blocks: the owner reports each block that comes into or goes out of use, in the same
// batch that makes it so (mutation `add` on keys::live), and calls note_live() when it applies
// that batch. A closed segment without live blocks and claims is freed, once the record that made
// the last one dead survives loss of power (else a shorter replay would want it back).
//
// Deterministic; used from one core.
class SegmentStore {
public:
    SegmentStore(Reactor& reactor, DriveService& drives, SegmentLog& log, OwnerId owner);
    // With others that know the same drives by one table, so that each sees what the others take.
    // The table outlives the stores, and has the map already.
    SegmentStore(Reactor& reactor, DriveTable& table, DriveService& drives, SegmentLog& log,
                 OwnerId owner);
    ~SegmentStore();

    // The drives, scheme and slot size to use from now on. Call before anything else.
    void set_map(const ClusterMap& map);
    // One call for each stored segment, before open(): what the index or a checkpoint said.
    void restore(SegmentId id, SegmentRecord record, std::int64_t live_blocks);
    // Fences the owner at the drives with the epoch of the map, frees slots of this owner that
    // no restored segment knows, and takes segments that were open as closed at their whole
    // length. What restart or failure left uneven stays open in the log until a scrub has made
    // its parity true. Drives that do not answer are passed over. fenced: somebody else owns it.
    Task<Done> open();
    // Nothing is appended any more (cancelled); background work has ended.
    Task<Done> close();

    // Writes `data` (a multiple of 4 KiB) as one stripe, or where a segment ends as two, and
    // returns where its blocks lie, in order, as runs of at most kExtentBlocksMost blocks. It
    // has not been flushed. out_of_space: no drive has a free slot for this purpose (clean, then
    // retry). `claims` keeps the blocks until they are live, and gets what was written before an
    // error too.
    Task<std::vector<BlockRun>> append(StreamKind stream, ConstBytes data, Purpose purpose,
                                       Claims* claims);
    // The stream for a block whose present version lies in `previous`; 0: there is none. What was
    // overwritten soon after it was written will be so again (SepBIT: Wang et al., FAST 2022).
    StreamKind stream_for(SegmentId previous) const;
    std::uint64_t max_append_bytes() const;

    // Reads run.count blocks and holds each to its crc; a block that is bad or missing is
    // decoded from the rest of its row, and written anew where its drive serves.
    // corrupt or unavailable: more is lost than the parity covers.
    // stale: the segment is gone (cleaned meanwhile: look the extent up again).
    Task<Done> read(BlockRun run, std::span<const std::uint32_t> crcs, Bytes into);

    void note_live(SegmentId id, std::int64_t delta, Lsn at);

    // What drives that failed or came back leave to do: makes missing chunks again on other drives,
    // fewest chunks left first, and makes rows whole that a restart found torn. What chunks are
    // made from has no checksums here: where it may be bad, the log verifies what came of it, and
    // until that was good the chunks still count as missing. Ends when nothing can be done; call
    // again when the map changed. Returns the number of segments that still miss chunks, or may
    // have torn rows.
    Task<std::uint64_t> rebuild();
    // Reads every row of every closed segment once, and repairs parity that does not agree and
    // blocks that cannot be read. Data blocks are held to their crcs by `verify`, which reads the
    // segment's live extents, and is asked again where something is wrong. What was repaired
    // survives loss of power when it ends.
    Task<Done> scrub(std::function<Task<Done>(SegmentId)> verify);

    // The closed segment with such blocks that is best to clean (cost-benefit: Rosenblum and
    // Ousterhout 1992): (1 - u) * sqrt(age) / (1 + u); none of `except`. Empty if there is none.
    std::optional<CleaningChoice> best_to_clean(const std::set<SegmentId>& except) const;
    // Closed segments that are about to be freed.
    std::uint64_t emptied_segments() const;
    std::vector<SegmentStatus> list() const;
    // The record of a segment; nullptr if it is gone.
    const SegmentRecord* find(SegmentId id) const;

    // Blocks of data that fit into what is free now, at the present scheme, less what is kept.
    std::uint64_t free_blocks() const;
    SegmentSpace space() const;
    const SegmentCounters& counters() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft::segments
