#include "engines/segments/segments_testing_internal.h"

namespace weft::segments {
namespace {

constexpr Nanos kSettled = 10 * kSecond;

TEST(SegmentFreeing, FreesAClosedSegmentWhenItsLastBlockDies) {
    World world;
    world.start();
    std::vector<Written> all;
    for (int i = 0; i < 8; ++i) all.push_back(world.append(128));
    std::uint64_t free_before = world.free_slots();
    std::size_t segments_before = world.log.records.size();
    for (const Written& written : all) world.kill(written);
    world.let_time_pass(kSettled);
    EXPECT_EQ(world.store->counters().segments_freed, segments_before - 1);  // One is open.
    EXPECT_EQ(world.free_slots(), free_before + 6 * (segments_before - 1));
    EXPECT_EQ(world.log.records.size(), 1U);
    EXPECT_EQ(world.read(all.front()), Code::stale);
    world.check_invariants();
}

TEST(SegmentFreeing, WaitsUntilTheKillingRecordIsSafe) {
    World world;
    world.start();
    Written first = world.append(256);
    Written second = world.append(256);  // Closes the first segment.
    world.let_time_pass(kSettled);
    std::uint64_t flushed_before = world.log.last_flushed();
    world.kill(first);
    std::uint64_t killing = world.log.last();
    EXPECT_LT(flushed_before, killing);
    world.let_time_pass(kSettled);
    EXPECT_GE(world.log.last_flushed(), killing);
    EXPECT_EQ(world.store->counters().segments_freed, 1U);
    EXPECT_EQ(world.read(second), Code::ok);
}

TEST(SegmentFreeing, FreesNothingWhenTheJournalCannotBeFlushed) {
    World world;
    world.start();
    Written first = world.append(256);
    (void)world.append(256);
    world.log.flush_fails = true;
    world.kill(first);
    world.let_time_pass(kSettled);
    EXPECT_EQ(world.store->counters().segments_freed, 0U);
    EXPECT_EQ(world.log.records.size(), 2U);
}

// Goal: between append() and the record that makes its blocks live nothing is freed.
TEST(SegmentFreeing, KeepsWhatIsClaimedHoweverLongAndThenFreesItAtOnce) {
    World world;
    world.start();
    auto data = world.noise(256);
    Claims claims;
    auto runs =
        world.reactor.run(world.store->append(StreamKind::hot, data, Purpose::user, &claims));
    ASSERT_TRUE(runs.ok());
    Written pending = World::describe(runs.value(), data);
    (void)world.append(256);  // Closes the segment.
    world.let_time_pass(1000 * kSecond);
    EXPECT_EQ(world.read(pending), Code::ok);
    world.count(pending, 1);
    claims.clear();
    world.kill(pending);
    world.let_time_pass(100 * kMillisecond);
    EXPECT_EQ(world.store->counters().segments_freed, 1U);
}

TEST(SegmentFreeing, BlocksThatAreNeverMadeLiveAreFreedWithTheirClaim) {
    World world;
    world.start();
    auto data = world.noise(256);
    Claims claims;
    auto appended = world.store->append(StreamKind::hot, data, Purpose::user, &claims);
    ASSERT_TRUE(world.reactor.run(std::move(appended)).ok());
    Written after = world.append(256);
    world.let_time_pass(1000 * kSecond);
    EXPECT_EQ(world.store->counters().segments_freed, 0U);
    claims.clear();
    world.let_time_pass(100 * kMillisecond);
    EXPECT_EQ(world.store->counters().segments_freed, 1U);
    EXPECT_EQ(world.read(after), Code::ok);
}

TEST(SegmentFreeing, RestartFreesSlotsThatNoRecordKnows) {
    World world;
    world.start();
    Written kept = world.append(10);
    Fence fence{world.owner, world.map.epoch};
    for (std::uint32_t id = 0; id < 3; ++id) {
        auto leaked = world.drives.allocate(DriveId{id}, fence, SegmentId{999}, 0);
        ASSERT_TRUE(world.reactor.run(std::move(leaked)).ok());
    }
    Fence other{OwnerId::of(ShardId{8}), Epoch{1}};
    auto others = world.drives.allocate(DriveId{0}, other, SegmentId{5}, 0);
    ASSERT_TRUE(world.reactor.run(std::move(others)).ok());
    world.start();
    EXPECT_EQ(world.free_slots(), 7U * 40 - 6 - 1);
    EXPECT_EQ(world.read(kept), Code::ok);
}

TEST(SegmentFreeing, RestartClosesOpenSegmentsAndNeverReusesTheirNumbers) {
    World world;
    world.start();
    Written before = world.append(10);
    SegmentId old = before.runs.front().first.segment;
    world.start();
    EXPECT_TRUE(world.store->find(old)->closed);
    EXPECT_EQ(world.store->find(old)->used_blocks, 64U);
    Written after = world.append(10);
    EXPECT_GT(after.runs.front().first.segment, old);
    world.kill(before);
    world.let_time_pass(kSettled);
    EXPECT_EQ(world.store->find(old), nullptr);
}

TEST(SegmentFreeing, RestartFreesSegmentsThatDiedBefore) {
    World world;
    world.start();
    Written dead = world.append(256);
    (void)world.append(256);
    world.log.flush_fails = true;
    world.kill(dead);
    world.let_time_pass(kSettled);
    world.log.flush_fails = false;
    world.start();
    world.let_time_pass(kSettled);
    EXPECT_EQ(world.store->counters().segments_freed, 1U);
    EXPECT_EQ(world.log.records.size(), 1U);
}

TEST(SegmentFreeing, SegmentNumbersOfTheFreedAreNotGivenOutAfterARestart) {
    World world;
    world.start();
    Written dead = world.append(256);
    SegmentId freed = dead.runs.front().first.segment;
    world.kill(dead);
    world.let_time_pass(kSettled);
    world.start();
    world.log.records.clear();
    world.log.live.clear();
    world.let_time_pass(2 * kSecond);
    world.start();
    EXPECT_GT(world.append(4).runs.front().first.segment, freed);
}

TEST(SegmentFreeing, DeletingMakesRoomAgainWhenFull) {
    World world(3, 6, 12, 16);
    world.start();
    std::vector<Written> all;
    for (int round = 0; round < 5; ++round) {
        for (;;) {
            auto written = world.try_append(1 + world.reactor.random() % 60);
            if (!written.ok()) {
                EXPECT_EQ(written.code(), Code::out_of_space);
                break;
            }
            all.push_back(written.value());
        }
        EXPECT_GT(all.size(), 3U);
        for (const Written& written : all) {
            EXPECT_EQ(world.read(written), Code::ok);
            world.kill(written);
        }
        all.clear();
        world.let_time_pass(kSettled);
        world.check_invariants();
    }
}

TEST(SegmentFreeing, OffersTheMostWorthwhileForCleaning) {
    World world;
    world.start();
    std::vector<Written> all;
    for (int i = 0; i < 12; ++i) all.push_back(world.append(64));
    std::set<SegmentId> except;
    EXPECT_FALSE(world.store->best_to_clean(except).has_value());
    world.kill(all[0]);
    world.kill(all[4]);
    world.kill(all[5]);
    for (std::size_t expected : {4U, 0U}) {
        auto best = world.store->best_to_clean(except);
        ASSERT_TRUE(best.has_value());
        EXPECT_EQ(best->id, all[expected].runs.front().first.segment);
        EXPECT_EQ(best->live_blocks, expected == 4 ? 128U : 192U);
        except.insert(best->id);
    }
    EXPECT_FALSE(world.store->best_to_clean(except).has_value());
}

// Goal: what is closed before it is full, by a stop or as drives come and go, takes whole slots; a
// cluster that is full of those has room all the same.
TEST(SegmentFreeing, OffersWhatWasClosedBeforeItWasFull) {
    World world;
    world.start();
    Written written = world.append(8);
    ASSERT_TRUE(world.reactor.run(world.store->close()).ok());
    world.start();
    std::set<SegmentId> except;
    auto best = world.store->best_to_clean(except);
    ASSERT_TRUE(best.has_value());
    EXPECT_EQ(best->id, written.runs.front().first.segment);
    EXPECT_EQ(best->live_blocks, 8U);
    EXPECT_EQ(best->dead_blocks, 256U - 8);
}

// Goal: live counts, records and slots agree whatever is written and deleted, with restarts
// between. Method: random work; in the end everything is deleted and every slot is free.
TEST(SegmentFreeing, NoSlotLeaks) {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, 7, 16, 32);
        world.start();
        std::vector<Written> all;
        for (int step = 0; step < 80; ++step) {
            std::uint64_t dice = world.reactor.random() % 10;
            if (dice < 5) {
                auto stream = static_cast<StreamKind>(world.reactor.random() % kStreamCount);
                auto written = world.try_append(1 + world.reactor.random() % 100, stream);
                if (written.ok()) all.push_back(written.value());
            } else if (dice < 9 && !all.empty()) {
                std::size_t victim = world.reactor.random() % all.size();
                world.kill(all[victim]);
                all.erase(all.begin() + static_cast<std::ptrdiff_t>(victim));
            } else if (dice == 9) {
                world.start();
            }
            if (step % 20 == 0) world.let_time_pass(kSettled);
        }
        for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
        for (const Written& written : all) world.kill(written);
        world.start();  // Closes what is open.
        world.let_time_pass(100 * kSecond);
        EXPECT_TRUE(world.log.records.empty());
        EXPECT_EQ(world.free_slots(), 7U * 16);
    }
}

}  // namespace
}  // namespace weft::segments
