#include "roles/frontend/frontend_testing_internal.h"

#include <cerrno>
#include <random>

#include <fcntl.h>
#include <sys/stat.h>

namespace weft::frontend {
namespace {

TEST(WriteBehind, AnswersBeforeComputeHasTheBytes) {
    MountFixture mount;
    auto file = mount.create("f");
    EXPECT_EQ(mount.write(file, 0, "hello"), 0);
    EXPECT_EQ(mount.compute.count("write"), 0U);
    EXPECT_EQ(mount.getattr(file.inode).attr.size, 5U);
    EXPECT_EQ(mount.lookup(1, "f").attr.size, 5U);
    mount.pass(2 * kSecond);
    EXPECT_EQ(mount.content(file.inode), "hello");
    EXPECT_EQ(mount.compute.count("write"), 1U);
}

TEST(WriteBehind, SmallWritesLeaveAsOne) {
    MountFixture mount;
    auto file = mount.create("f");
    std::string all;
    for (std::uint64_t i = 0; i < 500; ++i) {
        std::string line = "line " + std::to_string(i) + "\n";
        EXPECT_EQ(mount.write(file, all.size(), line), 0);
        all += line;
    }
    EXPECT_EQ(mount.flush(file), 0);
    EXPECT_EQ(mount.release(file), 0);
    mount.pass(kSecond);
    EXPECT_EQ(mount.content(file.inode), all);
    EXPECT_EQ(mount.compute.count("write"), 1U);
    EXPECT_EQ(mount.compute.open_handles(), 0U);
}

TEST(WriteBehind, AFullRegionLeavesAtOnce) {
    MountFixture mount;
    auto file = mount.create("f");
    std::string block(256 * kKiB, 'b');
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(mount.write(file, i * block.size(), block), 0);
    mount.settle();
    EXPECT_EQ(mount.compute.count("write"), 1U);
    std::string whole(1 * kMiB, 'w');
    EXPECT_EQ(mount.write(file, 1 * kMiB, whole), 0);
    mount.settle();
    EXPECT_EQ(mount.compute.count("write"), 2U);
    EXPECT_EQ(mount.content(file.inode).size(), 2 * kMiB);
}

// The whole life of a small file, as tar makes it: four calls, and only the first is waited for.
TEST(WriteBehind, UnpackingASmallFileCostsFourCalls) {
    MountFixture mount;
    mount.compute.set_latency(10 * kMillisecond);
    auto file = mount.create("f", O_WRONLY | O_EXCL);
    Nanos created = mount.reactor.now();
    mount.write(file, 0, std::string(3000, 'x'));
    fuse_setattr_in times{};
    times.valid = FATTR_ATIME | FATTR_MTIME | FATTR_FH;
    times.atime = times.mtime = 1'000'000'000;
    Reply reply = mount.ask(FUSE_SETATTR, file.inode, times);
    EXPECT_EQ(reply.error, 0);
    EXPECT_EQ(reply.fixed<fuse_attr_out>().attr.mtime, 1'000'000'000U);
    EXPECT_EQ(reply.fixed<fuse_attr_out>().attr.size, 3000U);
    fuse_setattr_in same{};
    same.valid = FATTR_MODE | FATTR_UID | FATTR_GID;
    same.mode = 0755;
    same.uid = same.gid = 1000;
    Reply set = mount.ask(FUSE_SETATTR, file.inode, same);
    EXPECT_EQ(set.error, 0);
    EXPECT_EQ(set.fixed<fuse_attr_out>().attr.mode, 0100755U);
    EXPECT_EQ(mount.flush(file), 0);
    EXPECT_EQ(mount.release(file), 0);
    EXPECT_LE(mount.reactor.now() - created, 10 * kMillisecond);  // For statfs, once a mount.
    mount.pass(kSecond);
    EXPECT_EQ(mount.compute.count("create_open"), 1U);
    EXPECT_EQ(mount.compute.count("write"), 1U);
    EXPECT_EQ(mount.compute.count("setattr"), 1U);
    EXPECT_EQ(mount.compute.count("release"), 1U);
    EXPECT_EQ(mount.compute.calls().size(), 5U);  // And usage.
    constexpr Timestamp kThen{1'000'000'000, 0};
    EXPECT_EQ(mount.compute.attributes(InodeId{file.inode}).mtime, kThen);
    EXPECT_EQ(mount.compute.attributes(InodeId{file.inode}).atime, kThen);
    EXPECT_EQ(mount.compute.attributes(InodeId{file.inode}).mode & 07777U, 0755U);
}

TEST(WriteBehind, PermissionsAddedBehindWritesAreSeenAtOnceAndStoredInOrder) {
    MountFixture mount;
    auto file = mount.create("f");
    auto set_mode = [&](std::uint32_t mode) {
        fuse_setattr_in in{};
        in.valid = FATTR_MODE;
        in.mode = mode;
        return mount.ask(FUSE_SETATTR, file.inode, in).fixed<fuse_attr_out>().attr.mode;
    };
    auto stored = [&] {
        return mount.compute.attributes(InodeId{file.inode}).mode;
    };
    mount.write(file, 0, "x");
    EXPECT_EQ(set_mode(0664), 0100664U);
    EXPECT_EQ(mount.compute.count("setattr"), 0U);
    // While it is on its way, too.
    mount.compute.set_latency(10 * kMillisecond);
    EXPECT_FALSE(mount.recall(file.inode, LeaseMode::none));
    EXPECT_EQ(mount.getattr(file.inode).attr.mode, 0100664U);
    mount.pass(15 * kMillisecond);
    EXPECT_EQ(stored(), 0100664U);
    mount.pass(15 * kMillisecond);
    mount.compute.set_latency(0);
    // Taken away at once, and what was deferred before does not bring it back.
    auto again = mount.open(file.inode, O_WRONLY);
    mount.write(again, 0, "y");
    EXPECT_EQ(set_mode(0666), 0100666U);
    EXPECT_EQ(stored(), 0100664U);
    EXPECT_EQ(set_mode(0600), 0100600U);
    EXPECT_EQ(stored(), 0100600U);
    mount.pass(5 * kSecond);
    EXPECT_EQ(stored(), 0100600U);
}

TEST(WriteBehind, AnAclIsReadBehindADeferredMode) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "x");
    fuse_setattr_in in{};
    in.valid = FATTR_MODE;
    in.mode = 0666;
    EXPECT_EQ(mount.ask(FUSE_SETATTR, file.inode, in).error, 0);
    EXPECT_EQ(mount.compute.count("setattr"), 0U);
    fuse_getxattr_in get{};
    (void)mount.ask(FUSE_GETXATTR, file.inode, get, mount.text("system.posix_acl_access"));
    EXPECT_EQ(mount.compute.count("setattr"), 1U);
    EXPECT_EQ(mount.compute.attributes(InodeId{file.inode}).mode & 07777U, 0666U);
}

TEST(WriteBehind, ATimeThatWasSeenStays) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.pass(kSecond);
    mount.write(file, 0, "x");
    auto seen = mount.getattr(file.inode).attr;
    mount.release(file);
    mount.pass(5 * kSecond);
    const auto& stored = mount.compute.attributes(InodeId{file.inode});
    Timestamp shown{static_cast<std::int64_t>(seen.mtime), seen.mtimensec};
    EXPECT_EQ(stored.mtime, shown);
    EXPECT_EQ(mount.lookup(1, "f").attr.mtime, seen.mtime);
}

TEST(WriteBehind, FsyncWaitsForTheBytesThenSyncs) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "durable");
    EXPECT_EQ(mount.fsync(file), 0);
    EXPECT_EQ(mount.content(file.inode), "durable");
    EXPECT_EQ(mount.compute.synced(InodeId{file.inode}), 1U);
}

TEST(WriteBehind, SynchronousWritesAreNotDeferred) {
    MountFixture mount;
    auto file = mount.create("f", O_WRONLY | O_DSYNC);
    EXPECT_EQ(mount.write(file, 0, "now", O_WRONLY | O_DSYNC), 0);
    EXPECT_EQ(mount.content(file.inode), "now");
    EXPECT_EQ(mount.compute.synced(InodeId{file.inode}), 1U);
    EXPECT_EQ(mount.write(file, 3, "direct", O_WRONLY | O_DIRECT), 0);
    EXPECT_EQ(mount.content(file.inode), "nowdirect");
}

TEST(WriteBehind, WithoutTheLeaseWritesGoThrough) {
    MountFixture mount;
    mount.compute.set_grants(false);
    auto file = mount.create("f");
    EXPECT_NE(file.open_flags & FOPEN_DIRECT_IO, 0U);
    EXPECT_EQ(mount.write(file, 0, "through"), 0);
    EXPECT_EQ(mount.content(file.inode), "through");
}

TEST(WriteBehind, NearTheEndOfTheSpaceWritesGoThrough) {
    MountFixture mount;
    mount.compute.set_free_blocks(100);
    auto file = mount.create("f");
    mount.compute.fail("write", Code::out_of_space);
    EXPECT_EQ(mount.write(file, 0, "full"), ENOSPC);
    EXPECT_EQ(mount.write(file, 0, "fits"), 0);
    EXPECT_EQ(mount.content(file.inode), "fits");
}

// `weft umount` waits for that, with no cluster there.
TEST(WriteBehind, ManyFilesLoseTheirPatienceTogether) {
    MountFixture mount;
    for (int i = 0; i < 200; ++i) {
        auto file = mount.create("f" + std::to_string(i));
        EXPECT_EQ(mount.write(file, 0, "small"), 0);
    }
    mount.compute.fail("write", Code::retry_later, 1000000);
    mount.role.stop();
    mount.pass(130 * kSecond);
    EXPECT_TRUE(mount.ended());
}

TEST(WriteBehind, AFailureIsToldOnceToEachOpenFile) {
    MountFixture mount;
    auto first = mount.create("f");
    auto second = mount.open(first.inode, O_RDWR);
    mount.compute.fail("write", Code::out_of_space);
    EXPECT_EQ(mount.write(first, 0, "lost"), 0);
    EXPECT_EQ(mount.fsync(first), ENOSPC);
    EXPECT_EQ(mount.fsync(first), 0);
    EXPECT_EQ(mount.flush(second), ENOSPC);
    EXPECT_EQ(mount.flush(second), 0);
    EXPECT_EQ(mount.role.status().sends_failed, 1U);
    EXPECT_EQ(mount.getattr(first.inode).attr.size, 0U);
}

TEST(WriteBehind, AFailureNobodyHeardOfIsToldToTheNextOpener) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "lost");
    mount.compute.fail("write", Code::io_failed);
    mount.compute.block("write");
    EXPECT_EQ(mount.flush(file), 0);  // It starts the sending and does not wait.
    EXPECT_EQ(mount.release(file), 0);
    mount.compute.unblock("write");
    mount.pass(kSecond);
    auto again = mount.open(file.inode, O_RDWR);
    EXPECT_EQ(mount.fsync(again), EIO);
    EXPECT_EQ(mount.fsync(again), 0);
}

TEST(WriteBehind, AppendsGoToTheEndThatIsKnownHere) {
    MountFixture mount;
    auto file = mount.create("f", O_WRONLY | O_APPEND);
    mount.write(file, 0, "first", O_WRONLY | O_APPEND);
    mount.write(file, 0, "second", O_WRONLY | O_APPEND);  // With an end that is out of date.
    mount.fsync(file);
    EXPECT_EQ(mount.content(file.inode), "firstsecond");
    EXPECT_TRUE(mount.channel.notifications.empty());  // It has no pages.
}

// Through the page cache an append may come in two pieces, and another client's between them.
TEST(WriteBehind, AppendsGoPastThePageCacheAndReadersBesideThemDropTheirs) {
    MountFixture mount;
    auto file = mount.create("f", O_WRONLY | O_APPEND);
    EXPECT_NE(file.open_flags & FOPEN_DIRECT_IO, 0U);
    auto reader = mount.open(file.inode, O_RDONLY);
    EXPECT_EQ(reader.open_flags & FOPEN_DIRECT_IO, 0U);
    mount.write(file, 0, "first", O_WRONLY | O_APPEND);
    ASSERT_FALSE(mount.channel.notifications.empty());
    EXPECT_EQ(mount.channel.notifications.back().inode(), file.inode);
}

// Opened while there was no lease; by now there is one, and other opens keep pages.
TEST(WriteBehind, WritesPastThePageCacheDropThePagesOfReadersBesideThem) {
    MountFixture mount;
    mount.compute.set_grants(false);
    auto file = mount.create("f", O_RDWR);
    ASSERT_NE(file.open_flags & FOPEN_DIRECT_IO, 0U);
    mount.compute.set_grants(true);
    auto reader = mount.open(file.inode, O_RDONLY);
    ASSERT_EQ(reader.open_flags & FOPEN_DIRECT_IO, 0U);
    mount.compute.block("write");
    std::uint64_t writing = mount.send_write(file, 0, "new");
    mount.settle();
    EXPECT_EQ(mount.read(reader, 0, 3), "");
    mount.release(reader);
    mount.channel.notifications.clear();
    mount.compute.unblock("write");
    EXPECT_EQ(mount.take(writing).error, 0);
    ASSERT_FALSE(mount.channel.notifications.empty());
    EXPECT_EQ(mount.channel.notifications.back().inode(), file.inode);
}

// The kernel has unlocked a whole page when it sends what was written to it. If a recall drops that
// page, a read beside the write may bring the old bytes, under a lease that is good.
TEST(WriteBehind, WritesThroughThePageCacheDropWhatReadsBesideThemBrought) {
    MountFixture mount;
    auto file = mount.create("f", O_RDWR);
    mount.fsync(file);
    EXPECT_EQ(mount.write(file, 0, "old"), 0);
    mount.fsync(file);
    ASSERT_TRUE(mount.recall(file.inode, LeaseMode::none));
    mount.channel.notifications.clear();
    mount.compute.block("write");
    std::uint64_t writing = mount.send_write(file, 0, "new");
    mount.settle();
    EXPECT_EQ(mount.read(file, 0, 3), "old");
    EXPECT_TRUE(mount.channel.notifications.empty());  // It came with a lease.
    mount.compute.unblock("write");
    EXPECT_EQ(mount.take(writing).error, 0);
    mount.settle();
    ASSERT_FALSE(mount.channel.notifications.empty());
    EXPECT_EQ(mount.channel.notifications.back().inode(), file.inode);
}

TEST(WriteBehind, ReadsSeeWhatIsDeferred) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "abc");
    mount.write(file, 10, "xyz");
    EXPECT_EQ(mount.read(file, 0, 100), std::string("abc\0\0\0\0\0\0\0xyz", 13));
    mount.write(file, 2 * kMiB, "far");
    // Before the far end compute knows of no bytes: they are a hole.
    EXPECT_EQ(mount.read(file, 13, 4), std::string(4, '\0'));
}

TEST(WriteBehind, ATruncationComesAfterTheWritesBeforeIt) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "0123456789");
    fuse_setattr_in in{};
    in.valid = FATTR_SIZE;
    in.size = 4;
    auto reply = mount.ask(FUSE_SETATTR, file.inode, in).fixed<fuse_attr_out>();
    EXPECT_EQ(reply.attr.size, 4U);
    EXPECT_EQ(mount.content(file.inode), "0123");
    mount.write(file, 4, "x");
    EXPECT_EQ(mount.getattr(file.inode).attr.size, 5U);
    auto again = mount.open(file.inode, O_WRONLY | O_TRUNC);
    EXPECT_EQ(mount.getattr(file.inode).attr.size, 0U);
    mount.release(again);
    mount.pass(2 * kSecond);
    EXPECT_EQ(mount.content(file.inode), "");
}

TEST(WriteBehind, MemoryIsBounded) {
    FrontendSettings settings;
    settings.deferred_bytes_most = 4 * kMiB;
    MountFixture mount(settings);
    mount.compute.block("write");
    auto file = mount.create("f");
    std::string whole(1 * kMiB, 'w');
    std::vector<std::uint64_t> sent;
    for (std::uint64_t i = 0; i < 8; ++i) sent.push_back(mount.send_write(file, i * kMiB, whole));
    mount.pass(kSecond);
    EXPECT_LE(mount.role.status().deferred_memory_bytes, 5 * kMiB);
    EXPECT_FALSE(mount.answered(sent.back()));
    mount.compute.unblock("write");
    for (std::uint64_t unique : sent) EXPECT_EQ(mount.take(unique).error, 0);
    mount.fsync(file);
    EXPECT_EQ(mount.content(file.inode).size(), 8 * kMiB);
    EXPECT_EQ(mount.role.status().deferred_memory_bytes, 0U);
}

TEST(WriteBehind, ASetuidFileLosesItAtTheFirstWriteOfAnother) {
    MountFixture mount;
    fuse_create_in in{};
    in.flags = O_RDWR;
    in.mode = S_IFREG | S_ISUID | 0755;
    Reply reply = mount.ask(FUSE_CREATE, 1, in, MountFixture::text("f"));
    auto entry = reply.fixed<fuse_entry_out>();
    auto out = reply.fixed<fuse_open_out>(sizeof(entry));
    MountFixture::Opened file{entry.nodeid, out.fh, 0, entry};
    auto sent = mount.send_write(file, 0, "x", O_WRONLY, FUSE_WRITE_KILL_SUIDGID);
    EXPECT_EQ(mount.take(sent).error, 0);
    EXPECT_EQ(mount.compute.attributes(InodeId{file.inode}).mode & S_ISUID, 0U);
}

TEST(WriteBehind, SpaceOperationsSeeTheBytesFirst) {
    MountFixture mount;
    auto from = mount.create("from");
    auto to = mount.create("to");
    mount.write(from, 0, "0123456789");
    mount.write(to, 0, "abc");
    fuse_copy_file_range_in copy{};
    copy.fh_in = from.handle;
    copy.off_in = 2;
    copy.nodeid_out = to.inode;
    copy.fh_out = to.handle;
    copy.off_out = 3;
    copy.len = 4;
    Reply copied = mount.ask(FUSE_COPY_FILE_RANGE, from.inode, copy);
    EXPECT_EQ(copied.fixed<fuse_write_out>().size, 4U);
    EXPECT_EQ(mount.content(to.inode), "abc2345");
    EXPECT_EQ(mount.ask(kOpcodeCopyFileRange64, from.inode, copy).fixed<std::uint64_t>(), 4U);
    EXPECT_EQ(mount.getattr(to.inode).attr.size, 7U);

    mount.write(from, 10, "more");
    fuse_lseek_in seek{};
    seek.fh = from.handle;
    seek.offset = 12;
    seek.whence = 3;
    EXPECT_EQ(mount.ask(FUSE_LSEEK, from.inode, seek).fixed<fuse_lseek_out>().offset, 12U);
    seek.offset = 14;
    EXPECT_EQ(mount.ask(FUSE_LSEEK, from.inode, seek).error, ENXIO);

    mount.write(from, 14, "end");
    fuse_fallocate_in punch{};
    punch.fh = from.handle;
    punch.offset = 0;
    punch.length = 16;
    punch.mode = 3;
    EXPECT_EQ(mount.ask(FUSE_FALLOCATE, from.inode, punch).error, 0);
    EXPECT_EQ(mount.content(from.inode), std::string(16, '\0') + "d");
    punch.mode = 8;
    EXPECT_EQ(mount.ask(FUSE_FALLOCATE, from.inode, punch).error, EOPNOTSUPP);
}

// Goal: what programs read, and what compute has in the end, is what they wrote in order.
// Method: random operations on one file against a string, with recalls and slow calls between.
void expect_matches_string(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    FrontendSettings settings;
    settings.deferred_bytes_most = 3 * kMiB;
    MountFixture mount(settings);
    mount.compute.set_latency(static_cast<Nanos>(random() % 3) * kMillisecond);
    auto file = mount.create("f");
    std::string model;
    for (int step = 0; step < 120; ++step) {
        switch (random() % 10) {
            case 0:
            case 1:
            case 2:
            case 3: {
                std::size_t size = 1 + random() % (random() % 5 == 0 ? 400000 : 5000);
                std::uint64_t offset = random() % (2 * kMiB);
                std::string data(size, static_cast<char>('a' + random() % 26));
                std::uint32_t flags = random() % 8 == 0 ? O_WRONLY | O_DIRECT : O_WRONLY;
                ASSERT_EQ(mount.write(file, offset, data, flags), 0);
                if (model.size() < offset + size) model.resize(offset + size);
                model.replace(offset, size, data);
                break;
            }
            case 4:
            case 5: {
                auto size = static_cast<std::uint32_t>(1 + random() % 100000);
                std::uint64_t offset = random() % (2 * kMiB);
                std::string expected = offset < model.size() ? model.substr(offset, size) : "";
                ASSERT_TRUE(mount.read(file, offset, size) == expected) << "seed " << seed;
                break;
            }
            case 6: {
                fuse_setattr_in in{};
                in.valid = FATTR_SIZE;
                in.size = random() % (2 * kMiB);
                ASSERT_EQ(mount.ask(FUSE_SETATTR, file.inode, in).error, 0);
                model.resize(in.size);
                break;
            }
            case 7:
                mount.recall(file.inode, random() % 2 == 0 ? LeaseMode::none : LeaseMode::read);
                break;
            case 8:
                ASSERT_EQ(mount.release(file), 0);
                file = mount.open(file.inode, O_RDWR);
                break;
            default:
                mount.pass(static_cast<Nanos>(random() % 2000) * kMillisecond);
        }
        ASSERT_EQ(mount.getattr(file.inode).attr.size, model.size()) << "seed " << seed;
    }
    ASSERT_EQ(mount.fsync(file), 0);
    ASSERT_TRUE(mount.content(file.inode) == model) << "seed " << seed;
}

TEST(WriteBehind, IsNotToBeToldFromWritingThrough) {
    for (std::uint64_t seed = 0; seed < 40; ++seed) expect_matches_string(seed);
}

}  // namespace
}  // namespace weft::frontend
