#include "engines/segments/segments_testing_internal.h"

namespace weft::segments {
namespace {

SegmentSlot slot_of_chunk(World& world, const Written& written, unsigned chunk) {
    return world.store->find(written.runs.front().first.segment)->slots[chunk];
}

TEST(SegmentRead, SurvivesTheLossOfAnyTwoDrives) {
    World world;
    world.start();
    std::vector<Written> all;
    for (std::size_t i = 0; i < 20; ++i) all.push_back(world.append(1 + i * 13 % 200));
    for (std::uint32_t a = 0; a < 7; ++a) {
        for (std::uint32_t b = 0; b < a; ++b) {
            world.drives.set_gone(DriveId{a}, true);
            world.drives.set_gone(DriveId{b}, true);
            for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
            world.drives.set_gone(DriveId{a}, false);
            world.drives.set_gone(DriveId{b}, false);
        }
    }
    EXPECT_GT(world.store->counters().degraded_reads, 0U);
    EXPECT_EQ(world.store->counters().blocks_lost, 0U);
}

TEST(SegmentRead, SaysUnavailableBeyondThat) {
    World world(1, 6);
    world.start();
    Written written = world.append(16);
    for (std::uint32_t id = 0; id < 3; ++id) world.drives.set_gone(DriveId{id}, true);
    EXPECT_EQ(world.read(written), Code::unavailable);
    EXPECT_GT(world.store->counters().blocks_lost, 0U);
    world.drives.set_gone(DriveId{1}, false);
    EXPECT_EQ(world.read(written), Code::ok);
}

TEST(SegmentRead, RepairsABadBlockInPlace) {
    World world;
    world.start();
    Written written = world.append(16);
    world.drives.corrupt(slot_of_chunk(world, written, 1), 2);
    EXPECT_EQ(world.read(written), Code::ok);
    EXPECT_EQ(world.store->counters().blocks_repaired, 1U);
    EXPECT_EQ(world.store->counters().degraded_reads, 1U);
    EXPECT_EQ(world.read(written), Code::ok);
    EXPECT_EQ(world.store->counters().degraded_reads, 1U);
}

// Goal: whichever m chunks of a row are bad, data or parity, the data comes back. Only the chunk
// that is asked for has a checksum, so good survivors must be found by trying.
TEST(SegmentRead, FindsGoodSurvivorsAmongBadOnes) {
    for (unsigned m : {2U, 3U, 4U}) {
        World world(m, 9);
        world.map.parity_width = static_cast<std::uint8_t>(m);
        world.start();
        unsigned width = 4 + m;
        for (std::uint32_t bad = 1; bad < 1U << width; ++bad) {
            if (static_cast<unsigned>(std::popcount(bad)) > m) continue;
            SCOPED_TRACE(bad);
            Written written = world.append(4);
            std::uint32_t block = written.runs.front().first.block;
            for (unsigned chunk = 0; chunk < width; ++chunk) {
                if ((bad >> chunk & 1) == 0) continue;
                world.drives.corrupt(slot_of_chunk(world, written, chunk), block);
            }
            ASSERT_EQ(world.read(written), Code::ok);
            world.kill(written);
        }
        EXPECT_EQ(world.store->counters().blocks_lost, 0U);
    }
}

TEST(SegmentRead, SaysCorruptRatherThanGiveWrongBytes) {
    World world;
    world.start();
    Written written = world.append(16);
    for (unsigned chunk : {0U, 3U, 5U}) {
        world.drives.corrupt(slot_of_chunk(world, written, chunk), 2);
    }
    EXPECT_EQ(world.read(written), Code::corrupt);
    EXPECT_EQ(world.store->counters().blocks_lost, 1U);
}

// Goal: what counts is how many chunks of a row are bad, not of all rows that are read together.
TEST(SegmentRead, BlocksThatCannotBeReadAreBadAlone) {
    World world;
    world.start();
    Written written = world.append(32);  // Eight rows.
    world.drives.set_gone(slot_of_chunk(world, written, 0).drive, true);
    for (unsigned chunk = 1; chunk < 6; ++chunk) {
        world.drives.make_unreadable(slot_of_chunk(world, written, chunk), chunk);
    }
    EXPECT_EQ(world.read(written), Code::ok);
    EXPECT_EQ(world.store->counters().blocks_lost, 0U);
    EXPECT_EQ(world.store->counters().blocks_repaired, 3U);
}

TEST(SegmentRead, PartOfARunIsReadable) {
    World world;
    world.start();
    Written written = world.append(40);
    Written part;
    BlockRun run = written.runs[1];
    run.first.block += 3;
    run.count = 4;
    part.runs = {run};
    part.data.assign(written.data.begin() + 13 * kBlockBytes,
                     written.data.begin() + 17 * kBlockBytes);
    part.crcs.assign(written.crcs.begin() + 13, written.crcs.begin() + 17);
    EXPECT_EQ(world.read(part), Code::ok);
    world.drives.set_gone(world.slot_of(run).drive, true);
    EXPECT_EQ(world.read(part), Code::ok);
}

TEST(SegmentRead, RefusesWhatNoSegmentHas) {
    World world;
    world.start();
    Written written = world.append(4);
    Written wrong = written;
    wrong.runs[0].first.segment.value += 5;
    EXPECT_EQ(world.read(wrong), Code::stale);
    wrong = written;
    wrong.runs[0].first.chunk = 4;
    EXPECT_EQ(world.read(wrong), Code::corrupt);
    wrong = written;
    wrong.runs[0].first.block = 64;
    EXPECT_EQ(world.read(wrong), Code::corrupt);
}

TEST(SegmentRead, ReadsOnWhenADriveWasReplacedByAnEmptyOne) {
    World world;
    world.start();
    Written written = world.append(16);
    SegmentSlot slot = slot_of_chunk(world, written, 0);
    Fence fence{world.owner, world.map.epoch};
    auto freed = world.drives.free(slot.drive, fence, slot.slot, slot.generation);
    ASSERT_TRUE(world.reactor.run(std::move(freed)).ok());
    EXPECT_EQ(world.read(written), Code::ok);
    EXPECT_EQ(world.store->list().front().missing_slots, 1U);
}

// Goal: reads give what was appended, or say what is wrong, through random losses, corruption,
// returns and restarts. Method: at most m of a segment's chunks are ever bad at a time.
TEST(SegmentRead, RandomDamageWithinParityLosesNothing) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, 8);
        world.start();
        std::vector<Written> all;
        std::vector<std::uint32_t> gone;
        for (int step = 0; step < 60; ++step) {
            switch (world.reactor.random() % 6) {
                case 0:
                case 1:
                    all.push_back(world.append(1 + world.reactor.random() % 80));
                    break;
                case 2: {
                    if (gone.size() == 2) break;
                    auto id = static_cast<std::uint32_t>(world.reactor.random() % 8);
                    world.drives.set_gone(DriveId{id}, true);
                    gone.push_back(id);
                    break;
                }
                case 3: {
                    for (std::uint32_t id : gone) world.drives.set_gone(DriveId{id}, false);
                    gone.clear();
                    world.forget_suspicions();
                    break;
                }
                case 4: {
                    if (all.empty() || !gone.empty()) break;
                    // A block of one drive goes bad in a few segments, and is read at once.
                    const Written& hit = all[world.reactor.random() % all.size()];
                    const BlockRun& run = hit.runs[world.reactor.random() % hit.runs.size()];
                    std::uint32_t block = run.first.block + static_cast<std::uint32_t>(
                                                                world.reactor.random() % run.count);
                    world.drives.corrupt(world.slot_of(run), block);
                    EXPECT_EQ(world.read(hit), Code::ok);
                    break;
                }
                default:
                    if (gone.empty() && world.reactor.random() % 3 == 0) world.start();
                    if (!all.empty()) {
                        EXPECT_EQ(world.read(all[world.reactor.random() % all.size()]), Code::ok);
                    }
            }
        }
        for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
        world.check_invariants();
    }
}

}  // namespace
}  // namespace weft::segments
