#include "roles/compute/compute_testing_internal.h"

namespace weft::compute {
namespace {

// Clients over restarts of compute.
class LockGrace : public ComputeTest {
protected:
    static constexpr std::uint64_t kMine = 77;
    static constexpr std::uint64_t kTheirs = 88;

    LockGrace() : gate(reactor) {}
    void SetUp() override {
        ComputeTest::SetUp();
        file = make_file(root(), "f");
        mine = come(kMine, 0);
        theirs = come(kTheirs, 0);
    }
    void TearDown() override {
        wait(settings.lock_grace);
        ComputeTest::TearDown();
        (void)run(gate.close());
    }

    SessionId come(std::uint64_t client, std::uint64_t locks_held) {
        auto opened = role->open_session(&holder, Client{client, seq, locks_held});
        EXPECT_TRUE(opened.ok());
        return opened.value();
    }
    LockRequest request(std::uint64_t owner, bool reclaim) const {
        LockRequest wanted;
        wanted.owner = owner;
        wanted.kind = LockRequest::Kind::exclusive;
        wanted.reclaim = reclaim;
        return wanted;
    }
    Caller by(SessionId session) {
        Caller made;
        made.session = session;
        made.seq = ++seq;
        return made;
    }
    Code lock(SessionId session, bool reclaim = false) {
        return run(role->lock(by(session), file, request(1, reclaim))).code();
    }
    Code unlock(SessionId session) {
        LockRequest wanted = request(1, false);
        wanted.kind = LockRequest::Kind::unlock;
        return run(role->lock(by(session), file, wanted)).code();
    }
    void begin_lock(SessionId session) {
        outcome.reset();
        gate.spawn(note_code(role->lock(by(session), file, request(1, false)), &outcome));
    }
    // Both come for it, and mine is the first.
    void expect_theirs_after_restart() {
        mine = come(kMine, 1);
        outcome.reset();
        gate.spawn(note_code(role->lock(by(mine), file, request(1, true)), &outcome));
        wait(kSecond);
        EXPECT_FALSE(outcome.has_value());
        theirs = come(kTheirs, 1);
        EXPECT_EQ(lock(theirs, true), Code::ok);
        wait(kMillisecond);
        EXPECT_EQ(outcome, Code::would_block);
    }

    FileId file;
    SessionId mine;
    SessionId theirs;
    std::uint64_t seq = 0;
    std::optional<Code> outcome;
    Gate gate;
};

TEST_F(LockGrace, NobodyTakesALockThatItsHolderIsAboutToReclaim) {
    EXPECT_EQ(lock(mine), Code::ok);
    crash();
    theirs = come(kTheirs, 0);
    begin_lock(theirs);
    wait(kSecond);
    EXPECT_FALSE(outcome.has_value());
    mine = come(kMine, 1);
    EXPECT_EQ(lock(mine, true), Code::ok);
    wait(kMillisecond);
    EXPECT_EQ(outcome, Code::would_block);
    EXPECT_EQ(unlock(mine), Code::ok);
    EXPECT_EQ(lock(theirs), Code::ok);
}

TEST_F(LockGrace, AStopIsLikeACrash) {
    EXPECT_EQ(lock(mine), Code::ok);
    role->will_close();
    EXPECT_TRUE(run(role->close_session(mine)).ok());
    EXPECT_TRUE(run(role->close_session(theirs)).ok());
    restart();
    theirs = come(kTheirs, 0);
    begin_lock(theirs);
    wait(kSecond);
    EXPECT_FALSE(outcome.has_value());
    mine = come(kMine, 1);
    EXPECT_EQ(lock(mine, true), Code::ok);
    wait(kMillisecond);
    EXPECT_EQ(outcome, Code::would_block);
}

TEST_F(LockGrace, WhoDoesNotComeBackLosesItsLocksWhenItIsOver) {
    EXPECT_EQ(lock(mine), Code::ok);
    crash();
    Nanos before = reactor.now();
    theirs = come(kTheirs, 0);
    EXPECT_EQ(lock(theirs), Code::ok);
    EXPECT_LE(reactor.now() - before, settings.lock_grace + 10 * kMillisecond);
    mine = come(kMine, 1);
    EXPECT_EQ(lock(mine, true), Code::would_block);
    // Nor does the next restart wait for it.
    EXPECT_TRUE(run(role->close_session(theirs)).ok());
    EXPECT_TRUE(run(role->close_session(mine)).ok());
    wait(kSecond);
    crash();
    theirs = come(kTheirs, 0);
    before = reactor.now();
    EXPECT_EQ(lock(theirs), Code::ok);
    EXPECT_LE(reactor.now() - before, 100 * kMillisecond);
}

TEST_F(LockGrace, NobodyWaitsWhereNoLocksWereHeld) {
    EXPECT_EQ(lock(mine), Code::ok);
    EXPECT_TRUE(run(role->close_session(mine)).ok());  // Its locks went before.
    wait(kSecond);
    crash();
    theirs = come(kTheirs, 0);
    Nanos before = reactor.now();
    EXPECT_EQ(lock(theirs), Code::ok);
    EXPECT_LE(reactor.now() - before, 100 * kMillisecond);
}

TEST_F(LockGrace, WhoIsBackAndHoldsNothingIsNotWaitedFor) {
    EXPECT_EQ(lock(mine), Code::ok);
    EXPECT_EQ(unlock(mine), Code::ok);
    crash();
    theirs = come(kTheirs, 0);
    mine = come(kMine, 0);
    Nanos before = reactor.now();
    EXPECT_EQ(lock(theirs), Code::ok);
    EXPECT_LE(reactor.now() - before, 100 * kMillisecond);
}

// Its locks went with its session, before the restart; others may have had them since.
TEST_F(LockGrace, WhoLostItsSessionBeforeHasNothingToReclaim) {
    EXPECT_EQ(lock(mine), Code::ok);
    EXPECT_TRUE(run(role->close_session(mine)).ok());
    EXPECT_EQ(lock(theirs), Code::ok);
    crash();
    expect_theirs_after_restart();
}

// Goal: of two that have been told of a lock, the one that has it now gets it back, whatever a loss
// of power takes. Method: one waits for what a lost session held, and power goes once it has it.
TEST_F(LockGrace, WhoWaitedForALostLockIsTheOneWhoReclaimsIt) {
    EXPECT_EQ(lock(mine), Code::ok);
    LockRequest patient = request(1, false);
    patient.wait = true;
    gate.spawn(note_code(role->lock(by(theirs), file, patient), &outcome));
    wait(kMillisecond);
    EXPECT_FALSE(outcome.has_value());
    EXPECT_TRUE(run(role->close_session(mine)).ok());
    for (int i = 0; i < 100000 && !outcome.has_value(); ++i) reactor.step();
    ASSERT_EQ(outcome, Code::ok);
    drives.lose_power();
    crash();
    expect_theirs_after_restart();
}

TEST_F(LockGrace, EverythingElseGoesOnMeanwhile) {
    EXPECT_EQ(lock(mine), Code::ok);
    crash();
    wait(settings.lease_terms().over_after(0));  // For what they may cache: LeaseGrace.
    Nanos before = reactor.now();
    EXPECT_EQ(write(file, 0, "at once"), Code::ok);
    EXPECT_EQ(read(file, 0, 7), "at once");
    EXPECT_LE(reactor.now() - before, 100 * kMillisecond);
}

}  // namespace
}  // namespace weft::compute
