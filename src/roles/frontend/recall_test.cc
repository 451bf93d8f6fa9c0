#include "roles/frontend/frontend_testing_internal.h"

#include <fcntl.h>

namespace weft::frontend {
namespace {

int count_of(const MountFixture& mount, int code) {
    int count = 0;
    for (const Notification& one : mount.channel.notifications) count += one.code == code ? 1 : 0;
    return count;
}

TEST(Recall, EndsOnlyOnceWhatIsDeferredWasSent) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "shared");
    mount.compute.block("write");
    EXPECT_FALSE(mount.recall(file.inode, LeaseMode::read));
    mount.compute.unblock("write");
    mount.settle();
    EXPECT_TRUE(mount.recall_ended());
    EXPECT_EQ(mount.content(file.inode), "shared");
}

TEST(Recall, AfterItWritesGoThrough) {
    MountFixture mount;
    auto file = mount.create("f");
    EXPECT_TRUE(mount.recall(file.inode, LeaseMode::none));
    EXPECT_EQ(mount.write(file, 0, "at once"), 0);
    EXPECT_EQ(mount.content(file.inode), "at once");
}

TEST(Recall, AWriteThatComesMeanwhileGoesThrough) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "aaaa");
    mount.compute.block("write");
    EXPECT_FALSE(mount.recall(file.inode, LeaseMode::read));
    auto later = mount.send_write(file, 2, "bbbb");
    mount.compute.unblock("write");
    EXPECT_EQ(mount.take(later).error, 0);
    EXPECT_EQ(mount.content(file.inode), "aabbbb");
}

TEST(Recall, DropsPagesOnlyIfTheyMayChange) {
    MountFixture mount;
    auto file = mount.create("f");
    EXPECT_TRUE(mount.recall(file.inode, LeaseMode::read, "", false));
    ASSERT_EQ(mount.channel.notifications.size(), 1U);
    EXPECT_EQ(mount.channel.notifications[0].code, FUSE_NOTIFY_INVAL_INODE);
    EXPECT_EQ(mount.channel.notifications[0].inode(), file.inode);
    EXPECT_EQ(mount.channel.notifications[0].offset(), -1);
    EXPECT_TRUE(mount.recall(file.inode, LeaseMode::none, "", false));
    EXPECT_EQ(mount.channel.notifications.back().offset(), 0);
}

TEST(Recall, OneNameIsForgottenAlone) {
    MountFixture mount;
    mount.create("f");
    EXPECT_TRUE(mount.recall(1, LeaseMode::read, "f", false));
    EXPECT_EQ(mount.channel.notifications.back().code, FUSE_NOTIFY_INVAL_ENTRY);
    EXPECT_EQ(mount.channel.notifications.back().inode(), 1U);
    EXPECT_EQ(mount.channel.notifications.back().name(), "f");
    EXPECT_EQ(count_of(mount, kNotifyIncEpoch), 0);
}

TEST(Recall, AWholeDirectoryIsForgottenByEpoch) {
    MountFixture mount;
    mount.create("f");
    EXPECT_TRUE(mount.recall(1, LeaseMode::none, "f", false));
    EXPECT_EQ(count_of(mount, kNotifyIncEpoch), 1);
}

TEST(Recall, AnOlderKernelIsToldEachName) {
    MountFixture mount({}, 40);
    mount.create("f");
    mount.create("g");
    mount.ask(FUSE_LOOKUP, 1, MountFixture::text("absent"));
    EXPECT_TRUE(mount.recall(1, LeaseMode::none));
    EXPECT_EQ(count_of(mount, FUSE_NOTIFY_INVAL_ENTRY), 3);
    EXPECT_EQ(count_of(mount, kNotifyIncEpoch), 0);
}

// The kernel holds the directory's lock for our CREATE, which waits at compute for somebody
// who waits for this recall: it must not wait for the kernel.
TEST(Recall, DoesNotWaitForADirectoryThatOurOwnRequestHolds) {
    MountFixture mount;
    mount.create("f");
    mount.compute.block("create_open");
    fuse_create_in in{};
    in.mode = 0100644;
    auto creating = mount.send(FUSE_CREATE, 1, in, MountFixture::text("g"));
    mount.channel.block_entries(true);
    EXPECT_TRUE(mount.recall(1, LeaseMode::read, "f", false));
    EXPECT_EQ(count_of(mount, kNotifyIncEpoch), 1);  // Instead of the entry, which hangs.
    mount.channel.block_entries(false);
    mount.compute.unblock("create_open");
    EXPECT_EQ(mount.take(creating).error, 0);
}

TEST(Recall, GivesUpWaitingWhenSuchARequestArrives) {
    MountFixture mount;
    mount.create("f");
    mount.channel.block_entries(true);
    EXPECT_FALSE(mount.recall(1, LeaseMode::read, "f", false));
    mount.compute.block("lookup");
    auto looking = mount.send(FUSE_LOOKUP, 1, MountFixture::text("g"));
    EXPECT_TRUE(mount.recall_ended());
    mount.channel.block_entries(false);
    mount.compute.unblock("lookup");
    mount.take(looking);
}

TEST(Recall, AReadThatItCrossesIsMadeAgain) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "old");
    mount.fsync(file);
    mount.compute.clear_calls();
    mount.compute.block("read");
    auto reading = mount.send_read(file, 0, 10);
    EXPECT_TRUE(mount.recall(file.inode, LeaseMode::none));
    mount.compute.unblock("read");
    EXPECT_EQ(mount.take(reading).body, "old");
    EXPECT_EQ(mount.compute.count("read"), 2U);
}

// Another client's write must not end while programs here still read what was before it. Only a
// request that holds pages keeps the kernel from dropping them.
TEST(Recall, EndsOnlyOnceThePagesAreGoneWhateverElseIsUnderWay) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "x");
    mount.compute.block("fsync");
    fuse_fsync_in in{};
    in.fh = file.handle;
    auto syncing = mount.send(FUSE_FSYNC, file.inode, in);
    mount.channel.block_pages(true);
    EXPECT_FALSE(mount.recall(file.inode, LeaseMode::none));
    mount.channel.block_pages(false);
    mount.settle();
    EXPECT_TRUE(mount.recall_ended());
    mount.compute.unblock("fsync");
    EXPECT_EQ(mount.take(syncing).error, 0);
}

TEST(Recall, WaitsForAReadThatHoldsPagesButNotForLong) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "old");
    mount.fsync(file);
    mount.compute.block("read");
    auto reading = mount.send_read(file, 0, 10);
    mount.channel.block_pages(true);
    EXPECT_FALSE(mount.recall(file.inode, LeaseMode::none));
    mount.pass(2 * kSecond);
    EXPECT_TRUE(mount.recall_ended());
    mount.channel.block_pages(false);
    mount.compute.unblock("read");
    EXPECT_EQ(mount.take(reading).error, 0);
}

// Its pages are locked until it is answered, and it may wait for somebody who waits for this
// recall; pages behind it must go all the same.
TEST(Recall, DropsThePagesAroundAWriteThatIsUnderWay) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.recall(file.inode, LeaseMode::none);
    mount.compute.block("write");
    auto writing = mount.send_write(file, 5000, "new");
    mount.channel.notifications.clear();
    EXPECT_TRUE(mount.recall(file.inode, LeaseMode::none));
    std::vector<std::int64_t> offsets;
    for (const Notification& one : mount.channel.notifications) offsets.push_back(one.offset());
    EXPECT_EQ(offsets, (std::vector<std::int64_t>{0, 4096, 8192}));
    mount.compute.unblock("write");
    EXPECT_EQ(mount.take(writing).error, 0);
}

TEST(Recall, PagesThatNoLeaseCoversDoNotStay) {
    MountFixture mount;
    auto file = mount.create("f");
    EXPECT_EQ(file.open_flags & FOPEN_DIRECT_IO, 0U);
    mount.recall(file.inode, LeaseMode::none);
    mount.compute.set_grants(false);
    mount.channel.notifications.clear();
    mount.read(file, 0, 4096);
    mount.settle();
    ASSERT_EQ(mount.channel.notifications.size(), 1U);
    EXPECT_EQ(mount.channel.notifications[0].inode(), file.inode);
}

// The bytes were read before another client's write, and the lease was granted after it.
TEST(Recall, ALeaseThatCameMeanwhileDoesNotCoverPages) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "old");
    mount.fsync(file);
    mount.recall(file.inode, LeaseMode::none);
    mount.compute.set_grants(false);
    mount.compute.hold_replies("read");
    auto reading = mount.send_read(file, 0, 4096);
    mount.pass(kMillisecond);
    mount.compute.set_grants(true);
    (void)mount.getattr(file.inode);
    mount.channel.notifications.clear();
    mount.compute.unblock("read");
    EXPECT_EQ(mount.take(reading).error, 0);
    mount.settle();
    ASSERT_EQ(mount.channel.notifications.size(), 1U);
    EXPECT_EQ(mount.channel.notifications[0].inode(), file.inode);
}

TEST(Recall, PagesAreKeptAcrossOpensWhileTheLeaseIs) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "x");
    mount.release(file);
    mount.pass(kSecond);
    auto again = mount.open(file.inode, O_RDONLY);
    EXPECT_NE(again.open_flags & FOPEN_KEEP_CACHE, 0U);
    mount.recall(file.inode, LeaseMode::none);
    EXPECT_EQ(mount.open(file.inode, O_RDONLY).open_flags & FOPEN_KEEP_CACHE, 0U);
}

TEST(Recall, AnAnswerFromBeforeTheBytesArrivedIsAskedForAgain) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "12345");
    mount.release(file);
    // Compute answers with the size before the write; the reply comes after it.
    mount.compute.block("write");
    mount.pass(kMillisecond);
    mount.compute.hold_replies("lookup");
    auto looking = mount.send(FUSE_LOOKUP, 1, MountFixture::text("f"));
    mount.compute.unblock("write");
    mount.pass(kSecond);
    mount.compute.unblock("lookup");
    EXPECT_EQ(mount.take(looking).fixed<fuse_entry_out>().attr.size, 5U);
}

TEST(Recall, AnotherFilesystemsInodesAreNotOurs) {
    MountFixture mount;
    Recall recall;
    recall.file = FileId{FilesystemId{2}, InodeId{1}};
    EXPECT_TRUE(mount.reactor.run(mount.role.recall(recall)).ok());
    EXPECT_TRUE(mount.channel.notifications.empty());
}

}  // namespace
}  // namespace weft::frontend
