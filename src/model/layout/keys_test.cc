#include "model/layout/keys.h"

#include "platform/base/bytes.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr FileId kFile{FilesystemId{0x01020304}, InodeId{0x1112131415161718}};
constexpr SegmentId kSegment{0x2122232425262728};

std::string hex(std::string_view bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (char byte : bytes) {
        auto value = static_cast<unsigned char>(byte);
        out += kDigits[value >> 4];
        out += kDigits[value & 15];
    }
    return out;
}

// docs/formats/index-keys.md has these bytes: they lie on drives.
TEST(Keys, HaveTheBytesOfTheFormat) {
    EXPECT_EQ(hex(keys::inode(kFile)), "01020304111213141516171849");
    EXPECT_EQ(hex(keys::xattr(kFile, "ab")), "010203041112131415161718586162");
    EXPECT_EQ(hex(keys::extent(kFile, 0x31)), "010203041112131415161718540000000000000031");
    EXPECT_EQ(hex(keys::entry(kFile, 0x41, "ab")),
              "0102030411121314151617184400000000000000416162");
    EXPECT_EQ(hex(keys::staged(kFile, 0x51, 0x61)),
              "0102030411121314151617184700000000000000510000000000000061");
    EXPECT_EQ(hex(keys::orphan(kFile)), "000000004f010203041112131415161718");
    EXPECT_EQ(hex(keys::usage_blocks(FilesystemId{7})), "00000000550000000762");
    EXPECT_EQ(hex(keys::usage_inodes(FilesystemId{7})), "00000000550000000769");
    EXPECT_EQ(hex(keys::reply(1, 2)), "000000005200000000000000010000000000000002");
    EXPECT_EQ(hex(keys::client(keys::Kind::lock_client, 258)), "000000004b0000000000000102");
    EXPECT_EQ(hex(keys::client(keys::Kind::lease_client, 258)), "00000000430000000000000102");
    EXPECT_EQ(hex(keys::segment(kSegment)), "00000000532122232425262728");
    EXPECT_EQ(hex(keys::live(kSegment)), "000000004c2122232425262728");
    EXPECT_EQ(hex(keys::summary({kSegment, 0x71, 0x81}, {kFile, 0x91})),
              "000000004d212223242526272800810000007101020304111213141516171800000000"
              "00000091");
    EXPECT_EQ(hex(keys::next_inode()), "000000004e");
}

TEST(Keys, GiveBackWhatTheyWereMadeOf) {
    auto extent = keys::parse_extent(keys::extent(kFile, 9));
    ASSERT_TRUE(extent.has_value());
    EXPECT_EQ(extent->file, kFile);
    EXPECT_EQ(extent->end_block, 9U);

    std::string entry_key = keys::entry(kFile, 5, "name");
    auto entry = keys::parse_entry(entry_key);
    ASSERT_TRUE(entry.has_value());
    EXPECT_EQ(entry->directory, kFile);
    EXPECT_EQ(entry->hash, 5U);
    EXPECT_EQ(entry->name, "name");

    std::string xattr_key = keys::xattr(kFile, "user.a");
    EXPECT_EQ(keys::parse_xattr(xattr_key), "user.a");
    EXPECT_EQ(keys::parse_segment(keys::segment(kSegment)), kSegment);
    EXPECT_EQ(keys::parse_live(keys::live(kSegment)), kSegment);
    EXPECT_EQ(keys::parse_orphan(keys::orphan(kFile)), kFile);
    EXPECT_EQ(keys::parse_reply(keys::reply(7, 9)), 7U);
    constexpr keys::Kind kLocks = keys::Kind::lock_client;
    constexpr keys::Kind kLeases = keys::Kind::lease_client;
    EXPECT_EQ(keys::parse_client(kLocks, keys::client(kLocks, 7)), 7U);
    EXPECT_FALSE(keys::parse_client(kLocks, keys::client(kLeases, 7)).has_value());
    EXPECT_FALSE(keys::parse_client(kLocks, keys::reply(7, 9)).has_value());
    EXPECT_FALSE(keys::parse_reply(keys::orphan(kFile)).has_value());
    EXPECT_EQ(keys::parse_inode(keys::inode(kFile)), kFile);

    BlockAddress first{kSegment, 17, 3};
    BlockOwner owner{kFile, 1234};
    auto summary = keys::parse_summary(keys::summary(first, owner));
    ASSERT_TRUE(summary.has_value());
    EXPECT_EQ(summary->first, first);
    EXPECT_EQ(summary->owner, owner);

    auto staged = keys::parse_staged(keys::staged(kFile, 77, 88));
    ASSERT_TRUE(staged.has_value());
    EXPECT_EQ(staged->file, kFile);
    EXPECT_EQ(staged->offset, 77U);
    EXPECT_EQ(staged->length, 88U);
}

TEST(Keys, SortAsTheirNumbersDo) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 2000; ++i) {
        std::uint64_t a = random() >> (random() % 64);
        std::uint64_t b = random() >> (random() % 64);
        EXPECT_EQ(a < b, keys::extent(kFile, a) < keys::extent(kFile, b));
        EXPECT_EQ(a < b, keys::entry(kFile, a, "z") < keys::entry(kFile, b, "a"));
        EXPECT_EQ(a < b, keys::segment(SegmentId{a}) < keys::segment(SegmentId{b}));
        FileId file_a{FilesystemId{1}, InodeId{a}};
        FileId file_b{FilesystemId{1}, InodeId{b}};
        EXPECT_EQ(a < b, keys::inode(file_a) < keys::inode(file_b));
        EXPECT_EQ(a < b, keys::xattr(file_a, "z") < keys::extent(file_b, 0) && a != b);
    }
}

bool within(const std::string& key, const std::string& prefix) {
    return key >= prefix && key < keys::after_prefix(prefix);
}

TEST(Keys, OfOneKindAreOneScan) {
    SegmentId most{~0ULL};
    FileId last{FilesystemId{~0U}, InodeId{~0ULL}};
    std::vector<std::string> all = {keys::inode(kFile),
                                    keys::xattr(kFile, "\xff"),
                                    keys::extent(kFile, ~0ULL),
                                    keys::entry(kFile, ~0ULL, "\xff\xff"),
                                    keys::orphan(last),
                                    keys::orphan(kFile),
                                    keys::usage_blocks(last.filesystem),
                                    keys::usage_inodes(FilesystemId{1}),
                                    keys::reply(1, 1),
                                    keys::client(keys::Kind::lock_client, 1),
                                    keys::client(keys::Kind::lease_client, 1),
                                    keys::segment(most),
                                    keys::segment(kSegment),
                                    keys::live(most),
                                    keys::live(kSegment),
                                    keys::summary({kSegment, 1, 1}, {kFile, 1}),
                                    keys::summary({most, ~0U, 0xffff}, {last, ~0ULL}),
                                    keys::next_inode(),
                                    keys::extent(last, ~0ULL),
                                    keys::inode(last)};
    auto count = [&all](const std::string& prefix) {
        return std::count_if(all.begin(), all.end(),
                             [&prefix](const std::string& key) { return within(key, prefix); });
    };
    EXPECT_EQ(count(keys::segment_prefix()), 2);
    EXPECT_EQ(count(keys::live_prefix()), 2);
    EXPECT_EQ(count(keys::orphan_prefix()), 2);
    EXPECT_EQ(count(keys::usage_prefix()), 2);
    EXPECT_EQ(count(keys::summary_prefix(kSegment)), 1);
    EXPECT_EQ(count(keys::summary_prefix(most)), 1);
    EXPECT_EQ(count(keys::extent_prefix(kFile)), 1);
    EXPECT_EQ(count(keys::entry_prefix(kFile)), 1);
    EXPECT_EQ(count(keys::xattr_prefix(kFile)), 1);
}

TEST(Keys, AfterPrefixSkipsBytesThatCannotRise) {
    EXPECT_EQ(keys::after_prefix("a"), "b");
    EXPECT_EQ(keys::after_prefix("a\xff\xff"), "b");
    EXPECT_EQ(keys::after_prefix("\xff"), "");
}

// Goal: no key of one kind is taken for another, and hostile bytes give nothing. Method: every
// parser on every other key, on every cut of it, and on noise.
TEST(Keys, ParseOnlyTheirOwnKind) {
    std::vector<std::string> all = {
        keys::inode(kFile),        keys::xattr(kFile, "abcdefgh"),
        keys::extent(kFile, 1),    keys::entry(kFile, 1, "n"),
        keys::orphan(kFile),       keys::segment(kSegment),
        keys::live(kSegment),      keys::summary({kSegment, 1, 1}, {kFile, 1}),
        keys::staged(kFile, 1, 2), keys::next_inode()};
    std::mt19937_64 random(2);
    for (int i = 0; i < 500; ++i) {
        std::string noise(random() % 40, '\0');
        for (char& byte : noise) byte = static_cast<char>(random());
        all.push_back(noise);
    }
    for (const std::string& key : all) {
        int parsed = keys::parse_inode(key).has_value() + keys::parse_extent(key).has_value() +
                     keys::parse_entry(key).has_value() + keys::parse_xattr(key).has_value() +
                     keys::parse_segment(key).has_value() + keys::parse_live(key).has_value() +
                     keys::parse_summary(key).has_value() + keys::parse_staged(key).has_value() +
                     keys::parse_orphan(key).has_value();
        EXPECT_LE(parsed, 1) << hex(key);
        for (std::size_t size = 0; size < key.size(); ++size) {
            std::string cut = key.substr(0, size);
            EXPECT_FALSE(keys::parse_extent(cut).has_value());
            EXPECT_FALSE(keys::parse_segment(cut).has_value());
            EXPECT_FALSE(keys::parse_live(cut).has_value());
            EXPECT_FALSE(keys::parse_summary(cut).has_value());
            EXPECT_FALSE(keys::parse_staged(cut).has_value());
            EXPECT_FALSE(keys::parse_orphan(cut).has_value());
        }
    }
    EXPECT_FALSE(keys::parse_extent(keys::extent(kFile, 1) + "x").has_value());
    EXPECT_FALSE(keys::parse_staged(keys::staged(kFile, ~0ULL, 2)).has_value());
}

// docs/formats/index-keys.md: directories sort by this for good.
TEST(NameHash, IsTheSameForGood) {
    EXPECT_EQ(name_hash("a"), 0x5256f482ba47a1cbU);
    EXPECT_EQ(name_hash("hello.txt"), 0x680850e128f53995U);
    EXPECT_EQ(name_hash(""), 0x7dfe3d72a831f7bdU);
}

TEST(NameHash, LeavesRoomForTheDotsAndTheSign) {
    for (int i = 0; i < 10000; ++i) {
        std::uint64_t hash = name_hash(std::to_string(i));
        EXPECT_GE(hash, 3U);
        EXPECT_LT(hash, 1ULL << 63);
    }
}

}  // namespace
}  // namespace weft
