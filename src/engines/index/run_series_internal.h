#pragma once

#include "engines/index/block_cache_internal.h"
#include "engines/index/run_writer_internal.h"

#include <memory>
#include <vector>

namespace weft::index {

// Writes entries, given in key order, as one run behind another of at most about so many bytes.
class RunSeries {
public:
    RunSeries(RunStore& store, BlockCache::State& cache, IndexCounters& counters,
              std::uint64_t run_bytes_most)
        : store_(store), cache_(cache), counters_(counters), run_bytes_most_(run_bytes_most) {}

    // Memory only: await flush() when it is due.
    void add(EntryKind kind, std::string_view key, std::string_view value);
    bool flush_due() const;
    Task<Done> flush();
    // Ends the last run. Nothing is added behind it.
    Task<Done> finish();

    const std::vector<RunPtr>& runs() const { return runs_; }
    // All blocks that were appended, of runs that are whole or not: to be abandoned on error.
    std::vector<BlockRun> appended() const;
    std::uint64_t memory_bytes() const;

private:
    RunStore& store_;
    BlockCache::State& cache_;
    IndexCounters& counters_;
    std::uint64_t run_bytes_most_;
    std::unique_ptr<RunWriter> writer_;
    std::vector<RunPtr> runs_;
};

}  // namespace weft::index
