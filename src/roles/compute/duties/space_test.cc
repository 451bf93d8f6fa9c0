#include "platform/runtime/join.h"
#include "roles/compute/compute_testing_internal.h"
#include "roles/compute/core_internal.h"

#include <algorithm>
#include <functional>

namespace weft::compute {
namespace {

// Few and small drives, so that they fill.
class Space : public ComputeTest {
protected:
    void SetUp() override {
        map.filesystems[0].capacity_bytes = 4 * kGiB;  // More than there is.
        settings.journal_bytes_most = 2 * kMiB;
        ComputeTest::SetUp();
    }
    void crash_role_without_filesystem() {
        role.reset();
        ++map.epoch.value;
        role = std::make_unique<ComputeRole>(reactor, drives, settings);
        ASSERT_TRUE(reactor.run(role->open(map, map.epoch)).ok());
        caller.session = role->open_session(&holder).value();
        EXPECT_EQ(run(role->getattr(caller, root())).code(), Code::stale);
    }
    // Writes files of 256 KiB until one is refused; how many fitted.
    int fill(int from) {
        std::string bytes(256 * kKiB, 'f');
        for (int i = from;; ++i) {
            auto made = make(root(), "f" + std::to_string(i), 0100644);
            if (!made.ok()) {
                EXPECT_EQ(made.code(), Code::out_of_space);
                return i;
            }
            Code code = write(id(made.value().inode), 0, bytes);
            if (code == Code::ok) continue;
            EXPECT_EQ(code, Code::out_of_space);
            return i;
        }
    }
};

TEST_F(Space, FullDrivesRefuseWritesAndTakeThemAgainOnceSomethingIsGone) {
    int fitted = fill(0);
    // 7 drives of 96 slots of 1 MiB hold at most 403 MiB of data at 3 + 2.
    EXPECT_GT(fitted, 4 * 150);
    EXPECT_LT(fitted, 4 * 403);
    expect_sound();
    for (int i = 0; i < fitted; i += 2) {
        auto gone = run(role->unlink(next(), root(), "f" + std::to_string(i)));
        ASSERT_TRUE(gone.ok()) << i << " " << name_of(gone.code()) << " " << gone.error().what;
    }
    wait(20 * kSecond);
    int again = fill(fitted + 1) - fitted - 1;
    EXPECT_GT(again, fitted / 4);
    std::string bytes(256 * kKiB, 'f');
    for (int i = 1; i < fitted; i += 100) {
        if (i % 2 == 0) continue;
        auto found = look_up(root(), "f" + std::to_string(i));
        ASSERT_TRUE(found.ok());
        EXPECT_EQ(read(id(found.value().inode), 0, bytes.size()), bytes);
    }
}

TEST_F(Space, WhenFullEveryWriteOfNewBlocksIsRefusedAndNoOther) {
    FileId file = make_file(root(), "small");
    ASSERT_EQ(write(file, 0, std::string(4096, 's')), Code::ok);
    (void)fill(0);
    while (write(file, attributes(file).size, std::string(4096, 's')) == Code::ok) {
    }
    std::uint64_t end = attributes(file).size;
    EXPECT_EQ(usage().free_blocks, 0U);
    EXPECT_EQ(write(file, end, "x"), Code::out_of_space);
    EXPECT_EQ(make(root(), "another", 0100644).code(), Code::out_of_space);
    FallocateFlags flags;
    EXPECT_EQ(run(role->fallocate(next(), file, end, kMiB, flags)).code(), Code::out_of_space);
    // What takes no more room goes on, for longer than what is free could hold.
    std::string bytes(256 * kKiB, 'g');
    FileId large = id(look_up(root(), "f0").value().inode);
    for (int i = 0; i < 400; ++i) {
        bytes[0] = static_cast<char>(i);
        ASSERT_EQ(write(large, 0, bytes), Code::ok) << i;
        ASSERT_EQ(write(file, end / 4096 * 4096 - 4096, "s"), Code::ok) << i;
    }
    EXPECT_EQ(read(large, 0, bytes.size()), bytes);
    RenameFlags plain;
    EXPECT_TRUE(run(role->rename(next(), root(), "f1", root(), "renamed", plain)).ok());
    EXPECT_EQ(set_size(large, 0), Code::ok);
    EXPECT_GE(usage().free_blocks, 60U);
    EXPECT_EQ(write(file, end, "x"), Code::ok);
}

// What was there still is, and the cleaner wins nothing: whoever writes hears that soon, and not
// that it may try again.
TEST_F(Space, DrivesThatAreOverfullSinceSomeFailedRefuseWritesSoon) {
    for (int i = 0; i < 2; ++i) (void)make_file(root(), "large" + std::to_string(i));
    FileId large = id(look_up(root(), "large0").value().inode);
    for (std::uint64_t at = 0; write(large, at, std::string(kMiB, 'l')) == Code::ok;) at += kMiB;
    for (std::uint32_t lost : {1U, 4U}) {
        drives.set_gone(DriveId{lost}, true);
        map.drives[lost].state = DriveState::failed;
        ++map.epoch.value;
        ASSERT_TRUE(run(role->set_map(map)).ok());
        wait(5 * kSecond);
        FileId other = id(look_up(root(), "large1").value().inode);
        for (std::uint64_t offset : {0U, 1U}) {
            Nanos begun = reactor.now();
            EXPECT_EQ(write(large, offset, std::string(kMiB / 2, 'n')), Code::out_of_space);
            EXPECT_EQ(write(other, offset, "n"), Code::out_of_space);
            EXPECT_LT(reactor.now() - begun, 20 * kSecond) << lost << " " << offset;
        }
    }
    AttributeChange change;
    change.size = 0;
    ASSERT_TRUE(run(role->setattr(next(), large, change)).ok());
    wait(5 * kSecond);
    EXPECT_EQ(write(large, 0, std::string(kMiB, 'a')), Code::ok);
}

TEST_F(Space, EverythingIsFreeAgainOnceEverythingIsDeleted) {
    std::uint64_t empty = usage().free_blocks;
    for (int turn = 0; turn < 3; ++turn) {
        int fitted = fill(0);
        EXPECT_LE(usage().free_blocks, empty / 50) << turn;
        for (int i = 0; i <= fitted; ++i) {
            auto gone = run(role->unlink(next(), root(), "f" + std::to_string(i)));
            EXPECT_TRUE(gone.ok() || gone.code() == Code::not_found) << i;
        }
        wait(2 * kSecond);
        EXPECT_GE(usage().free_blocks, empty * 97 / 100) << turn;
    }
}

// Goal: no false ENOSPC, and cleaning that costs little.
class Overwrites : public Space {
protected:
    // Of the blocks that were written: all that went to segments without parity.
    double amplification(int writes, const std::function<std::uint64_t()>& choose) {
        FileId file = id(look_up(root(), "churned").value().inode);
        double before = blocks_written();
        for (int i = 0; i < writes; ++i) {
            std::string bytes(4096, static_cast<char>('a' + i % 26));
            Code code = write(file, choose() * 4096, bytes);
            EXPECT_EQ(code, Code::ok) << i;
            if (code != Code::ok) break;
        }
        return (blocks_written() - before) / writes;
    }
    double blocks_written() {
        const ComputeReport report = run(role->report()).value();
        for (const auto& [name, value] : report.counters) {
            if (name == "segments.blocks_written") return static_cast<double>(value);
        }
        return 0;
    }
    // A file of 80 % of what there is.
    std::uint64_t make_churned() {
        FileId file = make_file(root(), "churned");
        std::uint64_t blocks = usage().free_blocks * 8 / 10;
        std::string bytes(kMiB, '0');
        for (std::uint64_t at = 0; at < blocks; at += 256) {
            std::uint64_t count = std::min<std::uint64_t>(256, blocks - at);
            EXPECT_EQ(write(file, at * 4096, bytes.substr(0, count * 4096)), Code::ok);
        }
        return blocks;
    }
};

TEST_F(Overwrites, AtRandomWhenNearlyFullAreNeverRefused) {
    std::uint64_t blocks = make_churned();
    auto any = [&] {
        return reactor.random() % blocks;
    };
    (void)amplification(60000, any);
    // Few segments a shard, and half of them open: bench/micro/overwrite_bench has true figures.
    EXPECT_LT(amplification(20000, any), 4.5);
}

TEST_F(Overwrites, OfAFewBlocksCostLittleMore) {
    std::uint64_t blocks = make_churned();
    std::uint64_t hot = blocks / 20;
    auto mostly_hot = [&] {
        bool is_hot = reactor.random() % 100 < 95;
        return is_hot ? reactor.random() % hot : hot + reactor.random() % (blocks - hot);
    };
    (void)amplification(60000, mostly_hot);
    EXPECT_LT(amplification(20000, mostly_hot), 1.6);
}

// Goal: on small drives, many small operations leave room for what is there.
TEST_F(Space, ManySmallOperationsOnSmallDrivesNeverEndInNoSpace) {
    FileId d = make_directory(root(), "d");
    for (int i = 0; i < 30000; ++i) {
        std::string name = "n" + std::to_string(i % 500);
        auto made = make(d, name, 0100644);
        ASSERT_TRUE(made.ok()) << i << " " << name_of(made.code()) << " " << made.error().what;
        ASSERT_EQ(write(id(made.value().inode), 0, std::string(100, 'x')), Code::ok) << i;
        ASSERT_TRUE(run(role->unlink(next(), d, name)).ok()) << i;
    }
    EXPECT_LT(usage().used_blocks, 100U);
}

TEST_F(Space, OverwritingForeverNeverFillsTheDrives) {
    FileId file = make_file(root(), "a");
    std::string bytes(kMiB, 'o');
    for (int i = 0; i < 600; ++i) {
        bytes[0] = static_cast<char>(i);
        ASSERT_EQ(write(file, static_cast<std::uint64_t>(i % 8) * kMiB, bytes), Code::ok) << i;
    }
    EXPECT_EQ(usage().used_blocks, 8 * 256U);
}

// Appends pieces, and notes how long the journal was at the most.
Task<Done> append_beside_others(ComputeRole* role, SessionId session, FileId file,
                                std::uint64_t* journal_most) {
    Caller caller{session, 0};
    std::string piece(200 * kKiB + 1, 'p');
    for (int i = 0; i < 60; ++i) {
        ConstBytes bytes = bytes_of(piece);
        auto written = co_await role->write(caller, file, 0, bytes, true, false);
        co_await or_return(std::move(written));
        auto report = co_await or_return(co_await role->report());
        *journal_most = std::max(*journal_most, report.journal_bytes);
    }
    co_return Done{};
}

Task<Done> all_of(std::vector<Task<Done>>* tasks) {
    auto ended = co_await join(*tasks);
    co_return first_error(ended);
}

TEST_F(Space, WritersThatAreFasterThanCheckpointsWaitForThem) {
    std::uint64_t journal_most = 0;
    std::vector<Task<Done>> writers;
    for (int i = 0; i < 8; ++i) {
        FileId file = make_file(root(), "file" + std::to_string(i));
        writers.push_back(append_beside_others(role.get(), caller.session, file, &journal_most));
    }
    auto written = run(all_of(&writers));
    EXPECT_TRUE(written.ok()) << name_of(written.code());
    // What waits has been in when it began, and checkpoints write records of their own.
    EXPECT_LT(journal_most, settings.journal_bytes_most * 3);
}

// Overwrites a file, and notes how long one write took at the most.
Task<Done> overwrite_again(Reactor* reactor, ComputeRole* role, SessionId session, FileId file,
                           Nanos* longest) {
    Caller caller{session, 0};
    std::string bytes(kMiB, 'w');
    for (int i = 0; i < 2; ++i) {
        Nanos before = reactor->now();
        ConstBytes from = bytes_of(bytes);
        auto written = co_await role->write(caller, file, 0, from, false, false);
        co_await or_return(std::move(written));
        *longest = std::max(*longest, reactor->now() - before);
    }
    co_return Done{};
}

// Copies most of a file again and again, from where it cannot be shared to where it is not staged.
Task<Done> copy_again(ComputeRole* role, SessionId session, FileId from, FileId to) {
    Caller caller{session, 0};
    for (int i = 0; i < 4; ++i) {
        for (std::uint64_t at = 0; at < kMiB / 2;) {
            std::uint64_t left = kMiB / 2 - at;
            auto copied = co_await role->copy_range(caller, from, at + 1, to, at, left);
            at += co_await or_return(std::move(copied));
        }
    }
    co_return Done{};
}

// On drives that are full.
class SlowCleaner : public Space {
protected:
    void SetUp() override {
        Space::SetUp();
        for (int i = 0; i < 64; ++i) {
            files.push_back(make_file(root(), "file" + std::to_string(i)));
            ASSERT_EQ(write(files.back(), 0, std::string(kMiB, 'w')), Code::ok);
        }
        (void)fill(0);
    }
    void TearDown() override {
        drives.set_latency(50 * kMicrosecond);
        Space::TearDown();
    }
    std::vector<FileId> files;
};

TEST_F(SlowCleaner, IsWaitedForByWritersAsLongAsItGetsOn) {
    drives.set_latency(2 * kSecond);
    Nanos longest = 0;
    std::vector<Task<Done>> writers;
    for (FileId file : files) {
        auto writer = overwrite_again(&reactor, role.get(), caller.session, file, &longest);
        writers.push_back(std::move(writer));
    }
    auto written = run(all_of(&writers));
    EXPECT_TRUE(written.ok()) << name_of(written.code()) << " " << written.error().what;
    EXPECT_GT(longest, 70 * kSecond);  // Longer than is waited for a cleaner that frees nothing.
}

TEST_F(SlowCleaner, IsWaitedForByCopiesToo) {
    drives.set_latency(4 * kSecond);
    std::vector<Task<Done>> copiers;
    for (std::size_t i = 0; i + 1 < files.size(); i += 2) {
        auto copier = copy_again(role.get(), caller.session, files[i], files[i + 1]);
        copiers.push_back(std::move(copier));
    }
    auto copied = run(all_of(&copiers));
    EXPECT_TRUE(copied.ok()) << name_of(copied.code()) << " " << copied.error().what;
}

// Without a role: nobody frees anything.
class SpaceCore : public Space {
protected:
    void SetUp() override {}
    void TearDown() override {}
    static Task<Done> wait_in_vain(Core* core, SpacePatience* patience) {
        for (;;) {
            co_await or_return(co_await core->wait_for_segments(0, patience));
        }
    }
};

TEST_F(SpaceCore, ARequestWaitsInVainForAMinuteInAll) {
    Core core(reactor, drives, settings);
    map.epoch = Epoch{2};
    ASSERT_TRUE(run(core.open(map, map.epoch)).ok());
    Nanos begun = reactor.now();
    SpacePatience patience;
    EXPECT_EQ(run(wait_in_vain(&core, &patience)).code(), Code::retry_later);
    EXPECT_EQ(reactor.now(), begun + 60 * kSecond);
    // Whatever it does in between.
    EXPECT_EQ(run(wait_in_vain(&core, &patience)).code(), Code::retry_later);
    EXPECT_EQ(reactor.now(), begun + 60 * kSecond);
    SpacePatience of_another;
    EXPECT_EQ(run(core.wait_for_segments(0, &of_another)).code(), Code::ok);
    ASSERT_TRUE(run(core.close()).ok());
}

TEST_F(SpaceCore, ASegmentThatCannotBeReadIsPassedOverAndOthersAreCleaned) {
    Space::SetUp();
    FileId file = make_file(root(), "a");
    std::string bytes(kMiB, 'a');
    for (std::uint64_t i = 0; i < 8; ++i) ASSERT_EQ(write(file, i * kMiB, bytes), Code::ok);
    // So much is staged that a checkpoint comes, with runs of the index.
    for (int i = 0; i < 200; ++i) {
        FileId small = make_file(root(), "s" + std::to_string(i));
        ASSERT_EQ(write(small, 0, std::string(20000, 's')), Code::ok);
    }
    wait(kSecond);
    role.reset();
    // A start after a crash takes what was open for whole, so all of it has dead blocks.
    Core core(reactor, drives, settings);
    ++map.epoch.value;
    ASSERT_TRUE(run(core.open(map, map.epoch)).ok());
    auto bad = core.choose_victim();
    ASSERT_TRUE(bad.has_value());
    EXPECT_EQ(bad->choice.stream, StreamKind::index);
    const SegmentRecord* record = bad->shard->segments.find(bad->choice.id);
    for (const SegmentSlot& slot : record->slots) {
        for (std::uint32_t block = 0; block < 256; ++block) drives.corrupt(slot, block);
    }
    EXPECT_FALSE(run(core.clean_victim(*bad)).ok());
    EXPECT_TRUE(run(core.clean_or_pass_over(*bad)).ok());
    int emptied = 0;
    for (auto next = core.choose_victim(); next.has_value(); next = core.choose_victim()) {
        bool same = next->shard == bad->shard && next->choice.id == bad->choice.id;
        ASSERT_FALSE(same);
        ASSERT_TRUE(run(core.clean_or_pass_over(*next)).ok());
        ++emptied;
    }
    EXPECT_GT(emptied, 3);
    wait(6 * kSecond);  // Perhaps a drive has come back.
    auto again = core.choose_victim();
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->choice.id, bad->choice.id);
}

// No cleaner would ever free as much as was asked for, and nothing of it is needed.
TEST_F(Space, ACopyNeedsRoomForWhatThereIsAndNotForWhatWasAskedFor) {
    FileId from = make_file(root(), "from");
    FileId to = make_file(root(), "to");
    ASSERT_EQ(write(from, 0, std::string(100000, 'c')), Code::ok);
    int fitted = fill(0);
    for (int i = 0; i < 8; ++i) {
        ASSERT_TRUE(run(role->unlink(next(), root(), "f" + std::to_string(fitted - i - 1))).ok());
    }
    wait(kSecond);
    auto copied = run(role->copy_range(next(), from, 1, to, 0, 1024 * kMiB));
    ASSERT_TRUE(copied.ok()) << name_of(copied.code()) << " " << copied.error().what;
    EXPECT_EQ(copied.value(), 99999U);
}

TEST_F(Space, ACopyEndsWhereItsNextPieceWouldHaveToWait) {
    constexpr std::uint64_t kBytes = 32 * kMiB;
    FileId from = make_file(root(), "from");
    FileId to = make_file(root(), "to");
    std::string bytes(kMiB, 'c');
    for (std::uint64_t at = 0; at < kBytes; at += kMiB) ASSERT_EQ(write(from, at, bytes), Code::ok);
    wait(kSecond);
    int calls = 0;
    for (std::uint64_t copied = 0; copied < kBytes - 1; ++calls) {
        // Not aligned with it, so that each piece is staged.
        auto more = run(role->copy_range(next(), from, copied + 1, to, copied, kBytes));
        ASSERT_TRUE(more.ok()) << name_of(more.code()) << " " << more.error().what;
        ASSERT_GT(more.value(), 0U);
        copied += more.value();
        auto report = run(role->report());
        EXPECT_LT(report.value().journal_bytes, settings.journal_bytes_most * 3);
    }
    EXPECT_GT(calls, 1);
    EXPECT_EQ(read(to, kBytes - 5, 10), "cccc");
}

TEST_F(Space, TheJournalStaysShortAndARestartFindsEverything) {
    FileId d = make_directory(root(), "d");
    for (int i = 0; i < 2000; ++i) {
        FileId file = make_file(d, "file" + std::to_string(i));
        ASSERT_EQ(write(file, 0, std::string(2000, static_cast<char>('a' + i % 26))), Code::ok);
    }
    wait(2 * kSecond);
    auto report = run(role->report());
    EXPECT_LT(report.value().journal_bytes, 4 * kMiB);
    crash();
    for (int i = 0; i < 2000; i += 37) {
        auto found = look_up(d, "file" + std::to_string(i));
        ASSERT_TRUE(found.ok());
        EXPECT_EQ(read(id(found.value().inode), 0, 3000),
                  std::string(2000, static_cast<char>('a' + i % 26)));
    }
}

TEST_F(Space, ARemovedFilesystemLeavesNothing) {
    for (int i = 0; i < 20; ++i) {
        FileId file = make_file(root(), "f" + std::to_string(i));
        ASSERT_EQ(write(file, 0, std::string(300000, 'r')), Code::ok);
    }
    ASSERT_TRUE(run(role->remove_filesystem(kFilesystem)).ok());
    EXPECT_EQ(run(role->getattr(caller, root())).code(), Code::stale);
    crash_role_without_filesystem();
    wait(5 * kSecond);
    auto report = run(role->report());
    EXPECT_LT(report.value().live_blocks, 100U);  // The indexes' own.
    crash();
    EXPECT_EQ(names(root()).size(), 2U);
}

TEST_F(Space, DrivesThatFailAreRebuiltOntoOthers) {
    FileId file = make_file(root(), "a");
    std::string bytes(3 * kMiB, 'd');
    ASSERT_EQ(write(file, 0, bytes), Code::ok);
    for (std::uint32_t lost : {1U, 4U}) {
        drives.set_gone(DriveId{lost}, true);
        map.drives[lost].state = DriveState::failed;
        ++map.epoch.value;
        ASSERT_TRUE(run(role->set_map(map)).ok());
        EXPECT_EQ(read(file, 0, bytes.size()), bytes);
        wait(10 * kSecond);
        EXPECT_EQ(run(role->report()).value().segments_degraded, 0U);
    }
    EXPECT_EQ(read(file, 0, bytes.size()), bytes);
    crash();
    EXPECT_EQ(read(file, 0, bytes.size()), bytes);
}

// The drives that are to take what was lost are away when the map says so, and come back unsaid.
TEST_F(Space, WhatCannotBeRebuiltIsTriedAgain) {
    FileId file = make_file(root(), "a");
    ASSERT_EQ(write(file, 0, std::string(3 * kMiB, 'd')), Code::ok);
    ASSERT_TRUE(run(role->sync(caller, kFilesystem)).ok());
    map.drives[1].state = DriveState::failed;
    ++map.epoch.value;
    for (std::uint32_t away : {0U, 1U, 2U}) drives.set_gone(DriveId{away}, true);
    ASSERT_TRUE(run(role->set_map(map)).ok());
    wait(30 * kSecond);
    EXPECT_GT(run(role->report()).value().segments_degraded, 0U);
    for (std::uint32_t back : {0U, 2U}) drives.set_gone(DriveId{back}, false);
    wait(60 * kSecond);
    EXPECT_EQ(run(role->report()).value().segments_degraded, 0U);
}

TEST_F(Space, TheCheckGoesOnPastALostPartOfAnIndexAndNamesWhatIsLost) {
    for (int i = 0; i < 60; ++i) {
        FileId file = make_file(root(), "f" + std::to_string(i));
        ASSERT_EQ(write(file, 0, std::string(200000, static_cast<char>('a' + i % 26))), Code::ok);
    }
    bool index_lost = false;
    bool blocks_lost = false;
    // Some threes of the seven drives: which of them hold an index is chance.
    for (std::uint32_t first = 0; first < 9; ++first) {
        std::uint32_t step = 1 + first / 7;
        restart();  // Nothing of the index is cached.
        for (std::uint32_t i = 0; i < 3; ++i)
            drives.set_gone(DriveId{(first + i * step) % 7}, true);
        auto found = run(role->check(true));
        ASSERT_TRUE(found.ok()) << name_of(found.code()) << " " << found.error().what;
        for (const Finding& finding : found.value()) {
            index_lost = index_lost || finding.what == "a part of its index is lost";
            blocks_lost = blocks_lost || finding.what.ends_with(" blocks are lost");
        }
        for (std::uint32_t i = 0; i < 7; ++i) drives.set_gone(DriveId{i}, false);
        wait(10 * kSecond);
    }
    EXPECT_TRUE(index_lost);
    EXPECT_TRUE(blocks_lost);
}

}  // namespace
}  // namespace weft::compute
