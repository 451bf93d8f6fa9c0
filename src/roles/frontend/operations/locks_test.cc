#include "roles/frontend/frontend_testing_internal.h"

#include <cerrno>

#include <fcntl.h>

namespace weft::frontend {
namespace {

fuse_lk_in lock_of(std::uint64_t owner, std::uint32_t type, std::uint64_t from = 0,
                   std::uint64_t to = INT64_MAX, bool flock = false) {
    fuse_lk_in in{};
    in.owner = owner;
    in.lk.type = type;
    in.lk.start = from;
    in.lk.end = to;
    in.lk.pid = 7;
    in.lk_flags = flock ? FUSE_LK_FLOCK : 0;
    return in;
}

TEST(Locks, ConflictsAreSeen) {
    MountFixture mount;
    auto file = mount.create("f");
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, lock_of(1, F_WRLCK, 0, 9)).error, 0);
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, lock_of(2, F_RDLCK, 5, 20)).error, EAGAIN);
    auto held = mount.ask(FUSE_GETLK, file.inode, lock_of(2, F_RDLCK)).fixed<fuse_lk_out>();
    EXPECT_EQ(held.lk.type, std::uint32_t{F_WRLCK});
    EXPECT_EQ(held.lk.end, 9U);
    auto none = mount.ask(FUSE_GETLK, file.inode, lock_of(2, F_RDLCK, 10)).fixed<fuse_lk_out>();
    EXPECT_EQ(none.lk.type, std::uint32_t{F_UNLCK});
    EXPECT_EQ(none.lk.end, std::uint64_t{INT64_MAX});
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, lock_of(1, 9)).error, EINVAL);
}

TEST(Locks, AWaitEndsWithTheUnlock) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.ask(FUSE_SETLK, file.inode, lock_of(1, F_WRLCK));
    auto waiting = mount.send(FUSE_SETLKW, file.inode, lock_of(2, F_WRLCK));
    mount.pass(200 * kSecond);
    EXPECT_FALSE(mount.answered(waiting));
    mount.ask(FUSE_SETLK, file.inode, lock_of(1, F_UNLCK));
    EXPECT_EQ(mount.take(waiting).error, 0);
}

TEST(Locks, AWaitEndsWithASignal) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.ask(FUSE_SETLK, file.inode, lock_of(1, F_WRLCK));
    auto waiting = mount.send(FUSE_SETLKW, file.inode, lock_of(2, F_WRLCK));
    mount.send(FUSE_INTERRUPT, 0, fuse_interrupt_in{waiting});
    EXPECT_EQ(mount.take(waiting).error, EINTR);
}

// The interrupt overtakes the lock request on its way to compute.
TEST(Locks, ASignalThatComesTooEarlyIsNotLost) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.ask(FUSE_SETLK, file.inode, lock_of(1, F_WRLCK));
    mount.compute.block("lock");
    auto waiting = mount.send(FUSE_SETLKW, file.inode, lock_of(2, F_WRLCK));
    mount.send(FUSE_INTERRUPT, 0, fuse_interrupt_in{waiting});
    mount.pass(10 * kMillisecond);
    mount.compute.unblock("lock");
    EXPECT_EQ(mount.take(waiting).error, EINTR);
}

TEST(Locks, WaitsTakeNoRequestsSlot) {
    FrontendSettings settings;
    settings.requests_most = 2;
    settings.lock_waits_most = 8;
    MountFixture mount(settings);
    auto file = mount.create("f");
    mount.ask(FUSE_SETLK, file.inode, lock_of(1, F_WRLCK));
    std::vector<std::uint64_t> waiting;
    for (std::uint64_t owner = 2; owner < 10; ++owner) {
        waiting.push_back(mount.send(FUSE_SETLKW, file.inode, lock_of(owner, F_RDLCK)));
    }
    EXPECT_EQ(mount.ask(FUSE_SETLKW, file.inode, lock_of(10, F_RDLCK)).error, ENOLCK);
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, lock_of(1, F_UNLCK)).error, 0);
    for (std::uint64_t unique : waiting) EXPECT_EQ(mount.take(unique).error, 0);
}

TEST(Locks, ClosingDropsTheOwnersRanges) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.ask(FUSE_SETLK, file.inode, lock_of(1, F_WRLCK));
    EXPECT_EQ(mount.flush(file, 2), 0);  // Somebody else's close.
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, lock_of(2, F_WRLCK)).error, EAGAIN);
    EXPECT_EQ(mount.flush(file, 1), 0);
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, lock_of(2, F_WRLCK)).error, 0);
}

TEST(Locks, TheLastCloseDropsTheRangesOfAnOpenFile) {
    MountFixture mount;
    auto file = mount.create("f");
    auto other = mount.open(file.inode, O_RDWR);
    auto range = lock_of(5, F_WRLCK);
    range.fh = file.handle;
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, range).error, 0);
    auto wanted = lock_of(6, F_WRLCK);
    wanted.fh = other.handle;
    EXPECT_EQ(mount.flush(file, 1), 0);  // Of a process that has it open.
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, wanted).error, EAGAIN);
    EXPECT_EQ(mount.release(file), 0);
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, wanted).error, 0);
}

TEST(Locks, TheLastCloseLeavesWhatItsProcessHoldsThroughAnother) {
    MountFixture mount;
    auto file = mount.create("f");
    auto other = mount.open(file.inode, O_RDWR);
    auto range = lock_of(5, F_WRLCK, 0, 9);
    range.fh = file.handle;
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, range).error, 0);
    range = lock_of(5, F_WRLCK, 20, 29);
    range.fh = other.handle;
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, range).error, 0);
    EXPECT_EQ(mount.release(file), 0);
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, lock_of(6, F_WRLCK, 20, 29)).error, EAGAIN);
}

TEST(Locks, TheLastCloseDropsAFlock) {
    MountFixture mount;
    auto file = mount.create("f");
    auto other = mount.open(file.inode, O_RDONLY);
    auto whole = lock_of(5, F_WRLCK, 0, INT64_MAX, true);
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, whole).error, 0);
    auto wanted = lock_of(6, F_WRLCK, 0, INT64_MAX, true);
    EXPECT_EQ(mount.ask(FUSE_SETLK, other.inode, wanted).error, EAGAIN);
    EXPECT_EQ(mount.ask(FUSE_SETLK, other.inode, lock_of(6, F_WRLCK)).error, 0);  // Apart.
    fuse_release_in release{};
    release.fh = file.handle;
    release.release_flags = FUSE_RELEASE_FLOCK_UNLOCK;
    release.lock_owner = 5;
    EXPECT_EQ(mount.ask(FUSE_RELEASE, file.inode, release).error, 0);
    EXPECT_EQ(mount.ask(FUSE_SETLK, other.inode, wanted).error, 0);
}

}  // namespace
}  // namespace weft::frontend
