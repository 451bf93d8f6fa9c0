#include "roles/drive/drive_format.h"

#include "platform/base/bytes.h"
#include "platform/isal/crc32c.h"

#include <array>
#include <cstring>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace weft::drive {
namespace {

using Block = std::array<std::byte, kBlockBytes>;

std::string hex(ConstBytes bytes) {
    std::string text;
    for (std::byte byte : bytes) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        text += kDigits[static_cast<unsigned>(byte) >> 4];
        text += kDigits[static_cast<unsigned>(byte) & 15];
    }
    return text;
}

Superblock example() {
    Superblock superblock = lay_out(64 * kMiB, 1 * kMiB).value();
    superblock.cluster = 0x1122334455667788;
    superblock.drive = DriveId{5};
    superblock.domain = FailureDomainId{7};
    superblock.incarnation = 0xaabbccdd;
    superblock.first_generation = Generation{0x100000};
    return superblock;
}

SlotBlock example_slots() {
    SlotBlock table;
    table.head = {0xaabbccdd, 9, 2};
    table.entries.resize(3);
    table.entries[1].state = SlotState::used;
    table.entries[1].owner = OwnerId::of(ShardId{4});
    table.entries[1].segment = SegmentId{0x0102030405060708};
    table.entries[1].chunk = 5;
    table.entries[1].generation = Generation{0x100001};
    table.entries[1].epoch = Epoch{3};
    return table;
}

// The bytes of docs/formats/drive.md. A change here is a new format version.
TEST(DriveFormat, SuperblockBytesNeverChange) {
    Block block;
    encode(example(), block);
    EXPECT_EQ(hex(ConstBytes(block).first(88)),
              "574546544452495601000000a3b8149d8877665544332211ddccbbaa00000000"
              "00001000000000000000000400000000000012000000000000201a0000000000"
              "00002000000000000500000007000000000010003e000000");
    EXPECT_EQ(crc32c(block), 3745515512U);
}

TEST(DriveFormat, SlotBlockBytesNeverChange) {
    Block block;
    encode(example_slots(), block);
    EXPECT_EQ(hex(ConstBytes(block).first(32)),
              "935e5cef020000000200000003000000ddccbbaa000000000900000000000000");
    EXPECT_EQ(hex(ConstBytes(block).subspan(72, 40)),
              "0807060504030201010010000000000003000000000000000100000004000000"
              "0500010000000000");
    EXPECT_EQ(crc32c(block), 2627338531U);
}

TEST(DriveFormat, FenceBlockBytesNeverChange) {
    FenceBlock table;
    table.head = {0xaabbccdd, 4, 1};
    table.entries.push_back({OwnerId::of(JournalId{6}), Epoch{12}});
    Block block;
    encode(table, block);
    EXPECT_EQ(hex(ConstBytes(block).first(48)),
              "095167b9010000000100000001000000ddccbbaa000000000400000000000000"
              "02000000060000000c00000000000000");
    EXPECT_EQ(decode_fence_block(block).value(), table);
}

TEST(DriveFormat, MapBytesNeverChange) {
    StoredMap stored{0xaabbccdd, 3, "a map"};
    std::vector<std::byte> area(encoded_bytes(stored));
    encode(stored, area);
    EXPECT_EQ(area.size(), 2 * kBlockBytes);
    EXPECT_EQ(hex(ConstBytes(area).first(32)),
              "52974bf7030000000500000000000000ddccbbaa000000000300000000000000");
    EXPECT_EQ(decode_map_area(area).value(), stored);
}

TEST(DriveFormat, DecodesWhatItEncodes) {
    Block block;
    encode(example(), block);
    EXPECT_EQ(decode_superblock(block).value(), example());
    encode(example_slots(), block);
    EXPECT_EQ(decode_slot_block(block).value(), example_slots());
    SlotBlock full;
    full.entries.resize(kSlotsPerBlock);
    encode(full, block);
    EXPECT_EQ(decode_slot_block(block).value(), full);
}

TEST(DriveFormat, TellsForeignDamagedAndNewerApart) {
    Block block{};
    EXPECT_EQ(decode_superblock(block).code(), Code::invalid);
    encode(example(), block);
    block[4000] ^= std::byte{1};
    EXPECT_EQ(decode_superblock(block).code(), Code::corrupt);
    encode(example(), block);
    block[8] = std::byte{2};  // The version; then a true checksum for it.
    for (int i = 12; i < 16; ++i) block[static_cast<std::size_t>(i)] = std::byte{0};
    std::uint32_t checksum = crc32c(block);
    std::memcpy(block.data() + 12, &checksum, 4);
    EXPECT_EQ(decode_superblock(block).code(), Code::not_supported);
}

TEST(DriveFormat, NoFlippedBitPasses) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 2000; ++round) {
        Block block;
        std::size_t bit = random() % (kBlockBytes * 8);
        encode(example(), block);
        block[bit / 8] ^= std::byte{1} << (bit % 8);
        EXPECT_FALSE(decode_superblock(block).ok());
        encode(example_slots(), block);
        block[bit / 8] ^= std::byte{1} << (bit % 8);
        EXPECT_FALSE(decode_slot_block(block).ok());
    }
}

TEST(DriveFormat, RefusesAMeaningItDoesNotKnow) {
    auto seal = [](Block& block, std::size_t at, std::size_t from) {
        std::memset(block.data() + at, 0, 4);
        std::uint32_t checksum = crc32c(ConstBytes(block).subspan(from));
        std::memcpy(block.data() + at, &checksum, 4);
    };
    Block block;
    encode(example(), block);
    block[100] = std::byte{1};
    seal(block, 12, 0);
    EXPECT_EQ(decode_superblock(block).code(), Code::corrupt);
    // A reserved field of the second entry, and a byte behind the third and last.
    for (std::size_t at : {32U + 2 * 40 - 1, 32U + 3 * 40}) {
        encode(example_slots(), block);
        block[at] = std::byte{1};
        seal(block, 0, 4);
        EXPECT_EQ(decode_slot_block(block).code(), Code::corrupt);
    }
}

// Goal: hostile bytes with a true checksum decode to an error or to something within bounds.
TEST(DriveFormat, StandsRandomFieldsWithATrueChecksum) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 5000; ++round) {
        Block block;
        encode(example(), block);
        std::size_t at = 16 + random() % 72;
        block[at] = static_cast<std::byte>(random());
        for (std::size_t i = 12; i < 16; ++i) block[i] = std::byte{0};
        std::uint32_t checksum = crc32c(block);
        std::memcpy(block.data() + 12, &checksum, 4);
        auto superblock = decode_superblock(block);
        if (!superblock.ok()) continue;
        std::uint64_t slots =
            std::uint64_t{superblock.value().slot_count} * superblock.value().slot_bytes;
        EXPECT_LE(superblock.value().slots_offset + slots, superblock.value().size_bytes);
    }
    for (int round = 0; round < 5000; ++round) {
        Block block;
        for (std::byte& byte : block) byte = static_cast<std::byte>(random());
        block[4] = std::byte{static_cast<unsigned char>(1 + round % 3)};
        block[5] = block[6] = block[7] = std::byte{0};
        block[13] = block[14] = block[15] = std::byte{0};
        std::uint32_t checksum = crc32c(ConstBytes(block).subspan(4));
        std::memcpy(block.data(), &checksum, 4);
        (void)decode_slot_block(block);
        (void)decode_fence_block(block);
        (void)decode_map_area(block);
    }
}

TEST(DriveFormat, LaysOutDrivesOfAnySize) {
    EXPECT_EQ(lay_out(1 * kMiB, 1 * kMiB).code(), Code::invalid);
    EXPECT_EQ(lay_out(64 * kMiB, 3 * kMiB).code(), Code::invalid);
    EXPECT_EQ(lay_out(64 * kMiB, 32 * kMiB).code(), Code::invalid);
    std::mt19937_64 random(3);
    for (int round = 0; round < 1000; ++round) {
        std::uint64_t size = random() % (std::uint64_t{1} << (22 + round % 24));
        auto slot_bytes = static_cast<std::uint32_t>(kMiB << (random() % 5));
        auto superblock = lay_out(size, slot_bytes);
        if (!superblock.ok()) continue;
        Block block;
        encode(superblock.value(), block);
        ASSERT_TRUE(decode_superblock(block).ok()) << size << " " << slot_bytes;
        std::uint64_t slots = std::uint64_t{superblock.value().slot_count} * slot_bytes;
        // No more than one slot is left over, beside the tables.
        EXPECT_GT(superblock.value().slots_offset + slots + 2 * slot_bytes, size);
    }
}

}  // namespace
}  // namespace weft::drive
