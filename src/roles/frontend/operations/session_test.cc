#include "roles/frontend/frontend_testing_internal.h"

#include <cerrno>

#include <fcntl.h>

namespace weft::frontend {
namespace {

TEST(Session, AgreesOnWhatTheDesignWants) {
    MountFixture mount;
    std::uint64_t flags = mount.agreed.flags | std::uint64_t{mount.agreed.flags2} << 32;
    for (std::uint64_t wanted :
         {std::uint64_t{FUSE_ASYNC_READ}, std::uint64_t{FUSE_BIG_WRITES},
          std::uint64_t{FUSE_MAX_PAGES}, std::uint64_t{FUSE_ATOMIC_O_TRUNC},
          std::uint64_t{FUSE_EXPLICIT_INVAL_DATA}, std::uint64_t{FUSE_HANDLE_KILLPRIV_V2},
          std::uint64_t{FUSE_POSIX_ACL}, std::uint64_t{FUSE_DONT_MASK},
          std::uint64_t{FUSE_POSIX_LOCKS}, std::uint64_t{FUSE_FLOCK_LOCKS},
          std::uint64_t{FUSE_EXPORT_SUPPORT}, std::uint64_t{FUSE_PARALLEL_DIROPS},
          kInitDirectIoAllowMmap}) {
        EXPECT_NE(flags & wanted, 0U) << std::hex << wanted;
    }
    for (std::uint64_t unwanted :
         {std::uint64_t{FUSE_WRITEBACK_CACHE}, std::uint64_t{FUSE_AUTO_INVAL_DATA},
          std::uint64_t{FUSE_NO_OPEN_SUPPORT}}) {
        EXPECT_EQ(flags & unwanted, 0U) << std::hex << unwanted;
    }
    EXPECT_EQ(mount.agreed.max_pages, 256);
    EXPECT_EQ(mount.agreed.max_write, 1U << 20);
    EXPECT_GE(mount.agreed.max_background, 256);
    EXPECT_TRUE(mount.channel.was_initialized());
}

TEST(Session, LeavesLocksToTheKernelWhereTheyAreNotShared) {
    FrontendSettings settings;
    settings.shared_locks = false;
    MountFixture mount(settings);
    EXPECT_EQ(mount.agreed.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS), 0U);
    auto file = mount.create("f");
    mount.release(file);
    EXPECT_NE(mount.open(file.inode, 0).open_flags & FOPEN_NOFLUSH, 0U);
    EXPECT_EQ(mount.open(file.inode, 1).open_flags & FOPEN_NOFLUSH, 0U);
}

TEST(Session, StepsDownToAnOlderKernel) {
    MountFixture mount({}, 36);
    EXPECT_EQ(mount.agreed.minor, 36U);
}

TEST(Session, RefusesAKernelThatIsTooOld) {
    MountFixture mount;
    fuse_init_in in{};
    in.major = 7;
    in.minor = 30;
    EXPECT_EQ(mount.ask(FUSE_INIT, 0, in).error, EPROTO);
}

TEST(Session, SaysWhatItDoesNotOffer) {
    MountFixture mount;
    EXPECT_EQ(mount.ask(FUSE_POLL, 1, fuse_poll_in{}).error, ENOSYS);
    EXPECT_EQ(mount.ask(FUSE_BMAP, 1, fuse_bmap_in{}).error, ENOSYS);
    EXPECT_EQ(mount.ask(60, 1).error, ENOSYS);
    EXPECT_EQ(mount.ask(FUSE_IOCTL, 1, fuse_ioctl_in{}).error, ENOTTY);
    EXPECT_EQ(mount.ask(FUSE_ACCESS, 1, fuse_access_in{}).error, 0);
}

TEST(Session, AnswersMalformedRequestsWithAnError) {
    MountFixture mount;
    EXPECT_EQ(mount.ask(FUSE_GETLK, 1, std::string("short")).error, EINVAL);
    EXPECT_EQ(mount.ask(FUSE_LOOKUP, 1, std::string("no end")).error, EINVAL);
    EXPECT_EQ(mount.ask(FUSE_LOOKUP, 1, MountFixture::text(std::string(300, 'n'))).error,
              ENAMETOOLONG);
    mount.channel.push("much too short");
    mount.settle();
    EXPECT_EQ(mount.role.status().requests_malformed, 4U);
    EXPECT_EQ(mount.lookup(1, "absent").nodeid, 0U);  // It goes on.
}

TEST(Session, NeverAnswersForget) {
    MountFixture mount;
    auto one = mount.send(FUSE_FORGET, 5, fuse_forget_in{1});
    auto many = mount.send(FUSE_BATCH_FORGET, 0, fuse_batch_forget_in{1, 0}, fuse_forget_one{5, 1});
    mount.pass(kSecond);
    EXPECT_FALSE(mount.answered(one));
    EXPECT_FALSE(mount.answered(many));
}

TEST(Session, TellsHowMuchRoomThereIs) {
    MountFixture mount;
    mount.compute.set_free_blocks(5000);
    auto out = mount.ask(FUSE_STATFS, 1).fixed<fuse_statfs_out>();
    EXPECT_EQ(out.st.bavail, 5000U);
    EXPECT_EQ(out.st.blocks - out.st.bfree, 1024U);  // Used, whatever the drives have room for.
    EXPECT_EQ(out.st.bsize, kBlockBytes);
    EXPECT_EQ(out.st.namelen, 255U);
}

TEST(Session, CountsWhatIsWrittenBehindAsUsed) {
    MountFixture mount;
    auto file = mount.create("f");
    mount.write(file, 0, "written");
    EXPECT_EQ(mount.content(file.inode), "");
    EXPECT_EQ(mount.ask(FUSE_STATFS, 1).error, 0);
    EXPECT_EQ(mount.content(file.inode), "written");
}

TEST(Session, SendsWhatIsDeferredWhenItEnds) {
    testing::MemoryCompute* compute = nullptr;
    MountFixture mount;
    compute = &mount.compute;
    auto file = mount.create("f");
    mount.write(file, 0, "kept");
    EXPECT_EQ(mount.content(file.inode), "");
    mount.channel.close();
    for (int i = 0; i < 10000 && mount.reactor.step(); ++i) {
    }
    EXPECT_EQ(compute->content(InodeId{file.inode}), "kept");
    EXPECT_EQ(compute->open_handles(), 0U);
}

TEST(Session, TriesAgainUnderTheSameNumber) {
    MountFixture mount;
    mount.compute.fail("create", Code::retry_later, 3);
    fuse_mkdir_in in{};
    in.mode = 0755;
    EXPECT_EQ(mount.ask(FUSE_MKDIR, 1, in, MountFixture::text("d")).error, 0);
    const auto& seqs = mount.compute.seqs();
    ASSERT_EQ(seqs.size(), 4U);
    for (std::uint64_t seq : seqs) EXPECT_EQ(seq, seqs.front());
}

TEST(Session, LosesPatienceInTheEnd) {
    FrontendSettings settings;
    settings.patience = 5 * kSecond;
    MountFixture mount(settings);
    mount.compute.fail("lookup", Code::retry_later, 1000000);
    EXPECT_EQ(mount.ask(FUSE_LOOKUP, 1, MountFixture::text("x")).error, ETIMEDOUT);
}

TEST(Session, AnInterruptEndsTryingAgain) {
    MountFixture mount;
    mount.compute.fail("lookup", Code::retry_later, 1000000);
    auto waiting = mount.send(FUSE_LOOKUP, 1, MountFixture::text("x"));
    mount.pass(kSecond);
    EXPECT_FALSE(mount.answered(waiting));
    mount.send(FUSE_INTERRUPT, 0, fuse_interrupt_in{waiting});
    EXPECT_EQ(mount.take(waiting).error, EINTR);
}

// A timer's signal must not make mkdir() fail, as it does not on a disk; kill -9 must work.
TEST(Session, OnlyAProgramThatIsKilledGivesUp) {
    std::uint32_t asked = 0;
    bool dying = false;
    FrontendSettings settings;
    settings.is_dying = [&](std::uint32_t thread) {
        asked = thread;
        return dying;
    };
    MountFixture mount(settings);
    mount.compute.fail("lookup", Code::retry_later, 1000000);
    auto waiting = mount.send(FUSE_LOOKUP, 1, MountFixture::text("x"));
    mount.send(FUSE_INTERRUPT, 0, fuse_interrupt_in{waiting});
    mount.pass(10 * kSecond);
    EXPECT_FALSE(mount.answered(waiting));
    EXPECT_EQ(asked, 42U);
    dying = true;
    mount.pass(kSecond);
    ASSERT_TRUE(mount.answered(waiting));
    EXPECT_EQ(mount.take(waiting).error, EINTR);
}

TEST(Session, AnySignalEndsAWaitForALock) {
    FrontendSettings settings;
    settings.is_dying = [](std::uint32_t) {
        return false;
    };
    MountFixture mount(settings);
    auto file = mount.create("f");
    mount.compute.fail("lock", Code::retry_later, 1000000);
    fuse_lk_in lock{};
    lock.lk.end = INT64_MAX;
    lock.lk.type = F_WRLCK;
    auto waiting = mount.send(FUSE_SETLKW, file.inode, lock);
    mount.send(FUSE_INTERRUPT, 0, fuse_interrupt_in{waiting});
    mount.pass(kSecond);
    ASSERT_TRUE(mount.answered(waiting));
    EXPECT_EQ(mount.take(waiting).error, EINTR);
}

TEST(Session, NobodyWaitsOnceTheFilesystemIsUnmounted) {
    FrontendSettings settings;
    settings.is_dying = [](std::uint32_t) {
        return false;
    };
    MountFixture mount(settings);
    mount.compute.fail("lookup", Code::retry_later, 1000000);
    mount.send(FUSE_LOOKUP, 1, MountFixture::text("x"));
    mount.role.stop();
    mount.pass(10 * kSecond);
    EXPECT_TRUE(mount.ended());
}

// What the kernel has cached is not covered any more.
TEST(Session, EndsTheConnectionWhenTheSessionIsOver) {
    MountFixture mount;
    mount.compute.fail("lookup", Code::fenced);
    EXPECT_EQ(mount.ask(FUSE_LOOKUP, 1, MountFixture::text("x")).error, EIO);
    auto late = mount.send(FUSE_GETATTR, 1, fuse_getattr_in{});
    mount.pass(kSecond);
    EXPECT_FALSE(mount.answered(late));
    EXPECT_TRUE(mount.ended());
}

TEST(Session, ServesAtMostSoManyAtOnce) {
    FrontendSettings settings;
    settings.requests_most = 2;
    MountFixture mount(settings);
    mount.compute.block("getattr");
    std::vector<std::uint64_t> waiting;
    for (int i = 0; i < 4; ++i) waiting.push_back(mount.send(FUSE_GETATTR, 1, fuse_getattr_in{}));
    EXPECT_EQ(mount.compute.count("getattr"), 0U);
    mount.compute.unblock("getattr");
    for (std::uint64_t unique : waiting) EXPECT_EQ(mount.take(unique).error, 0);
}

}  // namespace
}  // namespace weft::frontend
