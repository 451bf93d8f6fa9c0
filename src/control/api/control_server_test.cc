// Requests over a stream: docs/formats/control.md.
#include "control/api/control_server.h"

#include "control/api/control_client.h"
#include "control/api/line_stream.h"
#include "control/api/management_testing_internal.h"
#include "platform/simulated/simulated_network.h"
#include "platform/simulated/simulated_reactor.h"

#include <gtest/gtest.h>

namespace weft::control {
namespace {

// Checks take as long as the test says.
class SlowManagement : public FakeManagement {
public:
    explicit SlowManagement(Reactor& reactor) : reactor_(reactor) {}
    Task<std::vector<Finding>> check(bool full) override {
        co_await sleep(reactor_, takes);
        ++checks_done;
        co_return co_await FakeManagement::check(full);
    }

    Nanos takes = 0;
    int checks_done = 0;

private:
    Reactor& reactor_;
};

class ControlServerTest : public testing::Test {
public:
    ControlServerTest() {
        auto listener = network.at("server").listen("server:1");
        server.serve(std::move(listener).value());
    }
    Result<Reply> ask(const std::string& verb) {
        Json body{{"verb", verb}};
        return reactor.run(request(reactor, &network.at("client"), "server:1", std::move(body)));
    }
    std::unique_ptr<Stream> connect() {
        auto connected = reactor.run(network.at("client").connect("server:1", 10 * kSecond));
        return std::move(connected).value();
    }
    Task<Done> ask_for_a_check(std::optional<Result<Reply>>* into) {
        Json body{{"verb", "check"}};
        *into = co_await request(reactor, &network.at("client"), "server:1", std::move(body));
        co_return Done{};
    }
    Task<Done> wait(Nanos duration) {
        co_await sleep(reactor, duration);
        co_return Done{};
    }

    SimulatedReactor reactor;
    SimulatedNetwork network{reactor, 1};
    SlowManagement management{reactor};
    ControlServer server{reactor, management};
};

TEST_F(ControlServerTest, AnswersARequest) {
    auto reply = ask("status");
    ASSERT_TRUE(reply.ok());
    EXPECT_TRUE(reply.value().ok);
    EXPECT_EQ(text_at(reply.value().value, "name"), "demo");
}

TEST_F(ControlServerTest, WhoAsksForWhatTakesLongWaitsAsLong) {
    management.takes = 10 * kSilenceMost;
    auto reply = ask("check");
    ASSERT_TRUE(reply.ok());
    EXPECT_TRUE(reply.value().ok);
}

TEST_F(ControlServerTest, WhoCannotConnectGivesUp) {
    network.cut("server", "client");
    EXPECT_EQ(ask("status").code(), Code::retry_later);
}

TEST_F(ControlServerTest, WhoIsCutOffInTheMiddleGivesUpAndItIsDoneAllTheSame) {
    management.takes = 5 * kSilenceMost;
    Gate gate(reactor);
    std::optional<Result<Reply>> reply;
    gate.spawn(ask_for_a_check(&reply));
    ASSERT_TRUE(reactor.run(wait(2 * kSecond)).ok());
    network.cut("server", "client");
    ASSERT_TRUE(reactor.run(wait(2 * kSilenceMost)).ok());
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->code(), Code::retry_later);
    EXPECT_EQ(management.checks_done, 0);
    ASSERT_TRUE(reactor.run(wait(5 * kSilenceMost)).ok());
    EXPECT_EQ(management.checks_done, 1);
}

TEST_F(ControlServerTest, WhoAsksNothingOrHalfALineIsSentAway) {
    std::unique_ptr<Stream> silent = connect();
    std::unique_ptr<Stream> half = connect();
    std::array<std::byte, 2> bytes{std::byte{200}, std::byte{0}};
    std::array<ConstBytes, 1> parts = {bytes};
    ASSERT_TRUE(reactor.run(half->write(parts)).ok());
    for (Stream* stream : {silent.get(), half.get()}) {
        auto line = reactor.run(read_line(reactor, stream, reactor.now() + 3 * kSilenceMost));
        EXPECT_EQ(line.code(), Code::unavailable);
    }
    EXPECT_TRUE(ask("status").ok());
}

// What runs needs what would go away.
TEST_F(ControlServerTest, StopsWhenWhatWasAskedIsAnswered) {
    management.takes = 10 * kSecond;
    Gate gate(reactor);
    std::optional<Result<Reply>> reply;
    gate.spawn(ask_for_a_check(&reply));
    std::unique_ptr<Stream> idle = connect();
    ASSERT_TRUE(reactor.run(wait(1 * kSecond)).ok());
    EXPECT_EQ(reactor.run(server.stop(reactor.now() + kSecond)).code(), Code::retry_later);
    EXPECT_EQ(management.checks_done, 0);
    EXPECT_FALSE(ask("status").ok());
    EXPECT_TRUE(reactor.run(server.stop(reactor.now() + 60 * kSecond)).ok());
    EXPECT_EQ(management.checks_done, 1);
    ASSERT_TRUE(reactor.run(gate.close()).ok());
    ASSERT_TRUE(reply.has_value() && reply->ok());
    EXPECT_TRUE(reply->value().ok);
    Nanos by = reactor.now() + kSecond;
    ASSERT_TRUE(reactor.run(write_line(reactor, idle.get(), R"({"verb":"status"})", by)).ok());
    EXPECT_FALSE(reactor.run(read_line(reactor, idle.get(), by)).ok());
}

TEST_F(ControlServerTest, ALineThatIsTooLongIsRefused) {
    std::unique_ptr<Stream> stream = connect();
    std::array<std::byte, 4> size;
    size.fill(std::byte{0xff});
    std::array<ConstBytes, 1> parts = {size};
    ASSERT_TRUE(reactor.run(stream->write(parts)).ok());
    auto line = reactor.run(read_line(reactor, stream.get(), reactor.now() + kSilenceMost / 2));
    EXPECT_EQ(line.code(), Code::unavailable);
}

}  // namespace
}  // namespace weft::control
