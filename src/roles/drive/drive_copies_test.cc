#include "platform/memory/buffer.h"
#include "roles/drive/drive_testing_internal.h"

#include <array>
#include <map>
#include <string>

namespace weft::drive {
namespace {

constexpr std::uint64_t kSize = 32 * kMiB;
constexpr Fence kNow{kShard, Epoch{5}};
constexpr Nanos kSettled = 3 * kSecond;

// Where the copies of a thing lie that a drive keeps beside its slots; the fences and slots of the
// tests are in their tables' first blocks.
using Copies = std::array<std::uint64_t, 2>;
std::map<std::string, Copies> places() {
    auto superblock = lay_out(kSize, kMiB).value();
    return {
        {"superblock", {kSuperblockOffsets[0], kSuperblockOffsets[1]}},
        {"fences", {kFenceTableOffset, kFenceTableOffset + kBlockBytes}},
        {"slots", {superblock.slot_table_offset, superblock.slot_table_offset + kBlockBytes}},
        {"map", {superblock.map_offset, superblock.map_offset + kMapAreaBytes}},
    };
}

// A drive that knows something of each kind, and a record of what that is.
struct Kept {
    explicit Kept(std::uint64_t seed = 1) : world(seed, kSize) {
        for (std::uint32_t i = 0; i < 5; ++i) change(i);
        EXPECT_TRUE(world.reactor.run(world.role->store_map(kDrive, "map")).ok());
    }
    void change(std::uint32_t number) {
        auto slot = world.allocate(kShard, kNow.epoch, SegmentId{number}, 1);
        ASSERT_TRUE(slot.ok());
        held.push_back({slot.value().slot, slot.value().generation, SegmentId{number}, 1});
    }
    void settle() { world.run_for(kSettled); }
    void crash() {
        world.role.reset();
        world.start();
    }
    void flip(std::uint64_t offset) {
        world.disk->flip_bit(offset + world.reactor.random() % 60, 3);
    }
    Result<std::uint64_t> verify() { return world.reactor.run(world.role->verify(kDrive)); }
    // All that ended well is known, and nothing else.
    void expect_kept() {
        EXPECT_EQ(world.list(kShard), held);
        EXPECT_EQ(world.reactor.run(world.role->load_map(kDrive)).value(), "map");
        Fence old{kShard, Epoch{kNow.epoch.value - 1}};
        EXPECT_EQ(world.reactor.run(world.role->fence(kDrive, old)).code(), Code::fenced);
        EXPECT_EQ(world.allocate(kShard, old.epoch).code(), Code::fenced);
    }
    std::vector<std::byte> stored(std::uint64_t offset) {
        Buffer block(kBlockBytes);
        EXPECT_TRUE(world.reactor.run(world.disk->read(offset, block.bytes())).ok());
        return {block.bytes().begin(), block.bytes().end()};
    }
    // Which of the copies of the slot table counts.
    std::size_t newest_of_slots() {
        std::array<std::uint64_t, 2> sequences{};
        for (std::size_t i = 0; i < 2; ++i) {
            auto block = decode_slot_block(stored(places()["slots"][i]));
            if (block.ok()) sequences[i] = block.value().head.sequence;
        }
        return sequences[0] > sequences[1] ? 0 : 1;
    }

    World world;
    std::vector<SlotInfo> held;
};

TEST(DriveCopies, AnyOneOfEachSufficesOnceSettled) {
    for (std::uint64_t seed = 0; seed < 32; ++seed) {
        SCOPED_TRACE(seed);
        Kept kept(seed);
        kept.settle();
        std::uint64_t which = seed;
        for (const auto& [name, copies] : places()) {
            kept.flip(copies[which % 2]);
            which /= 2;
        }
        kept.crash();
        kept.expect_kept();
        // And again, with the others: the start has settled what it found.
        kept.settle();
        which = ~seed;
        for (const auto& [name, copies] : places()) {
            if (name != "superblock") kept.flip(copies[which % 2]);
            which /= 2;
        }
        kept.crash();
        kept.expect_kept();
    }
}

TEST(DriveCopies, OfTheCopyThatDoesNotCountRotIsHarmlessBeforeItIsSettled) {
    Kept kept;
    kept.flip(places()["slots"][1 - kept.newest_of_slots()]);
    kept.crash();
    kept.expect_kept();
}

TEST(DriveCopies, AreTheSameAfterACloseAtAnyTime) {
    for (std::uint64_t seed = 0; seed < 16; ++seed) {
        SCOPED_TRACE(seed);
        Kept kept(seed);
        kept.world.run_for(static_cast<Nanos>(seed % 4) * 400 * kMillisecond);
        ASSERT_TRUE(kept.world.reactor.run(kept.world.role->detach(kDrive)).ok());
        for (const auto& [name, copies] : places()) kept.flip(copies[seed / 4 % 2]);
        kept.crash();
        kept.expect_kept();
    }
}

TEST(DriveCopies, AreTheSameAWhileAfterAStart) {
    for (std::size_t copy = 0; copy < 2; ++copy) {
        Kept kept;
        kept.crash();
        kept.settle();
        for (const auto& [name, copies] : places()) kept.flip(copies[copy]);
        kept.crash();
        kept.expect_kept();
    }
}

// Goal: a settling write that the power cuts off takes nothing away. Method: power fails at any
// step around it, over and over, and more changes come in between.
TEST(DriveCopies, SettlingSurvivesLossOfPower) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        Kept kept(seed);
        for (std::uint32_t life = 0; life < 4; ++life) {
            kept.world.run_for(kSecond - 500 * kMicrosecond);
            if (life % 2 == 1) kept.change(10 + life);
            for (std::uint64_t i = kept.world.reactor.random() % 40; i > 0; --i) {
                (void)kept.world.reactor.step();
            }
            kept.world.lose_power();
            kept.expect_kept();
        }
    }
}

TEST(DriveCopies, ADiskThatFailsWhileTheyAreSettledLosesNothing) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        SCOPED_TRACE(seed);
        Kept kept(seed);
        kept.world.run_for(kSecond - 500 * kMicrosecond);
        for (std::uint64_t i = seed % 20; i > 0; --i) (void)kept.world.reactor.step();
        kept.world.disk->set_gone(true);
        kept.world.run_for(10 * kSecond);
        EXPECT_EQ(kept.verify().code(), Code::unavailable);
        kept.world.disk->set_gone(false);
        if (seed % 2 == 0) {
            kept.world.lose_power();
            kept.expect_kept();
        }
        kept.world.run_for(60 * kSecond);
        for (const auto& [name, copies] : places()) kept.flip(copies[seed / 2 % 2]);
        kept.crash();
        kept.expect_kept();
    }
}

TEST(DriveCopies, VerifyRepairsAndCountsWhatIsWrong) {
    for (std::uint64_t seed = 0; seed < 32; ++seed) {
        SCOPED_TRACE(seed);
        Kept kept(seed);
        if (seed % 2 == 0) kept.settle();
        EXPECT_EQ(kept.verify().value(), 0U);
        std::uint64_t flips = 0;
        for (const auto& [name, copies] : places()) {
            std::uint64_t which = 1 + kept.world.reactor.random() % 3;  // One, the other or both.
            for (std::size_t copy = 0; copy < 2; ++copy) {
                if ((which >> copy & 1) == 0) continue;
                kept.flip(copies[copy]);
                ++flips;
            }
        }
        EXPECT_EQ(kept.verify().value(), flips);
        EXPECT_EQ(kept.verify().value(), 0U);
        for (const auto& [name, copies] : places()) kept.flip(copies[seed / 2 % 2]);
        kept.crash();
        kept.expect_kept();
    }
}

TEST(DriveCopies, BlocksThatCannotBeReadAreRepairedAsWell) {
    for (std::size_t copy = 0; copy < 2; ++copy) {
        Kept kept;
        kept.settle();
        auto spoil = [&] {
            for (const auto& [name, copies] : places()) {
                kept.world.disk->make_unreadable(copies[copy]);
            }
        };
        spoil();
        EXPECT_EQ(kept.verify().value(), places().size());
        EXPECT_EQ(kept.verify().value(), 0U);
        spoil();
        kept.crash();
        kept.expect_kept();
    }
}

// What is written while it is read back is not taken for rot.
TEST(DriveCopies, VerifyFindsNothingInWhatChangesMeanwhile) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        SCOPED_TRACE(seed);
        Kept kept(seed);
        std::vector<Task<SegmentSlot>> changes;
        std::vector<Task<std::uint64_t>> looks;
        for (std::uint32_t i = 0; i < 10; ++i) {
            changes.push_back(kept.world.role->allocate(kDrive, kNow, SegmentId{i}, 0));
            changes.back().start(std::noop_coroutine());
            for (std::uint64_t n = kept.world.reactor.random() % 6; n > 0; --n) {
                (void)kept.world.reactor.step();
            }
            looks.push_back(kept.world.role->verify(kDrive));
            looks.back().start(std::noop_coroutine());
        }
        kept.settle();
        for (auto& look : looks) {
            ASSERT_TRUE(look.ended());
            EXPECT_EQ(look.take_result().value(), 0U);
        }
        for (auto& change : changes) EXPECT_TRUE(change.ended() && change.take_result().ok());
    }
}

// Rot of the copy that counts, just before it is settled, is not to hide behind the settling.
TEST(DriveCopies, VerifyLeavesNothingBehindThatIsSettledMeanwhile) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        Kept kept(seed);
        kept.world.run_for(kSecond - 2 * kMillisecond);
        kept.flip(places()["slots"][kept.newest_of_slots()]);
        kept.world.run_for(static_cast<Nanos>(seed) * 20 * kMicrosecond);
        auto look = kept.world.role->verify(kDrive);
        look.start(std::noop_coroutine());
        kept.settle();
        ASSERT_TRUE(look.ended() && look.take_result().ok());
        Copies copies = places()["slots"];
        for (std::uint64_t copy : copies) {
            EXPECT_TRUE(decode_slot_block(kept.stored(copy)).ok());
        }
    }
}

TEST(DriveCopies, VerifyWritesNothingOverWhatIsSomebodyElses) {
    Kept kept;
    kept.settle();
    auto other = std::make_shared<SimulatedDisk>(kept.world.reactor, kSize);
    NewDrive made{kCluster + 1, kDrive, FailureDomainId{9}, kMiB, true};
    ASSERT_TRUE(kept.world.reactor.run(format_drive(&kept.world.reactor, other.get(), made)).ok());
    Buffer content(kSize / 16);
    ASSERT_TRUE(kept.world.reactor.run(other->read(0, content.bytes())).ok());
    ASSERT_TRUE(kept.world.reactor.run(kept.world.disk->write(0, content.bytes())).ok());
    EXPECT_EQ(kept.verify().code(), Code::unavailable);
    std::fill(content.bytes().begin(), content.bytes().end(), std::byte{0});
    ASSERT_TRUE(kept.world.reactor.run(kept.world.disk->write(0, content.bytes())).ok());
    EXPECT_EQ(kept.verify().code(), Code::corrupt);
    kept.settle();
    EXPECT_EQ(kept.stored(0), std::vector<std::byte>(kBlockBytes));
    EXPECT_EQ(kept.stored(kFenceTableOffset), std::vector<std::byte>(kBlockBytes));
}

}  // namespace
}  // namespace weft::drive
