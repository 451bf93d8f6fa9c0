#include "processes/client/connection.h"

#include "platform/simulated/simulated_network.h"
#include "platform/simulated/simulated_reactor.h"
#include "testing/memory_compute.h"

#include <optional>

#include <gtest/gtest.h>

namespace weft::client {
namespace {

constexpr LeaseTerms kTerms;

class Holder : public LeaseHolder {
public:
    Task<Done> recall(Recall) override { co_return Done{}; }
    void session_ended() override { ++sessions_ended; }
    void term_ended() override { ++terms_ended; }
    int sessions_ended = 0;
    int terms_ended = 0;
};

class Cut : public ::testing::Test, public SessionHost, public MountHost {
public:
    Cut() : network(reactor, 1), compute(reactor), gate(reactor) {
        network.set_link({.delay = kMillisecond});
        listener = network.at("compute").listen("compute:1").value();
        gate.spawn(accept());
        connection =
            std::make_unique<Connection>(reactor, network.at("client"), "compute:1", MountHello());
        EXPECT_TRUE(reactor.run(connection->open_session(&holder, Client())).ok());
    }
    ~Cut() override {
        mend();
        if (server != nullptr) server->session_ended();
        listener->close();
        EXPECT_TRUE(reactor.run(connection->stop()).ok());
        EXPECT_TRUE(reactor.run(gate.close()).ok());
    }
    Task<Done> accept() {
        auto accepted = co_await listener->accept();
        if (!accepted.ok()) co_return accepted.error();
        server = std::make_unique<remote::ComputeServer>(reactor, std::move(accepted).value(),
                                                         compute, *this, this, kTerms);
        co_return co_await server->run();
    }
    Task<SessionId> open_session(LeaseHolder*, Client) override { co_return SessionId{9}; }
    Task<Done> close_session(SessionId) override { co_return Done{}; }
    Task<MountWelcome> attach(LeaseHolder*, MountHello) override {
        co_return MountWelcome{SessionId{9}, FilesystemId{1}, 0};
    }
    Task<Done> detach(SessionId) override { co_return Done{}; }

    bool covers() const { return connection->lease_term()->covers(reactor.now()); }
    void cut() {
        network.cut("client", "compute");
        network.cut("compute", "client");
    }
    void mend() {
        network.mend("client", "compute");
        network.mend("compute", "client");
    }
    void pass(Nanos duration) {
        auto waiting = [](Reactor* on, Nanos how_long) -> Task<Done> {
            co_await sleep(*on, how_long);
            co_return Done{};
        };
        (void)reactor.run(waiting(&reactor, duration));
    }

    SimulatedReactor reactor;
    SimulatedNetwork network;
    testing::MemoryCompute compute;
    Holder holder;
    std::unique_ptr<Listener> listener;
    std::unique_ptr<remote::ComputeServer> server;
    std::unique_ptr<Connection> connection;
    Gate gate;
};

TEST_F(Cut, PingsThatAreAnsweredRenewTheTerm) {
    for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(covers());
        pass(100 * kMillisecond);
    }
    EXPECT_EQ(holder.terms_ended, 0);
}

TEST_F(Cut, NothingIsCoveredATermAfterTheLastPingThatWasAnswered) {
    pass(3 * kSecond);
    cut();
    Nanos from = reactor.now();
    pass(kTerms.term);
    EXPECT_FALSE(covers());
    EXPECT_EQ(holder.terms_ended, 1);
    EXPECT_LE(connection->lease_term()->until(), from + kTerms.term);
    EXPECT_EQ(holder.sessions_ended, 0);
}

// What was sent before the cut and is answered behind it says nothing of now.
TEST_F(Cut, TheSessionGoesOnWhenTheConnectionIsBack) {
    pass(3 * kSecond);
    cut();
    pass(2 * kSecond);
    EXPECT_FALSE(covers());
    mend();
    pass(200 * kMillisecond);
    EXPECT_TRUE(covers());
    EXPECT_EQ(holder.sessions_ended, 0);
    EXPECT_EQ(holder.terms_ended, 1);
}

TEST_F(Cut, AnAnswerThatTookLongerThanTheTermRenewsNothing) {
    SimulatedLink slow;
    slow.delay = kTerms.term / 2 + 10 * kMillisecond;
    network.set_link("client", "compute", slow);
    pass(3 * kSecond);
    for (int i = 0; i < 100; ++i) {
        EXPECT_FALSE(covers());
        pass(100 * kMillisecond);
    }
    EXPECT_EQ(holder.sessions_ended, 0);
}

TEST_F(Cut, TheSessionIsOverWhenNothingIsHeardForLong) {
    pass(3 * kSecond);
    cut();
    pass(5 * kSecond);
    EXPECT_EQ(holder.sessions_ended, 1);
    EXPECT_TRUE(connection->closed());
}

// Its pings wait behind what it sends, which is taken all the while.
TEST_F(Cut, TheSessionGoesOnWhileMuchIsSentOverASlowLine) {
    SimulatedLink slow;
    slow.bytes_a_second = 256 * kKiB;
    network.set_link("client", "compute", slow);
    std::vector<std::byte> data(2 * kMiB);
    std::optional<Code> written;
    auto write = [](Cut* cut, ConstBytes from, std::optional<Code>* out) -> Task<Done> {
        Caller caller;
        caller.session = SessionId{9};
        caller.seq = 1;
        FileId file{FilesystemId{1}, InodeId{2}};
        auto done = co_await cut->connection->compute().write(caller, file, 0, from, false, false);
        *out = done.code();
        co_return Done{};
    };
    gate.spawn(write(this, data, &written));
    pass(12 * kSecond);
    ASSERT_TRUE(written.has_value());
    EXPECT_NE(*written, Code::fenced);
    EXPECT_EQ(holder.sessions_ended, 0);
}

// What is being sent keeps pings from being sent at all, and its end never comes.
TEST_F(Cut, TheSessionIsOverAlsoBehindWhatNobodyTakes) {
    pass(3 * kSecond);
    cut();
    std::vector<std::byte> data(kMiB);
    auto write = [](Cut* cut, ConstBytes from) -> Task<Done> {
        Caller caller;
        caller.session = SessionId{9};
        caller.seq = 1;
        FileId file{FilesystemId{1}, InodeId{2}};
        (void)co_await cut->connection->compute().write(caller, file, 0, from, false, false);
        co_return Done{};
    };
    gate.spawn(write(this, data));
    pass(6 * kSecond);
    EXPECT_EQ(holder.sessions_ended, 1);
    EXPECT_TRUE(connection->closed());
}

}  // namespace
}  // namespace weft::client
