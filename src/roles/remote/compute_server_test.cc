#include "platform/simulated/simulated_network.h"
#include "platform/simulated/simulated_reactor.h"
#include "roles/remote/remote_compute.h"
#include "testing/memory_compute.h"

#include <optional>

#include <gtest/gtest.h>

namespace weft::remote {
namespace {

constexpr LeaseTerms kTerms;

// A client's end of a lease: it may be deaf.
class Holder : public LeaseHolder {
public:
    explicit Holder(Reactor& reactor) : answers(reactor) {}
    Task<Done> recall(Recall) override {
        ++recalls;
        while (deaf) co_await answers.wait();
        co_return Done{};
    }
    bool deaf = false;
    int recalls = 0;
    Signal answers;
};

// A mount over a network that can be cut.
class Door : public ::testing::Test, public SessionHost, public MountHost {
protected:
    Door()
        : network(reactor, 1),
          compute(reactor),
          holder(reactor),
          remote(reactor, kSecond * 10),
          gate(reactor) {
        network.set_link({.delay = kMillisecond});
        listener = network.at("compute").listen("compute:1").value();
        gate.spawn(accept());
        auto stream = reactor.run(network.at("client").connect("compute:1", kSecond));
        remote.connect(std::move(stream).value());
        gate.spawn(remote.run());
        MountHello hello;
        welcome = reactor.run(remote.attach(&holder, hello)).value();
    }
    ~Door() override {
        holder.deaf = false;
        holder.answers.notify_all();
        remote.close();
        listener->close();
        if (server != nullptr) server->session_ended();
        EXPECT_TRUE(reactor.run(gate.close()).ok());
    }

    Task<Done> accept() {
        auto accepted = co_await listener->accept();
        if (!accepted.ok()) co_return accepted.error();
        server = std::make_unique<ComputeServer>(reactor, std::move(accepted).value(), compute,
                                                 *this, this, kTerms);
        co_return co_await server->run();
    }
    Task<SessionId> open_session(LeaseHolder*, Client) override { co_return SessionId{9}; }
    Task<Done> close_session(SessionId) override { co_return Done{}; }
    Task<MountWelcome> attach(LeaseHolder*, MountHello) override {
        co_return MountWelcome{SessionId{9}, FilesystemId{1}, 0};
    }
    Task<Done> detach(SessionId) override {
        detached = reactor.now();
        co_return Done{};
    }

    static Task<Done> await_recall(ComputeServer* server, Reactor* reactor,
                                   std::optional<Nanos>* ended) {
        (void)co_await server->recall(Recall());
        *ended = reactor->now();
        co_return Done{};
    }
    // When it has ended, if it has.
    std::optional<Nanos>* recall() {
        ended_recalls.push_back(std::make_unique<std::optional<Nanos>>());
        gate.spawn(await_recall(server.get(), &reactor, ended_recalls.back().get()));
        return ended_recalls.back().get();
    }
    bool renews() { return reactor.run(remote.ping(reactor.now() + 10 * kSecond)).value(); }
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
    std::unique_ptr<ComputeServer> server;
    RemoteCompute remote;
    MountWelcome welcome;
    std::optional<Nanos> detached;
    std::vector<std::unique_ptr<std::optional<Nanos>>> ended_recalls;
    Gate gate;
};

TEST_F(Door, TellsTheTerm) {
    EXPECT_EQ(welcome.lease_term, kTerms.term);
    EXPECT_TRUE(renews());
}

TEST_F(Door, WhoDoesNotAnswerARecallIsRenewedForAMomentOnly) {
    holder.deaf = true;
    auto* ended = recall();
    EXPECT_TRUE(renews());
    pass(kTerms.recall_patience());
    EXPECT_FALSE(renews());
    holder.deaf = false;
    holder.answers.notify_all();
    pass(10 * kMillisecond);
    EXPECT_TRUE(ended->has_value());
    EXPECT_TRUE(renews());
}

// It may live on, and serve what it has cached, until its term is over.
TEST_F(Door, ALostConnectionEndsTheSessionWhenTheTermIsOver) {
    pass(kSecond);
    Nanos sent = reactor.now();
    EXPECT_TRUE(renews());
    network.reset("client", "compute");
    pass(100 * kMillisecond);
    auto* ended = recall();
    pass(sent + kTerms.term - reactor.now());
    EXPECT_FALSE(detached.has_value());
    EXPECT_FALSE(ended->has_value());
    pass(kTerms.margin() + 10 * kMillisecond);
    EXPECT_TRUE(detached.has_value());
    EXPECT_TRUE(ended->has_value());
    EXPECT_LE(detached.value_or(0), sent + kTerms.recall_deadline);
}

TEST_F(Door, WhoSaysGoodbyeIsNotWaitedFor) {
    Nanos before = reactor.now();
    EXPECT_TRUE(reactor.run(remote.close_session(SessionId{9})).ok());
    EXPECT_TRUE(detached.has_value());
    EXPECT_LE(reactor.now(), before + 10 * kMillisecond);
}

// As the compute role says when the deadline is over, or the door when its client is back.
TEST_F(Door, WhoseSessionIsOverIsNotWaitedFor) {
    network.reset("client", "compute");
    pass(50 * kMillisecond);
    EXPECT_FALSE(detached.has_value());
    server->session_ended();
    pass(kMillisecond);
    EXPECT_TRUE(detached.has_value());
}

}  // namespace
}  // namespace weft::remote
