#include "processes/embedded/local_drives.h"

#include "platform/runtime/gate.h"

#include <cstdlib>
#include <filesystem>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

namespace weft::embedded {
namespace {

constexpr std::uint64_t kCluster = 7;
constexpr std::uint32_t kSlotBytes = 1 * kMiB;

class LocalDrivesTest : public ::testing::Test {
protected:
    LocalDrivesTest() {
        std::string pattern = "/var/tmp/weft-local-drives-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        drive_.id = DriveId{1};
        drive_.path = folder_ + "/0.drive";
        drive_.size_bytes = 16 * kMiB;
    }
    ~LocalDrivesTest() override { std::filesystem::remove_all(folder_); }

    std::string folder_;
    std::unique_ptr<Machine> machine_ = make_machine().value();
    drive::DriveRole role_{*machine_};
    LocalDrives drives_{*machine_, role_};
    DriveEntry drive_;
};

Task<Done> unlock_later(Machine* machine, int held) {
    co_await sleep(*machine, 50 * kMillisecond);
    ::close(held);
    co_return Done{};
}

// The kernel lets a killed process's lock go only when what it had asked of the drive is done.
TEST_F(LocalDrivesTest, WaitForTheLockOfAProcessThatWasKilled) {
    ASSERT_TRUE(machine_->run(drives_.format(drive_, kCluster, kSlotBytes, false)).ok());
    ASSERT_TRUE(machine_->run(drives_.detach(drive_.id)).ok());
    int held = ::open(drive_.path.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_EQ(::flock(held, LOCK_EX | LOCK_NB), 0);
    Gate gate(*machine_);
    gate.spawn(unlock_later(machine_.get(), held));
    auto attached = machine_->run(drives_.attach(drive_.path, kCluster));
    ASSERT_TRUE(attached.ok());
    EXPECT_EQ(attached.value().id, drive_.id);
    EXPECT_TRUE(machine_->run(gate.close()).ok());
}

TEST_F(LocalDrivesTest, ADriveThatAnotherProcessServesIsRefusedInTheEnd) {
    ASSERT_TRUE(machine_->run(drives_.format(drive_, kCluster, kSlotBytes, false)).ok());
    EXPECT_EQ(machine_->run(drives_.attach(drive_.path, kCluster)).code(), Code::limit_reached);
}

TEST_F(LocalDrivesTest, AFileThatWillNotDoIsNotLeftBehind) {
    drive_.size_bytes = 1 * kMiB;
    EXPECT_EQ(machine_->run(drives_.format(drive_, kCluster, kSlotBytes, false)).code(),
              Code::invalid);
    EXPECT_FALSE(std::filesystem::exists(drive_.path));
    drive_.size_bytes = 16 * kMiB;
    EXPECT_TRUE(machine_->run(drives_.format(drive_, kCluster, kSlotBytes, false)).ok());
}

}  // namespace
}  // namespace weft::embedded
