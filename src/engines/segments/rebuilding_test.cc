#include "engines/segments/segments_testing_internal.h"

namespace weft::segments {
namespace {

std::uint64_t rebuild(World& world) {
    auto left = world.reactor.run(world.store->rebuild());
    EXPECT_TRUE(left.ok());
    return left.ok() ? left.value() : ~std::uint64_t{0};
}

std::uint64_t slots_on(const World& world, DriveId drive) {
    std::uint64_t count = 0;
    for (const auto& [id, record] : world.log.records) {
        for (const SegmentSlot& slot : record.slots) count += slot.drive == drive ? 1 : 0;
    }
    return count;
}

std::vector<Written> fill(World& world, int appends) {
    std::vector<Written> all;
    for (int i = 0; i < appends; ++i) all.push_back(world.append(1 + world.reactor.random() % 120));
    return all;
}

void lose(World& world, DriveId drive) {
    world.drives.set_gone(drive, true);
    world.set_state(drive, DriveState::failed);
}

TEST(SegmentRebuild, HasNothingToDoWhenAllIsWell) {
    World world;
    world.start();
    (void)fill(world, 10);
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(world.store->counters().slots_rebuilt, 0U);
}

TEST(SegmentRebuild, MakesLostChunksAgainOnOtherDomains) {
    World world(1, 8);
    world.start();
    auto all = fill(world, 20);
    std::uint64_t lost = slots_on(world, DriveId{2});
    ASSERT_GT(lost, 0U);
    lose(world, DriveId{2});
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(world.store->counters().slots_rebuilt, lost);
    EXPECT_EQ(slots_on(world, DriveId{2}), 0U);
    for (const SegmentStatus& status : world.store->list()) EXPECT_EQ(status.missing_slots, 0U);
    world.check_invariants();
    // The redundancy is whole again: two more may go.
    world.drives.set_gone(DriveId{0}, true);
    world.drives.set_gone(DriveId{5}, true);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
}

// Else a loss of power takes the records back, and with m drives the data.
TEST(SegmentRebuild, IsDoneOnceItsRecordsAreSafe) {
    World world(1, 8);
    world.start();
    fill(world, 20);
    lose(world, DriveId{2});
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(world.log.last_flushed(), world.log.last());
}

TEST(SegmentRebuild, RebuildsTwoChunksOfASegmentAtOnce) {
    World world(2, 9);
    world.start();
    auto all = fill(world, 20);
    lose(world, DriveId{1});
    lose(world, DriveId{7});
    EXPECT_EQ(rebuild(world), 0U);
    world.drives.set_gone(DriveId{0}, true);
    world.drives.set_gone(DriveId{5}, true);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
}

TEST(SegmentRebuild, KeepsMissingChunksUntilThereIsADomainForThem) {
    World world(3, 6);
    world.start();
    auto all = fill(world, 10);
    std::uint64_t segments = world.log.records.size();
    lose(world, DriveId{3});
    EXPECT_EQ(rebuild(world), segments);
    EXPECT_EQ(world.store->counters().slots_rebuilt, 0U);
    world.add_drive();
    world.push_map();
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(world.store->counters().slots_rebuilt, segments);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
    world.check_invariants();
}

TEST(SegmentRebuild, TakesTheLeastRedundantFirst) {
    World world(4, 10, 40, 64);
    world.start();
    (void)fill(world, 30);
    lose(world, DriveId{1});
    lose(world, DriveId{2});
    // Only one write can be done: it must be for a segment that misses two.
    std::set<SegmentId> worst;
    for (const SegmentStatus& status : world.store->list()) {
        if (status.missing_slots == 2) worst.insert(status.id);
    }
    ASSERT_FALSE(worst.empty());
    ASSERT_LT(worst.size(), world.log.records.size());
    auto rebuilding = world.store->rebuild();
    rebuilding.start(std::noop_coroutine());
    std::size_t left = worst.size();
    while (left == worst.size()) {
        ASSERT_TRUE(world.reactor.step());
        left = 0;
        for (const SegmentStatus& status : world.store->list()) {
            left += status.missing_slots == 2 ? 1 : 0;
        }
    }
    EXPECT_EQ(left, worst.size() - 1);
    EXPECT_EQ(world.store->counters().slots_rebuilt, 2U);
    while (!rebuilding.ended()) ASSERT_TRUE(world.reactor.step());
}

TEST(SegmentRebuild, EmptiesADrainingDrive) {
    World world(5, 8);
    world.start();
    auto all = fill(world, 20);
    std::uint32_t used = 40 - world.drives.free_slots(DriveId{4});
    ASSERT_GT(used, 0U);
    world.set_state(DriveId{4}, DriveState::draining);
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(world.drives.free_slots(DriveId{4}), 40U);
    EXPECT_EQ(slots_on(world, DriveId{4}), 0U);
    Written after = world.append(100);
    EXPECT_EQ(slots_on(world, DriveId{4}), 0U);
    all.push_back(after);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
    world.check_invariants();
}

TEST(SegmentRebuild, DoesNotRebuildTheDead) {
    World world(6, 8);
    world.start();
    auto all = fill(world, 20);
    for (const Written& written : all) world.kill(written);
    lose(world, DriveId{2});
    world.let_time_pass(100 * kSecond);
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(world.store->counters().slots_rebuilt, 0U);
}

TEST(SegmentRebuild, ReplacesSlotsThatADriveForgot) {
    World world(7, 8);
    world.start();
    auto all = fill(world, 10);
    Fence fence{world.owner, world.map.epoch};
    std::uint64_t forgotten = 0;
    for (const auto& [id, record] : world.log.records) {
        const SegmentSlot& slot = record.slots[1];
        auto freed = world.drives.free(slot.drive, fence, slot.slot, slot.generation);
        ASSERT_TRUE(world.reactor.run(std::move(freed)).ok());
        ++forgotten;
    }
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(world.store->counters().slots_rebuilt, forgotten);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
    EXPECT_EQ(world.named_slots() + world.free_slots(), 8U * 40);
}

TEST(SegmentRebuild, SweepsSlotsOfADriveThatComesBack) {
    World world(8, 8);
    world.start();
    auto all = fill(world, 20);
    lose(world, DriveId{2});
    EXPECT_EQ(rebuild(world), 0U);
    world.drives.set_gone(DriveId{2}, false);
    world.set_state(DriveId{2}, DriveState::active);
    EXPECT_LT(world.drives.free_slots(DriveId{2}), 40U);
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(world.drives.free_slots(DriveId{2}), 40U);
    EXPECT_EQ(world.named_slots() + world.free_slots(), 8U * 40);
}

TEST(SegmentRebuild, GoesOnWhileDataIsWrittenAndDeleted) {
    World world(9, 9);
    world.start();
    auto all = fill(world, 15);
    lose(world, DriveId{3});
    auto rebuilding = world.store->rebuild();
    rebuilding.start(std::noop_coroutine());
    for (int i = 0; i < 10; ++i) {
        all.push_back(world.append(1 + world.reactor.random() % 60));
        world.kill(all.front());
        all.erase(all.begin());
    }
    while (!rebuilding.ended()) ASSERT_TRUE(world.reactor.step());
    EXPECT_EQ(rebuilding.take_result().value(), 0U);
    world.drives.set_gone(DriveId{0}, true);
    world.drives.set_gone(DriveId{5}, true);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
    world.check_invariants();
}

TEST(SegmentRebuild, StopsWhenTheDriveComesBack) {
    World world(10, 8, 40, 2048);  // Long slots: the rebuild of one takes many steps.
    world.start();
    auto all = fill(world, 20);
    world.start();  // What was open is taken at full length, so that there is much to copy.
    DriveId lost = world.log.records.begin()->second.slots[0].drive;
    lose(world, lost);
    auto rebuilding = world.store->rebuild();
    rebuilding.start(std::noop_coroutine());
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(world.reactor.step());
    world.drives.set_gone(lost, false);
    world.set_state(lost, DriveState::active);
    while (!rebuilding.ended()) ASSERT_TRUE(world.reactor.step());
    EXPECT_EQ(rebuilding.take_result().value(), 0U);
    EXPECT_EQ(world.store->counters().slots_rebuilt, 0U);
    EXPECT_EQ(world.named_slots() + world.free_slots(), 8U * 40);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
}

TEST(SegmentRebuild, EndsFencedWhenSomebodyElseOwnsTheShard) {
    World world(11, 8);
    world.start();
    (void)fill(world, 5);
    for (std::uint32_t id = 0; id < 8; ++id) {
        Fence newer{world.owner, Epoch{1000}};
        ASSERT_TRUE(world.reactor.run(world.drives.fence(DriveId{id}, newer)).ok());
    }
    lose(world, world.log.records.begin()->second.slots[0].drive);
    EXPECT_EQ(world.reactor.run(world.store->rebuild()).code(), Code::fenced);
}

// Goal: what a loss of power left of a row, once it is read, is as safe as all else.
TEST(SegmentRebuild, MakesRowsWholeThatALossOfPowerTore) {
    World world(12, 8);
    world.start();
    Written written = world.append(16);
    SegmentId id = written.runs[0].first.segment;
    world.start();
    const SegmentRecord record = world.log.records.at(id);
    EXPECT_FALSE(record.closed);
    for (std::uint32_t block = 0; block < 4; ++block) {
        world.drives.corrupt(record.slots[4], block);
        world.drives.corrupt(record.slots[5], block);
    }
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_TRUE(world.log.records.at(id).closed);
    world.drives.set_gone(record.slots[0].drive, true);
    world.drives.set_gone(record.slots[1].drive, true);
    EXPECT_EQ(world.read(written), Code::ok);
}

TEST(SegmentRebuild, LeavesNothingTornBehindAClose) {
    World world(13, 8);
    world.start();
    (void)world.append(16);
    ASSERT_TRUE(world.reactor.run(world.store->close()).ok());
    world.start();
    for (const SegmentStatus& status : world.store->list()) EXPECT_FALSE(status.torn);
}

// Goal: a rebuild that meets failing writes, or is cut off at any point by a restart, loses
// nothing, and the next one ends it; no slot leaks.
TEST(SegmentRebuild, IsResumedAfterAnyFailureOrRestart) {
    for (std::uint64_t seed = 0; seed < 80; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, 9);
        world.start();
        auto all = fill(world, 12);
        lose(world, DriveId{1});
        if (seed % 3 == 0) world.set_state(DriveId{6}, DriveState::draining);
        if (seed % 2 == 0) {
            world.drives.fail_write_after(seed);
            (void)world.reactor.run(world.store->rebuild());
        } else {
            auto rebuilding = world.store->rebuild();
            rebuilding.start(std::noop_coroutine());
            for (std::uint64_t i = 0; i < seed * 7 && !rebuilding.ended(); ++i) {
                ASSERT_TRUE(world.reactor.step());
            }
        }
        world.start();
        EXPECT_EQ(rebuild(world), 0U);
        EXPECT_EQ(slots_on(world, DriveId{1}), 0U);
        std::uint64_t expected = 9U * 40;
        // The lost drive keeps what it had; it is swept if it ever comes back.
        expected -= 40 - world.drives.free_slots(DriveId{1});
        EXPECT_EQ(world.named_slots() + world.free_slots(), expected);
        world.drives.set_gone(DriveId{0}, true);
        world.drives.set_gone(DriveId{5}, true);
        for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
    }
}

// What the owner has of the segment, read by its checksums; how many blocks are lost.
Task<std::uint64_t> read_all(World* world, const std::vector<Written>* all, SegmentId id) {
    std::uint64_t lost = 0;
    for (const Written& written : *all) {
        std::size_t at = 0;
        for (const BlockRun& run : written.runs) {
            for (std::uint32_t i = 0; i < run.count; ++i, ++at) {
                if (run.first.segment != id) continue;
                BlockRun one{run.first, 1};
                one.first.block += i;
                Buffer into(kBlockBytes);
                auto crc = std::span(written.crcs).subspan(at, 1);
                auto read = co_await world->store->read(one, crc, into.bytes());
                if (!read.ok()) ++lost;
            }
        }
    }
    co_return lost;
}

void rot(World& world, DriveId drive) {
    for (const auto& [id, record] : world.log.records) {
        for (const SegmentSlot& slot : record.slots) {
            if (slot.drive != drive) continue;
            for (std::uint32_t block = 0; block < 64; ++block) world.drives.corrupt(slot, block);
        }
    }
}

class RebuildFromNoise : public ::testing::TestWithParam<std::uint64_t> {
protected:
    void SetUp() override {
        world.start();
        all = fill(world, 20);
        world.log.verify_with = [this](SegmentId id) {
            return read_all(&world, &all, id);
        };
    }
    std::uint32_t missing_most() const {
        std::uint32_t most = 0;
        for (const auto& status : world.store->list()) most = std::max(most, status.missing_slots);
        return most;
    }
    World world{GetParam(), 10};
    std::vector<Written> all;
};

INSTANTIATE_TEST_SUITE_P(Seeds, RebuildFromNoise, ::testing::Range<std::uint64_t>(1, 6));

// A drive that holds noise is not known to have failed when another's chunks are made again.
TEST_P(RebuildFromNoise, PassesNoNoiseOn) {
    rot(world, DriveId{1});
    lose(world, DriveId{2});
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(missing_most(), 0U);
    lose(world, DriveId{1});
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(missing_most(), 0U);
    // The redundancy is whole again: two more may go.
    world.drives.set_gone(DriveId{0}, true);
    world.drives.set_gone(DriveId{5}, true);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
}

// While blocks are not live yet, nobody can tell whether they are good.
TEST_P(RebuildFromNoise, WaitsForClaimsBeforeItCallsWholeWhatMayBeBad) {
    auto data = world.noise(64);
    Claims claims;
    auto appended = world.store->append(StreamKind::hot, data, Purpose::user, &claims);
    auto runs = world.reactor.run(std::move(appended));
    ASSERT_TRUE(runs.ok());
    Written pending = World::describe(runs.value(), data);
    const SegmentRecord* record = world.store->find(pending.runs.front().first.segment);
    DriveId bad = record->slots[0].drive;
    DriveId gone = record->slots[1].drive;
    rot(world, bad);
    lose(world, gone);
    auto rebuilding = world.store->rebuild();
    rebuilding.start(std::noop_coroutine());
    world.let_time_pass(100 * kSecond);
    EXPECT_FALSE(rebuilding.ended());
    EXPECT_GT(missing_most(), 0U);
    world.count(pending, 1);
    all.push_back(pending);
    claims.clear();
    world.let_time_pass(100 * kSecond);
    ASSERT_TRUE(rebuilding.ended());
    EXPECT_EQ(rebuilding.take_result().value(), 0U);
    EXPECT_EQ(missing_most(), 0U);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
}

TEST_P(RebuildFromNoise, CallsNothingWholeThatWasMadeFromTooMuchOfIt) {
    std::vector<DriveId> bad;
    for (unsigned chunk : {0U, 3U, 5U}) {
        bad.push_back(world.log.records.begin()->second.slots[chunk].drive);
    }
    rot(world, bad[0]);
    rot(world, bad[1]);
    lose(world, bad[2]);
    EXPECT_GT(rebuild(world), 0U);
    EXPECT_GT(missing_most(), 0U);
    lose(world, bad[0]);
    lose(world, bad[1]);
    (void)rebuild(world);
    std::uint64_t lost = 0;
    std::uint64_t short_of_chunks = 0;
    for (const auto& status : world.store->list()) {
        std::uint64_t here = world.reactor.run(read_all(&world, &all, status.id)).value();
        bool too_few = status.missing_slots > status.record.parity_width;
        EXPECT_EQ(here > 0, too_few) << here << " of segment " << status.id.value;
        lost += here;
        short_of_chunks += too_few ? 1 : 0;
    }
    EXPECT_GT(lost, 0U);
    EXPECT_GT(short_of_chunks, 0U);
}

// Goal: with m drives gone, blocks that nobody needs and that cannot be read stop no rebuild.
TEST_P(RebuildFromNoise, GoesPastDeadBlocksThatCannotBeRead) {
    std::vector<Written> kept;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i % 2 == 0) {
            world.kill(all[i]);
        } else {
            kept.push_back(all[i]);
        }
    }
    all = std::move(kept);
    std::set<std::pair<SegmentId, std::uint32_t>> needed;  // Rows.
    for (const Written& written : all) {
        for (const BlockRun& run : written.runs) {
            for (std::uint32_t i = 0; i < run.count; ++i) {
                needed.emplace(run.first.segment, run.first.block + i);
            }
        }
    }
    std::uint64_t hit = 0;
    for (const auto& [id, record] : world.log.records) {
        for (const SegmentSlot& slot : record.slots) {
            if (slot.drive == DriveId{1} || slot.drive == DriveId{2}) continue;
            for (std::uint32_t block = 0; block < record.used_blocks; ++block) {
                if (needed.contains({id, block}) || world.reactor.random() % 2 == 0) continue;
                world.drives.make_unreadable(slot, block);
                ++hit;
            }
        }
    }
    ASSERT_GT(hit, 0U);
    lose(world, DriveId{1});
    lose(world, DriveId{2});
    EXPECT_EQ(rebuild(world), 0U);
    EXPECT_EQ(missing_most(), 0U);
    world.drives.set_gone(DriveId{0}, true);
    world.drives.set_gone(DriveId{5}, true);
    for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
}

// Goal: one block that is lost takes nothing else with it, and its segment is not called whole.
TEST_P(RebuildFromNoise, MakesAllButTheBlocksThatAreLost) {
    SegmentId id = world.log.records.begin()->first;
    const SegmentRecord record = world.log.records.at(id);
    world.drives.make_unreadable(record.slots[0], 1);
    lose(world, record.slots[1].drive);
    lose(world, record.slots[2].drive);
    EXPECT_EQ(rebuild(world), 1U);
    EXPECT_GT(missing_most(), 0U);
    for (DriveId lost : {record.slots[1].drive, record.slots[2].drive}) {
        EXPECT_EQ(slots_on(world, lost), 0U);
    }
    // Of the row, three data blocks are gone.
    EXPECT_LE(world.reactor.run(read_all(&world, &all, id)).value(), 3U);
    EXPECT_GT(world.reactor.run(read_all(&world, &all, id)).value(), 0U);
}

}  // namespace
}  // namespace weft::segments
