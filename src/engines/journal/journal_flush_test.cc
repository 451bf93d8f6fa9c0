#include "engines/journal/journal_testing_internal.h"

#include <gtest/gtest.h>

namespace weft::journal {
namespace {

// Written to three drives, two of which are lost before the flush: the third is enough.
TEST(Journal, FlushesWithDrivesLostSinceTheCommit) {
    World world(1, 4, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 8; ++i) {
        ASSERT_TRUE(world.commit(text(i, i % 2 == 0 ? 500 : 90'000)).ok());
    }
    world.drives.set_gone(DriveId{0}, true);
    world.drives.set_gone(DriveId{1}, true);
    for (std::uint64_t i = 9; i <= 16; ++i) ASSERT_TRUE(world.flush(text(i, 500)).ok());
    world.drives.lose_power();
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_EQ(world.replayed.size(), 16U);
    for (std::uint64_t i = 1; i <= 8; ++i) {
        EXPECT_EQ(world.replayed[Lsn{i}], text(i, i % 2 == 0 ? 500 : 90'000));
    }
}

Task<Done> rest(Reactor* reactor) {
    co_await sleep(*reactor, 6 * kSecond);
    co_return Done{};
}

// Two of three drives are away while the third is flushed, and come back. What they hold must not
// be lost with the power then: they may be all that is left.
TEST(Journal, FlushesDrivesThatCouldNotBeFlushedOnceTheyAreBack) {
    World world(1, 3, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.flush("one").ok());
    ASSERT_TRUE(world.commit("two").ok());
    world.drives.set_gone(DriveId{0}, true);
    world.drives.set_gone(DriveId{1}, true);
    ASSERT_TRUE(world.reactor.run(world.journal->flushed(Lsn{2})).ok());
    EXPECT_EQ(world.journal->health().drives_unflushed, 2U);
    world.drives.set_gone(DriveId{0}, false);
    world.drives.set_gone(DriveId{1}, false);
    // Not for each flush at once: they may be away for long.
    std::uint64_t flushes = world.drives.flushes();
    ASSERT_TRUE(world.reactor.run(world.journal->flushed(Lsn{2})).ok());
    EXPECT_EQ(world.drives.flushes(), flushes);
    ASSERT_TRUE(world.reactor.run(rest(&world.reactor)).ok());
    ASSERT_TRUE(world.reactor.run(world.journal->flushed(Lsn{2})).ok());
    EXPECT_EQ(world.journal->health().drives_unflushed, 0U);
    world.drives.lose_power();
    world.drives.set_gone(DriveId{2}, true);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed[Lsn{2}], "two");
}

// Stripes of the owner before may lie where the journal does not.
TEST(Journal, FlushesAllDrivesBeforeItBuildsOnWhatItRead) {
    World world(1, kDrives + 1, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.commit("one").ok());
    std::uint64_t flushes = world.drives.flushes();
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_GE(world.drives.flushes(), flushes + kDrives + 1);
    EXPECT_EQ(world.journal->health().drives_unflushed, 0U);
}

// Three of nine drives are well again, and avoided still, when three others begin to refuse
// writes.
TEST(Journal, FindsTheDrivesThatAreWellAmongThoseThatFailedLately) {
    World world(1, 9, kSlots, kSlotBlocks);
    world.map.parity_width = 3;
    ASSERT_TRUE(world.reopen().ok());
    auto refuse = [&world](std::uint32_t first, bool refuses) {
        for (std::uint32_t i = 0; i < 3; ++i)
            world.drives.refuse_writes(DriveId{first + i}, refuses);
    };
    std::uint64_t number = 0;
    auto commit_some = [&world, &number] {
        for (int i = 0; i < 20; ++i) ASSERT_TRUE(world.commit(text(++number, 30'000)).ok());
    };
    for (std::uint32_t first : {0U, 3U, 6U}) {
        refuse(first, true);
        commit_some();
        refuse(first, false);
    }
    refuse(3, true);
    commit_some();
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), number);
}

TEST(Journal, FailsAFlushThatLosesStripesBeyondTheirParity) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.flush("one").ok());
    for (std::uint32_t i = 0; i < 3; ++i) {
        world.journal->note_written(DriveId{i});
        world.drives.set_gone(DriveId{i}, true);
    }
    EXPECT_EQ(world.reactor.run(world.journal->flushed(Lsn{1})).code(), Code::unavailable);
}

}  // namespace
}  // namespace weft::journal
