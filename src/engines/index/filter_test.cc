#include "engines/index/filter.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft::index {
namespace {

std::vector<std::byte> filter_of(std::size_t from, std::size_t to) {
    std::vector<std::uint64_t> hashes;
    for (std::size_t i = from; i < to; ++i) hashes.push_back(filter_hash(std::to_string(i)));
    std::vector<std::byte> blocks(filter_block_count(hashes.size()) * kBlockBytes);
    write_filter(hashes, blocks);
    return blocks;
}

bool may_hold(const std::vector<std::byte>& filter, std::size_t number) {
    std::uint64_t hash = filter_hash(std::to_string(number));
    auto count = static_cast<std::uint32_t>(filter.size() / kBlockBytes);
    ConstBytes all(filter);
    return filter_may_hold(all.subspan(filter_block_of(hash, count) * kBlockBytes, kBlockBytes),
                           hash);
}

TEST(Filter, NeverMissesAKeyAndSeldomHoldsAnother) {
    for (std::size_t count : {1U, 100U, 3270U, 3271U, 20000U}) {
        std::vector<std::byte> filter = filter_of(0, count);
        for (std::size_t at = 0; at < filter.size(); at += kBlockBytes) {
            EXPECT_TRUE(decode_filter(ConstBytes(filter).subspan(at, kBlockBytes)).ok());
        }
        for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(may_hold(filter, i)) << i;
        std::size_t wrong = 0;
        for (std::size_t i = count; i < count + 20000; ++i) wrong += may_hold(filter, i);
        EXPECT_LT(wrong, 400U) << count;
    }
}

// What a filter says is on drives: the hash and the bits it sets may never change.
// Format: docs/formats/index-run.md.
TEST(Filter, SetsTheSameBitsForever) {
    EXPECT_EQ(filter_hash("weft"), 10749142788204516536U);
    std::vector<std::uint64_t> hashes{0x0123456789abcdefULL};
    std::vector<std::byte> block(kBlockBytes);
    write_filter(hashes, block);
    std::string bits;
    for (std::size_t bit = 64; bit < kBlockBytes * 8; ++bit) {
        if ((block[bit / 8] >> (bit % 8) & std::byte{1}) != std::byte{0}) {
            bits += std::to_string(bit - 64) + " ";
        }
    }
    EXPECT_EQ(bits, "5568 7571 9574 11577 13580 15584 17587 ");
}

TEST(Filter, KnowsARangeWithinOneScanPrefix) {
    std::string inode(12, 'i');
    std::string next(11, 'i');
    next.push_back('j');
    EXPECT_TRUE(within_scan_prefix(inode, next));
    EXPECT_TRUE(within_scan_prefix(inode + "T", inode + "U"));
    EXPECT_TRUE(within_scan_prefix(inode + "T", next));
    EXPECT_FALSE(within_scan_prefix(inode, next + "a"));
    EXPECT_FALSE(within_scan_prefix(inode.substr(1), next));
    std::string last(12, '\xff');
    EXPECT_TRUE(within_scan_prefix(last + "a", last + "b"));
    EXPECT_FALSE(within_scan_prefix(last, ""));
    std::string carry = std::string(11, 'i') + '\xff';
    EXPECT_TRUE(within_scan_prefix(carry, std::string(10, 'i') + "j"));
}

}  // namespace
}  // namespace weft::index
