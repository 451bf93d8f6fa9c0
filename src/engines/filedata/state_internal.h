#pragma once

#include "engines/filedata/extent_set_internal.h"
#include "engines/filedata/file_data.h"
#include "engines/filedata/regions_internal.h"
#include "platform/memory/buffer.h"

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace weft::filedata {

// All that was true of a range of a region at one instant.
struct RegionView {
    std::uint64_t version = 0;
    ExtentSet extents;
    std::vector<StagedPiece> staged;
};

// Where appended data lies and what it is, one of each a block.
struct WrittenBlocks {
    std::vector<BlockAddress> places;
    std::vector<std::uint32_t> crcs;
    segments::Claims claims;
};

// Blocks of one region that go out with one append. Decided without an await, so that
// `version` and `staged` belong together.
struct DestageJob {
    DestageJob(RegionTable::Pin with_pin, BlockSet with_blocks)
        : pin(std::move(with_pin)), blocks(with_blocks) {}
    RegionTable::Pin pin;
    BlockSet blocks;
    std::vector<BlockSpan> spans;
    RegionView view;
    Lsn through;    // Everything staged in `spans` came with records up to this one.
    Bytes content;  // Of `spans`, one behind the other.
    Result<Done> outcome = Done{};
};

// Data blocks of one segment that the cleaner moves, with who refers to them.
struct CleaningPass {
    std::vector<std::pair<BlockOwner, std::uint32_t>> owners;  // And how many blocks they own.
    std::map<BlockAddress, std::uint32_t> crcs;                // Of each block, once.
    std::map<BlockAddress, BlockAddress> moved_to;
    segments::Claims claims;
    std::string next;  // Where the scan of summary entries goes on.
    bool last = false;
    std::optional<BlockAddress> changed;  // The first that had another owner by then.
};

inline constexpr Lsn kEveryRecord{UINT64_MAX};

struct FileData::State {
    State(Reactor& with_reactor, ShardId with_shard, index::Index& with_index,
          segments::SegmentStore& with_segments, Committer& with_committer,
          FileDataSettings with_settings)
        : reactor(with_reactor),
          shard(with_shard),
          index(with_index),
          segments(with_segments),
          committer(with_committer),
          settings(with_settings),
          regions(with_reactor),
          unstaged(with_reactor),
          destaging(with_reactor) {}

    // applying.cc
    void apply(const Batch& batch, Lsn lsn);
    Task<Done> admit();
    // Commits a batch of our own; its lsn.
    Lsn commit(Batch batch);

    // reading.cc
    // The extents that overlap the span, whole; true only if the region did not change
    // meanwhile. corrupt.
    Task<ExtentSet> scan(FileId file, BlockSpan span);
    // The same of several spans of one region, which come in order.
    Task<ExtentSet> scan_all(FileId file, std::vector<BlockSpan> spans);
    Task<RegionView> view(RegionTable::Pin* pin, std::uint64_t from, std::uint64_t to);
    // Fills `into` with what the view says, from `offset` on.
    Task<Done> fill(const RegionView* view, std::uint64_t offset, Bytes into);
    Task<Done> read_run(std::uint64_t first_block, ExtentRecord run, std::uint64_t offset,
                        Bytes into);
    Task<Done> read(FileId file, std::uint64_t offset, Bytes into);
    Task<std::uint64_t> seek(FileId file, std::uint64_t offset, std::uint64_t end, bool data);

    // writing.cc
    Task<WrittenBlocks> append(StreamKind stream, ConstBytes data, segments::Purpose purpose);
    bool goes_direct(std::uint64_t offset, std::uint64_t length) const;
    Task<PreparedChange> prepare_write(FileId file, std::uint64_t offset, ConstBytes from);
    Task<PreparedChange> prepare_reserve(FileId file, std::uint64_t offset, std::uint64_t length);

    // freeing.cc
    Task<PreparedChange> prepare_punch(FileId file, std::uint64_t offset, std::uint64_t length,
                                       bool keep_reserved);
    Task<Purge> prepare_purge(FileId file, std::uint64_t from_block, std::size_t most);
    // Takes everything of the region at or behind `from_block` into the change.
    Task<std::uint64_t> purge_region(RegionId id, std::uint64_t from_block, PreparedChange* change);
    // The first region of the file at or behind `from_block` that has anything.
    Task<std::vector<RegionId>> next_region(FileId file, std::uint64_t from_block);

    // sharing.cc
    Task<PreparedChange> prepare_share(FileId from, std::uint64_t from_offset, FileId to,
                                       std::uint64_t to_offset, std::uint64_t length);
    Task<std::vector<SharedMutex::Lock>> lock_both(RegionTable::Pin* first,
                                                   RegionTable::Pin* second);

    // destaging.cc
    Task<Done> destage(Lsn through);
    std::vector<DestageJob> choose_jobs(RegionId* from, Lsn through, std::uint64_t blocks_most);
    // Decides what the job takes; call when nothing else is awaited.
    void begin_job(DestageJob* job);
    Task<Done> build(DestageJob* job);
    Task<Done> scan_extents(DestageJob* job);
    Task<Done> merge(DestageJob* job);
    // One stream a block of the jobs, by how long their present versions have lived.
    std::vector<StreamKind> streams_for(std::span<const DestageJob> jobs) const;
    // Blocks of each stream side by side; the places come in the order of `data`.
    Task<WrittenBlocks> append_by_stream(ConstBytes data, std::vector<StreamKind> streams);
    void add_to_batch(const DestageJob& job, const WrittenBlocks& written, std::size_t at,
                      Batch& batch);
    Task<Done> destage_together(std::vector<DestageJob>* jobs, Lsn* last);
    Task<Done> write_out(RegionTable::Pin* pin, BlockSet blocks, Batch* batch,
                         segments::Claims* claims);
    Task<BlockSet> unreadable_blocks(RegionTable::Pin* pin, BlockSet blocks);
    void carry_on(RegionTable::Pin* pin, BlockSet blocks, Batch& batch);
    // Writes what of the region came with records up to `through`, and leaves nothing staged
    // that is as old. The caller holds its lock.
    Task<Lsn> destage_locked(RegionTable::Pin* pin, Lsn through);
    Task<Lsn> destage_alone(RegionTable::Pin* pin, Lsn through);

    // cleaning.cc
    Task<bool> clean(SegmentId segment);
    Task<std::uint64_t> verify(SegmentId segment);
    Task<CleaningPass> next_pass(SegmentId segment, std::string from);
    Task<Done> move_blocks(CleaningPass* pass);
    // Notes those that are lost.
    Task<Done> read_pass(const CleaningPass* pass, std::set<BlockAddress>* lost);
    Task<Done> repoint(RegionId id, std::vector<BlockSpan> spans, const CleaningPass* pass);
    // The owner's extent, if it is still what the summary entry says.
    Task<std::vector<ExtentRecord>> forward(BlockRun run, BlockOwner owner);

    Reactor& reactor;
    ShardId shard;
    index::Index& index;
    segments::SegmentStore& segments;
    Committer& committer;
    FileDataSettings settings;

    RegionTable regions;
    Lsn last_lsn;               // Of the last batch that was applied.
    std::uint64_t carried = 0;  // Bytes that the last destage() could not write out.
    Signal unstaged;
    SharedMutex destaging;
};

// True if [offset, offset + length) is inside one region.
constexpr bool in_one_region(std::uint64_t offset, std::uint64_t length) {
    return length > 0 && offset / kRegionBytes == (offset + length - 1) / kRegionBytes;
}
constexpr RegionId region_at(FileId file, std::uint64_t offset) {
    return {file, offset / kRegionBytes};
}
inline std::int64_t count_of(const BlockSet& set) {
    return static_cast<std::int64_t>(set.count());
}

void push_stage(Batch& batch, FileId file, std::uint64_t offset, std::string bytes);
void push_unstage(Batch& batch, FileId file, std::uint64_t from, std::uint64_t to, Lsn through);

}  // namespace weft::filedata
