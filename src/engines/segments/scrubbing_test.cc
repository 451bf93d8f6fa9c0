#include "engines/segments/segments_testing_internal.h"

namespace weft::segments {
namespace {

// Scrubs with a verify that reads what is in `live`, as an owner does with its extents.
struct Owner {
    World& world;
    std::vector<Written> live;
    int verified = 0;
    bool blind = false;  // Says that all is right without having looked.
    std::function<void()> after_verify = [] {
    };

    Task<Done> verify(SegmentId id) {
        ++verified;
        if (blind) co_return Done{};
        for (const Written& written : live) {
            std::size_t at = 0;
            for (const BlockRun& run : written.runs) {
                auto crcs = std::span(written.crcs).subspan(at, run.count);
                at += run.count;
                if (run.first.segment != id) continue;
                std::vector<std::byte> into(run.count * kBlockBytes);
                co_await or_return(co_await world.store->read(run, crcs, into));
            }
        }
        after_verify();
        co_return Done{};
    }
    void scrub() {
        std::function<Task<Done>(SegmentId)> call = [this](SegmentId id) {
            return verify(id);
        };
        auto outcome = world.reactor.run(world.store->scrub(call));
        EXPECT_TRUE(outcome.ok());
    }
    std::uint64_t repaired() const { return world.store->counters().blocks_repaired; }
};

Owner filled(World& world, int appends = 6) {
    world.start();
    Owner owner{world, {}, 0, false};
    for (int i = 0; i < appends; ++i) owner.live.push_back(world.append(128));
    return owner;
}

SegmentSlot chunk_of(World& world, SegmentId id, unsigned chunk) {
    return world.store->find(id)->slots[chunk];
}

// All that lives is there still with the drives of these chunks gone.
void expect_read_without(World& world, const Owner& owner, SegmentId id,
                         std::vector<unsigned> chunks) {
    for (unsigned chunk : chunks) world.drives.set_gone(chunk_of(world, id, chunk).drive, true);
    for (const Written& written : owner.live) EXPECT_EQ(world.read(written), Code::ok);
}

TEST(SegmentScrub, FindsNothingWrongWhereNothingIs) {
    World world;
    Owner owner = filled(world);
    owner.scrub();
    EXPECT_EQ(owner.repaired(), 0U);
    EXPECT_EQ(owner.verified, 2);  // Three segments, one of them open.
}

TEST(SegmentScrub, RepairsAnyBadBlock) {
    for (unsigned chunk = 0; chunk < 6; ++chunk) {
        SCOPED_TRACE(chunk);
        World world(chunk);
        Owner owner = filled(world);
        SegmentId id = owner.live[0].runs[0].first.segment;
        world.drives.corrupt(chunk_of(world, id, chunk), 7);
        owner.scrub();
        EXPECT_EQ(owner.repaired(), 1U);
        owner.scrub();
        EXPECT_EQ(owner.repaired(), 1U);
        expect_read_without(world, owner, id, {(chunk + 1) % 6, (chunk + 2) % 6});
    }
}

TEST(SegmentScrub, EndsWithAFlush) {
    World world;
    Owner owner = filled(world);
    SegmentId id = owner.live[0].runs[0].first.segment;
    world.drives.corrupt(chunk_of(world, id, 5), 7);
    std::uint64_t before = world.log.flushes;
    owner.scrub();
    EXPECT_EQ(owner.repaired(), 1U);
    EXPECT_GT(world.log.flushes, before);
}

TEST(SegmentScrub, RepairsAllParityOfABlock) {
    World world;
    Owner owner = filled(world);
    SegmentId id = owner.live[0].runs[0].first.segment;
    world.drives.corrupt(chunk_of(world, id, 4), 7);
    world.drives.corrupt(chunk_of(world, id, 5), 7);
    owner.scrub();
    EXPECT_EQ(owner.repaired(), 2U);
    expect_read_without(world, owner, id, {0, 1});
}

// Goal: where nobody holds the data to a checksum, a bad data block is told from bad parity.
TEST(SegmentScrub, NeverMakesParityOfOneBadDataBlock) {
    World world;
    Owner owner = filled(world);
    owner.blind = true;
    SegmentId id = owner.live[0].runs[0].first.segment;
    world.drives.corrupt(chunk_of(world, id, 2), 7);
    owner.scrub();
    EXPECT_EQ(owner.repaired(), 1U);
    expect_read_without(world, owner, id, {0, 1});
}

// Goal: what nobody holds to a checksum is mended as well, or a rebuild would stop there.
TEST(SegmentScrub, MendsDeadBlocksThatCannotBeRead) {
    for (std::uint32_t bad = 1; bad < 1U << 6; ++bad) {
        SCOPED_TRACE(bad);
        World world(bad);
        Owner owner = filled(world);
        SegmentId id = owner.live[0].runs[0].first.segment;
        world.kill(owner.live[0]);
        owner.live.erase(owner.live.begin());
        for (unsigned chunk = 0; chunk < 6; ++chunk) {
            bool is_bad = (bad >> chunk & 1) != 0;
            if (is_bad) world.drives.make_unreadable(chunk_of(world, id, chunk), 3);
        }
        owner.scrub();
        auto count = static_cast<std::uint64_t>(std::popcount(bad));
        // Where too little is left to tell what they were, others change with them.
        if (count > 2) EXPECT_GE(owner.repaired(), count);
        if (count <= 2) EXPECT_EQ(owner.repaired(), count);
        for (unsigned chunk = 0; chunk < 6; ++chunk) {
            Buffer into(kBlockBytes);
            auto read = world.drives.read(chunk_of(world, id, chunk), 3, into.bytes());
            EXPECT_TRUE(world.reactor.run(std::move(read)).ok()) << chunk;
        }
        std::uint64_t writes = world.drives.writes();
        owner.scrub();
        EXPECT_EQ(world.drives.writes(), writes);
        for (const Written& written : owner.live) EXPECT_EQ(world.read(written), Code::ok);
    }
}

// Goal: parity is never made of data that went bad since somebody held it to its checksums.
TEST(SegmentScrub, TakesNoNoiseForDataThatWasJustVerified) {
    for (int when = 1; when < 5; ++when) {
        SCOPED_TRACE(when);
        World world;
        Owner owner = filled(world);
        SegmentId id = owner.live[0].runs[0].first.segment;
        for (std::uint32_t block = 0; block < 64; block += 7) {
            world.drives.corrupt(chunk_of(world, id, 5), block);
        }
        owner.after_verify = [&] {
            if (owner.verified != when) return;
            SegmentSlot slot = chunk_of(world, id, 1);
            for (std::uint32_t block = 0; block < 64; ++block) world.drives.corrupt(slot, block);
        };
        owner.scrub();
        expect_read_without(world, owner, id, {0});
    }
}

// Goal: a drive that acks a repair and does not keep it costs what is on it, and no more.
TEST(SegmentScrub, MakesNoParityOfARepairThatWasNotKept) {
    World world;
    Owner owner = filled(world);
    SegmentId id = owner.live[0].runs[0].first.segment;
    world.drives.corrupt(chunk_of(world, id, 1), 7);
    world.drives.corrupt(chunk_of(world, id, 4), 7);
    world.drives.lose_writes(chunk_of(world, id, 1).drive, true);
    owner.scrub();
    for (const Written& written : owner.live) EXPECT_EQ(world.read(written), Code::ok);
    world.drives.lose_writes(chunk_of(world, id, 1).drive, false);
    owner.scrub();
    expect_read_without(world, owner, id, {0, 2});
}

TEST(SegmentScrub, LooksAtDrivesThatReadersPassOver) {
    World world;
    Owner owner = filled(world);
    SegmentId id = owner.live[0].runs[0].first.segment;
    DriveId away = chunk_of(world, id, 1).drive;
    world.drives.set_gone(away, true);
    for (const Written& written : owner.live) EXPECT_EQ(world.read(written), Code::ok);
    world.drives.set_gone(away, false);
    world.drives.corrupt(chunk_of(world, id, 1), 7);
    world.drives.corrupt(chunk_of(world, id, 4), 7);
    owner.scrub();
    EXPECT_EQ(owner.repaired(), 2U);
}

TEST(SegmentScrub, LeavesParityAloneWhereDataIsLost) {
    World world;
    Owner owner = filled(world);
    SegmentId id = owner.live[0].runs[0].first.segment;
    for (unsigned chunk : {0U, 1U, 4U}) world.drives.corrupt(chunk_of(world, id, chunk), 7);
    std::uint64_t before = world.drives.writes();
    owner.scrub();
    EXPECT_EQ(owner.repaired(), 0U);
    EXPECT_EQ(world.drives.writes(), before);
}

TEST(SegmentScrub, SkipsSegmentsThatMissChunks) {
    World world;
    Owner owner = filled(world);
    world.set_state(DriveId{1}, DriveState::failed);
    owner.scrub();
    EXPECT_EQ(owner.repaired(), 0U);
}

// Goal: rows that a crash left half written are evened out once, and not reported as damage.
TEST(SegmentScrub, EvensOutWhatACrashLeftBehind) {
    World world;
    Owner owner = filled(world);
    owner.live.push_back(world.append(4, StreamKind::cold));
    SegmentId id = owner.live.back().runs[0].first.segment;
    auto data = world.noise(64);
    {
        Claims claims;
        auto cut_off = world.store->append(StreamKind::cold, data, Purpose::user, &claims);
        cut_off.start(std::noop_coroutine());
        ASSERT_FALSE(cut_off.ended());
    }
    world.start();
    for (std::uint32_t block = 1; block < 4; ++block) {
        world.drives.corrupt(chunk_of(world, id, 3), block);
        world.drives.corrupt(chunk_of(world, id, 4), block);
    }
    EXPECT_FALSE(world.log.records.at(id).closed);
    owner.scrub();
    EXPECT_EQ(owner.repaired(), 0U);
    EXPECT_TRUE(world.log.records.at(id).closed);
    for (const Written& written : owner.live) EXPECT_EQ(world.read(written), Code::ok);
}

TEST(SegmentScrub, RandomDamageIsAllRepaired) {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed);
        Owner owner = filled(world, 8);
        world.start();  // Closes what is open.
        std::set<std::pair<SegmentId, std::uint32_t>> hit;
        for (int i = 0; i < 20; ++i) {
            auto segment = world.log.records.begin();
            std::advance(segment, world.reactor.random() % world.log.records.size());
            auto block = static_cast<std::uint32_t>(world.reactor.random() % 64);
            if (!hit.emplace(segment->first, block).second) continue;
            auto first = static_cast<unsigned>(world.reactor.random() % 6);
            auto count = static_cast<unsigned>(1 + world.reactor.random() % 2);
            for (unsigned n = 0; n < count; ++n) {
                world.drives.corrupt(chunk_of(world, segment->first, (first + n) % 6), block);
            }
        }
        owner.scrub();
        std::uint64_t writes = world.drives.writes();
        owner.scrub();
        EXPECT_EQ(world.drives.writes(), writes);
        world.drives.set_gone(DriveId{0}, true);
        world.drives.set_gone(DriveId{3}, true);
        for (const Written& written : owner.live) EXPECT_EQ(world.read(written), Code::ok);
    }
}

}  // namespace
}  // namespace weft::segments
