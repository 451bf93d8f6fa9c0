#include "model/layout/routing.h"

#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr ShardRouting kRouting{SipKey{1, 2}, 1024};
constexpr FileId kFile{FilesystemId{1}, make_inode(ShardId{5}, 77)};

TEST(Routing, KeepsTheFirstRegionWithItsInode) {
    EXPECT_EQ(kRouting.of(kFile.inode), ShardId{5});
    EXPECT_EQ(kRouting.of(kFile, 0), ShardId{5});
}

// Data lies where this says: it may never change.
TEST(Routing, IsTheSameForGood) {
    EXPECT_EQ(kRouting.of(kFile, 1), ShardId{416});
    EXPECT_EQ(kRouting.of(kFile, 2), ShardId{419});
    EXPECT_EQ(kRouting.of(kFile, 1000000), ShardId{875});
    EXPECT_EQ(kRouting.of_new_directory(kFile, 1), ShardId{843});
    EXPECT_EQ(kRouting.of_new_directory(kFile, 999), ShardId{437});
}

TEST(Routing, SpreadsRegionsEvenly) {
    ShardRouting routing{SipKey{3, 4}, 16};
    std::vector<int> regions(16);
    for (std::uint64_t region = 1; region <= 16000; ++region) {
        ShardId shard = routing.of(kFile, region);
        ASSERT_LT(shard.value, 16U);
        ++regions[shard.value];
    }
    for (int count : regions) EXPECT_NEAR(count, 1000, 150);
}

TEST(Routing, SpreadsNewDirectoriesEvenly) {
    ShardRouting routing{SipKey{3, 4}, 16};
    std::vector<int> directories(16);
    for (std::uint64_t hash = 1; hash <= 16000; ++hash) {
        ++directories.at(routing.of_new_directory(kFile, hash).value);
    }
    for (int count : directories) EXPECT_NEAR(count, 1000, 150);
}

TEST(Routing, WorksWithOneShard) {
    ShardRouting routing{SipKey{}, 1};
    EXPECT_EQ(routing.of(kFile, 9), ShardId{0});
}

}  // namespace
}  // namespace weft
