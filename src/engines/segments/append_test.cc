#include "engines/segments/drive_table.h"
#include "engines/segments/segments_testing_internal.h"
#include "platform/runtime/join.h"

#include <set>

namespace weft::segments {
namespace {

TEST(SegmentAppend, GivesBackWhatWasWritten) {
    World world;
    world.start();
    for (std::size_t blocks : {1U, 3U, 4U, 5U, 64U, 255U, 256U}) {
        Written written = world.append(blocks);
        EXPECT_EQ(world.read(written), Code::ok);
        std::size_t total = 0;
        for (const BlockRun& run : written.runs) {
            EXPECT_LE(run.count, kExtentBlocksMost);
            EXPECT_LT(run.first.chunk, 4);
            total += run.count;
        }
        EXPECT_EQ(total, blocks);
    }
    world.check_invariants();
}

TEST(SegmentAppend, LogsTheSegmentBeforeItsFirstUse) {
    World world;
    world.start();
    auto data = world.noise(4);
    Claims claims;
    auto appending = world.store->append(StreamKind::hot, data, Purpose::user, &claims);
    appending.start(std::noop_coroutine());
    while (!appending.ended()) {
        if (world.drives.writes() > 0) EXPECT_EQ(world.log.records.size(), 1U);
        ASSERT_TRUE(world.reactor.step());
    }
    EXPECT_TRUE(appending.take_result().ok());
}

TEST(SegmentAppend, KeepsStreamsInSegmentsOfTheirOwn) {
    World world;
    world.start();
    std::set<SegmentId> ids;
    for (auto stream :
         {StreamKind::hot, StreamKind::cold, StreamKind::cleaner, StreamKind::index}) {
        SegmentId id = world.append(4, stream).runs.front().first.segment;
        EXPECT_TRUE(ids.insert(id).second);
        EXPECT_EQ(world.append(4, stream).runs.front().first.segment, id);
        EXPECT_EQ(world.store->find(id)->stream, stream);
    }
}

TEST(SegmentAppend, RunsInParallelWithoutSharingRows) {
    World world;
    world.start();
    std::vector<std::vector<std::byte>> data;
    std::vector<Task<std::vector<BlockRun>>> appends;
    for (std::size_t i = 0; i < 50; ++i) data.push_back(world.noise(1 + i % 17));
    std::vector<Claims> claims(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) {
        auto append = world.store->append(StreamKind::hot, data[i], Purpose::user, &claims[i]);
        appends.push_back(std::move(append));
    }
    for (auto& append : appends) append.start(std::noop_coroutine());
    world.let_time_pass(kSecond);
    std::set<BlockAddress> used;
    for (std::size_t i = 0; i < appends.size(); ++i) {
        ASSERT_TRUE(appends[i].ended());
        auto runs = appends[i].take_result();
        ASSERT_TRUE(runs.ok());
        for (BlockRun run : runs.value()) {
            for (std::uint32_t block = 0; block < run.count; ++block) {
                BlockAddress address = run.first;
                address.block += block;
                EXPECT_TRUE(used.insert(address).second);
            }
        }
        EXPECT_EQ(world.read(World::describe(runs.value(), data[i])), Code::ok);
    }
}

TEST(SegmentAppend, FillsSegmentsToTheEnd) {
    World world;
    world.start();
    for (int i = 0; i < 40; ++i) (void)world.append(100);  // 25 rows of the 64 a segment has.
    for (const SegmentStatus& status : world.store->list()) {
        if (status.record.closed) EXPECT_EQ(status.record.used_blocks, 64U);
    }
    EXPECT_GE(world.store->list().size(), 40U * 25 / 64);
}

TEST(SegmentAppend, CountsWhatItWrites) {
    World world;
    world.start();
    (void)world.append(5);  // Two rows: three blocks of padding.
    EXPECT_EQ(world.store->counters().blocks_written[0], 8U);
    EXPECT_EQ(world.store->counters().parity_blocks_written, 4U);
}

// Goal: no single failed write loses or misplaces data. Method: fail each of the writes of a
// fixed piece of work in turn.
TEST(SegmentAppend, SurvivesTheFailureOfAnyWrite) {
    std::uint64_t writes = 1;
    for (std::uint64_t n = 0; n < writes; ++n) {
        SCOPED_TRACE(n);
        World world(n);
        world.start();
        world.drives.fail_write_after(n);
        std::vector<Written> all;
        for (std::size_t i = 0; i < 12; ++i) all.push_back(world.append(1 + 9 * i));
        writes = world.drives.writes();
        for (const Written& written : all) EXPECT_EQ(world.read(written), Code::ok);
        world.check_invariants();
        EXPECT_LE(world.named_slots() + world.free_slots(), 7U * 40);
    }
    EXPECT_GT(writes, 60U);
}

TEST(SegmentAppend, GoesToHealthyDrivesWhenOneIsLost) {
    World world;
    world.start();
    Written before = world.append(10);
    DriveId lost = world.slot_of(before.runs.front()).drive;
    world.drives.set_gone(lost, true);
    Written after = world.append(10);
    const SegmentRecord* record = world.store->find(after.runs.front().first.segment);
    EXPECT_EQ(record->slots.size(), 6U);
    for (const SegmentSlot& slot : record->slots) EXPECT_NE(slot.drive, lost);
    EXPECT_EQ(world.read(before), Code::ok);
    EXPECT_EQ(world.read(after), Code::ok);
}

TEST(SegmentAppend, IsNarrowerWhereDomainsAreFewAndWideAgainWhenTheyAreBack) {
    World world;
    world.start();
    for (std::uint32_t away = 0; away <= 4; ++away) {
        if (away > 0) world.set_state(DriveId{away}, DriveState::failed);
        Written written = world.append(20);
        const SegmentRecord* record = world.store->find(written.runs.front().first.segment);
        EXPECT_EQ(record->parity_width, 2);
        EXPECT_EQ(record->data_width, std::min(4U, 7 - away - 2));
        EXPECT_EQ(world.read(written), Code::ok);
    }
    world.set_state(DriveId{5}, DriveState::failed);
    EXPECT_EQ(world.try_append(4).code(), Code::unavailable);
    for (std::uint32_t id = 1; id <= 5; ++id) world.set_state(DriveId{id}, DriveState::active);
    Written written = world.append(4);
    EXPECT_EQ(world.store->find(written.runs.front().first.segment)->data_width, 4);
}

TEST(SegmentAppend, WidensAgainWhenAnUnreachableDriveAnswers) {
    World world(1, 6);
    world.start();
    world.drives.set_gone(DriveId{2}, true);
    EXPECT_EQ(world.store->find(world.append(4).runs.front().first.segment)->data_width, 3);
    EXPECT_EQ(world.store->find(world.append(4).runs.front().first.segment)->data_width, 3);
    world.drives.set_gone(DriveId{2}, false);
    world.let_time_pass(30 * kSecond);
    (void)world.append(4);  // Notices that it is time to ask.
    world.let_time_pass(kSecond);
    EXPECT_EQ(world.store->find(world.append(4).runs.front().first.segment)->data_width, 4);
}

// Goal: suspicion never stands in the way when nobody is above it.
TEST(SegmentAppend, FindsThoseThatServeWhenAllHaveFailedLately) {
    World world(1, 8);
    world.start();
    for (std::uint32_t id = 0; id < 8; ++id) {
        world.drives.set_gone(DriveId{id}, true);
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(world.try_append(200).ok());
        world.drives.set_gone(DriveId{id}, false);
    }
    world.drives.set_gone(DriveId{0}, true);
    world.drives.set_gone(DriveId{5}, true);
    for (int i = 0; i < 10; ++i) {
        Written written = world.append(30);
        EXPECT_EQ(world.read(written), Code::ok);
    }
}

TEST(SegmentAppend, EndsFencedWhenSomebodyElseOwnsTheShard) {
    World world;
    world.start();
    (void)world.append(4);
    Fence newer{world.owner, Epoch{100}};
    for (std::uint32_t i = 0; i < 7; ++i) {
        ASSERT_TRUE(world.reactor.run(world.drives.fence(DriveId{i}, newer)).ok());
    }
    EXPECT_EQ(world.try_append(4).code(), Code::fenced);
    EXPECT_EQ(world.try_append(4, StreamKind::cold).code(), Code::fenced);
}

TEST(SegmentAppend, OldOwnerCannotOpen) {
    World world;
    Fence newer{world.owner, Epoch{100}};
    ASSERT_TRUE(world.reactor.run(world.drives.fence(DriveId{0}, newer)).ok());
    SegmentStore store(world.reactor, world.drives, world.log, world.owner);
    store.set_map(world.map);
    EXPECT_EQ(world.reactor.run(store.open()).code(), Code::fenced);
}

TEST(SegmentAppend, LeavesTheLastSpaceToCleanerAndIndex) {
    World world(1, 6, 20, 16);
    world.start();
    std::uint64_t free_before = world.store->free_blocks();
    EXPECT_EQ(free_before, (20U - 2) * 4 * 16);
    std::uint64_t written = 0;
    Code last = Code::ok;
    while (last == Code::ok) {
        last = world.try_append(16).code();
        if (last == Code::ok) written += 16;
    }
    EXPECT_EQ(last, Code::out_of_space);
    EXPECT_EQ(written, free_before);
    EXPECT_EQ(world.store->free_blocks(), 0U);
    EXPECT_EQ(world.try_append(16, StreamKind::cold).code(), Code::out_of_space);
    EXPECT_TRUE(world.try_append(64, StreamKind::index, Purpose::index).ok());
    EXPECT_EQ(world.try_append(4, StreamKind::cold, Purpose::destage).code(), Code::out_of_space);
    EXPECT_TRUE(world.try_append(64, StreamKind::cleaner, Purpose::cleaning).ok());
    EXPECT_EQ(world.try_append(4, StreamKind::cleaner, Purpose::cleaning).code(),
              Code::out_of_space);
}

TEST(SegmentAppend, WhatIsPromisedToOthersIsNotFree) {
    World world(1, 6, 20, 16);
    DriveTable table(world.reactor, world.drives);
    std::uint64_t promised = 5;
    table.set_promised([&promised] { return promised; });
    table.set_map(world.map);
    SegmentStore store(world.reactor, table, world.drives, world.log, world.owner);
    store.set_map(world.map);
    ASSERT_TRUE(world.reactor.run(store.open()).ok());
    EXPECT_EQ(store.free_blocks(), (20U - 2 - 5) * 4 * 16);
    promised = 0;
    EXPECT_EQ(store.free_blocks(), (20U - 2) * 4 * 16);
    promised = 18;
    std::vector<std::byte> data(kBlockBytes);
    Claims claims;
    auto append = store.append(StreamKind::hot, data, Purpose::user, &claims);
    EXPECT_EQ(world.reactor.run(std::move(append)).code(), Code::out_of_space);
    EXPECT_EQ(store.space().segments, 20U);  // It is still there.
}

TEST(SegmentAppend, BlocksThatWereOverwrittenSoonAreHot) {
    World world;
    world.start();
    Written first = world.append(64, StreamKind::cold);
    EXPECT_EQ(world.store->stream_for(SegmentId{}), StreamKind::cold);
    EXPECT_EQ(world.store->stream_for(first.runs[0].first.segment), StreamKind::hot);
    Written moved = world.append(64, StreamKind::cleaner);
    EXPECT_EQ(world.store->stream_for(moved.runs[0].first.segment), StreamKind::cold);
    // Hot segments live for one segment's blocks: what is older than that is cold.
    std::vector<Written> hot;
    for (int i = 0; i < 4; ++i) {
        hot.push_back(world.append(256, StreamKind::hot));
        if (i > 0) world.kill(hot[hot.size() - 2]);
        world.let_time_pass(20 * kSecond);
    }
    EXPECT_EQ(world.store->stream_for(first.runs[0].first.segment), StreamKind::cold);
    EXPECT_EQ(world.store->stream_for(hot.back().runs[0].first.segment), StreamKind::hot);
}

TEST(SegmentAppend, EndsCancelledAfterClose) {
    World world;
    world.start();
    ASSERT_TRUE(world.reactor.run(world.store->close()).ok());
    EXPECT_EQ(world.try_append(4).code(), Code::cancelled);
}

}  // namespace
}  // namespace weft::segments
