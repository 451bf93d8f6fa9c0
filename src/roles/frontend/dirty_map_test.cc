#include "roles/frontend/dirty_map.h"

#include <cstring>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace weft::frontend {
namespace {

std::string noise(std::mt19937_64& random, std::size_t size) {
    std::string data(size, '\0');
    for (char& byte : data) byte = static_cast<char>(random());
    return data;
}

ConstBytes bytes(const std::string& data) {
    return std::as_bytes(std::span(data));
}

TEST(DirtyMap, JoinsWhatTouches) {
    MemoryPool pool(4);
    DirtyMap map(pool);
    map.write(0, bytes("abc"), 1);
    map.write(6, bytes("ghi"), 2);
    map.write(3, bytes("def"), 3);
    auto pieces = map.take_all();
    ASSERT_EQ(pieces.size(), 1U);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(pieces[0].bytes().data()), 9), "abcdefghi");
    EXPECT_EQ(pieces[0].since, 1);
    EXPECT_TRUE(map.empty());
    EXPECT_EQ(map.memory_bytes(), 0U);
}

TEST(DirtyMap, KeepsRegionsApart) {
    MemoryPool pool(4);
    DirtyMap map(pool);
    std::string data(64 * kKiB, 'x');
    map.write(kRegionBytes - 32 * kKiB, bytes(data), 1);
    auto complete = map.take_complete(0, UINT64_MAX);
    ASSERT_EQ(complete.size(), 1U);
    EXPECT_EQ(complete[0].end(), kRegionBytes);
    auto rest = map.take_all();
    ASSERT_EQ(rest.size(), 1U);
    EXPECT_EQ(rest[0].offset, kRegionBytes);
}

TEST(DirtyMap, AdoptsALargeWriteWithoutCopying) {
    MemoryPool pool(4);
    DirtyMap map(pool);
    Memory memory = pool.take();
    const std::byte* data = memory.bytes().data() + Memory::kHeadBytes;
    ASSERT_TRUE(map.adopt(kRegionBytes, memory, Memory::kHeadBytes, kRegionBytes, 1));
    EXPECT_FALSE(memory);
    auto pieces = map.take_all();
    ASSERT_EQ(pieces.size(), 1U);
    EXPECT_EQ(pieces[0].bytes().data(), data);
}

TEST(DirtyMap, LeavesAMemoryThatDoesNotFit) {
    MemoryPool pool(4);
    DirtyMap map(pool);
    Memory memory = pool.take();
    EXPECT_FALSE(map.adopt(1, memory, Memory::kHeadBytes, 128 * kKiB, 1));       // Unaligned.
    EXPECT_FALSE(map.adopt(0, memory, Memory::kHeadBytes, 4 * kKiB, 1));         // Small.
    EXPECT_FALSE(map.adopt(4096, memory, Memory::kHeadBytes, kRegionBytes, 1));  // Crosses.
    map.write(0, bytes("x"), 1);
    EXPECT_FALSE(map.adopt(0, memory, Memory::kHeadBytes, 128 * kKiB, 1));  // Overlaps.
    EXPECT_TRUE(memory);
}

// Goal: what leaves is what was written last, each byte once. Method: random writes, adoptions
// and takes against a plain array.
void expect_matches_array(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    MemoryPool pool(8);
    DirtyMap map(pool);
    constexpr std::uint64_t kSpan = 3 * kRegionBytes;
    std::string written(kSpan, '\0');
    std::string dirty(kSpan, 0);
    std::string received(kSpan, '\0');
    auto drain = [&](std::vector<Piece> pieces) {
        for (const Piece& piece : pieces) {
            ASSERT_GT(piece.length, 0U);
            ASSERT_EQ(piece.offset / kRegionBytes, (piece.end() - 1) / kRegionBytes);
            ASSERT_EQ(piece.at % kBlockBytes, piece.offset % kBlockBytes);
            for (std::uint64_t i = 0; i < piece.length; ++i) {
                ASSERT_EQ(dirty[piece.offset + i], 1) << "seed " << seed;
                dirty[piece.offset + i] = 0;
                received[piece.offset + i] = static_cast<char>(piece.bytes()[i]);
            }
        }
    };
    for (int step = 0; step < 60; ++step) {
        std::uint64_t most = random() % 4 == 0 ? 300 * kKiB : 9000;
        std::uint64_t length = 1 + random() % most;
        std::uint64_t offset = random() % (kSpan - length);
        if (random() % 2 == 0) offset = round_down(offset, kBlockBytes);
        std::string data = noise(random, length);
        written.replace(offset, length, data);
        for (std::uint64_t i = 0; i < length; ++i) dirty[offset + i] = 1;
        Memory memory = pool.take();
        std::memcpy(memory.bytes().data() + Memory::kHeadBytes, data.data(), length);
        if (!map.adopt(offset, memory, Memory::kHeadBytes, length, step)) {
            map.write(offset, bytes(data), step);
        }
        if (random() % 8 == 0) drain(map.take_complete(0, UINT64_MAX));
        if (random() % 16 == 0) {
            std::uint64_t from = random() % kSpan;
            std::uint64_t to = from + random() % kRegionBytes;
            drain(map.take(from, to));
            ASSERT_FALSE(map.touches(from, to));
        }
    }
    drain(map.take_all());
    ASSERT_EQ(dirty.find('\1'), std::string::npos) << "seed " << seed;
    ASSERT_TRUE(received == written) << "seed " << seed;
    ASSERT_EQ(map.data_bytes(), 0U);
    ASSERT_EQ(map.memory_bytes(), 0U);
}

TEST(DirtyMap, GivesBackWhatWasWrittenLast) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) expect_matches_array(seed);
}

}  // namespace
}  // namespace weft::frontend
