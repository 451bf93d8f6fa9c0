#include "engines/index/block_cache_internal.h"

#include <gtest/gtest.h>

namespace weft::index {
namespace {

PagePtr make_page(std::uint64_t run, std::uint32_t block) {
    PagePtr page(new Page);
    page->run = run;
    page->block = block;
    page->bytes = Buffer(kBlockBytes);
    return page;
}

TEST(BlockCache, StaysWithinItsBound) {
    BlockCache cache(64 * kKiB);
    for (std::uint32_t i = 0; i < 1000; ++i) {
        cache.state().insert(make_page(i % 3, i), true);
        EXPECT_LE(cache.bytes(), 64 * kKiB);
    }
    EXPECT_GT(cache.bytes(), 50 * kKiB);
    EXPECT_TRUE(cache.state().find(999 % 3, 999));
    EXPECT_FALSE(cache.state().find(0, 0));
    EXPECT_EQ(cache.hits(), 1U);
    EXPECT_EQ(cache.misses(), 1U);
}

TEST(BlockCache, KeepsWhatIsAskedForOverWhatPassesBy) {
    BlockCache cache(64 * kKiB);
    cache.state().insert(make_page(1, 0), true);
    for (std::uint32_t i = 1; i < 1000; ++i) {
        cache.state().insert(make_page(1, i), false);
        ASSERT_TRUE(cache.state().find(1, 0)) << i;
    }
}

TEST(BlockCache, LeavesAPageToItsHolder) {
    BlockCache cache(64 * kKiB);
    PagePtr held = make_page(1, 0);
    held->bytes.data()[5] = std::byte{77};
    cache.state().insert(held, false);
    for (std::uint32_t i = 1; i < 100; ++i) cache.state().insert(make_page(1, i), false);
    EXPECT_FALSE(cache.state().find(1, 0));
    EXPECT_EQ(held->bytes.data()[5], std::byte{77});
    EXPECT_EQ(held->holders, 1U);
}

TEST(BlockCache, FindsEverythingWhileItGrows) {
    BlockCache cache(64 * kMiB);
    for (std::uint32_t i = 0; i < 5000; ++i) cache.state().insert(make_page(i / 7, i), false);
    for (std::uint32_t i = 0; i < 5000; ++i) ASSERT_TRUE(cache.state().find(i / 7, i)) << i;
    EXPECT_FALSE(cache.state().find(0, 7));
}

}  // namespace
}  // namespace weft::index
