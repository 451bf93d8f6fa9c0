#include "roles/drive/drive_role.h"

#include "platform/memory/buffer.h"
#include "roles/drive/drive_format.h"
#include "roles/drive/drive_testing_internal.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>

namespace weft::drive {
namespace {

TEST(DriveRole, ReadsWhatWasWritten) {
    World world;
    auto slot = world.allocate(kShard).value();
    EXPECT_EQ(world.write(slot, kShard, Epoch{1}, 'a', 0), Code::ok);
    EXPECT_EQ(world.write(slot, kShard, Epoch{1}, 'b', 255), Code::ok);
    EXPECT_EQ(world.read(slot, 0).value(), 'a');
    EXPECT_EQ(world.read(slot, 255).value(), 'b');
    EXPECT_EQ(world.status().blocks_written, 2U);
    EXPECT_EQ(world.status().blocks_read, 2U);
}

// Filesystems mark the beginning of what they are on, partition tables and arrays the end as well.
TEST(DriveRole, IsNotMadeOfADiskThatHoldsSomethingElse) {
    constexpr std::uint64_t kSize = 32 * kMiB;
    SimulatedReactor reactor(1);
    for (std::uint64_t offset : {std::uint64_t{0}, kMiB - kBlockBytes, kSize - kBlockBytes}) {
        SimulatedDisk disk(reactor, kSize);
        Buffer block(kBlockBytes);
        std::fill(block.bytes().begin(), block.bytes().end(), std::byte{0});
        block.bytes()[1080] = std::byte{0x53};
        ASSERT_TRUE(reactor.run(disk.write(offset, block.bytes())).ok());
        NewDrive made{kCluster, kDrive, FailureDomainId{9}, kMiB, false};
        EXPECT_EQ(reactor.run(format_drive(&reactor, &disk, made)).code(), Code::already_exists);
        Buffer found(kBlockBytes);
        ASSERT_TRUE(reactor.run(disk.read(offset, found.bytes())).ok());
        EXPECT_TRUE(std::ranges::equal(found.bytes(), block.bytes()));
        made.overwrite = true;
        EXPECT_TRUE(reactor.run(format_drive(&reactor, &disk, made)).ok());
    }
}

// A disk may say that the slot table was written when it was not: after a restart the drive takes a
// slot that is in use for one that is free. Its owner must not be taken for the next one's.
TEST(DriveRole, GivesNoGenerationTwiceThoughADiskLosesTheTable) {
    World world;
    world.disk->lie({.lost_one_in = 1, .misdirected_one_in = 0}, 1);
    auto slot = world.allocate(kShard).value();
    world.role.reset();
    world.disk->lie({}, 0);
    world.start();
    EXPECT_EQ(world.read(slot).code(), Code::stale);
    auto next = world.allocate(kShard, Epoch{1}, SegmentId{2}).value();
    ASSERT_EQ(next.slot, slot.slot);
    EXPECT_GT(next.generation, slot.generation);
    EXPECT_EQ(world.read(slot).code(), Code::stale);
}

TEST(DriveRole, TakesBuffersAtAnyAddress) {
    World world;
    auto slot = world.allocate(kShard).value();
    Buffer buffer(4 * kBlockBytes);
    Bytes from = buffer.bytes().subspan(7, kBlockBytes);
    std::fill(from.begin(), from.end(), std::byte{'x'});
    Fence fence{kShard, Epoch{1}};
    ASSERT_TRUE(world.reactor.run(world.role->write(slot, fence, 3, from)).ok());
    Bytes into = buffer.bytes().subspan(2 * kBlockBytes + 1, kBlockBytes);
    ASSERT_TRUE(world.reactor.run(world.role->read(slot, 3, into)).ok());
    EXPECT_TRUE(std::equal(from.begin(), from.end(), into.begin()));
}

TEST(DriveRole, RefusesWhatLeavesTheSlot) {
    World world;
    auto slot = world.allocate(kShard).value();
    EXPECT_EQ(world.write(slot, kShard, Epoch{1}, 'a', 256), Code::invalid);
    EXPECT_EQ(world.write(slot, kShard, Epoch{1}, 'a', 0xffffffff), Code::invalid);
    EXPECT_EQ(world.read(slot, 256).code(), Code::invalid);
    SegmentSlot outside = slot;
    outside.slot = SlotIndex{1000000};
    EXPECT_EQ(world.write(outside, kShard, Epoch{1}, 'a'), Code::stale);
    EXPECT_EQ(world.read(outside).code(), Code::stale);
    std::vector<std::byte> odd(100);
    Fence fence{kShard, Epoch{1}};
    EXPECT_EQ(world.reactor.run(world.role->write(slot, fence, 0, odd)).code(), Code::invalid);
}

TEST(DriveRole, GivesEachSlotOnceUntilItIsFull) {
    World world;
    std::uint32_t count = world.status().slot_count;
    EXPECT_EQ(world.status().free_slots, count);
    std::set<SlotIndex> taken;
    for (std::uint32_t i = 0; i < count; ++i) {
        auto slot = world.allocate(kShard, Epoch{1}, SegmentId{i}, 3);
        ASSERT_TRUE(slot.ok());
        EXPECT_TRUE(taken.insert(slot.value().slot).second);
    }
    EXPECT_EQ(world.allocate(kShard).code(), Code::out_of_space);
    EXPECT_EQ(world.status().free_slots, 0U);
    EXPECT_EQ(world.list(kShard).size(), count);
    EXPECT_TRUE(world.list(kOther).empty());
}

TEST(DriveRole, GivesTheLowestFreeSlotFirst) {
    World world;
    std::vector<SegmentSlot> taken;
    for (int i = 0; i < 5; ++i) taken.push_back(world.allocate(kShard).value());
    for (std::size_t i : {3U, 1U}) {
        auto freed =
            world.role->free(kDrive, {kShard, Epoch{1}}, taken[i].slot, taken[i].generation);
        ASSERT_TRUE(world.reactor.run(std::move(freed)).ok());
    }
    EXPECT_EQ(world.allocate(kShard).value().slot, taken[1].slot);
    EXPECT_EQ(world.allocate(kShard).value().slot, taken[3].slot);
    EXPECT_EQ(world.allocate(kShard).value().slot, SlotIndex{5});
}

TEST(DriveRole, RecycledSlotHasANewGeneration) {
    World world;
    std::map<SlotIndex, Generation> last;
    for (int i = 0; i < 100; ++i) {
        auto slot = world.allocate(kShard).value();
        if (last.contains(slot.slot)) EXPECT_GT(slot.generation, last[slot.slot]);
        last[slot.slot] = slot.generation;
        Fence fence{kShard, Epoch{1}};
        auto freed = world.role->free(kDrive, fence, slot.slot, slot.generation);
        ASSERT_TRUE(world.reactor.run(std::move(freed)).ok());
        EXPECT_EQ(world.write(slot, kShard, Epoch{1}, 'z'), Code::stale);
        EXPECT_EQ(world.read(slot).code(), Code::stale);
        if (i % 10 == 0) world.lose_power();
    }
    EXPECT_EQ(world.status().free_slots, world.status().slot_count);
}

TEST(DriveRole, FreeingTwiceIsNoErrorAndFreesNobodyElses) {
    World world;
    auto slot = world.allocate(kShard).value();
    Fence mine{kShard, Epoch{1}};
    Fence theirs{kOther, Epoch{1}};
    auto free = [&](Fence fence, SegmentSlot what) {
        return world.reactor.run(world.role->free(kDrive, fence, what.slot, what.generation))
            .code();
    };
    EXPECT_EQ(free(theirs, slot), Code::stale);
    EXPECT_EQ(free(mine, slot), Code::ok);
    EXPECT_EQ(free(mine, slot), Code::ok);
    EXPECT_EQ(world.status().free_slots, world.status().slot_count);
}

TEST(DriveRole, AllocationSurvivesLossOfPower) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed);
        auto slot = world.allocate(kShard, Epoch{3}, SegmentId{5}, 2).value();
        world.lose_power();
        auto listed = world.list(kShard);
        ASSERT_EQ(listed.size(), 1U);
        EXPECT_EQ(listed[0], (SlotInfo{slot.slot, slot.generation, SegmentId{5}, 2}));
    }
}

TEST(DriveRole, ConcurrentAllocationsShareTableWrites) {
    World world(1, 256 * kMiB);
    std::vector<Task<SegmentSlot>> calls;
    Fence fence{kShard, Epoch{1}};
    (void)world.allocate(kShard);
    Nanos before = world.reactor.now();
    for (std::uint64_t i = 0; i < 90; ++i) {
        calls.push_back(world.role->allocate(kDrive, fence, SegmentId{i}, 0));
    }
    for (auto& call : calls) call.start(std::noop_coroutine());
    while (!calls.back().ended()) ASSERT_TRUE(world.reactor.step());
    for (auto& call : calls) EXPECT_TRUE(call.ended() && call.take_result().ok());
    // One round: a write and a flush, each of one to two latencies of 50 us.
    EXPECT_LE(world.reactor.now() - before, 200 * kMicrosecond);
}

TEST(DriveRole, RefusesAnOldEpochForEver) {
    World world;
    auto slot = world.allocate(kShard, Epoch{5}).value();
    EXPECT_EQ(world.write(slot, kShard, Epoch{5}, 'a'), Code::ok);
    EXPECT_EQ(world.write(slot, kShard, Epoch{4}, 'b'), Code::fenced);
    Fence newer{kShard, Epoch{8}};
    ASSERT_TRUE(world.reactor.run(world.role->fence(kDrive, newer)).ok());
    for (int round = 0; round < 2; ++round) {
        EXPECT_EQ(world.write(slot, kShard, Epoch{5}, 'b'), Code::fenced);
        EXPECT_EQ(world.allocate(kShard, Epoch{7}).code(), Code::fenced);
        Fence old{kShard, Epoch{7}};
        EXPECT_EQ(world.reactor.run(world.role->fence(kDrive, old)).code(), Code::fenced);
        auto freed = world.role->free(kDrive, old, slot.slot, slot.generation);
        EXPECT_EQ(world.reactor.run(std::move(freed)).code(), Code::fenced);
        EXPECT_EQ(world.read(slot).value(), 'a');
        (void)world.reactor.run(world.role->flush(kDrive));
        world.lose_power();
    }
    EXPECT_EQ(world.write(slot, kShard, Epoch{8}, 'c'), Code::ok);
    // Another owner has epochs of its own.
    EXPECT_TRUE(world.allocate(kOther, Epoch{1}).ok());
}

TEST(DriveRole, RemembersAnEpochThatCameWithAWrite) {
    World world;
    auto slot = world.allocate(kShard, Epoch{1}).value();
    EXPECT_EQ(world.write(slot, kShard, Epoch{6}, 'a'), Code::ok);
    world.lose_power();
    EXPECT_EQ(world.write(slot, kShard, Epoch{5}, 'b'), Code::fenced);
}

// Goal: when fence() has ended, what the old owner wrote does not change any more.
TEST(DriveRole, FenceWaitsForWritesUnderWay) {
    World world;
    auto slot = world.allocate(kShard, Epoch{1}).value();
    world.disk->set_latency(kMillisecond);
    std::vector<std::byte> bytes(kBlockBytes, std::byte{'o'});
    Fence old{kShard, Epoch{1}};
    Fence newer{kShard, Epoch{2}};
    auto writing = world.role->write(slot, old, 0, bytes);
    writing.start(std::noop_coroutine());
    ASSERT_FALSE(writing.ended());
    ASSERT_TRUE(world.reactor.run(world.role->fence(kDrive, newer)).ok());
    EXPECT_TRUE(writing.ended());
}

TEST(DriveRole, SlotIsNotGivenOutWhileSomebodyWritesIntoIt) {
    World world;
    std::uint32_t count = world.status().slot_count;
    std::vector<SegmentSlot> slots;
    for (std::uint32_t i = 0; i < count; ++i) slots.push_back(world.allocate(kShard).value());
    world.disk->set_latency(10 * kMillisecond);
    std::vector<std::byte> bytes(kBlockBytes, std::byte{'o'});
    Fence fence{kShard, Epoch{1}};
    auto writing = world.role->write(slots[0], fence, 0, bytes);
    writing.start(std::noop_coroutine());
    auto freeing = world.role->free(kDrive, fence, slots[0].slot, slots[0].generation);
    freeing.start(std::noop_coroutine());
    auto early = world.role->allocate(kDrive, fence, SegmentId{9}, 0);
    early.start(std::noop_coroutine());
    ASSERT_TRUE(early.ended());
    EXPECT_EQ(early.take_result().code(), Code::out_of_space);
    world.run_for(100 * kMillisecond);
    ASSERT_TRUE(writing.ended() && freeing.ended());
    EXPECT_TRUE(world.allocate(kShard).ok());
}

TEST(DriveRole, ForeignDamagedAndOtherClustersDrivesAreRefused) {
    World world;
    DriveRole role(world.reactor);
    EXPECT_EQ(world.reactor.run(role.attach(world.disk, kCluster + 1)).code(), Code::invalid);
    auto empty = std::make_shared<SimulatedDisk>(world.reactor, 32 * kMiB);
    EXPECT_EQ(world.reactor.run(role.attach(empty, kCluster)).code(), Code::invalid);
    EXPECT_TRUE(world.reactor.run(role.attach(world.disk, 0)).ok());
    EXPECT_EQ(world.reactor.run(role.attach(world.disk, 0)).code(), Code::already_exists);
    for (std::uint64_t offset : kSuperblockOffsets) world.disk->flip_bit(offset + 100, 1);
    DriveRole late(world.reactor);
    EXPECT_EQ(world.reactor.run(late.attach(world.disk, kCluster)).code(), Code::corrupt);
}

TEST(DriveRole, OneDamagedSuperblockIsSurvived) {
    for (std::uint64_t offset : kSuperblockOffsets) {
        World world;
        world.disk->flip_bit(offset + 50, 3);
        world.start();
    }
}

TEST(DriveRole, FormattingOverADriveMustBeAskedFor) {
    World world;
    auto slot = world.allocate(kShard).value();
    EXPECT_EQ(world.format().code(), Code::already_exists);
    EXPECT_EQ(world.list(kShard).size(), 1U);
    world.run_for(2 * kSecond);
    EXPECT_TRUE(world.format(true).ok());
    world.start();
    EXPECT_TRUE(world.list(kShard).empty());
    EXPECT_EQ(world.status().free_slots, world.status().slot_count);
    // Whoever remembers the slot of the drive that was here is told.
    for (std::uint32_t i = world.status().slot_count; i > 0; --i) (void)world.allocate(kShard);
    EXPECT_EQ(world.read(slot).code(), Code::stale);
}

TEST(DriveRole, MapSurvivesLossOfPowerWholeOrOld) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed);
        EXPECT_EQ(world.reactor.run(world.role->load_map(kDrive)).code(), Code::not_found);
        std::string first(100000, 'a');
        ASSERT_TRUE(world.reactor.run(world.role->store_map(kDrive, first)).ok());
        world.lose_power();
        EXPECT_EQ(world.reactor.run(world.role->load_map(kDrive)).value(), first);
        std::string second(200000, 'b');
        {
            auto storing = world.role->store_map(kDrive, second);
            storing.start(std::noop_coroutine());
            for (std::uint64_t i = seed % 4; i > 0; --i) (void)world.reactor.step();
        }
        world.lose_power();
        auto found = world.reactor.run(world.role->load_map(kDrive)).value();
        EXPECT_TRUE(found == first || found == second);
        ASSERT_TRUE(world.reactor.run(world.role->store_map(kDrive, "third")).ok());
        world.lose_power();
        EXPECT_EQ(world.reactor.run(world.role->load_map(kDrive)).value(), "third");
    }
    World world;
    std::string large(kMapBytesMost + 1, 'x');
    EXPECT_EQ(world.reactor.run(world.role->store_map(kDrive, large)).code(), Code::invalid);
}

TEST(DriveRole, GoneDiskGivesErrorsAndComesBack) {
    World world;
    auto slot = world.allocate(kShard).value();
    world.disk->set_gone(true);
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(world.write(slot, kShard, Epoch{1}, 'a'), Code::unavailable);
        EXPECT_EQ(world.read(slot).code(), Code::unavailable);
        EXPECT_EQ(world.allocate(kShard).code(), Code::unavailable);
        EXPECT_EQ(world.reactor.run(world.role->flush(kDrive)).code(), Code::unavailable);
        EXPECT_EQ(world.reactor.run(world.role->status(kDrive)).code(), Code::unavailable);
        EXPECT_EQ(world.reactor.run(world.role->probe(kDrive)).code(), Code::unavailable);
    }
    world.disk->set_gone(false);
    EXPECT_GE(world.status().errors, 25U);
    EXPECT_EQ(world.status().free_slots, world.status().slot_count - 1);
    EXPECT_EQ(world.write(slot, kShard, Epoch{1}, 'a'), Code::ok);
    for (std::uint32_t i = 1; i < world.status().slot_count; ++i) {
        EXPECT_TRUE(world.allocate(kShard).ok());
    }
}

TEST(DriveRole, DetachedDriveIsUnavailable) {
    World world;
    auto slot = world.allocate(kShard).value();
    world.disk->set_latency(kMillisecond);
    std::vector<std::byte> bytes(kBlockBytes);
    auto writing = world.role->write(slot, {kShard, Epoch{1}}, 0, bytes);
    writing.start(std::noop_coroutine());
    ASSERT_TRUE(world.reactor.run(world.role->detach(kDrive)).ok());
    EXPECT_EQ(world.read(slot).code(), Code::unavailable);
    world.run_for(kSecond);
    EXPECT_TRUE(writing.ended());
    ASSERT_TRUE(world.reactor.run(world.role->detach(kDrive)).ok());
    ASSERT_TRUE(world.reactor.run(world.role->attach(world.disk, kCluster)).ok());
    EXPECT_EQ(world.list(kShard).size(), 1U);
}

TEST(DriveRole, DamagedTableBlockTakesOnlyItsSlotsOutOfUse) {
    World world(1, 256 * kMiB);
    std::uint32_t count = world.status().slot_count;
    ASSERT_GT(count, 2 * kSlotsPerBlock);
    std::vector<SegmentSlot> slots;
    for (std::uint32_t i = 0; i < count; ++i) slots.push_back(world.allocate(kShard).value());
    auto superblock = lay_out(256 * kMiB, kMiB).value();
    for (std::uint64_t copy = 0; copy < 2; ++copy) {
        world.disk->flip_bit(superblock.slot_table_offset + (2 + copy) * kBlockBytes + 99, 0);
    }
    world.start();
    EXPECT_EQ(world.list(kShard).size(), count - kSlotsPerBlock);
    EXPECT_EQ(world.read(slots[kSlotsPerBlock]).code(), Code::stale);
    EXPECT_TRUE(world.read(slots[0]).ok());
    EXPECT_EQ(world.status().free_slots, 0U);
    EXPECT_EQ(world.status().errors, 1U);
}

// Goal: whatever work is under way when the power fails, allocations that ended are there,
// slots that were freed and not given out again belong to nobody else, generations only rise,
// and no epoch falls. Method: random work against a model of what is certain.
TEST(DriveRole, SurvivesLossOfPowerInTheMidstOfWork) {
    for (std::uint64_t seed = 0; seed < 150; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed);
        std::map<SlotIndex, SegmentSlot> held;    // Allocated, the call has ended.
        std::map<SlotIndex, Generation> highest;  // Ever seen.
        std::set<SlotIndex> doubtful;             // A call was cut off.
        Epoch epoch{1};
        for (int life = 0; life < 4; ++life) {
            std::vector<Task<SegmentSlot>> allocations;
            std::vector<std::pair<SlotIndex, Task<Done>>> frees;
            Fence fence{kShard, epoch};
            for (int i = 0; i < 12; ++i) {
                if (world.reactor.random() % 3 != 0 || held.empty()) {
                    allocations.push_back(world.role->allocate(kDrive, fence, SegmentId{seed}, 1));
                    allocations.back().start(std::noop_coroutine());
                } else {
                    SegmentSlot slot = held.begin()->second;
                    held.erase(held.begin());
                    frees.emplace_back(slot.slot,
                                       world.role->free(kDrive, fence, slot.slot, slot.generation));
                    frees.back().second.start(std::noop_coroutine());
                }
                for (std::uint64_t n = world.reactor.random() % 4; n > 0; --n) {
                    (void)world.reactor.step();
                }
            }
            std::set<SlotIndex> ended_frees;
            for (auto& [slot, task] : frees) {
                if (task.ended()) {
                    ended_frees.insert(slot);
                } else {
                    doubtful.insert(slot);
                }
            }
            for (auto& task : allocations) {
                if (!task.ended()) continue;
                auto slot = task.take_result();
                if (!slot.ok()) continue;
                EXPECT_GT(slot.value().generation, highest[slot.value().slot]);
                highest[slot.value().slot] = slot.value().generation;
                held[slot.value().slot] = slot.value();
            }
            allocations.clear();
            frees.clear();
            world.lose_power();

            std::map<SlotIndex, Generation> listed;
            for (const SlotInfo& info : world.list(kShard)) {
                listed[info.slot] = info.generation;
                EXPECT_EQ(info.segment, SegmentId{seed});
                highest[info.slot] = std::max(highest[info.slot], info.generation);
            }
            for (const auto& [index, slot] : held) {
                ASSERT_TRUE(listed.contains(index));
                EXPECT_EQ(listed[index], slot.generation);
            }
            Fence older{kShard, Epoch{epoch.value - 1}};
            EXPECT_EQ(world.reactor.run(world.role->fence(kDrive, older)).code(), Code::fenced);
            ++epoch.value;
            // As an owner does that opens again: what it does not know is freed.
            for (const auto& [index, generation] : listed) {
                if (held.contains(index)) continue;
                auto freed = world.role->free(kDrive, {kShard, epoch}, index, generation);
                EXPECT_TRUE(world.reactor.run(std::move(freed)).ok());
            }
            EXPECT_EQ(world.status().free_slots + held.size(), world.status().slot_count);
        }
    }
}

}  // namespace
}  // namespace weft::drive
