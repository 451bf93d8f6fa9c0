#pragma once

#include "engines/filedata/file_data.h"
#include "engines/index/index.h"
#include "engines/journal/journal.h"
#include "engines/segments/drive_table.h"
#include "engines/segments/segment_store.h"
#include "engines/shard/committer.h"
#include "roles/compute/journal_record_internal.h"
#include "roles/compute/settings.h"

#include <map>
#include <memory>
#include <set>

namespace weft::compute {

// What shards share: the core's journal, drives and cache.
struct ShardHost {
    Reactor& reactor;
    DriveService& drives;
    journal::Journal& journal;
    Committer& committer;
    index::BlockCache& cache;
    segments::DriveTable& table;
    const ComputeSettings& settings;
};

// One shard: its index, its segments and its file data, tied to the core's journal.
//
// A shard is opened in steps: boot() with its last manifest, replay() of each later record,
// then open().
class Shard final : private index::RunStore, private segments::SegmentLog {
public:
    Shard(ShardHost host, ShardId id);

    ShardId id() const { return id_; }

    // `manifest` may be nullptr: a shard that has never been checkpointed.
    Task<Done> boot(const ClusterMap* map, const ManifestRecord* manifest);
    // Every record of the journal, in order, as it was committed. What the manifest covers is
    // left out as far as it is there.
    void replay(const Batch& batch, Lsn lsn);
    Task<Done> open(const ClusterMap* map);
    Task<Done> close();

    // At commit: to the index, the live accounts and the staged bytes.
    void apply(const Batch& batch, Lsn lsn);

    // A number that no inode of this shard has had; must be committed with `batch`, without an
    // await in between.
    InodeId take_inode(Batch& batch);

    // Writes staged bytes and the index's table out, as far as they are now. One at a time, and
    // not beside compaction or cleaning of the index: hold `maintenance`.
    Task<Done> checkpoint();
    // Reads all that lives in the segment, file data or the index's pages, past all caches, and
    // repairs what is bad; how many blocks are lost. Errors: corrupt or unavailable, where what
    // lies there cannot be told.
    Task<std::uint64_t> verify(SegmentId segment) override;

    // So much is staged, or in the index's table, that a checkpoint of it is worth it.
    bool is_due() const;
    // Records from this lsn on are needed to open the shard; 0: none is.
    Lsn first_needed() const;
    // Rise with every change of anything here, and with those of inodes' records and of entries.
    std::uint64_t changes() const { return changes_; }
    std::uint64_t names_changed() const { return names_changed_; }
    // Of the index's runs.
    std::uint64_t index_blocks() const { return index_blocks_; }

    index::Index index;
    segments::SegmentStore segments;
    filedata::FileData data;
    SharedMutex maintenance;
    Signal due;  // is_due(), or its duty is to look at something else.

private:
    // RunStore
    Task<std::vector<BlockRun>> append(ConstBytes pages) override;
    std::uint64_t max_append_bytes() const override { return segments.max_append_bytes(); }
    Task<Done> read(BlockRun run, std::span<const std::uint32_t> crcs, Bytes into) override;
    Task<Done> publish(std::string manifest, Lsn covers, std::vector<BlockRun> added,
                       std::vector<BlockRun> dropped) override;
    void abandon(std::vector<BlockRun> appended) override;
    // SegmentLog
    Lsn log(Batch batch) override;
    Task<Done> flushed(Lsn lsn) override { return host_.journal.flushed(lsn); }

    Task<Done> restore_segments();
    void note_uncovered(Lsn lsn);
    void let_go_of_claims(const std::vector<BlockRun>& settled);
    std::vector<std::pair<SegmentId, SegmentRecord>> segments_to_know() const;

    ShardHost host_;
    ShardId id_;
    // Reads the index's runs while the index does not yet say where segments are.
    std::unique_ptr<segments::SegmentStore> boot_segments_;
    std::map<SegmentId, std::int64_t> run_blocks_;  // Blocks of the index's runs, by segment.
    std::uint64_t index_blocks_ = 0;
    // Blocks that the index has appended and not yet published or abandoned.
    struct Unpublished {
        std::uint64_t blocks = 0;
        std::vector<std::shared_ptr<segments::Claims>> claims;
    };
    std::map<SegmentId, Unpublished> unpublished_;
    Lsn covers_;
    std::uint64_t next_inode_ = 0;
    std::uint64_t changes_ = 0;
    std::uint64_t names_changed_ = 0;
    Lsn first_uncovered_;  // The first record the index's runs do not have.
    Lsn being_covered_;    // The same, of what a running checkpoint writes.
};

}  // namespace weft::compute
