#include "engines/namespace/attributes.h"

#include <gtest/gtest.h>

namespace weft::posix {
namespace {

constexpr std::int64_t kNow = 1'000'000 * kSecond;

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
    EXPECT_EQ(file.ctime_ns, kNow);
    InodeRecord directory = make_root(0);
    directory.mode |= kSetgid;
    apply_change(directory, change, kNow);
    EXPECT_NE(directory.mode & kSetgid, 0U);
}

TEST(Attributes, ANewSizeSetsMtimeUnlessOneIsGiven) {
    InodeRecord file = regular(0644);
    AttributeChange change;
    change.size = 10;
    apply_change(file, change, kNow);
    EXPECT_EQ(file.mtime_ns, kNow);
    change.mtime_ns = 5;
    apply_change(file, change, kNow + 1);
    EXPECT_EQ(file.mtime_ns, 5);
    EXPECT_EQ(file.ctime_ns, kNow + 1);
    EXPECT_EQ(file.version, 2U);
}

TEST(Attributes, RefusesSizesThatCannotBe) {
    AttributeChange change;
    change.size = 1;
    EXPECT_EQ(check_change(make_root(0), change).code(), Code::is_a_directory);
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
    inode.mtime_ns = inode.ctime_ns = 100;
    inode.atime_ns = 100;
    EXPECT_TRUE(atime_is_due(inode, 200));
    inode.atime_ns = 101;
    EXPECT_FALSE(atime_is_due(inode, 200));
    EXPECT_TRUE(atime_is_due(inode, 101 + std::int64_t{86400} * kSecond));
}

TEST(Attributes, EntriesCountInADirectorysSizeAndSubdirectoriesInItsLinks) {
    InodeRecord directory = make_root(0);
    note_entry_change(directory, 1, 1, kNow);
    EXPECT_EQ(directory.size, 1U);
    EXPECT_EQ(directory.nlink, 3U);
    note_entry_change(directory, -1, -1, kNow + 1);
    EXPECT_EQ(directory.size, 0U);
    EXPECT_EQ(directory.nlink, 2U);
    EXPECT_EQ(directory.mtime_ns, kNow + 1);
}

}  // namespace
}  // namespace weft::posix
