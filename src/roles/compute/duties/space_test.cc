#include "roles/compute/compute_testing_internal.h"

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

TEST_F(Space, OverwritingForeverNeverFillsTheDrives) {
    FileId file = make_file(root(), "a");
    std::string bytes(kMiB, 'o');
    for (int i = 0; i < 600; ++i) {
        bytes[0] = static_cast<char>(i);
        ASSERT_EQ(write(file, static_cast<std::uint64_t>(i % 8) * kMiB, bytes), Code::ok) << i;
    }
    EXPECT_EQ(usage().used_blocks, 8 * 256U);
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

}  // namespace
}  // namespace weft::compute
