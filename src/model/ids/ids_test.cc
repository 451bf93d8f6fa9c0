#include "model/ids/ids.h"

#include <unordered_set>

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(InodeId, NamesItsShard) {
    InodeId inode = make_inode(ShardId{16383}, (1ULL << kInodeShardShift) - 1);
    EXPECT_EQ(shard_of(inode), ShardId{16383});
    EXPECT_LT(inode.value, 1ULL << 62);
    EXPECT_EQ(make_inode(ShardId{3}, 5).value, 0x0003000000000005ULL);
}

TEST(InodeId, OfTheRootIsInShardZero) {
    EXPECT_EQ(shard_of(kRootInode), ShardId{0});
}

TEST(OwnerId, TellsShardsFromJournals) {
    EXPECT_NE(OwnerId::of(ShardId{1}), OwnerId::of(JournalId{1}));
    EXPECT_EQ(OwnerId::of(ShardId{1}).number, 1U);
}

TEST(FileId, HashesByBothParts) {
    std::unordered_set<FileId> files;
    for (std::uint32_t filesystem = 1; filesystem <= 10; ++filesystem) {
        for (std::uint64_t inode = 1; inode <= 10; ++inode) {
            files.insert({FilesystemId{filesystem}, InodeId{inode}});
        }
    }
    EXPECT_EQ(files.size(), 100U);
    EXPECT_TRUE(files.contains({FilesystemId{3}, InodeId{4}}));
}

}  // namespace
}  // namespace weft
