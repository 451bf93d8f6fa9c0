#include "engines/filedata/block_set_internal.h"

#include <random>

#include <gtest/gtest.h>

namespace weft::filedata {
namespace {

TEST(BlockSet, HasTheBlocksOfASpan) {
    BlockSet set = block_set({kRegionBlocks + 3, kRegionBlocks + 5});
    EXPECT_EQ(set.count(), 2U);
    EXPECT_TRUE(set.test(3) && set.test(4));
    EXPECT_TRUE(block_set({0, kRegionBlocks}).all());
    EXPECT_TRUE(block_set({7, 7}).none());
    EXPECT_TRUE(block_set({255, 256}).test(255));
}

TEST(BlockSet, GivesBackItsSpans) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 200; ++round) {
        BlockSet set;
        for (std::size_t i = 0; i < kRegionBlocks; ++i) set[i] = random() % 3 == 0;
        BlockSet again;
        std::uint64_t previous_end = 0;
        for (BlockSpan span : spans_of(set, 5)) {
            EXPECT_LT(span.first, span.end);
            EXPECT_TRUE(previous_end == 0 || span.first > previous_end);
            previous_end = span.end;
            again |= block_set(span);
        }
        EXPECT_EQ(again, set);
        BlockSet some = first_blocks(set, 10);
        EXPECT_EQ(some.count(), std::min<std::size_t>(10, set.count()));
        EXPECT_TRUE((some & ~set).none());
    }
}

TEST(BlockSpan, TellsTouchedFromFilledBlocks) {
    EXPECT_EQ(touched_blocks(1, 2), (BlockSpan{0, 1}));
    EXPECT_EQ(filled_blocks(1, 2).count(), 0U);
    EXPECT_EQ(touched_blocks(4095, 8193), (BlockSpan{0, 3}));
    EXPECT_EQ(filled_blocks(4095, 8193), (BlockSpan{1, 2}));
    EXPECT_EQ(filled_blocks(4096, 8192), (BlockSpan{1, 2}));
    EXPECT_EQ(filled_blocks(4097, 8191).count(), 0U);
}

}  // namespace
}  // namespace weft::filedata
