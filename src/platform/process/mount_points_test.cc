#include "platform/process/mount_points.h"

#include "platform/process/process.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

namespace weft::process {
namespace {

class MountPoints : public testing::Test {
protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "mount_points_test." + std::to_string(own_id());
        ASSERT_TRUE(make_folders(folder_ + "/inner").ok());
        folder_ = std::filesystem::canonical(folder_).string();
    }
    void TearDown() override { ASSERT_TRUE(remove_tree(folder_).ok()); }

    std::string folder_;
};

TEST_F(MountPoints, TheKernelListsThemWithTypeAndDevice) {
    bool seen = false;
    for (const MountPoint& point : mount_points()) {
        if (point.path != "/proc") continue;
        seen = true;
        EXPECT_EQ(point.type, "proc");
        EXPECT_NE(point.device.find(':'), std::string::npos);
    }
    EXPECT_TRUE(seen);
    EXPECT_EQ(mounted_paths("proc").front(), "/proc");
    EXPECT_TRUE(mounted_paths("no such type").empty());
}

TEST_F(MountPoints, AWayComesToAMountAtItsEndOrGoesOnWithin) {
    auto at = mount_on_way("/proc", "proc");
    ASSERT_TRUE(at.has_value());
    EXPECT_EQ(at->path, "/proc");
    EXPECT_TRUE(at->at_end);
    auto within = mount_on_way("/proc/self/status", "proc");
    ASSERT_TRUE(within.has_value());
    EXPECT_EQ(within->path, "/proc");
    EXPECT_FALSE(within->at_end);
    EXPECT_FALSE(mount_on_way("/processes", "proc").has_value());
    EXPECT_FALSE(mount_on_way(folder_ + "/inner/not/there", "proc").has_value());
}

TEST_F(MountPoints, LinksAreFollowedOnTheWay) {
    std::filesystem::create_symlink("/proc", folder_ + "/absolute");
    std::filesystem::create_symlink("../absolute", folder_ + "/inner/relative");
    std::filesystem::create_symlink("circle", folder_ + "/circle");
    auto way = mount_on_way(folder_ + "/inner/relative/./self", "proc");
    ASSERT_TRUE(way.has_value());
    EXPECT_EQ(way->path, "/proc");
    EXPECT_FALSE(way->at_end);
    EXPECT_TRUE(mount_on_way(folder_ + "/inner/../absolute", "proc")->at_end);
    EXPECT_FALSE(mount_on_way(folder_ + "/circle/x", "proc").has_value());
    EXPECT_FALSE(mount_on_way("/../../" + folder_, "proc").has_value());
}

TEST_F(MountPoints, WhatIsServedIsAlive) {
    auto asked = ask_whether_dead_mount("/proc");
    ASSERT_TRUE(asked.ok());
    char answer = 0;
    EXPECT_EQ(::read(asked.value(), &answer, 1), 1);
    EXPECT_EQ(answer, kLiveMount);
    ::close(asked.value());
}

}  // namespace
}  // namespace weft::process
