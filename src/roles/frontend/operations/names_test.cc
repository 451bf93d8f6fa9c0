#include "roles/frontend/frontend_testing_internal.h"

#include <cerrno>
#include <set>

#include <sys/stat.h>

namespace weft::frontend {
namespace {

std::uint64_t make_directory(MountFixture& mount, std::string_view name, std::uint64_t in = 1) {
    fuse_mkdir_in make{};
    make.mode = 0777;
    make.umask = 022;
    Reply reply = mount.ask(FUSE_MKDIR, in, make, MountFixture::text(name));
    EXPECT_EQ(reply.error, 0);
    return reply.fixed<fuse_entry_out>().nodeid;
}

TEST(Names, ALookupUnderLeaseMayBeKept) {
    MountFixture mount;
    auto made = mount.create("f");
    auto entry = mount.lookup(1, "f");
    EXPECT_EQ(entry.nodeid, made.inode);
    EXPECT_EQ(entry.generation, 1U);
    EXPECT_EQ(entry.entry_valid, 3600U);
    EXPECT_EQ(entry.attr_valid, 3600U);
    EXPECT_EQ(entry.attr.ino, made.inode);
    EXPECT_EQ(entry.attr.mode, 0100644U);
}

// A file that others replace all the time: the kernel looks its name up once more, and then the
// open must not find it gone again.
TEST(Names, WhatIsLookedUpAfterAnOpenCameTooLateIsKeptUntilItIsOpened) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.release(file);
    mount.settle();
    ASSERT_EQ(mount.compute.open_handles(), 0U);
    mount.compute.fail("open", Code::stale, 1);
    fuse_open_in in{};  // For reading.
    EXPECT_EQ(mount.ask(FUSE_OPEN, file.inode, in).error, ESTALE);
    // The one that is found first is gone by now, too.
    mount.compute.fail("open", Code::stale, 1);
    mount.compute.clear_calls();
    EXPECT_EQ(mount.lookup(1, "f").nodeid, file.inode);
    EXPECT_EQ(mount.compute.count("lookup"), 2U);
    EXPECT_EQ(mount.compute.open_handles(), 1U);
    mount.pass(5 * kSecond);
    EXPECT_EQ(mount.compute.open_handles(), 0U);
    mount.lookup(1, "f");
    EXPECT_EQ(mount.compute.open_handles(), 0U);
}

TEST(Names, WithoutLeasesNothingMayBeKept) {
    MountFixture mount;
    auto made = mount.create("f");
    EXPECT_TRUE(mount.recall(1, LeaseMode::none));
    EXPECT_TRUE(mount.recall(made.inode, LeaseMode::none));
    mount.compute.set_grants(false);
    auto entry = mount.lookup(1, "f");
    EXPECT_EQ(entry.nodeid, made.inode);
    EXPECT_EQ(entry.entry_valid, 0U);
    EXPECT_EQ(entry.attr_valid, 0U);
    EXPECT_EQ(mount.ask(FUSE_LOOKUP, 1, MountFixture::text("g")).error, ENOENT);
}

TEST(Names, RemembersThatThereIsNoSuchName) {
    MountFixture mount;
    Reply reply = mount.ask(FUSE_LOOKUP, 1, MountFixture::text("absent"));
    ASSERT_EQ(reply.error, 0);
    auto entry = reply.fixed<fuse_entry_out>();
    EXPECT_EQ(entry.nodeid, 0U);
    EXPECT_EQ(entry.entry_valid, 3600U);
}

// The recall comes while compute's answer is on its way: the answer may be older.
TEST(Names, ARecallOnTheWayForbidsKeeping) {
    MountFixture mount;
    mount.create("f");
    mount.compute.block("lookup");
    auto waiting = mount.send(FUSE_LOOKUP, 1, MountFixture::text("f"));
    EXPECT_TRUE(mount.recall(1, LeaseMode::read, "f", false));
    mount.compute.unblock("lookup");
    auto entry = mount.take(waiting).fixed<fuse_entry_out>();
    EXPECT_NE(entry.nodeid, 0U);
    EXPECT_EQ(entry.entry_valid, 0U);
}

TEST(Names, AsksForTheDirectorysLeaseBeforeItLooks) {
    MountFixture mount;
    std::uint64_t directory = make_directory(mount, "d");
    mount.create("f", 2, directory);
    EXPECT_TRUE(mount.recall(directory, LeaseMode::none));
    mount.compute.clear_calls();
    EXPECT_EQ(mount.lookup(directory, "f").entry_valid, 3600U);
    ASSERT_EQ(mount.compute.calls().size(), 2U);
    EXPECT_EQ(mount.compute.calls()[0], "getattr " + std::to_string(directory));
}

TEST(Names, TheUmaskTravelsToCompute) {
    MountFixture mount;
    std::uint64_t directory = make_directory(mount, "d");
    EXPECT_EQ(mount.compute.attributes(InodeId{directory}).mode, std::uint32_t{S_IFDIR} | 0755);
    EXPECT_EQ(mount.compute.attributes(InodeId{directory}).uid, 1000U);
}

TEST(Names, MakesEveryKindOfNode) {
    MountFixture mount;
    fuse_mknod_in in{};
    in.mode = S_IFIFO | 0600;
    in.rdev = 0;
    auto fifo = mount.ask(FUSE_MKNOD, 1, in, MountFixture::text("fifo")).fixed<fuse_entry_out>();
    EXPECT_EQ(fifo.attr.mode, std::uint32_t{S_IFIFO} | 0600);
    in.mode = S_IFCHR | 0600;
    in.rdev = 0x1234;
    auto device = mount.ask(FUSE_MKNOD, 1, in, MountFixture::text("dev")).fixed<fuse_entry_out>();
    EXPECT_EQ(device.attr.rdev, 0x1234U);
    auto link = mount.ask(FUSE_SYMLINK, 1, MountFixture::text("s"), MountFixture::text("to/there"));
    std::uint64_t symlink = link.fixed<fuse_entry_out>().nodeid;
    EXPECT_EQ(mount.ask(FUSE_READLINK, symlink).body, "to/there");
}

TEST(Names, LinksRenamesAndRemoves) {
    MountFixture mount;
    std::uint64_t directory = make_directory(mount, "d");
    auto file = mount.create("f");
    fuse_link_in link{file.inode};
    auto linked = mount.ask(FUSE_LINK, directory, link, MountFixture::text("g"));
    EXPECT_EQ(linked.fixed<fuse_entry_out>().attr.nlink, 2U);
    fuse_rename2_in rename{};
    rename.newdir = directory;
    rename.flags = 1;
    auto name = MountFixture::text("f");
    EXPECT_EQ(mount.ask(FUSE_RENAME2, 1, rename, name, MountFixture::text("g")).error, EEXIST);
    EXPECT_EQ(mount.ask(FUSE_RENAME2, 1, rename, name, MountFixture::text("h")).error, 0);
    rename.flags = 4;
    EXPECT_EQ(mount.ask(FUSE_RENAME2, directory, rename, name, name).error, EINVAL);
    EXPECT_EQ(mount.ask(FUSE_RMDIR, 1, MountFixture::text("d")).error, ENOTEMPTY);
    EXPECT_EQ(mount.ask(FUSE_UNLINK, directory, MountFixture::text("g")).error, 0);
    fuse_rename_in plain{1};
    EXPECT_EQ(mount.ask(FUSE_RENAME, directory, plain, MountFixture::text("h"), name).error, 0);
    EXPECT_EQ(mount.ask(FUSE_UNLINK, 1, MountFixture::text("d")).error, EISDIR);
    EXPECT_EQ(mount.ask(FUSE_RMDIR, 1, MountFixture::text("d")).error, 0);
}

// An open file's link count changes by a name that nobody can match to it.
TEST(Names, AnUnlinkMakesKnownAttributesOld) {
    MountFixture mount;
    auto file = mount.create("f");
    fuse_link_in link{file.inode};
    mount.ask(FUSE_LINK, 1, link, MountFixture::text("g"));
    EXPECT_EQ(mount.getattr(file.inode).attr.nlink, 2U);
    EXPECT_EQ(mount.ask(FUSE_UNLINK, 1, MountFixture::text("g")).error, 0);
    EXPECT_EQ(mount.getattr(file.inode).attr.nlink, 1U);
}

struct Listed {
    std::string name;
    std::uint64_t inode = 0;
    std::uint32_t type = 0;
    fuse_entry_out entry{};
};

std::vector<Listed> list(MountFixture& mount, std::uint64_t directory, std::uint32_t size,
                         bool plus) {
    std::vector<Listed> all;
    std::uint64_t cookie = 0;
    for (;;) {
        fuse_read_in in{};
        in.offset = cookie;
        in.size = size;
        Reply reply = mount.ask(plus ? FUSE_READDIRPLUS : FUSE_READDIR, directory, in);
        EXPECT_EQ(reply.error, 0);
        EXPECT_LE(reply.body.size(), size);
        if (reply.error != 0 || reply.body.empty()) return all;
        for (std::size_t at = 0; at < reply.body.size();) {
            Listed one;
            fuse_dirent dirent{};
            if (plus) one.entry = reply.fixed<fuse_entry_out>(at);
            std::size_t start = at + (plus ? sizeof(fuse_entry_out) : 0);
            std::memcpy(&dirent, reply.body.data() + start, FUSE_NAME_OFFSET);
            one.name = reply.body.substr(start + FUSE_NAME_OFFSET, dirent.namelen);
            cookie = dirent.off;
            one.inode = dirent.ino;
            one.type = dirent.type;
            at = start + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + dirent.namelen);
            all.push_back(one);
        }
    }
}

TEST(Names, ListsEachNameOnceInSmallPages) {
    MountFixture mount;
    std::set<std::string> expected = {".", ".."};
    for (int i = 0; i < 60; ++i) {
        std::string name =
            "file" + std::string(static_cast<std::size_t>(i % 20), 'x') + std::to_string(i);
        mount.release(mount.create(name));
        expected.insert(name);
    }
    for (bool plus : {false, true}) {
        std::set<std::string> seen;
        for (const Listed& one : list(mount, 1, 700, plus)) {
            EXPECT_TRUE(seen.insert(one.name).second) << one.name;
            bool dots = one.name == "." || one.name == "..";
            EXPECT_EQ(one.type, dots ? S_IFDIR >> 12 : S_IFREG >> 12);
            if (!plus) continue;
            EXPECT_EQ(one.entry.nodeid, dots ? 0 : one.inode);
            if (!dots) EXPECT_EQ(one.entry.entry_valid, 3600U);
        }
        EXPECT_EQ(seen, expected);
    }
}

TEST(Names, ADirectoryIsCachedOnlyUnderItsLease) {
    MountFixture mount;
    auto out = mount.ask(FUSE_OPENDIR, 1, fuse_open_in{}).fixed<fuse_open_out>();
    EXPECT_EQ(out.open_flags, std::uint32_t{FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE});
    mount.recall(1, LeaseMode::none);
    mount.compute.set_grants(false);
    out = mount.ask(FUSE_OPENDIR, 1, fuse_open_in{}).fixed<fuse_open_out>();
    EXPECT_EQ(out.open_flags, 0U);
    EXPECT_EQ(mount.ask(FUSE_RELEASEDIR, 1, fuse_release_in{}).error, 0);
    EXPECT_EQ(mount.ask(FUSE_FSYNCDIR, 1, fuse_fsync_in{}).error, 0);
    EXPECT_EQ(mount.compute.synced(kRootInode), 1U);
}

TEST(Names, TmpfileHasNoNameUntilItIsLinked) {
    MountFixture mount;
    fuse_create_in in{};
    in.flags = 2;
    in.mode = S_IFREG | 0600;
    Reply reply = mount.ask(FUSE_TMPFILE, 1, in);
    ASSERT_EQ(reply.error, 0);
    auto entry = reply.fixed<fuse_entry_out>();
    EXPECT_EQ(entry.attr.nlink, 0U);
    fuse_link_in link{entry.nodeid};
    EXPECT_EQ(mount.ask(FUSE_LINK, 1, link, MountFixture::text("t")).error, 0);
    EXPECT_EQ(mount.lookup(1, "t").nodeid, entry.nodeid);
}

// The entry would live on for an hour, and nobody would be asked to give it up.
TEST(Names, AnEntryThatMovesToWhereNoLeaseIsHeldIsForgotten) {
    MountFixture mount;
    fuse_mkdir_in make{};
    make.mode = 0755;
    auto made = mount.ask(FUSE_MKDIR, 1, make, MountFixture::text("d")).fixed<fuse_entry_out>();
    mount.create("f");
    EXPECT_GT(mount.lookup(1, "f").entry_valid, 0U);
    fuse_rename_in rename{made.nodeid};
    mount.channel.notifications.clear();
    mount.ask(FUSE_RENAME, 1, rename, MountFixture::text("f"), MountFixture::text("g"));
    EXPECT_TRUE(mount.channel.notifications.empty());  // The folder's lease came with it.

    mount.create("h");
    EXPECT_TRUE(mount.recall(made.nodeid, LeaseMode::none));
    mount.channel.notifications.clear();
    mount.ask(FUSE_RENAME, 1, rename, MountFixture::text("h"), MountFixture::text("i"));
    mount.settle();
    ASSERT_EQ(mount.channel.notifications.size(), 1U);
    EXPECT_EQ(mount.channel.notifications[0].inode(), made.nodeid);
    EXPECT_EQ(mount.channel.notifications[0].name(), "i");
}

}  // namespace
}  // namespace weft::frontend
