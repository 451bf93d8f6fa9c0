#include "roles/compute/compute_testing_internal.h"

namespace weft::compute {
namespace {

// Clients that cache something, over restarts of compute.
class LeaseGrace : public ComputeTest {
protected:
    static constexpr std::uint64_t kMine = 77;
    static constexpr std::uint64_t kTheirs = 88;

    LeaseGrace() : gate(reactor) {}
    void SetUp() override {
        ComputeTest::SetUp();
        file = make_file(root(), "f");
        EXPECT_EQ(write(file, 0, "before"), Code::ok);
    }
    void TearDown() override {
        wait(2 * kSecond);
        ComputeTest::TearDown();
        (void)run(gate.close());
    }

    SessionId come(std::uint64_t client) {
        auto opened = role->open_session(&holder, Client{client, 0, 0});
        EXPECT_TRUE(opened.ok());
        return opened.value();
    }
    LeaseMode lease(SessionId session) {
        Caller asks;
        asks.session = session;
        auto node = run(role->getattr(asks, file));
        EXPECT_TRUE(node.ok());
        return node.ok() ? node.value().lease : LeaseMode::none;
    }
    // It caches the file when compute goes.
    void cache_and_crash() {
        SessionId session = come(kMine);
        wait(kMillisecond);
        EXPECT_EQ(lease(session), LeaseMode::read);
        crash();
    }
    void begin_write() {
        outcome.reset();
        gate.spawn(
            note_code(role->write(next(), file, 0, bytes_of("after!"), false, false), &outcome));
        wait(kMillisecond);
    }
    Nanos longest() const { return settings.lease_terms().over_after(0); }

    FileId file;
    std::optional<Code> outcome;
    Gate gate;
};

TEST_F(LeaseGrace, NobodyChangesWhatOneWhoIsAwayMayCache) {
    cache_and_crash();
    Nanos began = reactor.now();
    begin_write();
    EXPECT_FALSE(outcome.has_value());
    wait(began + longest() - kMillisecond - reactor.now());
    EXPECT_FALSE(outcome.has_value());
    wait(2 * kMillisecond);
    EXPECT_EQ(outcome, Code::ok);
}

TEST_F(LeaseGrace, NobodyWaitsForOneWhoIsBack) {
    cache_and_crash();
    begin_write();
    EXPECT_FALSE(outcome.has_value());
    (void)come(kMine);
    wait(kMillisecond);
    EXPECT_EQ(outcome, Code::ok);
}

TEST_F(LeaseGrace, EachOfThemIsWaitedFor) {
    (void)come(kTheirs);
    wait(kMillisecond);
    cache_and_crash();
    (void)come(kMine);
    begin_write();
    EXPECT_FALSE(outcome.has_value());
    (void)come(kTheirs);
    wait(kMillisecond);
    EXPECT_EQ(outcome, Code::ok);
}

// Who is away may have written what it has not sent yet: files are not looked at, names may be.
TEST_F(LeaseGrace, WhatItMayHaveWrittenIsNotLookedAt) {
    cache_and_crash();
    Nanos began = reactor.now();
    (void)names(root());
    EXPECT_TRUE(run(role->getattr(caller, root())).ok());
    EXPECT_LT(reactor.now() - began, kMillisecond);
    EXPECT_EQ(read(file, 0, 6), "before");
    EXPECT_GE(reactor.now() - began, longest());
}

TEST_F(LeaseGrace, WhoHasGivenBackWhatItHadIsNotWaitedFor) {
    SessionId session = come(kMine);
    wait(kMillisecond);
    EXPECT_EQ(lease(session), LeaseMode::read);
    EXPECT_TRUE(run(role->close_session(session)).ok());
    wait(kMillisecond);
    crash();
    begin_write();
    EXPECT_EQ(outcome, Code::ok);
}

TEST_F(LeaseGrace, WhoseSessionEndsWithAStopIsWaitedFor) {
    SessionId session = come(kMine);
    wait(kMillisecond);
    role->will_close();
    EXPECT_TRUE(run(role->close_session(session)).ok());
    restart();
    begin_write();
    EXPECT_FALSE(outcome.has_value());
    wait(longest());
    EXPECT_EQ(outcome, Code::ok);
}

TEST_F(LeaseGrace, WhoNeverCameBackIsNotWaitedForAgain) {
    cache_and_crash();
    wait(longest() + kMillisecond);
    crash();
    begin_write();
    EXPECT_EQ(outcome, Code::ok);
}

TEST_F(LeaseGrace, WhoCameBackIsWaitedForAgain) {
    cache_and_crash();
    SessionId session = come(kMine);
    EXPECT_EQ(lease(session), LeaseMode::read);
    wait(2 * longest());
    crash();
    begin_write();
    EXPECT_FALSE(outcome.has_value());
}

TEST_F(LeaseGrace, NothingIsLeasedThatARestartWouldNotKnowOf) {
    SessionId session = come(kMine);
    Caller asks;
    asks.session = session;
    std::optional<Code> asked;
    LeaseMode lease_at_once = LeaseMode::read;
    auto ask = [this, &lease_at_once](Caller by) -> Task<Done> {
        Node node = co_await or_return(co_await role->getattr(by, file));
        lease_at_once = node.lease;
        co_return Done{};
    };
    gate.spawn(note_code(ask(asks), &asked));
    EXPECT_EQ(asked, Code::ok);
    EXPECT_EQ(lease_at_once, LeaseMode::none);
    wait(kMillisecond);
    EXPECT_EQ(lease(session), LeaseMode::read);
}

TEST_F(LeaseGrace, ATermThatWasLongerBeforeIsWaitedFor) {
    Nanos before = longest();
    SessionId session = come(kMine);
    wait(kMillisecond);
    EXPECT_EQ(lease(session), LeaseMode::read);
    settings.lease_term /= 2;
    crash();
    Nanos began = reactor.now();
    begin_write();
    wait(began + before - kMillisecond - reactor.now());
    EXPECT_FALSE(outcome.has_value());
    wait(2 * kMillisecond);
    EXPECT_EQ(outcome, Code::ok);
}

}  // namespace
}  // namespace weft::compute
