#pragma once

#include "engines/index/compaction_internal.h"
#include "engines/index/index.h"
#include "engines/index/memtable_internal.h"
#include "engines/index/page_reader_internal.h"
#include "engines/index/version_internal.h"
#include "platform/runtime/sync.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weft::index {

// What one publish does: replaces runs by others, or gives one run other places.
struct Change {
    VersionEdit edit;
    Lsn covers;  // If more than is covered already.
    RunPtr moved;
    RunRecord moved_record;
    std::vector<BlockRun> moved_places;
    std::vector<BlockRun> added;
    std::vector<BlockRun> dropped;
};

// Invariants: `table` is newer than `frozen`, which is newer than every run of `version`, and
// together they are what was applied. `frozen` and a version never change; a reader that holds
// on to {table, frozen, version} of one moment sees the batches of that moment and, of later
// ones, whole batches up to the next freeze.
struct Index::State {
    State(Reactor& on, RunStore& runs, BlockCache& shared, IndexSettings chosen);

    // index.cc: life, and what is written.
    Task<Done> open(std::string manifest);
    Task<Done> close();
    void apply(const Batch& batch, Lsn lsn);
    Task<Done> checkpoint();
    Task<Done> write_frozen();
    Task<Done> write_table(std::shared_ptr<Memtable> source, RunSeries* series);
    // Publishes what the change makes of the version of then, and makes it the present one.
    Task<Done> publish(Change change);
    void abandon(std::vector<BlockRun> appended);
    std::uint64_t memory_bytes() const;

    // index_maintenance.cc
    Task<bool> compact_step();
    Task<bool> step_compaction();
    Task<Done> publish_compaction(std::unique_ptr<Compaction> finished);
    void abandon_compaction();
    Task<Done> move_out_of(SegmentId segment);
    Task<std::uint64_t> verify(SegmentId segment);
    Task<std::uint64_t> verify_run(RunPtr run, SegmentId segment);
    Task<Done> move_run(RunPtr run, SegmentId segment);
    Task<Done> copy_run(SegmentId segment, Change* change);
    Task<std::vector<std::uint32_t>> block_crcs(RunPtr run);
    Task<Done> append_copy(ConstBytes blocks, Change* change, std::vector<BlockRun>* places);

    // index_reads.cc
    Task<Done> wait_for_publish();
    Task<std::string> get(std::string key);
    Task<std::vector<Entry>> scan(std::string from, std::string to, std::size_t most);
    Task<std::vector<Entry>> scan_once(const CursorRange* range, std::size_t most);

    Reactor& reactor;
    RunStore& store;
    BlockCache::State& cache;
    IndexSettings settings;
    IndexCounters counters;
    PageReader reader;
    DropFilter drop;

    std::shared_ptr<Memtable> table = std::make_shared<Memtable>();
    std::shared_ptr<Memtable> frozen;  // A checkpoint writes it, or failed to. Or null.
    VersionPtr version = std::make_shared<Version>();
    Lsn applied;        // The last lsn given to apply(), or covered.
    Lsn frozen_covers;  // `applied` when the table was frozen.
    Lsn covered;
    Lsn opened_at;  // `covered` of the manifest that was opened.

    bool closed = false;
    SharedMutex checkpoints;  // Held exclusively by the one checkpoint.
    SharedMutex maintenance;  // By the one step of a merge, or by move_out_of().
    SharedMutex publishing;   // Innermost: from the choice of a version to its being present.
    std::unique_ptr<Compaction> compaction;
    bool compaction_busy = false;  // In a step. Else, if set, one was cut off by its caller.
};

}  // namespace weft::index
