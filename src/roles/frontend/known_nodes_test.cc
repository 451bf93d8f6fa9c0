#include "roles/frontend/known_nodes.h"

#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace weft::frontend {
namespace {

std::set<std::uint64_t> numbers(const KnownNodes& nodes) {
    std::set<std::uint64_t> all;
    for (InodeId inode : nodes.all()) EXPECT_TRUE(all.insert(inode.value).second);
    return all;
}

TEST(KnownNodesTest, KnowsTheRootAlways) {
    KnownNodes nodes;
    EXPECT_EQ(numbers(nodes), std::set<std::uint64_t>{kRootInode.value});
    nodes.told(kRootInode);
    EXPECT_EQ(numbers(nodes), std::set<std::uint64_t>{kRootInode.value});
    nodes.forgotten(kRootInode, 1);
    EXPECT_EQ(nodes.size(), 0U);
}

TEST(KnownNodesTest, ForgettingTheUnknownChangesNothing) {
    KnownNodes nodes;
    nodes.told(InodeId{100});
    nodes.forgotten(InodeId{101}, 1);   // Beside it.
    nodes.forgotten(InodeId{9000}, 1);  // Far away.
    EXPECT_EQ(nodes.size(), 1U);
    nodes.forgotten(InodeId{100}, 1000);  // More than it was told.
    EXPECT_EQ(nodes.size(), 0U);
    nodes.told(InodeId{100});
    EXPECT_EQ(nodes.size(), 1U);
}

// Few inodes, so that counts rise high; against a plain map of counts.
TEST(KnownNodesTest, CountsAsAMapDoes) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        std::mt19937_64 random(seed);
        KnownNodes nodes;
        std::map<std::uint64_t, std::uint64_t> counts;
        for (int step = 0; step < 20'000; ++step) {
            // Two numbers are in the upper half, where those of other shards lie.
            std::uint64_t number = 2 + random() % 40;
            if (number > 39) number += std::uint64_t{1} << 60;
            if (random() % 100 < 97) {
                nodes.told(InodeId{number});
                ++counts[number];
            } else {
                std::uint64_t known = counts.contains(number) ? counts[number] : 0;
                std::uint64_t times = random() % 2 == 0 ? known : random() % (known + 2);
                nodes.forgotten(InodeId{number}, times);
                if (known > 0) counts[number] -= std::min(known, times);
                if (counts.contains(number) && counts[number] == 0) counts.erase(number);
            }
            ASSERT_EQ(nodes.size(), counts.size()) << "seed " << seed << ", step " << step;
        }
        std::set<std::uint64_t> expected{kRootInode.value};
        for (const auto& [number, count] : counts) expected.insert(number);
        EXPECT_EQ(numbers(nodes), expected);
    }
}

}  // namespace
}  // namespace weft::frontend
