#include "engines/namespace/attributes.h"

#include <gtest/gtest.h>

namespace weft::posix {
namespace {

constexpr Timestamp kNow{1'000'000, 0};
constexpr Timestamp kLater{1'000'000, 1};

InodeRecord regular(std::uint32_t permissions) {
    InodeRecord inode;
    inode.mode = kRegular | permissions;
    inode.nlink = 1;
    return inode;
}

TEST(Attributes, ASetgidDirectoryGivesItsGroupAndItsBitToDirectories) {
    InodeRecord directory = make_root(kNow);
    directory.mode |= kSetgid;
    directory.gid = 42;
    NewNode what;
    what.mode = kRegular;
    what.gid = 7;
    EXPECT_EQ(make_node(directory, kRootInode, what, 0644, kNow).gid, 42U);
    EXPECT_EQ(make_node(directory, kRootInode, what, 0644, kNow).mode, kRegular | 0644U);
    what.mode = kDirectory;
    InodeRecord made = make_node(directory, InodeId{5}, what, 0755, kNow);
    EXPECT_EQ(made.mode, kDirectory | kSetgid | 0755U);
    EXPECT_EQ(made.nlink, 2U);
    EXPECT_EQ(made.parent, InodeId{5});
}

TEST(Attributes, ASymlinksSizeIsItsTargetsLength) {
    NewNode what;
    what.mode = kSymlink;
    what.symlink = "a/b";
    EXPECT_EQ(make_node(make_root(kNow), kRootInode, what, 0777, kNow).size, 3U);
}

TEST(Attributes, ClearSetidKeepsSetgidWhereTheGroupMayNotExecute) {
    InodeRecord inode = regular(06755);
    EXPECT_TRUE(clear_setid(inode));
    EXPECT_EQ(inode.mode, kRegular | 0755U);
    inode = regular(06745);
    EXPECT_TRUE(clear_setid(inode));
    EXPECT_EQ(inode.mode, kRegular | 02745U);
    EXPECT_FALSE(clear_setid(inode));
}

TEST(Attributes, ChownDropsSetidOfFilesButNotOfDirectories) {
    InodeRecord file = regular(04755);
    AttributeChange change;
    change.uid = 9;
    apply_change(file, change, kNow);
    EXPECT_EQ(file.mode, kRegular | 0755U);
    EXPECT_EQ(file.uid, 9U);
    EXPECT_EQ(file.ctime, kNow);
    InodeRecord directory = make_root({});
    directory.mode |= kSetgid | kSetuid;
    change.clear_setid = true;
    apply_change(directory, change, kNow);
    EXPECT_EQ(directory.mode & (kSetgid | kSetuid), kSetgid | kSetuid);
}

TEST(Attributes, ANewSizeSetsMtimeUnlessOneIsGiven) {
    InodeRecord file = regular(0644);
    AttributeChange change;
    change.size = 10;
    apply_change(file, change, kNow);
    EXPECT_EQ(file.mtime, kNow);
    change.mtime = Timestamp{5, 0};
    apply_change(file, change, kLater);
    EXPECT_EQ(file.mtime, (Timestamp{5, 0}));
    EXPECT_EQ(file.ctime, kLater);
    EXPECT_EQ(file.version, 2U);
}

TEST(Attributes, RefusesTimesThatCannotBe) {
    AttributeChange change;
    change.atime = kTimeNow;
    change.mtime = Timestamp{INT64_MIN, 999'999'999};
    EXPECT_TRUE(check_change(regular(0644), change).ok());
    change.ctime = Timestamp{0, 1'000'000'000};
    EXPECT_EQ(check_change(regular(0644), change).code(), Code::invalid);
}

TEST(Attributes, RefusesSizesThatCannotBe) {
    AttributeChange change;
    change.size = 1;
    EXPECT_EQ(check_change(make_root({}), change).code(), Code::is_a_directory);
    InodeRecord fifo;
    fifo.mode = kFifo;
    EXPECT_EQ(check_change(fifo, change).code(), Code::invalid);
    change.size = kFileBytesMost + 1;
    EXPECT_EQ(check_change(regular(0644), change).code(), Code::file_too_large);
    EXPECT_EQ(range_end(kFileBytesMost, 1).code(), Code::file_too_large);
    EXPECT_EQ(range_end(UINT64_MAX, UINT64_MAX).code(), Code::file_too_large);
    EXPECT_EQ(range_end(1, 2).value(), 3U);
}

TEST(Attributes, AtimeIsDueAfterAChangeOrADay) {
    InodeRecord inode;
    inode.mtime = inode.ctime = {100, 0};
    inode.atime = {100, 0};
    EXPECT_TRUE(atime_is_due(inode, {200, 0}));
    inode.atime = {100, 1};
    EXPECT_FALSE(atime_is_due(inode, {200, 0}));
    EXPECT_TRUE(atime_is_due(inode, {100 + 86400, 1}));
}

TEST(Attributes, EntriesCountInADirectorysSizeAndSubdirectoriesInItsLinks) {
    InodeRecord directory = make_root({});
    note_entry_change(directory, 1, 1, kNow);
    EXPECT_EQ(directory.size, 1U);
    EXPECT_EQ(directory.nlink, 3U);
    note_entry_change(directory, -1, -1, kLater);
    EXPECT_EQ(directory.size, 0U);
    EXPECT_EQ(directory.nlink, 2U);
    EXPECT_EQ(directory.mtime, kLater);
}

}  // namespace
}  // namespace weft::posix
