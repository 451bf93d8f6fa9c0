#include "engines/index/manifest.h"

#include "platform/base/bytes.h"
#include "platform/isal/crc32c.h"

#include <random>

#include <gtest/gtest.h>

namespace weft::index {
namespace {

BlockRun blocks(std::uint64_t segment, std::uint32_t block, std::uint16_t chunk,
                std::uint32_t count) {
    return BlockRun{{SegmentId{segment}, block, chunk}, count};
}

RunRecord run(std::uint8_t level, std::string first, std::string last) {
    RunRecord record;
    record.level = level;
    record.body_blocks = 5;
    record.entries = 100;
    record.erases = 3;
    record.first_key = std::move(first);
    record.last_key = std::move(last);
    record.head = CheckedBlocks{{blocks(7, 9, 1, 1)}, {0x11223344}};
    record.body = {blocks(7, 1, 0, 3), blocks(7, 8, 2, 2)};
    return record;
}

Manifest example() {
    Manifest manifest;
    manifest.covers = Lsn{42};
    manifest.runs = {run(0, "a", "z"), run(0, "b", "c"), run(1, "a", "m"), run(1, "n", "o"),
                     run(3, "a", "z")};
    return manifest;
}

std::string hex(std::string_view bytes) {
    std::string out;
    char digits[3];
    for (char byte : bytes) {
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
        out += digits;
    }
    return out;
}

TEST(Manifest, ComesBackAsItWas) {
    EXPECT_EQ(decode_manifest(encode(Manifest())).value(), Manifest());
    EXPECT_EQ(decode_manifest(encode(example())).value(), example());
}

// Format: docs/formats/index-run.md, whose example these bytes are.
TEST(Manifest, LiesInTheJournalAsItAlwaysDid) {
    Manifest manifest;
    manifest.covers = Lsn{42};
    manifest.runs = {run(0, "a", "z")};
    EXPECT_EQ(hex(encode(manifest)),
              "5757584d01002a00000000000000010000000005000000640000000000000003000000000000"
              "000100000061010000007a010000000100000007000000000000000900000001000100000044"
              "3322110200000007000000000000000100000000000300000007000000000000000800000002"
              "00020000008148a4b1");
}

TEST(Manifest, RefusesAnyChangedByte) {
    const std::string good = encode(example());
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 0x10);
        EXPECT_EQ(decode_manifest(bad).code(), Code::corrupt) << i;
        EXPECT_EQ(decode_manifest(good.substr(0, i)).code(), Code::corrupt) << i;
    }
    EXPECT_EQ(decode_manifest(good + "x").code(), Code::corrupt);
}

TEST(Manifest, RefusesRunsThatCannotBe) {
    auto refused = [](auto change) {
        Manifest manifest = example();
        change(manifest.runs);
        return decode_manifest(encode(manifest)).code() == Code::corrupt;
    };
    EXPECT_FALSE(refused([](auto&) {}));
    EXPECT_TRUE(refused([](auto& runs) { std::swap(runs[2], runs[3]); }));
    EXPECT_TRUE(refused([](auto& runs) { std::swap(runs[0], runs[4]); }));
    EXPECT_TRUE(refused([](auto& runs) { runs[3].first_key = "m"; }));
    EXPECT_TRUE(refused([](auto& runs) { runs[4].level = kLevelCount; }));
    EXPECT_TRUE(refused([](auto& runs) { runs[0].last_key = ""; }));
    EXPECT_TRUE(refused([](auto& runs) { runs[1].last_key = "a"; }));
    EXPECT_TRUE(refused([](auto& runs) { runs[0].entries = 0; }));
    EXPECT_TRUE(refused([](auto& runs) { runs[0].erases = 101; }));
    EXPECT_TRUE(refused([](auto& runs) { runs[0].body_blocks = 6; }));
    EXPECT_TRUE(refused([](auto& runs) { runs[0].body[0].count = 0; }));
    EXPECT_TRUE(refused([](auto& runs) { runs[0].body[0].first.block = UINT32_MAX - 1; }));
    EXPECT_TRUE(refused([](auto& runs) { runs[0].head.crcs.push_back(1); }));
}

// Goal: a checksum is no lock. Method: random changes under a checksum that is right.
TEST(Manifest, SurvivesAnyBytesUnderARightChecksum) {
    std::string good = encode(example());
    good.resize(good.size() - 4);
    std::mt19937_64 random(5);
    for (int round = 0; round < 20000; ++round) {
        std::string bad = good;
        for (std::uint64_t i = random() % 4 + 1; i > 0; --i) {
            bad[random() % bad.size()] = static_cast<char>(random());
        }
        if (random() % 4 == 0) bad.resize(random() % bad.size());
        ByteWriter(bad).number(crc32c(bytes_of(bad)));
        auto manifest = decode_manifest(bad);
        if (manifest.ok()) EXPECT_EQ(encode(manifest.value()), bad);
    }
}

RunHead example_head() {
    RunHead head;
    head.places = {blocks(7, 1, 0, 6), blocks(7, 8, 2, 4)};
    head.partitions = {Partition{"a", 2, {1, 2}, 3}, Partition{"k", 8, {4}, 5}};
    return head;
}

TEST(RunHead, ComesBackAsItWas) {
    std::string bytes = encode(example_head());
    EXPECT_EQ(bytes.size(), kBlockBytes);
    EXPECT_EQ(decode_head(bytes_of(bytes), 10).value(), example_head());
    EXPECT_EQ(decode_head(bytes_of(bytes), 9).code(), Code::corrupt);
    EXPECT_EQ(decode_head(bytes_of(bytes), 11).code(), Code::corrupt);
}

// Format: docs/formats/index-run.md, whose example these bytes are.
TEST(RunHead, LiesOnDrivesAsItAlwaysDid) {
    std::string bytes = encode(example_head());
    EXPECT_EQ(hex(std::string_view(bytes).substr(0, 104)),
              "0104000002000000070000000000000001000000000006000000070000000000000008000000"
              "020004000000020000000100000061020000000200010000000200000003000000010000006b"
              "08000000010004000000050000000000000000000000000000000000");
}

TEST(RunHead, SurvivesAnyBytes) {
    const std::string good = encode(example_head()).substr(0, 120);
    std::mt19937_64 random(6);
    for (int round = 0; round < 20000; ++round) {
        std::string bad = good;
        for (std::uint64_t i = random() % 4 + 1; i > 0; --i) {
            bad[random() % bad.size()] = static_cast<char>(random());
        }
        if (random() % 4 == 0) bad.resize(random() % bad.size());
        auto head = decode_head(bytes_of(bad), 10);
        if (!head.ok()) continue;
        EXPECT_EQ(count_blocks(head.value().places), 10U);
        for (const Partition& partition : head.value().partitions) {
            EXPECT_LT(partition.fences_block(), 10U);
        }
    }
}

TEST(BlockRuns, AreJoinedWhereTheyTouch) {
    EXPECT_EQ(joined({blocks(2, 4, 0, 2), blocks(1, 0, 1, 4), blocks(2, 0, 0, 4),
                      blocks(2, 6, 1, 1), blocks(1, 4, 1, 1)}),
              (std::vector<BlockRun>{blocks(1, 0, 1, 5), blocks(2, 0, 0, 6), blocks(2, 6, 1, 1)}));
}

}  // namespace
}  // namespace weft::index
