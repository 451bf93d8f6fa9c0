#pragma once

#include "engines/filedata/file_data.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace weft::filedata {

// For tests: what of a shard outlives its process.
struct ShardDisk {
    std::map<SegmentId, std::vector<std::byte>> runs;
    std::uint64_t last_run = 1ULL << 48;  // Far from the numbers of file segments.
    std::string manifest;
    std::map<Lsn, std::string> records;
    Lsn appended;
    Lsn acked;  // This one and all before it are never lost.
    Lsn trimmed;
};

// For tests: one shard with a real index, real segments and real file data, over a journal and
// a run store in memory. Destroying it at any moment is a crash; another one over the same
// disk takes up from there.
class ShardDouble : public Committer, public segments::SegmentLog, public index::RunStore {
public:
    static constexpr ShardId kShard{0};

    ShardDouble(Reactor& reactor, DriveService& drives, const ClusterMap& map, ShardDisk& disk,
                FileDataSettings settings);

    // Opens the index, replays the journal, opens the segments.
    Task<Done> open();
    // Destages, writes the index out and trims the journal.
    Task<Done> checkpoint();
    Task<Done> close();

    Lsn commit(Transaction transaction) override;
    Task<Done> admit() override;
    Task<Done> committed(Lsn lsn) override;
    Task<Done> flushed(Lsn lsn) override;

    // Moves the change's batch into a record of its own.
    Lsn commit(PreparedChange& change);

    FileData& data() { return *data_; }
    segments::SegmentStore& segments() { return *segments_; }
    index::Index& index() { return *index_; }
    Lsn last_lsn() const { return disk_.appended; }

private:
    Lsn log(Batch batch) override;
    Task<std::uint64_t> verify(SegmentId segment) override { return data_->verify(segment); }
    Task<std::vector<BlockRun>> append(ConstBytes pages) override;
    std::uint64_t max_append_bytes() const override { return 256 * kKiB; }
    Task<Done> read(BlockRun run, std::span<const std::uint32_t> crcs, Bytes into) override;
    Task<Done> publish(std::string manifest, Lsn covers, std::vector<BlockRun> added,
                       std::vector<BlockRun> dropped) override;

    void apply(const Batch& batch, Lsn lsn);
    Task<Done> restore_segments();

    Reactor& reactor_;
    ShardDisk& disk_;
    index::BlockCache cache_{4 * kKiB};  // Small, so that scans have to wait.
    std::unique_ptr<index::Index> index_;
    std::unique_ptr<segments::SegmentStore> segments_;
    std::unique_ptr<FileData> data_;
};

// Every extent of the shard against every other account of it: extents do not overlap, each
// data extent has its one summary entry and there are no others, live counters of index and
// segments are the sums of them. Empty, or what is wrong.
Task<std::string> find_fault(ShardDouble* shard);

// A cluster of `drives` drives in domains of their own, k of 3, m of 2, slots of 64 blocks.
ClusterMap map_of(std::uint32_t drives);

}  // namespace weft::filedata
