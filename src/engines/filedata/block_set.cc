#include "engines/filedata/block_set_internal.h"
#include "platform/base/check.h"

namespace weft::filedata {

BlockSet block_set(BlockSpan span) {
    CHECK(span.first <= span.end);
    if (span.first == span.end) return {};
    CHECK(span.first / kRegionBlocks == (span.end - 1) / kRegionBlocks);
    return (~BlockSet{} >> (kRegionBlocks - span.count())) << (span.first % kRegionBlocks);
}

std::vector<BlockSpan> spans_of(const BlockSet& set, std::uint64_t region) {
    std::vector<BlockSpan> spans;
    std::uint64_t base = region * kRegionBlocks;
    for (std::size_t i = 0; i < kRegionBlocks; ++i) {
        if (!set.test(i)) continue;
        bool goes_on = i > 0 && set.test(i - 1);
        if (!goes_on) spans.push_back({base + i, base + i});
        ++spans.back().end;
    }
    return spans;
}

BlockSet first_blocks(const BlockSet& set, std::uint64_t most) {
    BlockSet first;
    for (std::size_t i = 0; i < kRegionBlocks && most > 0; ++i) {
        if (!set.test(i)) continue;
        first.set(i);
        --most;
    }
    return first;
}

}  // namespace weft::filedata
