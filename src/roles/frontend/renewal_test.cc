#include "roles/frontend/frontend_testing_internal.h"

#include <cerrno>

#include <fcntl.h>

namespace weft::frontend {
namespace {

// A mount that gets another session of the compute in memory whenever it has lost one.
struct Renewing : MountFixture, SessionHost {
    Renewing() { EXPECT_TRUE(reactor.run(role.open_session(*this, 5)).ok()); }

    Task<SessionId> open_session(LeaseHolder*, Client as) override {
        client = as;
        session.value += 1;
        compute.open_session(session, role);
        co_return session;
    }
    Task<Done> close_session(SessionId ended) override {
        compute.close_session(ended);
        co_return Done{};
    }
    // Its locks go with it.
    void lose_session(Nanos then_passes = 5 * kSecond) {
        compute.close_session(session);
        compute.drop_holdings(session);
        role.session_ended();
        pass(then_passes);
    }
    static fuse_lk_in write_lock(const Opened& file, std::uint64_t owner) {
        fuse_lk_in in{};
        in.fh = file.handle;
        in.owner = owner;
        in.lk.end = INT64_MAX;
        in.lk.type = F_WRLCK;
        return in;
    }
    Reply set_lock(const Opened& file, std::uint64_t owner) {
        return ask(FUSE_SETLK, file.inode, write_lock(file, owner));
    }

    SessionId session{100};
    Client client;
};

// Its connection breaks while the answer to its opening is on its way.
struct LosingTheFirst : Renewing {
    Task<SessionId> open_session(LeaseHolder* holder, Client as) override {
        ++opens;
        bool loses = opens == 1;
        Task<SessionId> opening = Renewing::open_session(holder, as);
        auto opened = co_await opening;
        if (loses) holder->session_ended();
        co_return opened;
    }
    int opens = 0;
};

TEST(Renewal, AFirstSessionThatIsLostAtOnceIsFollowedByAnother) {
    LosingTheFirst mount;
    EXPECT_TRUE(mount.reactor.run(mount.role.open_session(mount, 6)).ok());
    EXPECT_EQ(mount.opens, 2);
    EXPECT_FALSE(mount.ended());
    EXPECT_NE(mount.create("f").inode, 0U);
}

// When it comes back it gets an error instead of a session.
struct Refused : Renewing {
    Task<SessionId> open_session(LeaseHolder* holder, Client as) override {
        if (refuses != Code::ok) co_return Error{refuses, "test"};
        Task<SessionId> opening = Renewing::open_session(holder, as);
        co_return co_await opening;
    }
    Code refuses = Code::ok;
};

TEST(Renewal, AMountWhoseFilesystemIsGoneEnds) {
    Refused mount;
    mount.refuses = Code::not_found;
    mount.lose_session();
    EXPECT_TRUE(mount.ended());
}

TEST(Renewal, AMountCanBeTakenAwayWhileTheClusterIsAway) {
    Refused mount;
    mount.refuses = Code::unavailable;
    mount.lose_session();
    EXPECT_FALSE(mount.ended());
    mount.channel.close();
    mount.pass(300 * kSecond);
    EXPECT_TRUE(mount.ended());
}

TEST(Renewal, FilesStayOpenAndLocksStayHeld) {
    Renewing mount;
    auto file = mount.create("f");
    EXPECT_EQ(mount.set_lock(file, 1).error, 0);
    mount.compute.clear_calls();
    mount.lose_session();
    EXPECT_EQ(mount.compute.count("open"), 1U);
    EXPECT_EQ(mount.compute.count("lock"), 1U);
    EXPECT_EQ(mount.write(file, 0, "still mine"), 0);
    EXPECT_EQ(mount.fsync(file), 0);
    EXPECT_EQ(mount.set_lock(file, 2).error, EAGAIN);
}

TEST(Renewal, ComputeIsToldWhatWillBeReclaimed) {
    Renewing mount;
    auto file = mount.create("f");
    auto other = mount.create("g");
    EXPECT_EQ(mount.set_lock(file, 1).error, 0);
    EXPECT_EQ(mount.set_lock(other, 1).error, 0);
    EXPECT_EQ(mount.client.locks_held, 0U);
    mount.lose_session();
    EXPECT_EQ(mount.client.locks_held, 2U);
    EXPECT_EQ(mount.client.number, 5U);
}

// Goal: nobody takes back what it has given up. Method: a flock that could not become exclusive is
// none any more, whatever the program has been told of the session since.
TEST(Renewal, AFlockThatCouldNotBecomeAnotherIsNotTakenBack) {
    Renewing mount;
    auto file = mount.create("f");
    fuse_lk_in in = Renewing::write_lock(file, 1);
    in.lk_flags = FUSE_LK_FLOCK;
    in.lk.type = F_RDLCK;
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, in).error, 0);
    mount.compute.fail("lock", Code::would_block, 1);
    in.lk.type = F_WRLCK;
    EXPECT_EQ(mount.ask(FUSE_SETLK, file.inode, in).error, EAGAIN);
    mount.compute.clear_calls();
    mount.lose_session();
    EXPECT_EQ(mount.compute.count("lock"), 0U);
}

// A compute that has just come up may be busy.
TEST(Renewal, TriesAgainWhatComputeCannotDoYet) {
    Renewing mount;
    auto file = mount.create("f");
    EXPECT_EQ(mount.set_lock(file, 1).error, 0);
    mount.compute.fail("open", Code::retry_later, 3);
    mount.compute.fail("lock", Code::retry_later, 3);
    mount.lose_session();
    EXPECT_EQ(mount.write(file, 0, "still mine"), 0);
    EXPECT_EQ(mount.fsync(file), 0);
    EXPECT_EQ(mount.set_lock(file, 2).error, EAGAIN);
    // Compute knows that the file is open: its last name may go, and not yet the file.
    EXPECT_EQ(mount.ask(FUSE_UNLINK, 1, MountFixture::text("f")).error, 0);
    EXPECT_TRUE(mount.compute.exists(InodeId{file.inode}));
}

TEST(Renewal, AFileWhoseLockAnotherTookGivesErrors) {
    Renewing mount;
    auto file = mount.create("f");
    EXPECT_EQ(mount.set_lock(file, 1).error, 0);
    mount.compute.fail("lock", Code::would_block);
    mount.lose_session();
    EXPECT_EQ(mount.write(file, 0, "not mine"), EIO);
    EXPECT_EQ(mount.fsync(file), EIO);
    auto other = mount.create("g");
    EXPECT_EQ(mount.write(other, 0, "well"), 0);
}

}  // namespace
}  // namespace weft::frontend
