#include "roles/compute/link_sums_internal.h"

#include <gtest/gtest.h>

namespace weft::compute {
namespace {

constexpr SipKey kKey{1, 2};

FileId file(std::uint64_t number) {
    return {FilesystemId{1}, InodeId{number}};
}

// Inodes with 0 to 2 links each, as they should be.
LinkSums sums_of(std::uint64_t inodes) {
    LinkSums sums(kKey);
    for (std::uint64_t i = 0; i < inodes; ++i) {
        for (std::uint64_t link = 0; link < i % 3; ++link) sums.found(file(inodes - 1 - i));
        sums.expect(file(i), (inodes - 1 - i) % 3);
    }
    return sums;
}

TEST(LinkSums, AreRightWhereAllLinksAre) {
    LinkSums sums = sums_of(100000);
    EXPECT_FALSE(sums.take_wrong(1000));
}

TEST(LinkSums, ShowWhichInodesAreToBeCountedOneByOne) {
    LinkSums sums = sums_of(100000);
    sums.found(file(77));          // One too many.
    sums.expect(file(1000), 3);    // Three are missing.
    sums.found(file(500000));      // Without a record.
    sums.expect(file(500001), 1);  // Without a name.
    ASSERT_TRUE(sums.take_wrong(100000));
    std::uint64_t taken = 0;
    for (std::uint64_t i = 0; i < 100000; ++i) taken += sums.is_taken(file(i)) ? 1U : 0U;
    EXPECT_LT(taken, 400U);
    for (std::uint64_t wrong : {77U, 1000U, 500000U, 500001U}) {
        EXPECT_TRUE(sums.is_taken(file(wrong)));
    }
    EXPECT_FALSE(sums.take_wrong(100000));
}

TEST(LinkSums, TakeABoundedNumberOfInodesAtATime) {
    LinkSums sums = sums_of(100000);
    for (std::uint64_t i = 0; i < 1000; ++i) sums.found(file(i));
    std::vector<int> times(1000);
    int looks = 0;
    for (; sums.take_wrong(10000); ++looks) {
        std::uint64_t taken = 0;
        for (std::uint64_t i = 0; i < 100000; ++i) taken += sums.is_taken(file(i)) ? 1U : 0U;
        EXPECT_LE(taken, 10000U);
        for (std::uint64_t i = 0; i < 1000; ++i) times[i] += sums.is_taken(file(i)) ? 1 : 0;
    }
    EXPECT_GT(looks, 2);
    for (int each : times) EXPECT_EQ(each, 1);
    LinkSums large = sums_of(100000);
    large.found(file(5));
    EXPECT_TRUE(large.take_wrong(1));
    EXPECT_FALSE(large.take_wrong(1));
}

}  // namespace
}  // namespace weft::compute
