#include "roles/frontend/frontend_testing_internal.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>

namespace weft::frontend {
namespace {

TEST(Attributes, AnOpenFilesAreAnsweredHere) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.compute.clear_calls();
    EXPECT_EQ(mount.getattr(file.inode).attr.mode, 0100644U);
    EXPECT_EQ(mount.getattr(file.inode).attr_valid, 3600U);
    EXPECT_TRUE(mount.compute.calls().empty());
}

TEST(Attributes, ChangesReachComputeAndTheAnswer) {
    MountFixture mount;
    auto file = mount.create("f");
    fuse_setattr_in in{};
    in.valid = FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_MTIME;
    in.mode = S_IFREG | 0600;
    in.uid = 5;
    in.gid = 6;
    in.mtime = 77;
    in.mtimensec = 88;
    auto attr = mount.ask(FUSE_SETATTR, file.inode, in).fixed<fuse_attr_out>().attr;
    EXPECT_EQ(attr.mode, 0100600U);
    EXPECT_EQ(attr.uid, 5U);
    EXPECT_EQ(attr.gid, 6U);
    EXPECT_EQ(attr.mtime, 77U);
    EXPECT_EQ(attr.mtimensec, 88U);
    in = {};
    in.valid = FATTR_ATIME | FATTR_ATIME_NOW;
    attr = mount.ask(FUSE_SETATTR, file.inode, in).fixed<fuse_attr_out>().attr;
    EXPECT_EQ(attr.atime, static_cast<std::uint64_t>(mount.reactor.wall_now() / kSecond));
}

TEST(Attributes, TimesBefore1970AreNegativeSeconds) {
    MountFixture mount;
    auto file = mount.create("f");
    fuse_setattr_in in{};
    in.valid = FATTR_MTIME;
    in.mtime = static_cast<std::uint64_t>(-5);
    in.mtimensec = 250;
    auto attr = mount.ask(FUSE_SETATTR, file.inode, in).fixed<fuse_attr_out>().attr;
    EXPECT_EQ(static_cast<std::int64_t>(attr.mtime), -5);
    EXPECT_EQ(attr.mtimensec, 250U);
}

TEST(Attributes, AChangeOfOwnerDropsSetuid) {
    MountFixture mount;
    auto file = mount.create("f");
    fuse_setattr_in in{};
    in.valid = FATTR_MODE;
    in.mode = 04755;
    mount.ask(FUSE_SETATTR, file.inode, in);
    in = {};
    in.valid = FATTR_UID;
    in.uid = 3;
    auto attr = mount.ask(FUSE_SETATTR, file.inode, in).fixed<fuse_attr_out>().attr;
    EXPECT_EQ(attr.mode, 0100755U);
}

// chmod must not wait behind the data, nor be lost with it.
TEST(Attributes, AModeIsChangedAtOnceWhileBytesAreDeferred) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "secret");
    fuse_setattr_in in{};
    in.valid = FATTR_MODE;
    in.mode = 0600;
    auto attr = mount.ask(FUSE_SETATTR, file.inode, in).fixed<fuse_attr_out>().attr;
    EXPECT_EQ(attr.size, 6U);
    EXPECT_EQ(mount.compute.attributes(InodeId{file.inode}).mode, 0100600U);
    EXPECT_EQ(mount.compute.count("write"), 0U);
}

TEST(Attributes, StatxTellsTheTimeOfBirth) {
    MountFixture mount;
    auto file = mount.create("f");
    auto out = mount.ask(kOpcodeStatx, file.inode, StatxIn{}).fixed<StatxOut>();
    EXPECT_EQ(out.ino, file.inode);
    EXPECT_EQ(out.btime.seconds, mount.reactor.wall_now() / kSecond);
    EXPECT_EQ(out.mask, 0xfffU);
}

TEST(Attributes, XattrsAreStoredListedAndRemoved) {
    MountFixture mount;
    auto file = mount.create("f");
    fuse_setxattr_in set{};
    set.size = 3;
    auto name = MountFixture::text("user.a");
    EXPECT_EQ(mount.ask(FUSE_SETXATTR, file.inode, set, name, std::string("abc")).error, 0);
    set.flags = 1;
    EXPECT_EQ(mount.ask(FUSE_SETXATTR, file.inode, set, name, std::string("abc")).error, EEXIST);
    fuse_getxattr_in get{};
    EXPECT_EQ(mount.ask(FUSE_GETXATTR, file.inode, get, name).fixed<fuse_getxattr_out>().size, 3U);
    get.size = 2;
    EXPECT_EQ(mount.ask(FUSE_GETXATTR, file.inode, get, name).error, ERANGE);
    get.size = 3;
    EXPECT_EQ(mount.ask(FUSE_GETXATTR, file.inode, get, name).body, "abc");
    EXPECT_EQ(mount.ask(FUSE_LISTXATTR, file.inode, fuse_getxattr_in{64, 0}).body, name);
    EXPECT_EQ(mount.ask(FUSE_REMOVEXATTR, file.inode, name).error, 0);
    EXPECT_EQ(mount.ask(FUSE_GETXATTR, file.inode, get, name).error, ENODATA);
}

// The kernel asks before the first write to every new file.
TEST(Attributes, ThatThereIsNoCapabilityIsKnownUnderLease) {
    MountFixture mount;
    auto file = mount.create("f");
    auto name = MountFixture::text("security.capability");
    fuse_getxattr_in get{};
    mount.compute.clear_calls();
    EXPECT_EQ(mount.ask(FUSE_GETXATTR, file.inode, get, name).error, ENODATA);
    EXPECT_EQ(mount.compute.count("getxattr"), 0U);
    fuse_setxattr_in set{};
    set.size = 1;
    EXPECT_EQ(mount.ask(FUSE_SETXATTR, file.inode, set, name, std::string("c")).error, 0);
    EXPECT_EQ(mount.ask(FUSE_GETXATTR, file.inode, get, name).error, 0);
    EXPECT_EQ(mount.ask(FUSE_REMOVEXATTR, file.inode, name).error, 0);
    EXPECT_EQ(mount.ask(FUSE_GETXATTR, file.inode, get, name).error, ENODATA);
    mount.compute.clear_calls();
    EXPECT_EQ(mount.ask(FUSE_GETXATTR, file.inode, get, name).error, ENODATA);
    EXPECT_EQ(mount.compute.count("getxattr"), 0U);
    mount.recall(file.inode, LeaseMode::none);
    EXPECT_EQ(mount.ask(FUSE_GETXATTR, file.inode, get, name).error, ENODATA);
    EXPECT_EQ(mount.compute.count("getxattr"), 1U);
}

TEST(Attributes, AnAclMayCostTheSetgidBit) {
    MountFixture mount;
    auto file = mount.create("f");
    fuse_setattr_in in{};
    in.valid = FATTR_MODE;
    in.mode = 02755;
    mount.ask(FUSE_SETATTR, file.inode, in);
    fuse_setxattr_in set{};
    set.size = 1;
    set.setxattr_flags = FUSE_SETXATTR_ACL_KILL_SGID;
    auto name = MountFixture::text("system.posix_acl_access");
    EXPECT_EQ(mount.ask(FUSE_SETXATTR, file.inode, set, name, std::string("x")).error, 0);
    EXPECT_EQ(mount.compute.attributes(InodeId{file.inode}).mode, 0100755U);
}

}  // namespace
}  // namespace weft::frontend
