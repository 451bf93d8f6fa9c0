#include "engines/filedata/file_data.h"

#include "engines/filedata/shard_double_internal.h"
#include "model/layout/keys.h"
#include "model/layout/routing.h"
#include "platform/base/bytes.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_reactor.h"
#include "testing/memory_drives.h"

#include <optional>

#include <gtest/gtest.h>

namespace weft::filedata {
namespace {

constexpr FileId kFile{FilesystemId{1}, InodeId{7}};
constexpr FileId kOther{FilesystemId{1}, InodeId{8}};
constexpr Lsn kEvery{UINT64_MAX};
constexpr std::uint64_t kBlock = kBlockBytes;

std::string pattern(char first, std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>(first + static_cast<char>(i * 7 / 13 % 64));
    }
    return text;
}

class FileDataTest : public ::testing::Test {
protected:
    FileDataTest() { start(); }
    ~FileDataTest() override {
        std::string fault = run(find_fault(shard_.get()));
        EXPECT_EQ(fault, "");
        EXPECT_TRUE(reactor_.run(shard_->close()).ok());
    }

    void start() {
        shard_ = std::make_unique<ShardDouble>(reactor_, drives_, map_of(7), disk_, settings_);
        ASSERT_TRUE(reactor_.run(shard_->open()).ok());
    }
    void crash_and_restart() {
        shard_.reset();
        start();
    }
    FileData& data() { return shard_->data(); }
    template <class T>
    T run(Task<T> task) {
        Result<T> result = reactor_.run(std::move(task));
        if (!result.ok()) ADD_FAILURE() << name_of(result.code()) << " " << result.error().what;
        CHECK(result.ok());
        return std::move(result).value();
    }
    std::int64_t commit(PreparedChange change) {
        std::int64_t delta = change.blocks_delta;
        shard_->commit(change);
        return delta;
    }
    std::int64_t write(FileId file, std::uint64_t offset, const std::string& bytes) {
        return commit(run(data().prepare_write(file, offset, bytes_of(bytes))));
    }
    std::int64_t punch(FileId file, std::uint64_t offset, std::uint64_t length, bool keep) {
        return commit(run(data().prepare_punch(file, offset, length, keep)));
    }
    std::string read(FileId file, std::uint64_t offset, std::size_t size) {
        std::string bytes(size, '\x55');
        Bytes into = std::as_writable_bytes(std::span(bytes.data(), bytes.size()));
        run(data().read(file, offset, into));
        return bytes;
    }
    std::uint64_t seek(std::uint64_t offset, std::uint64_t end, bool for_data) {
        auto found = reactor_.run(data().seek(kFile, offset, end, for_data));
        return found.ok() ? found.value() : UINT64_MAX;
    }
    void destage() { run(data().destage(kEvery)); }
    std::vector<SegmentId> segments() {
        std::vector<SegmentId> ids;
        for (const auto& status : shard_->segments().list()) ids.push_back(status.id);
        return ids;
    }

    SimulatedReactor reactor_;
    testing::MemoryDrives drives_{reactor_, 7, 32, 64};
    ShardDisk disk_;
    FileDataSettings settings_;
    std::unique_ptr<ShardDouble> shard_;
};

TEST_F(FileDataTest, ReadsZerosWhereNothingWasWritten) {
    EXPECT_EQ(read(kFile, 100, 5000), std::string(5000, '\0'));
}

TEST_F(FileDataTest, ReadsStagedBytesBeforeAndAfterTheyGoOut) {
    std::string bytes = pattern('a', 6000);
    EXPECT_EQ(write(kFile, 1000, bytes), 2);
    EXPECT_EQ(data().oldest_staged(), shard_->last_lsn());
    std::string expected = std::string(1000, '\0') + bytes + std::string(192, '\0');
    EXPECT_EQ(read(kFile, 0, 7192), expected);
    destage();
    EXPECT_EQ(data().staged_bytes(), 0U);
    EXPECT_EQ(data().oldest_staged(), Lsn{});
    EXPECT_EQ(read(kFile, 0, 7192), expected);
}

TEST_F(FileDataTest, MergesPartOfABlockWithWhatTheBlockHas) {
    std::string old = pattern('a', 2 * kBlock);
    EXPECT_EQ(write(kFile, 0, old), 2);
    destage();
    EXPECT_EQ(write(kFile, 4000, "0123456789"), 0);
    destage();
    std::string expected = old;
    expected.replace(4000, 10, "0123456789");
    EXPECT_EQ(read(kFile, 0, 2 * kBlock), expected);
}

TEST_F(FileDataTest, WritesLargeAlignedOnesToStripesAtOnce) {
    std::string bytes = pattern('a', kRegionBytes);
    EXPECT_EQ(write(kFile, kRegionBytes, bytes), 256);
    EXPECT_EQ(data().staged_bytes(), 0U);
    EXPECT_EQ(read(kFile, kRegionBytes, bytes.size()), bytes);
    EXPECT_EQ(read(kFile, kRegionBytes + 12345, 54321), bytes.substr(12345, 54321));
}

TEST_F(FileDataTest, DirectWritesWinOverOlderStagedBytesAlsoAfterACrash) {
    write(kFile, 0, pattern('a', 20 * kBlock + 5));
    std::string bytes = pattern('A', 16 * kBlock);
    EXPECT_EQ(write(kFile, 0, bytes), 0);
    EXPECT_EQ(read(kFile, 0, bytes.size()), bytes);
    crash_and_restart();
    EXPECT_EQ(read(kFile, 0, bytes.size()), bytes);
    destage();
    EXPECT_EQ(read(kFile, 0, bytes.size()), bytes);
}

TEST_F(FileDataTest, StagedBytesWinOverOlderExtentsAlsoAfterACrash) {
    std::string bytes = pattern('a', 16 * kBlock);
    write(kFile, 0, bytes);
    write(kFile, 5000, "new");
    bytes.replace(5000, 3, "new");
    EXPECT_EQ(read(kFile, 0, bytes.size()), bytes);
    crash_and_restart();
    EXPECT_EQ(read(kFile, 0, bytes.size()), bytes);
}

TEST_F(FileDataTest, ReplaysTheSameAfterACheckpoint) {
    write(kFile, 10, "one");
    write(kOther, 0, pattern('a', 16 * kBlock));
    ASSERT_TRUE(reactor_.run(shard_->checkpoint()).ok());
    write(kFile, 20, "two");
    crash_and_restart();
    EXPECT_EQ(read(kFile, 10, 13), std::string("one\0\0\0\0\0\0\0two", 13));
    EXPECT_EQ(read(kOther, 0, 16 * kBlock), pattern('a', 16 * kBlock));
}

TEST_F(FileDataTest, CountsEachBlockOnceHoweverItIsHeld) {
    EXPECT_EQ(write(kFile, 0, "a"), 1);
    EXPECT_EQ(write(kFile, 5, "b"), 0);
    destage();
    EXPECT_EQ(write(kFile, 9, "c"), 0);
    auto reserved = run(data().prepare_reserve(kFile, 0, 3 * kBlock));
    EXPECT_EQ(commit(std::move(reserved)), 2);
    EXPECT_EQ(write(kFile, kBlock, pattern('a', 2 * kBlock)), 0);
    EXPECT_EQ(punch(kFile, 0, 3 * kBlock, false), -3);
    EXPECT_EQ(punch(kFile, 0, 3 * kBlock, false), 0);
    EXPECT_EQ(read(kFile, 0, 3 * kBlock), std::string(3 * kBlock, '\0'));
}

TEST_F(FileDataTest, ZeroesPartialBlocksWhenPunched) {
    std::string bytes = pattern('a', 4 * kBlock);
    write(kFile, 0, bytes);
    destage();
    EXPECT_EQ(punch(kFile, 100, 2 * kBlock, false), -1);
    bytes.replace(100, 2 * kBlock, 2 * kBlock, '\0');
    EXPECT_EQ(read(kFile, 0, 4 * kBlock), bytes);
    EXPECT_EQ(punch(kFile, 3 * kBlock + 5, 10, false), 0);
    bytes.replace(3 * kBlock + 5, 10, 10, '\0');
    crash_and_restart();
    EXPECT_EQ(read(kFile, 0, 4 * kBlock), bytes);
}

TEST_F(FileDataTest, KeepsTheBlocksOfAZeroedRangePromised) {
    write(kFile, 0, pattern('a', 2 * kBlock));
    EXPECT_EQ(punch(kFile, 0, 4 * kBlock, true), 2);
    EXPECT_EQ(read(kFile, 0, 4 * kBlock), std::string(4 * kBlock, '\0'));
    EXPECT_EQ(seek(0, 4 * kBlock, true), UINT64_MAX);
    EXPECT_EQ(write(kFile, 0, pattern('a', 4 * kBlock)), 0);
}

TEST_F(FileDataTest, SeeksDataAndHoles) {
    write(kFile, 2 * kBlock, pattern('a', kBlock));
    destage();
    write(kFile, 5 * kBlock + 100, "x");
    commit(run(data().prepare_reserve(kFile, 7 * kBlock, kBlock)));
    std::uint64_t end = 10 * kBlock;
    EXPECT_EQ(seek(0, end, true), 2 * kBlock);
    EXPECT_EQ(seek(2 * kBlock + 7, end, true), 2 * kBlock + 7);
    EXPECT_EQ(seek(2 * kBlock, end, false), 3 * kBlock);
    EXPECT_EQ(seek(3 * kBlock, end, true), 5 * kBlock);
    EXPECT_EQ(seek(5 * kBlock + 200, end, true), 5 * kBlock + 200);
    EXPECT_EQ(seek(6 * kBlock, end, true), UINT64_MAX);
    EXPECT_EQ(seek(5 * kBlock, 6 * kBlock, false), UINT64_MAX);
    EXPECT_EQ(seek(9, 9, true), UINT64_MAX);
}

TEST_F(FileDataTest, FindsTheNextRegionThatHasAnything) {
    write(kFile, 3 * kRegionBytes, "staged");
    commit(run(data().prepare_reserve(kFile, 7 * kRegionBytes + kBlock, kBlock)));
    write(kOther, 5 * kRegionBytes, "other");
    EXPECT_EQ(run(data().next_region(kFile, 0)), 3U);
    EXPECT_EQ(run(data().next_region(kFile, 3)), 3U);
    EXPECT_EQ(run(data().next_region(kFile, 4)), 7U);
    EXPECT_EQ(reactor_.run(data().next_region(kFile, 8)).code(), Code::no_data);
    destage();
    EXPECT_EQ(run(data().next_region(kFile, 0)), 3U);
}

TEST_F(FileDataTest, SharesBlocksAndKeepsThemApartLater) {
    std::string bytes = pattern('a', 20 * kBlock);
    write(kFile, 0, bytes);
    write(kFile, 3, "staged");
    bytes.replace(3, 6, "staged");
    write(kOther, kRegionBytes, pattern('A', 2 * kBlock));
    auto share = run(data().prepare_share(kFile, 0, kOther, kRegionBytes, 20 * kBlock));
    EXPECT_EQ(commit(std::move(share)), 18);
    EXPECT_EQ(read(kOther, kRegionBytes, bytes.size()), bytes);
    write(kFile, 0, "changed");
    punch(kFile, 4 * kBlock, 16 * kBlock, false);
    destage();
    EXPECT_EQ(read(kOther, kRegionBytes, bytes.size()), bytes);
}

TEST_F(FileDataTest, SharesWithinOneRegion) {
    std::string bytes = pattern('a', 4 * kBlock);
    write(kFile, 0, bytes);
    commit(run(data().prepare_share(kFile, 0, kFile, 4 * kBlock, 4 * kBlock)));
    EXPECT_EQ(read(kFile, 0, 8 * kBlock), bytes + bytes);
    auto overlapping = reactor_.run(data().prepare_share(kFile, 0, kFile, kBlock, 2 * kBlock));
    EXPECT_EQ(overlapping.code(), Code::invalid);
}

TEST_F(FileDataTest, PurgesAllRegionsInSteps) {
    std::int64_t blocks = 0;
    for (std::uint64_t region = 0; region < 4; ++region) {
        blocks += write(kFile, region * kRegionBytes, pattern('a', 32 * kBlock));
        blocks += write(kFile, region * kRegionBytes + 40 * kBlock, "tail");
    }
    std::string kept = read(kFile, 0, 2 * kBlock);
    write(kOther, 0, "other");
    int calls = 0;
    for (bool more = true; more; ++calls) {
        auto purge = run(data().prepare_purge(kFile, 2, 1));
        more = purge.more;
        blocks += commit(std::move(purge.change));
    }
    EXPECT_EQ(calls, 4);
    EXPECT_EQ(blocks, 2);
    EXPECT_EQ(read(kFile, 0, 4 * kBlock), kept + std::string(2 * kBlock, '\0'));
    for (std::uint64_t region = 1; region < 4; ++region) {
        EXPECT_EQ(read(kFile, region * kRegionBytes, kBlock), std::string(kBlock, '\0'));
    }
    EXPECT_EQ(read(kOther, 0, 5), "other");
    crash_and_restart();
    EXPECT_EQ(read(kFile, 40 * kBlock, 4), std::string(4, '\0'));
}

TEST_F(FileDataTest, CleansSegmentsAndTheFilesStayTheSame) {
    std::string bytes = pattern('a', kRegionBytes);
    write(kFile, 0, bytes);
    commit(run(data().prepare_share(kFile, 0, kOther, 0, 64 * kBlock)));
    punch(kFile, 8 * kBlock, 100 * kBlock, false);
    bytes.replace(8 * kBlock, 100 * kBlock, 100 * kBlock, '\0');
    auto old = segments();
    for (SegmentId segment : old) EXPECT_TRUE(run(data().clean(segment)));
    EXPECT_EQ(read(kFile, 0, bytes.size()), bytes);
    EXPECT_EQ(read(kOther, 0, 64 * kBlock), pattern('a', kRegionBytes).substr(0, 64 * kBlock));
    std::map<SegmentId, std::uint64_t> live;
    for (const auto& status : shard_->segments().list()) live[status.id] = status.live_blocks;
    for (SegmentId segment : old) EXPECT_EQ(live[segment], 0U);
    crash_and_restart();
    EXPECT_EQ(read(kFile, 0, bytes.size()), bytes);
}

Task<Done> read_later(FileData* data, std::string* bytes, Result<Done>* outcome) {
    Bytes into = std::as_writable_bytes(std::span(bytes->data(), bytes->size()));
    *outcome = co_await data->read(kFile, 0, into);
    co_return Done{};
}

TEST_F(FileDataTest, ReadsOnWhileTheCleanerTakesTheBlocksAway) {
    std::string bytes = pattern('a', kRegionBytes);
    write(kFile, 0, bytes);
    Gate gate(reactor_);
    std::string got(16 * kBlock, '\0');
    Result<Done> outcome = Error{Code::retry_later, "test"};
    drives_.set_latency(60 * kSecond);
    std::uint64_t reads = drives_.reads();
    gate.spawn(read_later(&data(), &got, &outcome));
    while (drives_.reads() == reads) ASSERT_TRUE(reactor_.step());  // It knows where they lie.
    drives_.set_latency(kMillisecond);
    SegmentId first = segments().front();
    EXPECT_TRUE(run(data().clean(first)));
    while (gate.running() > 0) ASSERT_TRUE(reactor_.step());
    EXPECT_TRUE(outcome.ok());
    EXPECT_EQ(got, bytes.substr(0, got.size()));
    while (shard_->segments().find(first) != nullptr) ASSERT_TRUE(reactor_.step());
}

// Shared blocks are written once when they are moved.
TEST_F(FileDataTest, CleaningKeepsSharedBlocksShared) {
    write(kFile, 0, pattern('a', 64 * kBlock));
    commit(run(data().prepare_share(kFile, 0, kOther, 0, 64 * kBlock)));
    for (SegmentId segment : segments()) run(data().clean(segment));
    auto written = shard_->segments().counters();
    EXPECT_LT(written.blocks_written[static_cast<std::size_t>(StreamKind::cleaner)], 100U);
}

TEST_F(FileDataTest, VerifyFindsWhatIsLostAndRepairsWhatIsNot) {
    write(kFile, 0, pattern('a', 16 * kBlock));
    ASSERT_EQ(segments().size(), 1U);
    SegmentId segment = segments().front();
    const SegmentRecord* record = shard_->segments().find(segment);
    drives_.corrupt(record->slots[0], 0);
    EXPECT_EQ(run(data().verify(segment)), 0U);
    EXPECT_EQ(shard_->segments().counters().blocks_repaired, 1U);
    for (int chunk = 0; chunk < 3; ++chunk) {
        drives_.corrupt(record->slots[static_cast<std::size_t>(chunk)], 1);
    }
    EXPECT_GT(run(data().verify(segment)), 0U);
    std::string bytes(16 * kBlock, '\0');
    Bytes into = std::as_writable_bytes(std::span(bytes.data(), bytes.size()));
    EXPECT_EQ(reactor_.run(data().read(kFile, 0, into)).code(), Code::corrupt);
}

Task<Done> note_lost(FileData* data, SegmentId segment, std::optional<std::uint64_t>* lost) {
    lost->emplace(co_await or_return(co_await data->verify(segment)));
    co_return Done{};
}

// A segment of many small extents and a large one, in which no block can be read, and an index that
// has to be read page by page.
class VerifyMeanwhileTest : public FileDataTest {
protected:
    static constexpr std::uint64_t kLarge = 2 * kExtentBlocksMost;

    // How many blocks are found to be lost, where one of the large extent is punched out after so
    // many steps.
    std::uint64_t lost_with_a_split_after(std::uint64_t steps) {
        write(kFile, 0, pattern('a', (kLarge + kExtentBlocksMost) * kBlock));
        for (std::uint64_t i = 0; i < kLarge; i += 2) punch(kFile, i * kBlock, kBlock, false);
        run(shard_->checkpoint());
        SegmentId segment = segments().front();
        const SegmentRecord* record = shard_->segments().find(segment);
        for (std::size_t chunk = 0; chunk < 3; ++chunk) {
            for (std::uint32_t i = 0; i < 64; ++i) drives_.corrupt(record->slots[chunk], i);
        }
        PreparedChange change =
            run(data().prepare_punch(kFile, (kLarge + 8) * kBlock, kBlock, false));
        std::optional<std::uint64_t> lost;
        Gate gate(reactor_);
        gate.spawn(note_lost(&data(), segment, &lost));
        for (std::uint64_t i = 0; i < steps && !lost.has_value(); ++i) EXPECT_TRUE(reactor_.step());
        shard_->commit(change);
        while (!lost.has_value()) EXPECT_TRUE(reactor_.step());
        return *lost;
    }
};

// In the steps of the scan and of the looks at the owners.
TEST_F(VerifyMeanwhileTest, LooksAtWhatIsLeftOfAnExtentThatIsSplit) {
    struct Once : VerifyMeanwhileTest {
        void TestBody() override {}
        using VerifyMeanwhileTest::lost_with_a_split_after;
    };
    for (std::uint64_t steps = 0; steps < 40; ++steps) {
        SCOPED_TRACE(steps);
        EXPECT_GE(Once().lost_with_a_split_after(steps), kLarge / 2 + kExtentBlocksMost - 1);
    }
}

// Else one lost block would keep the whole core's journal from being trimmed.
TEST_F(FileDataTest, KeepsBytesStagedWhoseBlockIsLostAndLetsTheJournalGo) {
    write(kFile, 0, pattern('a', 16 * kBlock));
    const SegmentRecord* record = shard_->segments().find(segments().front());
    for (std::size_t chunk = 0; chunk < 3; ++chunk) drives_.corrupt(record->slots[chunk], 0);
    write(kFile, 100, "on a lost block");
    write(kFile, 3 * kBlock + 5, "on a good one");
    Lsn before = shard_->last_lsn();
    destage();
    EXPECT_GT(data().oldest_staged(), before);
    EXPECT_EQ(read(kFile, 100, 15), "on a lost block");
    EXPECT_EQ(read(kFile, 3 * kBlock + 5, 13), "on a good one");
    // There is nothing to write, however often it is tried.
    std::uint64_t written = drives_.writes();
    destage();
    EXPECT_EQ(drives_.writes(), written);
    ASSERT_TRUE(reactor_.run(shard_->checkpoint()).ok());
    crash_and_restart();
    EXPECT_EQ(read(kFile, 100, 15), "on a lost block");
    auto share = reactor_.run(data().prepare_share(kFile, 0, kOther, 0, kBlock));
    EXPECT_EQ(share.code(), Code::corrupt);
    std::string whole = pattern('b', kBlock);
    write(kFile, 0, whole);
    destage();
    EXPECT_EQ(data().staged_bytes(), 0U);
    EXPECT_EQ(read(kFile, 0, kBlock), whole);
}

Task<Done> write_later(ShardDouble* shard, FileId file, std::uint64_t offset, std::string bytes,
                       bool* done) {
    auto change =
        co_await or_return(co_await shard->data().prepare_write(file, offset, bytes_of(bytes)));
    shard->commit(change);
    *done = true;
    co_return Done{};
}

TEST_F(FileDataTest, LocksOneRegionAndLeavesOthersFree) {
    Gate gate(reactor_);
    auto held = std::make_optional(run(data().prepare_write(kFile, 0, bytes_of("held"))));
    bool same = false;
    bool other_region = false;
    bool other_file = false;
    gate.spawn(write_later(shard_.get(), kFile, 2, "same", &same));
    gate.spawn(write_later(shard_.get(), kFile, kRegionBytes, "region", &other_region));
    gate.spawn(write_later(shard_.get(), kOther, 0, "file", &other_file));
    while (!other_region || !other_file) ASSERT_TRUE(reactor_.step());
    EXPECT_FALSE(same);
    commit(std::move(*held));
    held.reset();
    while (!same) ASSERT_TRUE(reactor_.step());
    EXPECT_EQ(read(kFile, 0, 6), "hesame");
}

TEST_F(FileDataTest, ADestageWaitsForALockedRegionOnly) {
    Gate gate(reactor_);
    write(kFile, 0, "old");
    write(kOther, 0, "other");
    auto held = std::make_optional(run(data().prepare_write(kFile, 1, bytes_of("E"))));
    gate.spawn(data().destage(kEvery));
    bool written = false;
    gate.spawn(write_later(shard_.get(), kOther, 100, "meanwhile", &written));
    while (!written) ASSERT_TRUE(reactor_.step());
    commit(std::move(*held));
    held.reset();
    while (gate.running() > 0) ASSERT_TRUE(reactor_.step());
    EXPECT_EQ(read(kFile, 0, 3), "oEd");
    EXPECT_EQ(read(kOther, 0, 5), "other");
    EXPECT_EQ(read(kOther, 100, 9), "meanwhile");
}

Task<Done> admit_later(FileData* data, bool* done) {
    co_await or_return(co_await data->admit());
    *done = true;
    co_return Done{};
}

TEST_F(FileDataTest, HoldsWritersBackWhileTooMuchIsStaged) {
    for (std::uint64_t i = 0; i < 300; ++i) write(kFile, i * 3000, pattern('a', 3000));
    for (std::uint64_t i = 0; i < 3000; ++i) write(kOther, i * 300 % 900000, pattern('a', 2999));
    Gate gate(reactor_);
    bool admitted = false;
    gate.spawn(admit_later(&data(), &admitted));
    EXPECT_EQ(admitted, data().staged_bytes() <= settings_.staged_bytes_most);
    destage();
    while (!admitted) ASSERT_TRUE(reactor_.step());
}

TEST_F(FileDataTest, RefusesLargeWritesWhenFullAndDeletingStillWorks) {
    Code code = Code::ok;
    std::uint64_t region = 0;
    std::string bytes = pattern('a', kRegionBytes);
    while (code == Code::ok) {
        auto change =
            reactor_.run(data().prepare_write(kFile, region * kRegionBytes, bytes_of(bytes)));
        code = change.code();
        if (change.ok()) commit(std::move(change).value());
        if (change.ok()) ++region;
        ASSERT_LT(region, 1000U);
    }
    EXPECT_EQ(code, Code::out_of_space);
    // Small ones are staged: what is kept back is for these too, once they are acked.
    EXPECT_EQ(write(kOther, 5, "small"), 1);
    run(data().destage(shard_->last_lsn()));
    EXPECT_EQ(read(kOther, 5, 5), "small");
    EXPECT_EQ(read(kFile, 0, 100), bytes.substr(0, 100));
    for (bool more = true; more;) {
        auto purge = run(data().prepare_purge(kFile, 0, 100));
        more = purge.more;
        commit(std::move(purge.change));
    }
    std::uint64_t needed = kRegionBytes / kBlock;
    while (shard_->segments().free_blocks() < needed) ASSERT_TRUE(reactor_.step());
    EXPECT_EQ(write(kOther, 0, bytes), 255);
}

}  // namespace
}  // namespace weft::filedata
