#include "engines/journal/journal.h"

#include "engines/journal/journal_testing_internal.h"

#include <algorithm>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace weft::journal {
namespace {

TEST(Journal, GivesBackWhatWasCommitted) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_TRUE(world.replayed.empty());
    for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(world.commit(text(i, i * 10)).ok());
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_EQ(world.replayed.size(), 100U);
    for (std::uint64_t i = 1; i <= 100; ++i) EXPECT_EQ(world.replayed[Lsn{i}], text(i, i * 10));
    EXPECT_EQ(world.journal->last_appended(), Lsn{100});
    EXPECT_EQ(world.journal->last_flushed(), Lsn{100});
}

TEST(Journal, GivesBackRecordsLargerThanASegment) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    std::size_t slot_bytes = kSlotBlocks * kBlockBytes;
    std::vector<std::size_t> sizes = {0, 1, 5 * slot_bytes + 17, 40'000, slot_bytes, 3};
    for (std::size_t i = 0; i < sizes.size(); ++i)
        ASSERT_TRUE(world.commit(text(i, sizes[i])).ok());
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_EQ(world.replayed.size(), sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        EXPECT_EQ(world.replayed[Lsn{i + 1}], text(i, sizes[i]));
    }
}

TEST(Journal, OpensAgainAndAgainWithTheSameRecords) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t round = 1; round <= 20; ++round) {
        ASSERT_TRUE(world.commit(text(round, 100)).ok());
        ASSERT_TRUE(world.reopen().ok());
        ASSERT_EQ(world.replayed.size(), round);
    }
}

TEST(Journal, GroupsWhatIsAppendedWhileACommitIsInFlight) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 300; ++i) {
        (void)world.journal->append(text(i, 50));
        if (i % 10 == 0) world.reactor.step();
    }
    ASSERT_TRUE(world.reactor.run(world.journal->committed(Lsn{300})).ok());
    EXPECT_LT(world.journal->counters().commits, 60U);
    EXPECT_EQ(world.journal->counters().records, 300U);
}

TEST(Journal, ACommitOfOneSmallRecordIsThreeBlocks) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.commit("one").ok());
    std::uint64_t before = world.drives.writes();
    std::uint64_t blocks = world.journal->counters().blocks_written;
    ASSERT_TRUE(world.commit("two").ok());
    EXPECT_EQ(world.drives.writes() - before, 3U);
    EXPECT_EQ(world.journal->counters().blocks_written - blocks, 3U);
}

TEST(Journal, LargeCommitsGoAsRows) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    std::uint64_t blocks = world.journal->counters().blocks_written;
    ASSERT_TRUE(world.commit(text(1, 120'000)).ok());
    // Five slots, k' = 3: ten blocks a piece, not thirty a copy.
    EXPECT_EQ(world.journal->counters().blocks_written - blocks, 50U);
}

TEST(Journal, FlushedRecordsSurviveLossOfPower) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        World world(seed, kDrives, kSlots, kSlotBlocks);
        ASSERT_TRUE(world.reopen().ok());
        for (std::uint64_t i = 1; i <= 10; ++i) ASSERT_TRUE(world.flush(text(i, 9'000)).ok());
        EXPECT_EQ(world.journal->last_flushed(), Lsn{10});
        for (std::uint64_t i = 11; i <= 20; ++i) ASSERT_TRUE(world.commit(text(i, 9'000)).ok());
        world.drives.lose_power();
        ASSERT_TRUE(world.reopen().ok()) << "seed " << seed;
        EXPECT_GE(world.replayed.size(), 10U) << "seed " << seed;
    }
}

TEST(Journal, SharesFlushesAndSkipsThemWhenNothingIsDirty) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.flush("one").ok());
    std::uint64_t flushes = world.drives.flushes();
    ASSERT_TRUE(world.reactor.run(world.journal->flushed(Lsn{1})).ok());
    EXPECT_EQ(world.drives.flushes(), flushes);

    Gate gate(world.reactor);
    for (int i = 0; i < 50; ++i) gate.spawn(world.journal->flushed(world.journal->append("x")));
    ASSERT_TRUE(world.reactor.run(gate.close()).ok());
    EXPECT_LE(world.drives.flushes() - flushes, 2U * kDrives);
}

TEST(Journal, FlushesDrivesThatOthersWrote) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.flush("one").ok());
    std::uint64_t flushes = world.drives.flushes();
    world.journal->note_written(DriveId{5});
    ASSERT_TRUE(world.reactor.run(world.journal->flushed(Lsn{1})).ok());
    EXPECT_EQ(world.drives.flushes(), flushes + 1);
}

TEST(Journal, KeepsOnWithAsManyDrivesGoneAsParityAllows) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 60; ++i) {
        if (i == 20) world.drives.set_gone(DriveId{1}, true);
        if (i == 40) world.drives.set_gone(DriveId{4}, true);
        ASSERT_TRUE(world.commit(text(i, 500)).ok());
    }
    EXPECT_EQ(world.journal->counters().commits_reduced, 0U);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), 60U);
}

TEST(Journal, KeepsOnWithASingleDriveAndCountsThat) {
    World world(1, 3, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    world.drives.set_gone(DriveId{0}, true);
    world.drives.set_gone(DriveId{2}, true);
    for (std::uint64_t i = 1; i <= 10; ++i) ASSERT_TRUE(world.flush(text(i, 500)).ok());
    EXPECT_GE(world.journal->counters().commits_reduced, 10U);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), 10U);
}

TEST(Journal, EndsForGoodWhenNoDriveServes) {
    World world(1, 3, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint32_t i = 0; i < 3; ++i) world.drives.set_gone(DriveId{i}, true);
    EXPECT_EQ(world.commit("lost").code(), Code::unavailable);
    for (std::uint32_t i = 0; i < 3; ++i) world.drives.set_gone(DriveId{i}, false);
    EXPECT_EQ(world.commit("too late").code(), Code::unavailable);
    EXPECT_EQ(world.reactor.run(world.journal->admit()).code(), Code::unavailable);
}

TEST(Journal, DoesNotOpenWithMoreDomainsMissingThanParityCovers) {
    World world(1, 5, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.commit("one").ok());
    for (std::uint32_t i = 0; i < 3; ++i) world.drives.set_gone(DriveId{i}, true);
    EXPECT_EQ(world.reopen().code(), Code::unavailable);
    world.drives.set_gone(DriveId{2}, false);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), 1U);
}

// Goal: a journal whose newest segment may be out of reach does not open as if it were not
// there. Method: that segment lies on just the drives that are gone.
TEST(Journal, DoesNotOpenWithoutTheOnlyDrivesOfItsNewestSegment) {
    World world(1, 8, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.flush("one").ok());
    ClusterMap most_draining = world.map;
    for (std::uint32_t i = 0; i < 5; ++i) most_draining.drives[i].state = DriveState::draining;
    world.journal->set_map(most_draining);
    ASSERT_TRUE(world.flush("two").ok());
    for (std::uint32_t i = 5; i < 8; ++i) world.drives.set_gone(DriveId{i}, true);
    EXPECT_EQ(world.reopen().code(), Code::unavailable);
    world.drives.set_gone(DriveId{6}, false);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), 2U);
}

// Goal: whatever an opening has done when power fails, the next finds the same journal.
TEST(Journal, OpensAfterAnOpeningThatLostPowerAnywhere) {
    for (std::uint64_t steps = 0; steps < 250; ++steps) {
        for (std::uint64_t seed = 1; seed <= 4; ++seed) {
            SCOPED_TRACE("steps " + std::to_string(steps) + " seed " + std::to_string(seed));
            World world(seed, kDrives, kSlots, kSlotBlocks);
            ASSERT_TRUE(world.reopen().ok());
            ASSERT_TRUE(world.flush("flushed").ok());
            for (std::uint64_t i = 2; i <= 5; ++i) ASSERT_TRUE(world.commit(text(i, 100)).ok());
            world.restart();
            world.service.set_unevenness(100 * kMicrosecond);
            {
                Gate gate(world.reactor);
                gate.spawn(world.opening());
                for (std::uint64_t i = 0; i < steps; ++i) world.reactor.step();
            }
            world.journal.reset();
            world.drives.lose_power();
            auto opened = world.reopen();
            ASSERT_TRUE(opened.ok()) << opened.error().what;
            ASSERT_GE(world.replayed.size(), 1U);
        }
    }
}

// Goal: a crash during a trim never finds a journal without the commit that tells of it.
// Method: every record needs a segment of its own; the next is begun while the trim runs, takes
// longer than that, and a crash comes at any step.
TEST(Journal, FreesNothingBeforeACommitThatStaysTellsOfIt) {
    for (int before = 0; before < 20; ++before) {
        for (int after = 0; after < 30; ++after) {
            SCOPED_TRACE("steps " + std::to_string(before) + " and " + std::to_string(after));
            World world(1, 5, kSlots, 16);
            ASSERT_TRUE(world.reopen().ok());
            for (std::uint64_t i = 1; i <= 4; ++i) ASSERT_TRUE(world.commit(text(i, 110'000)).ok());
            {
                Gate gate(world.reactor);
                gate.spawn(world.journal->trim(Lsn{4}));
                for (int i = 0; i < before; ++i) world.reactor.step();
                world.service.set_write_delay(20 * kMillisecond);
                (void)world.journal->append(text(5, 110'000));
                for (int i = 0; i < after; ++i) world.reactor.step();
            }
            world.journal.reset();
            world.service.set_write_delay(0);
            auto opened = world.reopen();
            ASSERT_TRUE(opened.ok()) << opened.error().what;
            ASSERT_GE(world.journal->last_appended(), Lsn{4});
        }
    }
}

TEST(Journal, ReadsAroundPiecesThatAreBadOnAsManyDrivesAsParityAllows) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 40; ++i) ASSERT_TRUE(world.flush(text(i, i * 1500)).ok());
    for (const SegmentSlot& slot : world.slots()) {
        if (slot.drive != DriveId{1} && slot.drive != DriveId{3}) continue;
        for (std::uint32_t block = 0; block < kSlotBlocks; ++block) {
            world.drives.corrupt(slot, block);
        }
    }
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_EQ(world.replayed.size(), 40U);
    for (std::uint64_t i = 1; i <= 40; ++i) EXPECT_EQ(world.replayed[Lsn{i}], text(i, i * 1500));
    EXPECT_GT(world.journal->counters().commits_copied, 0U);
}

// Goal: a block that cannot be read is not a drive that is away. Method: a drive is gone, and of
// two segments the beginning on one other drive each cannot be read, whichever.
TEST(Journal, OpensWithBeginningsThatCannotBeReadBesideADriveThatIsGone) {
    auto filled = [](World& world) {
        ASSERT_TRUE(world.reopen().ok());
        for (std::uint64_t i = 1; i <= 30; ++i) ASSERT_TRUE(world.flush(text(i, 30'000)).ok());
    };
    World first(1, kDrives, kSlots, kSlotBlocks);
    filled(first);
    int opened = 0;
    auto slots = first.slots_of_segments();
    for (const auto& [one, of] : slots) {
        for (const auto& [other, of_other] : slots) {
            bool apart = of < of_other && one.drive != other.drive;
            if (!apart || one.drive == DriveId{0} || other.drive == DriveId{0}) continue;
            World world(1, kDrives, kSlots, kSlotBlocks);
            filled(world);
            world.drives.make_unreadable(one, 0);
            world.drives.make_unreadable(other, 0);
            world.drives.set_gone(DriveId{0}, true);
            ASSERT_TRUE(world.reopen().ok());
            ASSERT_EQ(world.replayed.size(), 30U);
            ++opened;
        }
    }
    EXPECT_GT(opened, 10);
}

TEST(Journal, CallsAFlushedRecordThatIsGoneEverywhereCorrupt) {
    World world(1, 3, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 9; ++i) ASSERT_TRUE(world.flush(text(i, 100)).ok());
    // The mark is in block 0, record i in block i.
    for (const SegmentSlot& slot : world.slots()) world.drives.corrupt(slot, 4);
    EXPECT_EQ(world.reopen().code(), Code::corrupt);
}

// Goal: a lost drive at open leaves nothing with fewer copies than the promise. Method: two
// drives are away at one opening, two others at the next.
TEST(Journal, CopiesWhatLostPiecesWhenOpened) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 50; ++i) ASSERT_TRUE(world.commit(text(i, i * 997)).ok());
    for (std::uint32_t round = 0; round < 9; ++round) {
        DriveId first{round % kDrives};
        DriveId second{(round * 2 + 1) % kDrives};
        world.drives.set_gone(first, true);
        world.drives.set_gone(second, true);
        ASSERT_TRUE(world.reopen().ok()) << "round " << round;
        ASSERT_EQ(world.replayed.size(), 50U) << "round " << round;
        world.drives.set_gone(first, false);
        world.drives.set_gone(second, false);
    }
}

TEST(Journal, FencesItsForerunner) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.commit("of the first").ok());
    std::unique_ptr<Journal> zombie = std::move(world.journal);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), 1U);

    Lsn lsn = zombie->append("of the zombie");
    EXPECT_EQ(world.reactor.run(zombie->committed(lsn)).code(), Code::fenced);
    EXPECT_EQ(world.reactor.run(zombie->flushed(lsn)).code(), Code::fenced);
    EXPECT_EQ(world.reactor.run(zombie->admit()).code(), Code::fenced);
    ASSERT_TRUE(world.commit("of the second").ok());
    zombie.reset();
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed[Lsn{2}], "of the second");
}

TEST(Journal, FencesItsForerunnerWithCommitsInFlight) {
    for (int steps = 0; steps < 40; ++steps) {
        World world(static_cast<std::uint64_t>(steps) + 1, kDrives, kSlots, kSlotBlocks);
        ASSERT_TRUE(world.reopen().ok());
        std::unique_ptr<Journal> zombie = std::move(world.journal);
        world.restart();
        Lsn acked;
        for (std::uint64_t i = 1; i <= 30; ++i) (void)zombie->append(text(i, 300 * i));
        Gate gate(world.reactor);
        gate.spawn(world.opening());
        for (int i = 0; i < steps; ++i) {
            world.reactor.step();
            acked = zombie->last_committed();
        }
        ASSERT_TRUE(world.reactor.run(gate.close()).ok());
        EXPECT_GE(world.replayed.size(), acked.value) << "steps " << steps;
        EXPECT_LE(zombie->last_committed().value, world.replayed.size()) << "steps " << steps;
        zombie.reset();
    }
}

TEST(Journal, OpensAgainUnderTheSameEpoch) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    for (std::uint64_t round = 1; round <= 10; ++round) {
        world.map.epoch = Epoch{4};
        world.drives.set_gone(DriveId{static_cast<std::uint32_t>(round % kDrives)}, true);
        ASSERT_TRUE(world.reopen().ok());
        world.drives.set_gone(DriveId{static_cast<std::uint32_t>(round % kDrives)}, false);
        ASSERT_EQ(world.replayed.size(), round - 1);
        ASSERT_TRUE(world.commit(text(round, 100)).ok());
    }
}

TEST(Journal, RefusesToOpenWithAnOlderEpoch) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    world.map.epoch = Epoch{10};
    ASSERT_TRUE(world.reopen().ok());
    world.map.epoch = Epoch{5};
    EXPECT_EQ(world.reopen().code(), Code::fenced);
}

TEST(Journal, DiscardsForGoodWhatFailsVerification) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 4; ++i) ASSERT_TRUE(world.flush(text(i, 100)).ok());
    for (std::uint64_t i = 5; i <= 9; ++i) (void)world.journal->append(text(i, 100));
    ASSERT_TRUE(world.reactor.run(world.journal->committed(Lsn{9})).ok());
    world.bad_from = Lsn{7};
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), 6U);
    EXPECT_LE(world.verified, 4U);  // Not the flushed ones, save the last.
    world.bad_from = Lsn{1000};
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), 6U);
    EXPECT_EQ(world.verified, 3U);
    ASSERT_TRUE(world.commit("another seventh").ok());
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), 7U);
    EXPECT_EQ(world.replayed[Lsn{7}], "another seventh");
}

TEST(Journal, TrimsAndUsesSlotsAgain) {
    World world(1, 5, 8, 16);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 2000; ++i) {
        ASSERT_TRUE(world.commit(text(i, 1500)).ok()) << i;
        if (i % 20 == 0) ASSERT_TRUE(world.reactor.run(world.journal->trim(Lsn{i - 5})).ok());
    }
    EXPECT_LT(world.journal->live_bytes(), 300'000U);
    EXPECT_LE(world.journal->counters().segments_live, 6U);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_FALSE(world.replayed.empty());
    EXPECT_LE(world.replayed.begin()->first, Lsn{1996});
    EXPECT_EQ(world.replayed.rbegin()->first, Lsn{2000});
    EXPECT_LE(world.replayed.size(), 60U);
}

TEST(Journal, TrimRefusesWhatIsNotCommitted) {
    World world(1, 5, 8, 16);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.reactor.run(world.journal->trim(Lsn{1})).code(), Code::invalid);
}

TEST(Journal, WaitsForSpaceThatATrimGivesBack) {
    World world(1, 5, 4, 16);
    ASSERT_TRUE(world.reopen().ok());
    std::uint64_t appended = 0;
    while (world.journal->counters().segments_live < 3) {
        ASSERT_TRUE(world.commit(text(++appended, 4000)).ok());
    }
    Gate gate(world.reactor);
    for (int i = 0; i < 40; ++i) {
        gate.spawn(world.journal->committed(world.journal->append(text(++appended, 4000))));
    }
    for (int i = 0; i < 200; ++i) world.reactor.step();
    ASSERT_TRUE(world.reactor.run(world.journal->trim(world.journal->last_committed())).ok());
    EXPECT_TRUE(world.reactor.run(world.journal->committed(Lsn{appended})).ok());
    ASSERT_TRUE(world.reactor.run(gate.close()).ok());
}

// All slots that are free on drives in service.
void take_the_rest(World& world) {
    Fence others{OwnerId::of(ShardId{1}), Epoch{1}};
    for (const DriveEntry& entry : world.map.drives) {
        if (entry.state != DriveState::active) continue;
        while (world.reactor.run(world.drives.allocate(entry.id, others, SegmentId{1}, 0)).ok()) {
        }
    }
}

TEST(Journal, OpensOnceOthersHaveTakenAllSpaceThatWasLeft) {
    World world(1, 5, 4, 16);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.commit("one").ok());
    take_the_rest(world);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed[Lsn{1}], "one");
    // What the opening used up is held again before others can have it.
    ASSERT_TRUE(world.reactor.run(world.journal->trim(Lsn{1})).ok());
    take_the_rest(world);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.journal->last_appended(), Lsn{1});
}

TEST(Journal, OpensWithoutSpaceAfterMoreDrivesFailedThanASegmentHasToSpare) {
    World world(1, 5, 4, 16);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.commit("one").ok());
    for (std::uint32_t lost = 0; lost < 5; ++lost) {
        world.drives.set_gone(DriveId{lost}, true);
        world.map.drives[lost].state = DriveState::failed;
        DriveEntry entry = world.map.drives[lost];
        entry.id = world.drives.add_drive();
        entry.state = DriveState::active;
        world.map.drives.push_back(entry);
        world.journal->set_map(world.map);
        ASSERT_TRUE(world.commit("more").ok());
        Lsn last = world.journal->last_appended();
        ASSERT_TRUE(world.reactor.run(world.journal->trim(last)).ok());
    }
    take_the_rest(world);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.journal->last_appended(), Lsn{6});
}

TEST(Journal, AdmitHoldsBackWhenMuchIsQueued) {
    World world(1, kDrives, kSlots, 256);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 5; ++i) (void)world.journal->append(text(i, 4 * kMiB));
    Task<Done> admitted = world.journal->admit();
    admitted.start(std::noop_coroutine());
    EXPECT_FALSE(admitted.ended());
    ASSERT_TRUE(world.reactor.run(world.journal->committed(Lsn{5})).ok());
    EXPECT_TRUE(admitted.ended());
}

TEST(Journal, CloseEndsWithEverythingCommitted) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    for (std::uint64_t i = 1; i <= 50; ++i) (void)world.journal->append(text(i, 5000));
    ASSERT_TRUE(world.reactor.run(world.journal->close()).ok());
    EXPECT_EQ(world.journal->last_committed(), Lsn{50});
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_EQ(world.replayed.size(), 50U);
}

// Goal: no failed write loses or doubles anything. Method: fail the n-th, for every n.
TEST(Journal, SurvivesTheFailureOfAnyWrite) {
    for (std::uint64_t n = 0; n < 120; ++n) {
        World world(n + 1, kDrives, kSlots, 16);
        ASSERT_TRUE(world.reopen().ok());
        world.drives.fail_write_after(n);
        for (std::uint64_t i = 1; i <= 30; ++i) {
            std::size_t size = i % 5 == 0 ? 45'000 : 3000;
            ASSERT_TRUE(world.commit(text(i, size)).ok()) << "write " << n;
        }
        world.drives.fail_write_after(1000);
        ASSERT_TRUE(world.reopen().ok()) << "write " << n;
        ASSERT_EQ(world.replayed.size(), 30U) << "write " << n;
    }
}

TEST(Journal, LeavesADriveThatTheMapCallsDraining) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.commit("one").ok());
    for (std::uint32_t drained = 0; drained < 3; ++drained) {
        world.map.drives[drained].state = DriveState::draining;
    }
    world.journal->set_map(world.map);
    for (std::uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(world.commit(text(i, 100)).ok());
    ASSERT_TRUE(world.reactor.run(world.journal->trim(Lsn{5})).ok());
    for (const SegmentSlot& slot : world.slots()) EXPECT_GE(slot.drive.value, 3U);
}

TEST(Journal, SaysWhatALostDriveExposesAndATrimMovesOn) {
    World world(1, kDrives, kSlots, kSlotBlocks);
    ASSERT_TRUE(world.reopen().ok());
    ASSERT_TRUE(world.commit("one").ok());
    EXPECT_EQ(world.journal->health().segments_exposed, 0U);
    std::set<DriveId> first;
    for (const SegmentSlot& slot : world.slots()) first.insert(slot.drive);
    DriveId lost = *first.begin();
    world.drives.set_gone(lost, true);
    world.map.drives[lost.value].state = DriveState::failed;
    world.journal->set_map(world.map);
    JournalHealth health = world.journal->health();
    EXPECT_GE(health.segments_exposed, 1U);
    EXPECT_EQ(health.missing_most, 1U);
    EXPECT_EQ(health.exposed_through, Lsn{1});
    // Even where nothing is committed besides, and all that is left is what is trimmed.
    ASSERT_TRUE(world.reactor.run(world.journal->trim(Lsn{1})).ok());
    EXPECT_EQ(world.journal->health().segments_exposed, 0U);
    ASSERT_TRUE(world.reopen().ok());
    EXPECT_TRUE(world.replayed.empty());
    EXPECT_EQ(world.journal->last_appended(), Lsn{1});
}

}  // namespace
}  // namespace weft::journal
