#pragma once

#include "engines/index/index.h"
#include "engines/index/merge_internal.h"
#include "engines/index/run_series_internal.h"
#include "engines/index/version_internal.h"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace weft::index {

// Which runs to merge, and into which level.
struct CompactionPlan {
    std::uint8_t level = 0;                    // Where the result goes.
    std::vector<std::vector<RunPtr>> sources;  // Newest first; within one, no overlaps.
    std::vector<RunPtr> older;                 // In the levels below: they may hold older entries.
    std::vector<RunPtr> inputs() const;
    // One run that goes down a level as it is.
    bool is_move() const;
};

// The merge that the shape of the runs asks for most, if any. Level 0 is merged as a whole
// when it has `fanout` runs; each further level holds `fanout` times as much as the one above,
// and beyond that gives the run with the least overlap below. Where no level is full, a run
// that is mostly tombstones goes down: scans pass over each of them.
std::optional<CompactionPlan> plan_compaction(const Version& version,
                                              const IndexSettings& settings);
// Whether there is such a plan.
bool needs_compaction(const Version& version, const IndexSettings& settings);

using DropFilter = std::function<bool(std::string_view key)>;

// A merge in progress, taken a bounded step at a time. Nothing of it counts until its outputs
// are published.
class Compaction {
public:
    Compaction(CompactionPlan plan, PageReader& reader, RunStore& store, BlockCache::State& cache,
               const DropFilter& drop, std::uint64_t run_bytes_most);

    // Merges about so many bytes more. True when all is merged. After an error: only abandon().
    Task<bool> step(std::uint64_t bytes);

    const CompactionPlan& plan() const { return plan_; }
    const std::vector<RunPtr>& outputs() const { return series_.runs(); }
    std::vector<BlockRun> appended() const { return series_.appended(); }
    std::uint64_t memory_bytes() const { return series_.memory_bytes(); }

private:
    void emit();
    bool older_may_hold(std::string_view key);

    CompactionPlan plan_;
    PageReader& reader_;
    const DropFilter& drop_;
    Merge merge_;
    bool started_ = false;
    RunSeries series_;
};

}  // namespace weft::index
