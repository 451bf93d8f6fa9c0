#pragma once

#include "engines/index/index.h"
#include "engines/index/page.h"
#include "engines/index/run_internal.h"
#include "platform/memory/buffer.h"

#include <string>
#include <vector>

namespace weft::index {

// How much to append at once: full stripes, yet other work of the core waits little.
std::size_t append_bytes_of(const RunStore& store);

// Writes entries, given in key order, as one run: pages are gathered and appended to the store
// in large pieces. After an error the run is lost, and appended() says what it had written.
class RunWriter {
public:
    RunWriter(RunStore& store, IndexCounters& counters);

    // Takes a copy. Memory only: await flush() when it is due.
    void add(EntryKind kind, std::string_view key, std::string_view value);
    bool flush_due() const { return pending_bytes_ >= append_bytes_; }
    Task<Done> flush();
    // Writes the rest and the head. There must be an entry.
    struct Written {
        RunRecord record;  // Level 0.
        RunHead head;
    };
    Task<Written> finish();

    bool empty() const { return record_.entries == 0; }
    std::uint64_t bytes() const { return body_blocks_ * kBlockBytes + page_bytes_; }
    std::vector<BlockRun> appended() const;
    std::uint64_t memory_bytes() const;

private:
    Bytes take_blocks(std::uint32_t count);
    void close_page();
    void close_partition();
    Task<Done> append(std::size_t bytes, std::vector<BlockRun>* places);

    RunStore& store_;
    IndexCounters& counters_;
    std::size_t append_bytes_;

    PageBuilder page_{PageKind::entries};
    std::size_t page_bytes_ = 0;              // Of keys and values in page_, about.
    std::vector<std::uint64_t> page_hashes_;  // Of its keys, for the filter.
    std::string page_prefix_;                 // The last scan prefix among them.
    std::string last_key_;                    // Of the page before.
    PageBuilder fences_{PageKind::fences};    // The partition that is open.
    std::vector<std::uint64_t> hashes_;       // Of its pages.

    Buffer pending_;  // Blocks that are not appended yet.
    std::size_t pending_bytes_ = 0;
    std::uint32_t body_blocks_ = 0;  // Appended and pending.
    RunRecord record_;
    RunHead head_;
};

}  // namespace weft::index
