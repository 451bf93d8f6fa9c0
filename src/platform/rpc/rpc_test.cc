#include "platform/base/bytes.h"
#include "platform/rpc/peer.h"
#include "platform/simulated/simulated_network.h"
#include "platform/simulated/simulated_reactor.h"
#include "platform/simulated/simulated_stream.h"

#include <gtest/gtest.h>

namespace weft::rpc {
namespace {

constexpr std::uint32_t kEcho = 1;
constexpr std::uint32_t kFail = 2;
constexpr std::uint32_t kNever = 3;
constexpr std::uint32_t kUntilEnd = 4;
constexpr std::uint32_t kQuick = 5;
constexpr std::uint32_t kTooLong = 6;
constexpr Nanos kForEver = INT64_MAX / 2;

class TestHandler : public Handler {
public:
    explicit TestHandler(Reactor& reactor) : reactor_(reactor), end_(reactor) {}
    Task<Done> connection_ended() override {
        ended_ = true;
        end_.notify_all();
        co_return Done{};
    }
    bool is_quick(std::uint32_t method) const override { return method == kQuick; }
    bool may_wait_for_ever(std::uint32_t method) const override { return method == kUntilEnd; }
    Task<Reply> handle(Request request) override {
        ++handled;
        if (request.method == kFail) co_return Error{Code::not_found, "test"};
        if (request.method == kNever) co_await sleep(reactor_, 3600 * kSecond);
        while (request.method == kUntilEnd && !ended_) co_await end_.wait();
        Reply reply;
        reply.meta = request.meta;
        if (request.method == kTooLong) reply.meta.resize(kMetaBytesMost + 1);
        reply.payload_bytes = request.payload.size();
        reply.payload = std::move(request.payload);
        co_return reply;
    }

    std::size_t handled = 0;

private:
    Reactor& reactor_;
    Signal end_;
    bool ended_ = false;
};

struct Pair {
    Pair() : handler(reactor), client_handler(reactor), gate(reactor) {
        auto [left, right] = make_simulated_streams(reactor, kMillisecond);
        begin(std::move(left), std::move(right));
    }
    explicit Pair(SimulatedLink link) : handler(reactor), client_handler(reactor), gate(reactor) {
        wires = std::make_unique<SimulatedNetwork>(reactor, 1);
        wires->set_link("a", "b", link);
        auto listening = wires->at("b").listen("b:1");
        auto left = reactor.run(wires->at("a").connect("b:1", kForEver));
        auto right = reactor.run(listening.value()->accept());
        begin(std::move(left).value(), std::move(right).value());
    }
    void begin(std::unique_ptr<Stream> left, std::unique_ptr<Stream> right) {
        client = std::make_unique<Peer>(reactor, std::move(left), &client_handler);
        server = std::make_unique<Peer>(reactor, std::move(right), &handler);
        gate.spawn(client->run());
        gate.spawn(server->run());
    }
    ~Pair() {
        client->close();
        server->close();
        EXPECT_TRUE(reactor.run(gate.close()).ok());
    }
    Result<Peer::Answer> call(std::uint32_t method, std::string meta, ConstBytes payload,
                              Bytes into) {
        return reactor.run(
            client->call(method, std::move(meta), payload, into, reactor.now() + kSecond));
    }

    SimulatedReactor reactor;
    std::unique_ptr<SimulatedNetwork> wires;
    TestHandler handler;
    TestHandler client_handler;
    Gate gate;
    std::unique_ptr<Peer> client;
    std::unique_ptr<Peer> server;
};

TEST(Rpc, CarriesMetaAndPayloadBothWays) {
    Pair pair;
    std::vector<std::byte> data(100'000, std::byte{7});
    std::vector<std::byte> back(100'000);
    auto answer = pair.call(kEcho, "hello", data, back);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer.value().meta, "hello");
    EXPECT_EQ(answer.value().payload_bytes, data.size());
    EXPECT_EQ(back, data);
}

TEST(Rpc, GivesTheHandlersError) {
    Pair pair;
    EXPECT_EQ(pair.call(kFail, "", {}, {}).code(), Code::not_found);
}

TEST(Rpc, RefusesAReplyThatIsLongerThanItsPlace) {
    Pair pair;
    std::vector<std::byte> data(100);
    std::vector<std::byte> back(99);
    EXPECT_EQ(pair.call(kEcho, "", data, back).code(), Code::corrupt);
}

TEST(Rpc, EndsACallAtItsDeadlineAndGoesOn) {
    Pair pair;
    EXPECT_EQ(pair.call(kNever, "", {}, {}).code(), Code::retry_later);
    EXPECT_TRUE(pair.call(kEcho, "still here", {}, {}).ok());
}

TEST(Rpc, EndsWaitingCallsWhenTheStreamDies) {
    Pair pair;
    auto kill = [](Pair* at) -> Task<Done> {
        co_await sleep(at->reactor, 5 * kMillisecond);
        at->server->close();
        co_return Done{};
    };
    pair.gate.spawn(kill(&pair));
    EXPECT_EQ(pair.call(kNever, "", {}, {}).code(), Code::unavailable);
    EXPECT_EQ(pair.call(kEcho, "", {}, {}).code(), Code::unavailable);
}

TEST(Rpc, WhoSendsOverASlowLineIsHeardAllTheWhile) {
    SimulatedLink slow;
    slow.bytes_a_second = 256 * kKiB;
    Pair pair(slow);
    std::vector<std::byte> data(2 * kMiB, std::byte{7});
    auto send = [](Pair* at, ConstBytes from) -> Task<Done> {
        Bytes none;
        auto answer = co_await at->client->call(kFail, "", from, none, kForEver);
        co_return answer.error();
    };
    auto listen = [](Pair* at) -> Task<Done> {
        for (int second = 1; second < 8; ++second) {
            co_await sleep(at->reactor, kSecond);
            EXPECT_LT(at->reactor.now() - at->server->last_heard(), kSecond) << second;
        }
        co_return Done{};
    };
    pair.gate.spawn(send(&pair, data));
    pair.gate.spawn(listen(&pair));
    // It waits behind all of that, and is answered as soon as its turn has come.
    auto behind = pair.client->call(kEcho, "behind", {}, {}, pair.reactor.now() + 4 * kSecond);
    EXPECT_TRUE(pair.reactor.run(std::move(behind)).ok());
}

// What waits for the client (a lock) must not keep the connection for ever once it is gone.
TEST(Rpc, TellsTheHandlerThatTheConnectionEndedBeforeItWaitsForRequests) {
    Pair pair;
    auto kill = [](Pair* at) -> Task<Done> {
        co_await sleep(at->reactor, 5 * kMillisecond);
        at->client->close();
        co_return Done{};
    };
    pair.gate.spawn(kill(&pair));
    EXPECT_EQ(pair.call(kUntilEnd, "", {}, {}).code(), Code::unavailable);
    Nanos began = pair.reactor.now();
    EXPECT_TRUE(pair.reactor.run(pair.gate.close()).ok());
    EXPECT_LT(pair.reactor.now() - began, kSecond);
}

// A connection with `count` requests under way that end only with it.
struct Busy : Pair {
    Busy(std::size_t count, Nanos patience) {
        for (std::size_t i = 0; i < count; ++i) gate.spawn(call_until_end(patience));
        EXPECT_TRUE(reactor.run(wait()).ok());
    }
    Task<Done> call_until_end(Nanos patience) {
        Nanos deadline = reactor.now() + patience;
        auto answered =
            co_await client->call(kUntilEnd, std::string(), ConstBytes(), Bytes(), deadline);
        co_return answered.code() == Code::ok ? Result<Done>(Done{}) : answered.error();
    }
    Task<Done> wait() {
        co_await sleep(reactor, 100 * kMillisecond);
        co_return Done{};
    }
};

TEST(Rpc, AReplyThatIsLongerThanAFrameIsRefusedAndNothingElseHappens) {
    Pair pair;
    EXPECT_EQ(pair.call(kTooLong, "", {}, {}).code(), Code::limit_reached);
    EXPECT_TRUE(pair.call(kEcho, "still here", {}, {}).ok());
}

// A mount whose requests all wait is alive: its pings are answered. And what they wait for may be
// a reply of its own.
TEST(Rpc, QuickRequestsAndRepliesPassThoseThatWaitForASlot) {
    Busy busy(Peer::kServedMost + Peer::kParkedMost / 2, 3600 * kSecond);
    EXPECT_TRUE(busy.call(kQuick, "ping", {}, {}).ok());
    Nanos deadline = busy.reactor.now() + kSecond;
    auto back = busy.reactor.run(busy.server->call(kEcho, "recall", {}, {}, deadline));
    EXPECT_TRUE(back.ok());
}

TEST(Rpc, WhatWaitedForASlotPastItsDeadlineIsNotBegun) {
    Busy busy(Peer::kServedMost, 3600 * kSecond);
    EXPECT_EQ(busy.call(kEcho, "", {}, {}).code(), Code::retry_later);
    EXPECT_TRUE(busy.reactor.run(busy.wait()).ok());
    EXPECT_EQ(busy.handler.handled, Peer::kServedMost);
    EXPECT_TRUE(busy.call(kQuick, "", {}, {}).ok());
}

// Goal: what a connection keeps in memory is bounded. Method: more is sent than may be parked, and
// then nothing more is read; what waited goes on as soon as its time is over.
TEST(Rpc, ReadsNoMoreThanMayBeParked) {
    Busy busy(Peer::kServedMost, 3600 * kSecond);
    std::vector<std::byte> data(kPayloadBytesMost);
    auto send = [](Busy* at, ConstBytes payload) -> Task<Done> {
        Nanos deadline = at->reactor.now() + 30 * kSecond;
        (void)co_await at->client->call(kFail, std::string(), payload, Bytes(), deadline);
        co_return Done{};
    };
    for (std::size_t sent = 0; sent <= Peer::kParkedBytesMost; sent += data.size()) {
        busy.gate.spawn(send(&busy, data));
    }
    EXPECT_TRUE(busy.reactor.run(busy.wait()).ok());
    EXPECT_EQ(busy.call(kQuick, "", {}, {}).code(), Code::retry_later);
    auto until_late = [](Busy* at) -> Task<Done> {
        co_await sleep(at->reactor, 60 * kSecond);
        co_return Done{};
    };
    EXPECT_TRUE(busy.reactor.run(until_late(&busy)).ok());
    EXPECT_TRUE(busy.call(kQuick, "", {}, {}).ok());
}

// A server whose slots are all taken: it must be possible to end it all the same.
TEST(Rpc, CanBeClosedWhileAllSlotsAreTaken) {
    Busy busy(Peer::kServedMost + 1, 3600 * kSecond);
    busy.server->close();
    Nanos began = busy.reactor.now();
    EXPECT_TRUE(busy.reactor.run(busy.gate.close()).ok());
    EXPECT_LT(busy.reactor.now() - began, kSecond);
}

// Locks wait for one another: the unlock must get through.
TEST(Rpc, RequestsThatMayWaitForEverTakeNoSlot) {
    Busy busy(2 * Peer::kServedMost, kForEver);
    EXPECT_TRUE(busy.call(kEcho, "past them", {}, {}).ok());
}

TEST(Rpc, RefusesMoreThanSoManyThatMayWaitForEver) {
    Busy busy(Peer::kWaitingMost, kForEver);
    auto more = busy.reactor.run(busy.call_until_end(kForEver));
    EXPECT_EQ(more.code(), Code::limit_reached);
    EXPECT_TRUE(busy.call(kEcho, "still well", {}, {}).ok());
}

// Goal: hostile bytes never do harm. Method: flip each bit of a good header; all must be refused.
TEST(Rpc, RefusesEveryDamagedHeader) {
    FrameHeader header;
    header.meta_bytes = 12;
    seal(header);
    std::string good(text_of(image_of(header)));
    ASSERT_TRUE(decode_frame_header(bytes_of(good)).ok());
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        EXPECT_EQ(decode_frame_header(bytes_of(bad)).code(), Code::corrupt) << "bit " << bit;
    }
    EXPECT_EQ(decode_frame_header(bytes_of(good.substr(1))).code(), Code::corrupt);
}

// Golden bytes of docs/formats/rpc.md.
TEST(Rpc, HeaderHasItsDocumentedBytes) {
    FrameHeader header;
    header.kind = FrameKind::request;
    header.call = 0x0102030405060708;
    header.method = 3;
    header.patience_ms = 1000;
    header.meta_bytes = 5;
    header.payload_bytes = 4096;
    header.body_crc = 0xaabbccdd;
    seal(header);
    std::string hex;
    for (std::byte byte : image_of(header)) {
        constexpr const char* kDigits = "0123456789abcdef";
        hex += kDigits[static_cast<int>(byte) >> 4];
        hex += kDigits[static_cast<int>(byte) & 15];
    }
    EXPECT_EQ(hex,
              "65776674"
              "666b536d"
              "ddccbbaa"
              "0100"
              "01"
              "00"
              "0807060504030201"
              "03000000"
              "e8030000"
              "05000000"
              "00100000");
}

}  // namespace
}  // namespace weft::rpc
