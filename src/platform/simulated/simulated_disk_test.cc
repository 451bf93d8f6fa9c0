#include "platform/simulated/simulated_disk.h"

#include "platform/simulated/simulated_reactor.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr std::uint64_t kBlocks = 256;
constexpr std::size_t kSector = 512;

struct Bench {
    void write(std::uint64_t block, char filler) {
        std::vector<std::byte> buffer(kBlockBytes, std::byte(filler));
        ASSERT_TRUE(reactor.run(disk.write(block * kBlockBytes, buffer)).ok());
    }
    void flush() { ASSERT_TRUE(reactor.run(disk.flush()).ok()); }
    std::string read(std::uint64_t block) {
        std::vector<std::byte> buffer(kBlockBytes);
        EXPECT_TRUE(reactor.run(disk.read(block * kBlockBytes, buffer)).ok());
        const char* chars = reinterpret_cast<const char*>(buffer.data());
        return {chars, kBlockBytes};
    }
    // What the block is full of, if it is of one thing.
    std::optional<char> filler(std::uint64_t block) {
        std::string content = read(block);
        bool one = content == std::string(kBlockBytes, content[0]);
        return one ? std::optional(content[0]) : std::nullopt;
    }

    SimulatedReactor reactor{7};
    SimulatedDisk disk{reactor, kBlocks* kBlockBytes};
};

TEST(SimulatedDisk, LossOfPowerTearsOnlyWhatWasNotFlushedAndBySectors) {
    Bench bench;
    int torn = 0;
    for (int round = 0; round < 20; ++round) {
        for (std::uint64_t block = 0; block < kBlocks; ++block) bench.write(block, 'a');
        bench.flush();
        for (std::uint64_t block = 1; block < kBlocks; ++block) bench.write(block, 'b');
        bench.disk.lose_power();
        EXPECT_EQ(bench.filler(0), 'a');
        for (std::uint64_t block = 1; block < kBlocks; ++block) {
            std::string content = bench.read(block);
            for (std::size_t at = 0; at < kBlockBytes; at += kSector) {
                std::string sector = content.substr(at, kSector);
                ASSERT_TRUE(sector == std::string(kSector, 'a') ||
                            sector == std::string(kSector, 'b'));
            }
            if (!bench.filler(block).has_value()) ++torn;
        }
    }
    EXPECT_GT(torn, 0);
}

TEST(SimulatedDisk, LossOfPowerMayLeaveShortWritesAlone) {
    Bench bench;
    for (std::uint64_t block = 0; block < 8; ++block) bench.write(block, 'a');
    bench.flush();
    bench.write(0, 'b');
    std::vector<std::byte> buffer(3 * kBlockBytes, std::byte('b'));
    ASSERT_TRUE(bench.reactor.run(bench.disk.write(3 * kBlockBytes, buffer)).ok());
    bench.disk.lose_power(SimulatedDisk::Kept::short_writes);
    EXPECT_EQ(bench.filler(0), 'b');
    for (std::uint64_t block = 3; block < 6; ++block) EXPECT_EQ(bench.filler(block), 'a');
}

TEST(SimulatedDisk, ALostWriteIsAckedAndLeavesWhatWasThere) {
    Bench bench;
    bench.write(3, 'a');
    bench.disk.lie({.lost_one_in = 1, .misdirected_one_in = 0}, 1);
    bench.write(3, 'b');
    bench.flush();
    EXPECT_EQ(bench.filler(3), 'a');
    bench.disk.lie({}, 1);
    bench.write(3, 'c');
    EXPECT_EQ(bench.filler(3), 'c');
}

TEST(SimulatedDisk, AMisdirectedWriteLandsOnceAndElsewhere) {
    Bench bench;
    for (std::uint64_t block = 0; block < kBlocks; ++block) bench.write(block, 'a');
    bench.disk.lie({.lost_one_in = 0, .misdirected_one_in = 1}, 4);
    bench.write(3, 'b');
    std::uint64_t foreign = 0;
    for (std::uint64_t block = 0; block < kBlocks; ++block) {
        if (bench.filler(block) == 'b') foreign += block == 3 ? 100 : 1;
    }
    EXPECT_EQ(foreign, 1U);
}

TEST(SimulatedDisk, AFullFileTakesOnlyWhatItHasAlready) {
    Bench bench;
    bench.write(3, 'a');
    bench.disk.set_full(true);
    bench.write(3, 'b');
    EXPECT_EQ(bench.filler(3), 'b');
    std::vector<std::byte> buffer(2 * kBlockBytes);
    auto written = bench.reactor.run(bench.disk.write(3 * kBlockBytes, buffer));
    EXPECT_EQ(written.code(), Code::out_of_space);
    bench.disk.set_full(false);
    bench.write(4, 'c');
    EXPECT_EQ(bench.filler(4), 'c');
}

TEST(SimulatedDisk, AStallMakesOneOperationLong) {
    Bench bench;
    bench.disk.set_stalls(1, kSecond);
    Nanos begun = bench.reactor.now();
    bench.write(3, 'a');
    EXPECT_GE(bench.reactor.now() - begun, kSecond);
}

}  // namespace
}  // namespace weft
