#pragma once

#include "model/ids/ids.h"
#include "model/layout/block_address.h"
#include "platform/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::index {

// Level 0 is what checkpoints wrote: runs overlap, and newer ones win. In each further level
// runs do not overlap, and everything is older than in the level above.
inline constexpr std::uint8_t kLevelCount = 8;

// Blocks that hold one thing, in order, and the crc32c of each.
struct CheckedBlocks {
    std::vector<BlockRun> runs;
    std::vector<std::uint32_t> crcs;
    friend bool operator==(const CheckedBlocks&, const CheckedBlocks&) = default;
};

// One run, as a manifest lists it.
struct RunRecord {
    std::uint8_t level = 0;
    std::uint32_t body_blocks = 0;  // Blocks beside the head.
    std::uint64_t entries = 0;
    std::uint64_t erases = 0;  // Of these entries.
    std::string first_key;
    std::string last_key;
    CheckedBlocks head;
    std::vector<BlockRun> body;  // Sorted by address and joined: what is used, not the order.
    friend bool operator==(const RunRecord&, const RunRecord&) = default;
};

// All that an index consists of on drives. Runs by level; in level 0 the newest first, in
// others by key. Format: docs/formats/index-run.md.
struct Manifest {
    Lsn covers;  // Every mutation up to it is in the runs.
    std::vector<RunRecord> runs;
    friend bool operator==(const Manifest&, const Manifest&) = default;
};

std::string encode(const Manifest& manifest);
// corrupt: anything that encode() does not give.
Result<Manifest> decode_manifest(std::string_view bytes);

// A partition of a run: as many data pages as one page of fences leads to, and their filter.
// The filter's blocks and then that page follow one another in the run.
struct Partition {
    std::string key;  // Above every key of the partition before; at most the first of this one.
    std::uint32_t filter_first = 0;
    std::vector<std::uint32_t> filter_crcs;
    std::uint32_t fences_crc = 0;

    std::uint32_t filter_count() const { return static_cast<std::uint32_t>(filter_crcs.size()); }
    std::uint32_t fences_block() const { return filter_first + filter_count(); }
    friend bool operator==(const Partition&, const Partition&) = default;
};

// The top of a run: where its blocks lie, in the order of the run, and its partitions.
struct RunHead {
    std::vector<BlockRun> places;
    std::vector<Partition> partitions;
    friend bool operator==(const RunHead&, const RunHead&) = default;
};

// A multiple of 4 KiB, zeros behind.
std::string encode(const RunHead& head);
// corrupt: not the head of a run with so many body blocks.
Result<RunHead> decode_head(ConstBytes bytes, std::uint32_t body_blocks);

// Blocks in all runs.
std::uint64_t count_blocks(const std::vector<BlockRun>& runs);
// The same blocks, sorted by address, neighbours joined.
std::vector<BlockRun> joined(std::vector<BlockRun> runs);

}  // namespace weft::index
