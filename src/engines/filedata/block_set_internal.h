#pragma once

#include "model/layout/routing.h"

#include <bitset>
#include <cstdint>
#include <vector>

namespace weft::filedata {

// Blocks [first, end) of a file.
struct BlockSpan {
    std::uint64_t first = 0;
    std::uint64_t end = 0;
    std::uint64_t count() const { return end - first; }
    friend bool operator==(const BlockSpan&, const BlockSpan&) = default;
};

// Some blocks of one region of a file; bit i is block i of the region.
using BlockSet = std::bitset<kRegionBlocks>;

// `span` must be inside one region.
BlockSet block_set(BlockSpan span);
// The runs of the set, in order, as blocks of the file.
std::vector<BlockSpan> spans_of(const BlockSet& set, std::uint64_t region);
// The first `most` blocks of the set.
BlockSet first_blocks(const BlockSet& set, std::uint64_t most);

// The blocks that bytes [from, to) touch, and those they fill.
constexpr BlockSpan touched_blocks(std::uint64_t from, std::uint64_t to) {
    return {from / kBlockBytes, divide_up(to, kBlockBytes)};
}
constexpr BlockSpan filled_blocks(std::uint64_t from, std::uint64_t to) {
    BlockSpan span{divide_up(from, kBlockBytes), to / kBlockBytes};
    if (span.end < span.first) span.end = span.first;
    return span;
}

}  // namespace weft::filedata
