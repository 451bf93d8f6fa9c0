#pragma once

#include "engines/filedata/block_set_internal.h"
#include "model/layout/batch.h"
#include "model/layout/records.h"

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace weft::filedata {

// Extents of one file, edited as a value: read them, change a copy, record the difference.
//
// Invariant: they never overlap and never cross a region.
class ExtentSet {
public:
    using Map = std::map<std::uint64_t, ExtentRecord>;  // By first block.

    // False, and nothing done, if the extent breaks the invariant.
    bool insert(std::uint64_t first, ExtentRecord record);
    // Takes the blocks out of whatever extents have them.
    void cut(BlockSpan span);
    // Data from block `first` on, one place and one crc a block; what was there is cut.
    void lay(std::uint64_t first, std::span<const BlockAddress> places,
             std::span<const std::uint32_t> crcs);
    // Reserves the blocks of `span` that have no extent.
    void reserve(BlockSpan span);

    const Map& map() const { return map_; }
    bool empty() const { return map_.empty(); }
    // All blocks with an extent; only those with data. Of extents of one region.
    BlockSet blocks() const;
    BlockSet data_blocks() const;

private:
    Map map_;
};

// `count` blocks of the extent, from its block `skip` on.
ExtentRecord part_of(const ExtentRecord& record, std::uint64_t skip, std::uint64_t count);

// One address a block of the runs.
std::vector<BlockAddress> places_of(const std::vector<BlockRun>& runs);

// What turns `before` into `after`: extents, the summary entry of each data extent, and the
// live counters of the segments.
//
// Invariant: for each data extent (file, first block, address, count) there is exactly one
// summary entry (address, file, first block) -> count, and the live counter of a segment is
// the sum of its summary entries.
void record_difference(FileId file, const ExtentSet& before, const ExtentSet& after, Batch& batch);

std::string encode_summary(std::uint32_t count);
// Zero if malformed.
std::uint32_t decode_summary(std::string_view value);

}  // namespace weft::filedata
