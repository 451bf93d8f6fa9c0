#pragma once

#include "engines/index/block_cache_internal.h"
#include "engines/index/index.h"
#include "engines/index/run_internal.h"

#include <vector>

namespace weft::index {

// What becomes of a page that was read.
enum class PageUse : std::uint8_t {
    often,  // Goes to the cache, and stays a while.
    scan,   // Goes to the cache; the first to leave it if nobody asks again.
    once,   // Does not push anything out of the cache.
};

// Reads pages of runs through the cache, and checks them. One miss at a time a page: others
// that want it wait.
class PageReader {
public:
    PageReader(Reactor& reactor, RunStore& store, BlockCache::State& cache, IndexCounters& counters)
        : reactor_(reactor), store_(store), cache_(cache), counters_(counters) {}

    // Without waiting; null if it is not in the cache.
    PagePtr cached(const Run& run, std::uint32_t block) { return cache_.find(run.id(), block); }
    bool holds(const Run& run, std::uint32_t block) const { return cache_.holds(run.id(), block); }

    // Pages of one kind that follow one another in the run, by one read where they lie together.
    // corrupt, unavailable. stale: the run is being dropped or moved: begin again when that
    // has ended.
    Task<std::vector<PagePtr>> load(RunPtr run, PageKind kind, std::vector<PageBlocks> pages,
                                    PageUse use);
    // As many blocks as there are crcs.
    Task<Done> read_blocks(RunPtr run, std::uint32_t first, std::vector<std::uint32_t> crcs,
                           Bytes into);

    // Opens a run that a manifest names: reads its head.
    Task<RunPtr> open(RunRecord record);

    Reactor& reactor() { return reactor_; }
    IndexCounters& counters() { return counters_; }

private:
    Task<Done> read_place(RunPtr run, std::uint32_t first, std::span<const std::uint32_t> crcs,
                          Bytes into, std::uint32_t* done);

    Reactor& reactor_;
    RunStore& store_;
    BlockCache::State& cache_;
    IndexCounters& counters_;
};

}  // namespace weft::index
