#include "model/layout/records.h"

#include <random>

#include <gtest/gtest.h>

namespace weft {
namespace {

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

InodeRecord some_inode() {
    InodeRecord record;
    record.mode = 0120777;
    record.uid = 1;
    record.gid = 2;
    record.nlink = 3;
    record.size = 4;
    record.blocks = 5;
    record.atime = {-6, 999'999'999};
    record.mtime = {10'000'000'000, 7};
    record.ctime = {8, 0};
    record.btime = {9, 1};
    record.rdev = 10;
    record.generation = 11;
    record.version = 12;
    record.parent = InodeId{13};
    record.symlink = "to";
    return record;
}

ExtentRecord some_data() {
    ExtentRecord record;
    record.first = {SegmentId{0x0102030405060708}, 0x11121314, 0x2122};
    record.count = 2;
    record.crcs = {0x31323334, 0x41424344};
    return record;
}

ExtentRecord some_reserved() {
    ExtentRecord record;
    record.kind = ExtentRecord::Kind::reserved;
    record.count = 64;
    return record;
}

SegmentRecord some_segment() {
    SegmentRecord record;
    record.data_width = 1;
    record.parity_width = 1;
    record.stream = StreamKind::cleaner;
    record.closed = true;
    record.slot_blocks = 256;
    record.used_blocks = 255;
    record.born_ns = 7;
    record.slots = {{DriveId{1}, SlotIndex{2}, Generation{3}}, {}};
    return record;
}

// docs/formats/index-values.md has these bytes: they lie on drives.
TEST(Records, HaveTheBytesOfTheFormat) {
    ReplyRecord reply{0x0102030405060708, FilesystemId{9}, InodeId{0x1112131415161718}};
    EXPECT_EQ(hex(encode(reply)), "010807060504030201090000001817161514131211");
    EXPECT_EQ(decode_reply(encode(reply)), reply);
    reply.count = 0x2122232425262728;
    EXPECT_EQ(hex(encode(reply)), "0108070605040302010900000018171615141312112827262524232221");
    EXPECT_EQ(decode_reply(encode(reply)), reply);
    LeaseClientRecord client{0x0102030405060708};
    EXPECT_EQ(hex(encode(client)), "010807060504030201");
    EXPECT_EQ(decode_lease_client(encode(client)), client);
    EXPECT_EQ(hex(encode(EntryRecord{InodeId{0x0102030405060708}, 0100000})),
              "01080706050403020100800000");
    EXPECT_EQ(hex(encode(some_data())), "010200000008070605040302011413121122213433323144434241");
    EXPECT_EQ(hex(encode(some_reserved())), "0240000000");
    EXPECT_EQ(hex(encode(some_segment())),
              "01010102010001"
              "0000ff0000000700000000000000"
              "01000000020000000300000000000000"
              "ffffffff000000000000000000000000");
    EXPECT_EQ(hex(encode(some_inode())),
              "01ffa10000010000000200000003000000"
              "04000000000000000500000000000000"
              "faffffffffffffffffc99a3b00e40b5402000000070000000800000000000000"
              "00000000090000000000000001000000"
              "0a000000000000000b000000000000000c000000000000000d00000000000000"
              "02000000746f");
}

TEST(Records, ComeBackAsTheyWere) {
    EXPECT_EQ(decode_inode(encode(some_inode())), some_inode());
    EXPECT_EQ(decode_inode(encode(InodeRecord{})), InodeRecord{});
    EntryRecord entry{InodeId{1}, 2};
    EXPECT_EQ(decode_entry(encode(entry)), entry);
    EXPECT_EQ(decode_extent(encode(some_data())), some_data());
    EXPECT_EQ(decode_extent(encode(some_reserved())), some_reserved());
    EXPECT_EQ(decode_segment(encode(some_segment())), some_segment());
}

TEST(Records, RefuseWhatIsCutOrTooLong) {
    std::string inode = encode(some_inode());
    std::string entry = encode(EntryRecord{InodeId{1}, 2});
    std::string extent = encode(some_data());
    std::string segment = encode(some_segment());
    for (std::size_t size = 0; size < inode.size(); ++size) {
        EXPECT_FALSE(decode_inode(inode.substr(0, size)).has_value());
        if (size < entry.size()) EXPECT_FALSE(decode_entry(entry.substr(0, size)).has_value());
        if (size < extent.size()) EXPECT_FALSE(decode_extent(extent.substr(0, size)).has_value());
        if (size < segment.size()) {
            EXPECT_FALSE(decode_segment(segment.substr(0, size)).has_value());
        }
    }
    EXPECT_FALSE(decode_inode(inode + "x").has_value());
    EXPECT_FALSE(decode_entry(entry + "x").has_value());
    EXPECT_FALSE(decode_extent(extent + "x").has_value());
    EXPECT_FALSE(decode_segment(segment + "x").has_value());
}

TEST(Records, RefuseValuesOutOfRange) {
    std::string extent = encode(some_data());
    for (char kind : {'\0', '\3'}) {
        extent[0] = kind;
        EXPECT_FALSE(decode_extent(extent).has_value());
    }
    EXPECT_FALSE(decode_extent(std::string("\2\0\0\0\0", 5)).has_value());
    EXPECT_FALSE(decode_extent(std::string("\2\x41\0\0\0", 5)).has_value());
    EXPECT_FALSE(decode_extent(std::string("\1\xff\xff\xff\xff", 5)).has_value());

    std::string wraps = encode(some_data());
    for (std::size_t at = 13; at < 17; ++at) wraps[at] = '\xff';
    EXPECT_FALSE(decode_extent(wraps).has_value());

    std::string segment = encode(some_segment());
    for (auto [at, value] : {std::pair{0, 9}, {1, 0}, {1, 3}, {3, 4}, {4, 2}}) {
        std::string changed = segment;
        changed[static_cast<std::size_t>(at)] = static_cast<char>(value);
        EXPECT_FALSE(decode_segment(changed).has_value()) << at;
    }
    SegmentRecord overfull = some_segment();
    overfull.used_blocks = 257;
    EXPECT_FALSE(decode_segment(encode(overfull)).has_value());
}

// Goal: hostile bytes never crash, and what decodes encodes to the same bytes. Method: noise,
// and true records with bytes changed.
TEST(Records, SurviveNoise) {
    std::mt19937_64 random(3);
    std::vector<std::string> seeds = {encode(some_inode()), encode(some_data()),
                                      encode(some_segment()), std::string(60, '\1')};
    for (int i = 0; i < 20000; ++i) {
        std::string value = seeds[random() % seeds.size()];
        for (std::uint64_t flips = random() % 4; flips > 0; --flips) {
            value[random() % value.size()] = static_cast<char>(random());
        }
        if (auto got = decode_inode(value)) EXPECT_EQ(encode(*got), value);
        if (auto got = decode_entry(value)) EXPECT_EQ(encode(*got), value);
        if (auto got = decode_extent(value)) EXPECT_EQ(encode(*got), value);
        if (auto got = decode_segment(value)) EXPECT_EQ(encode(*got), value);
    }
}

}  // namespace
}  // namespace weft
