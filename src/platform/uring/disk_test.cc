#include "platform/memory/buffer.h"
#include "platform/runtime/gate.h"
#include "platform/uring/file_disk_internal.h"
#include "platform/uring/machine_testing_internal.h"

#include <cstring>
#include <random>

#include <sys/stat.h>

namespace weft {
namespace {

class DiskTest : public OnBothMachines {
protected:
    std::unique_ptr<Disk> make_disk(std::uint64_t size,
                                    Preallocation preallocation = Preallocation::reserved) {
        std::string at = path("drive");
        Result<Done> made = machine().run(machine().create_disk_file(at, size, preallocation));
        CHECK(made.ok());
        return std::move(machine().open_disk(at).value().disk);
    }
};
WEFT_ON_BOTH_MACHINES(DiskTest);

Buffer filled(std::size_t size, char byte) {
    Buffer buffer(size);
    std::memset(buffer.data(), byte, size);
    return buffer;
}

TEST_P(DiskTest, GivesBackWhatWasWritten) {
    auto disk = make_disk(1 * kMiB);
    EXPECT_EQ(disk->size_bytes(), 1 * kMiB);
    EXPECT_FALSE(disk->power_safe());
    Buffer out = filled(64 * kKiB, 'x');
    ASSERT_TRUE(machine().run(disk->write(8 * kKiB, out.bytes())).ok());
    ASSERT_TRUE(machine().run(disk->flush()).ok());
    Buffer in = filled(64 * kKiB, 0);
    ASSERT_TRUE(machine().run(disk->read(8 * kKiB, in.bytes())).ok());
    EXPECT_EQ(std::memcmp(in.data(), out.data(), in.size()), 0);
    ASSERT_TRUE(machine().run(disk->read(0, in.bytes().first(8 * kKiB))).ok());
    EXPECT_EQ(in.data()[0], std::byte{0});
}

// Small writes go through the page cache, large ones and reads past it: each sees the others.
TEST_P(DiskTest, WritesOfEverySizeSeeEachOther) {
    constexpr std::size_t kLarge = 2 * FileDisk::kCachedWriteMost;
    auto disk = make_disk(kLarge);
    Buffer in(kLarge);
    Buffer large(kLarge);
    auto read_back = [&] {
        CHECK(machine().run(disk->read(0, in.bytes())).ok());
        return std::string(reinterpret_cast<const char*>(in.data()), in.size());
    };
    std::string expected(kLarge, '\0');
    for (char round = 'a'; round < 'e'; ++round) {
        Buffer small = filled(kBlockBytes, round);
        for (std::size_t at = 0; at < kLarge; at += 4 * kBlockBytes) {
            ASSERT_TRUE(machine().run(disk->write(at, small.bytes())).ok());
            expected.replace(at, kBlockBytes, kBlockBytes, round);
        }
        EXPECT_EQ(read_back(), expected) << round;
        // Small writes go past the page cache, too, for a while after a flush.
        if (round == 'b') ASSERT_TRUE(machine().run(disk->flush()).ok());
        std::memset(large.data(), round - 'a' + 'A', kLarge);
        ASSERT_TRUE(machine().run(disk->write(0, large.bytes())).ok());
        expected.assign(kLarge, static_cast<char>(round - 'a' + 'A'));
        EXPECT_EQ(read_back(), expected) << round;
    }
}

// A commit goes to several drives: it must not wait for a thread of the kernel at each.
TEST_P(DiskTest, SmallWritesEndAtOnce) {
    auto disk = make_disk(1 * kMiB);
    Buffer small = filled(kBlockBytes, 's');
    // Unless one was so slow that the next goes to the ring.
    bool at_once = false;
    for (int attempt = 0; attempt < 100 && !at_once; ++attempt) {
        Task<Done> write = disk->write(0, small.bytes());
        write.start(std::noop_coroutine());
        at_once = write.ended();
        auto pause = [&]() -> Task<Done> {
            co_await sleep(machine(), 20 * kMillisecond);
            co_return Done{};
        };
        while (!write.ended()) ASSERT_TRUE(machine().run(pause()).ok());
    }
    EXPECT_TRUE(at_once);
}

TEST(InPlaceWritesTest, AfterAStallTheyAreAvoidedForAWhile) {
    InPlaceWrites writes;
    EXPECT_TRUE(writes.allowed(0));
    writes.took(0, InPlaceWrites::kStall - 1);
    EXPECT_TRUE(writes.allowed(InPlaceWrites::kStall - 1));
    Nanos ended = 2 * InPlaceWrites::kStall;
    writes.took(InPlaceWrites::kStall, ended);
    EXPECT_FALSE(writes.allowed(ended));
    EXPECT_FALSE(writes.allowed(ended + InPlaceWrites::kAvoided - 1));
    EXPECT_TRUE(writes.allowed(ended + InPlaceWrites::kAvoided));
}

TEST(FlushPatternTest, ExpectsAFlushAfterFewWritesIfThatIsHowTheyCome) {
    FlushPattern pattern;
    Nanos now = kSecond;
    EXPECT_FALSE(pattern.expects_flush_after_write(now));
    pattern.flushed(now);
    for (int i = 0; i < FlushPattern::kFewWrites; ++i) {
        EXPECT_TRUE(pattern.expects_flush_after_write(now + FlushPattern::kSoon - 1));
    }
    EXPECT_FALSE(pattern.expects_flush_after_write(now));
    // That were many.
    pattern.flushed(now);
    EXPECT_FALSE(pattern.expects_flush_after_write(now));
    pattern.flushed(now);
    EXPECT_TRUE(pattern.expects_flush_after_write(now));
    EXPECT_FALSE(pattern.expects_flush_after_write(now + FlushPattern::kSoon));
}

TEST_P(DiskTest, AWrittenFileHasAllItsSpace) {
    auto disk = make_disk(3 * kMiB + 4 * kKiB, Preallocation::written);
    EXPECT_EQ(disk->size_bytes(), 3 * kMiB + 4 * kKiB);
    struct stat about;
    ASSERT_EQ(::stat(path("drive").c_str(), &about), 0);
    EXPECT_GE(static_cast<std::uint64_t>(about.st_blocks) * 512, disk->size_bytes());
}

TEST_P(DiskTest, RefusesWhatLiesBeyondTheEnd) {
    auto disk = make_disk(64 * kKiB);
    Buffer block(kBlockBytes);
    EXPECT_EQ(machine().run(disk->read(64 * kKiB, block.bytes())).code(), Code::io_failed);
    EXPECT_EQ(machine().run(disk->write(64 * kKiB, block.bytes())).code(), Code::io_failed);
    std::uint64_t huge = round_down(UINT64_MAX, kBlockBytes);
    EXPECT_EQ(machine().run(disk->read(huge, block.bytes())).code(), Code::io_failed);
}

TEST_P(DiskTest, AFileThatWasCutShortFailsItsReads) {
    auto disk = make_disk(64 * kKiB);
    ASSERT_EQ(::truncate(path("drive").c_str(), 8192), 0);
    Buffer block(16 * kKiB);
    EXPECT_EQ(machine().run(disk->read(0, block.bytes())).code(), Code::io_failed);
    EXPECT_TRUE(machine().run(disk->read(0, block.bytes().first(8192))).ok());
}

TEST_P(DiskTest, ServesNoDriveTwice) {
    auto disk = make_disk(64 * kKiB);
    EXPECT_EQ(machine().open_disk(path("drive")).code(), Code::would_block);
    disk.reset();
    EXPECT_TRUE(machine().open_disk(path("drive")).ok());
}

TEST_P(DiskTest, NamesWhatItCannotOpenOrMake) {
    EXPECT_EQ(machine().open_disk(path("absent")).code(), Code::not_found);
    EXPECT_EQ(machine().open_disk("/dev/null").code(), Code::not_supported);
    EXPECT_EQ(machine().open_disk("/").code(), Code::not_supported);
    auto create = [&](const std::string& at, std::uint64_t size) {
        return machine().run(machine().create_disk_file(at, size, Preallocation::reserved)).code();
    };
    EXPECT_EQ(create(path("odd"), 5000), Code::invalid);
    EXPECT_EQ(create(path("none/at/all"), kBlockBytes), Code::not_found);
    EXPECT_EQ(create(path("once"), kBlockBytes), Code::ok);
    EXPECT_EQ(create(path("once"), kBlockBytes), Code::already_exists);
}

TEST_P(DiskTest, LeavesNothingOfAFileThatFindsNoRoom) {
    std::string at = path("too-large");
    auto made = machine().run(
        machine().create_disk_file(at, std::uint64_t{1} << 42, Preallocation::reserved));
    EXPECT_FALSE(made.ok());
    EXPECT_FALSE(std::filesystem::exists(at));
}

TEST_P(DiskTest, WarnsOfHoles) {
    std::string at = path("holes");
    std::FILE* file = std::fopen(at.c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fclose(file);
    ASSERT_EQ(::truncate(at.c_str(), 10000), 0);
    OpenedDisk opened = machine().open_disk(at).value();
    EXPECT_FALSE(opened.warning.empty());
    EXPECT_EQ(opened.disk->size_bytes(), 8192U);
}

// Each writer owns some blocks, and remembers what it wrote last.
struct Writers {
    Machine* machine;
    Disk* disk;
    std::vector<int> stamps;
    int failures = 0;
    int reads = 0;
};

Task<Done> write_and_check(Writers* all, unsigned seed, std::size_t first, std::size_t count) {
    std::mt19937 random(seed);
    for (int step = 0; step < 40; ++step) {
        std::size_t blocks = 1 + random() % 3;
        std::size_t at = first + random() % (count - blocks + 1);
        Buffer buffer(blocks * kBlockBytes);
        if (random() % 2 == 0) {
            int stamp = static_cast<int>(random());
            for (std::size_t i = 0; i < blocks; ++i) {
                std::memcpy(buffer.data() + i * kBlockBytes, &stamp, sizeof(stamp));
            }
            co_await or_return(co_await all->disk->write(at * kBlockBytes, buffer.bytes()));
            for (std::size_t i = 0; i < blocks; ++i) all->stamps[at + i] = stamp;
        } else {
            co_await or_return(co_await all->disk->read(at * kBlockBytes, buffer.bytes()));
            for (std::size_t i = 0; i < blocks; ++i) {
                int stamp = 0;
                std::memcpy(&stamp, buffer.data() + i * kBlockBytes, sizeof(stamp));
                if (stamp != all->stamps[at + i]) ++all->failures;
                ++all->reads;
            }
        }
        if (random() % 16 == 0) co_await or_return(co_await all->disk->flush());
    }
    co_return Done{};
}

TEST_P(DiskTest, ManyTasksWorkSideBySideWithinAnyBound) {
    for (unsigned bound : {1U, 3U, 1024U}) {
        remake({.inflight_max = bound, .disk_threads_max = 3});
        if (IsSkipped()) return;
        constexpr std::size_t kTasks = 32;
        constexpr std::size_t kBlocks = 8;
        std::filesystem::remove(path("drive"));
        auto disk = make_disk(kTasks * kBlocks * kBlockBytes);
        Writers all{&machine(), disk.get(), std::vector<int>(kTasks * kBlocks)};
        Gate gate(machine());
        for (unsigned i = 0; i < kTasks; ++i) {
            gate.spawn(write_and_check(&all, bound * 1000 + i, i * kBlocks, kBlocks));
        }
        EXPECT_TRUE(machine().run(gate.close()).ok());
        EXPECT_EQ(all.failures, 0) << "bound " << bound;
        EXPECT_GT(all.reads, 0);
    }
}

using DiskDeathTest = DiskTest;
WEFT_ON_BOTH_MACHINES(DiskDeathTest);

TEST_P(DiskDeathTest, StopsTheProcessIfAReadLosesItsTask) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto lose_a_read = [&] {
        auto disk = make_disk(64 * kKiB);
        std::filesystem::remove_all(path(""));  // The process that dies leaves nothing.
        Buffer block(kBlockBytes);
        Gate gate(machine());
        gate.spawn(disk->read(0, block.bytes()));
    };
    EXPECT_DEATH(lose_a_read(), "check failed: !under_way_");
}

}  // namespace
}  // namespace weft
