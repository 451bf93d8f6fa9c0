#pragma once

#include "model/layout/batch.h"
#include "model/layout/block_address.h"
#include "platform/runtime/reactor.h"
#include "platform/runtime/task.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::index {

// Where the runs of an index lie.
class RunStore {
public:
    virtual ~RunStore() = default;
    // Writes a multiple of 4 KiB, at most max_append_bytes(), and returns where it lies, in
    // order. Survives loss of power once a later publish() has ended.
    virtual Task<std::vector<BlockRun>> append(ConstBytes pages) = 0;
    virtual std::uint64_t max_append_bytes() const = 0;
    // Reads and repairs as it can; the pages' own checksums are the index's to check:
    // `crcs` has one crc32c a block.
    virtual Task<Done> read(BlockRun run, std::span<const std::uint32_t> crcs, Bytes into) = 0;
    // Makes `manifest` the one to open from, durably, and records that `dropped` is not used
    // any more and `added` is. `covers`: every mutation up to it is in the runs.
    virtual Task<Done> publish(std::string manifest, Lsn covers, std::vector<BlockRun> added,
                               std::vector<BlockRun> dropped) = 0;
    // These were appended and will never be published: a merge was given up. What was appended
    // and neither published nor abandoned yet is still to be published: keep it readable.
    // After a publish() that failed nothing is said of its blocks: it may have happened.
    virtual void abandon(std::vector<BlockRun> appended) { (void)appended; }
};

// Blocks of index runs in memory, shared by the indexes of a core. Bounded; second-chance
// replacement. Outlives the indexes that use it.
class BlockCache {
public:
    explicit BlockCache(std::uint64_t bytes_most);
    ~BlockCache();
    struct State;
    State& state() { return *state_; }
    std::uint64_t bytes() const;
    std::uint64_t hits() const;
    std::uint64_t misses() const;

private:
    std::unique_ptr<State> state_;
};

struct IndexSettings {
    std::uint64_t memtable_bytes_most = 2 * kMiB;  // Then needs_checkpoint() is true.
    std::uint32_t fanout = 8;                      // Of run sizes between levels.
    std::uint64_t run_bytes_most = 32 * kMiB;
};

struct IndexCounters {
    std::uint64_t gets = 0;
    std::uint64_t scans = 0;
    std::uint64_t blocks_read = 0;
    std::uint64_t blocks_written = 0;
    std::uint64_t compactions = 0;
    std::uint64_t runs = 0;
    std::uint64_t bloom_skips = 0;
};

using Entry = std::pair<std::string, std::string>;

// One shard's index: a log-structured merge tree (O'Neil 1996) of an in-memory table and
// sorted runs, paged, with bloom filters and paced compaction. Everything larger than the
// table is on drives: memory is bounded by the table and the shared cache.
//
// Durability is the journal's: apply() changes memory only; after a crash the owner opens the
// last published manifest and applies again what was appended behind the lsn it covers.
//
// Counters: `add` mutations sum up without reading; get() of a counter key gives 8 bytes,
// little-endian int64. A sum of zero reads as not_found. Who puts a counter puts 8 bytes that
// are not all zero.
//
// Deterministic; used from one core; get and scan may run while apply() happens and see it or
// not, but never half of a batch that was applied before they began.
class Index {
public:
    Index(Reactor& reactor, RunStore& store, BlockCache& cache, IndexSettings settings);
    ~Index();

    // Empty manifest: a new index. corrupt: the manifest or a page it needs is not readable.
    Task<Done> open(std::string manifest);
    // Background compaction has ended; nothing more is written.
    Task<Done> close();

    // Mutations put, erase and add; others are not for the index and are passed over. Keys have
    // 1 to 1,024 bytes, values up to 1 MiB.
    void apply(const Batch& batch, Lsn lsn);

    // not_found, corrupt, unavailable.
    Task<std::string> get(std::string key);
    // Entries with from <= key < to in key order, at most `most`. Fewer than `most` means that
    // the range is at its end.
    Task<std::vector<Entry>> scan(std::string from, std::string to, std::size_t most);

    // The table is large enough to be written out.
    bool needs_checkpoint() const;
    // Writes the table (frozen now; later mutations go to a new one) as a run and publishes the
    // manifest. When it ends, covered_lsn() is at least the last lsn applied before the call.
    // One at a time; reads go on.
    Task<Done> checkpoint();
    Lsn covered_lsn() const;
    // Merges runs where the shape asks for it, a bounded step at a time, yielding between. True
    // if there was something to do.
    Task<bool> compact_step();
    // Whether there would be; cheap.
    bool needs_merge() const;
    // Runs that lookups and scans have to look into beside one a level; a merge is worth it most
    // where there are many.
    std::size_t fresh_runs() const;
    // More has come than checkpoints and merges could take: whoever brings more is to wait.
    bool is_behind() const;
    // Keys for which `drop` is true mean nothing to anybody any more: merges leave them out.
    // Until then they may still be seen, even in an older state than the last. Called often,
    // without awaits; it may ask for what the owner has in memory.
    void set_drop_filter(std::function<bool(std::string_view key)> drop);
    // All live runs, for the owner's live-block accounts and its checks.
    std::vector<BlockRun> blocks() const;
    // Copies what live runs have in `segment` elsewhere, so that it can be freed.
    Task<Done> move_out_of(SegmentId segment);
    // Reads what live runs have in `segment`, past the cache; how many blocks are lost. Errors:
    // corrupt or unavailable, where the checksums themselves are.
    Task<std::uint64_t> verify(SegmentId segment);

    // The table, what stays in memory of runs (some hundred bytes a MiB) and a merge in
    // progress; not the cache.
    std::uint64_t memory_bytes() const;
    const IndexCounters& counters() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft::index
