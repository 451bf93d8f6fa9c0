#include "model/layout/keys.h"
#include "roles/compute/compute_testing_internal.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

// The journal as the compute role keeps it: short, and on drives that are there.
class JournalDuty : public ComputeTest {
protected:
    void lose(std::uint32_t drive) {
        drives.set_gone(DriveId{drive}, true);
        map.drives[drive].state = DriveState::failed;
    }
    void add_one() {
        DriveEntry entry = map.drives.front();
        entry.id = drives.add_drive();
        entry.domain = FailureDomainId{entry.id.value};
        entry.state = DriveState::active;
        map.drives.push_back(entry);
    }
    void tell() {
        ++map.epoch.value;
        ASSERT_TRUE(run(role->set_map(map)).ok());
    }
    ComputeReport report() { return run(role->report()).value(); }
};

TEST_F(JournalDuty, MovesOffDrivesThatFailBeforeMoreDo) {
    FileId file = make_file(root(), "a");
    std::string staged(3000, 's');
    ASSERT_EQ(write(file, 0, staged), Code::ok);
    // Nobody writes meanwhile: by the end none of the first drives is left.
    for (std::uint32_t lost = 0; lost < 6; lost += 2) {
        lose(lost);
        lose(lost + 1);
        tell();
        add_one();
        add_one();
        tell();
        wait(10 * kSecond);
        EXPECT_EQ(report().segments_degraded, 0U);
    }
    crash();
    EXPECT_EQ(read(file, 0, 4000), staged);
    restart();
    EXPECT_EQ(read(file, 0, 4000), staged);
}

// Whoever takes drives away goes by the report.
TEST_F(JournalDuty, IsReportedDegradedUntilItHasMovedOffDrivesThatFailed) {
    FileId file = make_file(root(), "a");
    std::string staged(3000, 's');
    ASSERT_EQ(write(file, 0, staged), Code::ok);
    for (std::uint32_t lost = 0; lost < 6; lost += 2) {
        add_one();
        add_one();
        lose(lost);
        lose(lost + 1);
        tell();
        EXPECT_GT(report().segments_degraded, 0U);
        EXPECT_GT(report().missing_most, 0U);
        for (int i = 0; i < 1000 && report().segments_degraded > 0; ++i) wait(kMillisecond);
        EXPECT_EQ(report().missing_most, 0U);
    }
    crash();
    EXPECT_EQ(read(file, 0, 4000), staged);
}

// Over and over, with writes at every moment of it, stops, crashes and losses of power.
TEST_F(JournalDuty, PairsOfDrivesFailAndAreReplacedUnderWrites) {
    std::map<int, FileId> files;
    std::map<int, std::string> content;
    int writes = 0;
    auto write_some = [&](int count) {
        for (; count > 0; --count, ++writes) {
            int i = writes % 16;
            if (!files.contains(i)) files[i] = make_file(root(), "f" + std::to_string(i));
            // Staged and striped ones in turn.
            std::size_t bytes = writes % 3 == 0 ? 3 * 64 * kKiB : 5000;
            content[i].assign(bytes, static_cast<char>('a' + writes % 26));
            ASSERT_EQ(set_size(files[i], 0), Code::ok);
            ASSERT_EQ(write(files[i], 0, content[i]), Code::ok);
        }
    };
    for (int round = 0; round < 24; ++round) {
        SCOPED_TRACE(round);
        write_some(1 + static_cast<int>(reactor.random() % 40));
        std::vector<std::uint32_t> active;
        for (std::uint32_t i = 0; i < map.drives.size(); ++i) {
            if (map.drives[i].state == DriveState::active) active.push_back(i);
        }
        for (int i = 0; i < 2; ++i) {
            auto at =
                active.begin() + static_cast<std::ptrdiff_t>(reactor.random() % active.size());
            lose(*at);
            active.erase(at);
        }
        bool noticed_late = reactor.random() % 2 == 0;
        if (noticed_late) write_some(20);
        tell();
        if (reactor.random() % 2 == 0) write_some(20);
        add_one();
        add_one();
        tell();
        write_some(20);
        for (int i = 0; i < 600 && report().segments_degraded > 0; ++i) wait(100 * kMillisecond);
        EXPECT_EQ(report().segments_degraded, 0U);
        switch (reactor.random() % 4) {
            case 0:
                restart();
                break;
            case 1:
                crash();
                break;
            case 2:
                ASSERT_TRUE(run(role->sync(next(), kFilesystem)).ok());
                role.reset();
                drives.lose_power();
                start();
                break;
            default:
                break;
        }
        for (const auto& [i, file] : files) {
            ASSERT_EQ(read(file, 0, content[i].size() + 10), content[i]) << i;
        }
    }
}

class SmallJournal : public JournalDuty {
protected:
    void SetUp() override {
        settings.journal_bytes_most = kMiB;
        settings.data.staged_bytes_usual = 128 * kKiB;
        JournalDuty::SetUp();
    }
};

// Without a role: the duties do nothing meanwhile.
class BareCore : public ComputeTest {
protected:
    void SetUp() override {}
    void TearDown() override {}
};

// What says that bytes lie in stripes now must survive loss of power before the record that
// brought the bytes may go.
TEST_F(BareCore, FlushesWhatMadeRecordsUnneededBeforeItTrimsThem) {
    Core core(reactor, drives, settings);
    Epoch epoch{2};
    map.epoch = epoch;
    ASSERT_TRUE(run(core.open(map, epoch)).ok());
    core.closing = true;
    core.wake_duties();
    wait(2 * kSecond);
    Shard& shard = core.shard(ShardId{1});
    FileId file{kFilesystem, make_inode(ShardId{1}, 20)};
    Transaction transaction;
    std::string key = keys::staged(file, 0, 5000);
    transaction.on(ShardId{1}).push({Mutation::Kind::stage, key, std::string(5000, 's'), 0});
    Lsn staged = core.commit(std::move(transaction));
    ASSERT_TRUE(run(core.journal.flushed(staged)).ok());
    ASSERT_TRUE(run(shard.data.destage(staged)).ok());
    ASSERT_EQ(shard.data.oldest_staged(), Lsn{});
    Lsn appended = core.journal.last_appended();
    ASSERT_LT(core.journal.last_flushed(), appended);
    ASSERT_TRUE(run(core.trim_to_needed()).ok());
    EXPECT_GE(core.journal.last_flushed(), appended);
    ASSERT_TRUE(run(core.close()).ok());
}

class BareSmallJournal : public BareCore {
protected:
    void SetUp() override {
        settings.journal_bytes_most = kMiB;
        ++map.epoch.value;
        core = std::make_unique<Core>(reactor, drives, settings);
        ASSERT_TRUE(run(core->open(map, map.epoch)).ok());
        wait(kMillisecond);
    }
    void TearDown() override { ASSERT_TRUE(run(core->close()).ok()); }
    // A record that the index of the shard has to be written out for.
    Lsn put(ShardId shard, std::string_view key, std::size_t bytes) {
        Transaction transaction;
        transaction.on(shard).put(std::string(key), std::string(bytes, 'v'));
        return core->commit(std::move(transaction));
    }
    std::unique_ptr<Core> core;
};

TEST_F(BareSmallJournal, WakesOneDutyWhenItIsTooLong) {
    std::uint64_t most = core->settings.journal_bytes_most;
    // Of several shards: none of them is to be written out for itself.
    for (std::uint32_t i = 0; core->journal_bytes() <= most; ++i) {
        Lsn lsn = put(ShardId{i % 4}, "a" + std::to_string(i), 20000);
        ASSERT_TRUE(core->trimming.has_waiters());
        ASSERT_TRUE(run(core->committed(lsn)).ok());
    }
    ASSERT_TRUE(core->cleaning.has_waiters());
    ASSERT_TRUE(core->merging.has_waiters());
    bool waited = core->trimming.has_waiters();
    (void)put(ShardId{0}, "z", 10);
    EXPECT_TRUE(core->cleaning.has_waiters());
    EXPECT_TRUE(core->merging.has_waiters());
    EXPECT_TRUE(core->saving.has_waiters());
    EXPECT_TRUE(waited);
    EXPECT_FALSE(core->trimming.has_waiters());
    wait(kSecond);
    EXPECT_LE(core->journal_bytes(), most);
}

TEST_F(BareSmallJournal, MergersLeaveShardsAloneThatHaveNothingToMerge) {
    std::vector<SharedMutex::Lock> held;
    for (auto& [id, shard] : core->shards) {
        held.push_back(run(shard->maintenance.lock()).value());
    }
    core->merging.notify_all();
    wait(10 * kMillisecond);
    EXPECT_TRUE(core->being_merged.empty());
    EXPECT_TRUE(core->merging.has_waiters());
}

TEST_F(BareSmallJournal, SegmentsThatItHasTakenAreNotPromisedOnceMore) {
    auto segments_taken = [this] {
        std::size_t slots = 0;
        OwnerId owner = OwnerId::of(JournalId{0});
        for (std::uint32_t i = 0; i < 7; ++i) {
            slots += run(drives.list(DriveId{i}, owner)).value().size();
        }
        return slots / 5;  // 3 + 2 drives each.
    };
    // One for records, and what is held in reserve.
    ASSERT_EQ(segments_taken(), 2U);
    EXPECT_EQ(core->journal_segments_to_come(), core->journal_segments_most() - 2);
    for (int i = 0; segments_taken() < 3; ++i) {
        Lsn lsn = put(ShardId{0}, "a" + std::to_string(i), 20000);
        ASSERT_TRUE(run(core->committed(lsn)).ok());
        wait(10 * kMillisecond);  // What was to be prepared is.
    }
    ASSERT_EQ(core->journal.counters().segments_live, 1U);
    EXPECT_EQ(core->journal_segments_to_come(), core->journal_segments_most() - 3);
}

TEST_F(SmallJournal, LossOfPowerWhileItTrimsLosesNothingThatWasSynced) {
    std::map<int, FileId> files;
    for (int round = 0; round < 40; ++round) {
        for (int i = 0; i < 20; ++i) {
            if (!files.contains(i)) files[i] = make_file(root(), "f" + std::to_string(i));
            std::string bytes(30000, static_cast<char>('a' + round % 26));
            ASSERT_EQ(write(files[i], 0, bytes), Code::ok);
        }
        ASSERT_TRUE(run(role->sync(next(), kFilesystem)).ok());
        // Checkpoints, destages and trims, until somewhere in their midst.
        Nanos begun = reactor.now();
        auto most = static_cast<Nanos>(reactor.random() % 5'000'000);
        while (reactor.now() - begun < most && reactor.step()) {
        }
        role.reset();
        drives.lose_power();
        start();
        for (int i = 0; i < 20; ++i) {
            std::string bytes(30000, static_cast<char>('a' + round % 26));
            ASSERT_EQ(read(files[i], 0, 40000), bytes) << "round " << round << " file " << i;
        }
    }
}

}  // namespace
}  // namespace weft::compute
