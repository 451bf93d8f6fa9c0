#include "platform/simulated/simulated_network.h"

#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_reactor.h"

#include <array>

#include <gtest/gtest.h>

namespace weft {
namespace {

struct Pair {
    explicit Pair(SimulatedLink link = {}, std::uint64_t seed = 1)
        : network(reactor, seed), gate(reactor) {
        network.set_link(link);
        auto listening = network.at("b").listen("b:1");
        listener = std::move(listening).value();
        auto connected = reactor.run(network.at("a").connect("b:1", kSecond));
        near = std::move(connected).value();
        auto accepted = reactor.run(listener->accept());
        far = std::move(accepted).value();
    }
    Task<Done> write(Stream* to, std::string text, bool* ended) {
        std::array<ConstBytes, 1> parts = {std::as_bytes(std::span(text))};
        auto written = co_await to->write(parts);
        *ended = written.ok();
        co_return written;
    }
    // Reads as many bytes, or what comes before the end.
    std::string read(Stream* from, std::size_t count) {
        std::string got;
        for (std::size_t i = 0; i < count; ++i) {
            std::array<std::byte, 1> one;
            auto came = reactor.run(from->read(one));
            if (!came.ok()) break;
            got += static_cast<char>(one[0]);
        }
        return got;
    }

    SimulatedReactor reactor;
    SimulatedNetwork network;
    std::unique_ptr<Listener> listener;
    std::unique_ptr<Stream> near;
    std::unique_ptr<Stream> far;
    Gate gate;
};

std::string numbered(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += std::to_string(text.size()) + ",";
    return text.substr(0, bytes);
}

TEST(SimulatedNetwork, BringsEverythingInOrderHoweverLateItsPiecesAre) {
    SimulatedLink link;
    link.jitter = 20 * kMillisecond;
    link.piece_bytes_most = 100;
    Pair pair(link);
    bool written = false;
    std::string text = numbered(5000);
    pair.gate.spawn(pair.write(pair.near.get(), text, &written));
    EXPECT_EQ(pair.read(pair.far.get(), 5000), text);
    EXPECT_TRUE(written);
}

TEST(SimulatedNetwork, LetsAWriterWaitForItsReader) {
    SimulatedLink link;
    link.window_bytes = 1000;
    Pair pair(link);
    bool written = false;
    std::string text = numbered(3000);
    pair.gate.spawn(pair.write(pair.near.get(), text, &written));
    while (pair.reactor.step()) continue;
    EXPECT_FALSE(written);
    EXPECT_EQ(pair.read(pair.far.get(), 3000), text);
    EXPECT_TRUE(written);
}

TEST(SimulatedNetwork, TakesItsTimeForManyBytes) {
    SimulatedLink link;
    link.bytes_a_second = 10'000;
    Pair pair(link);
    bool written = false;
    Nanos began = pair.reactor.now();
    pair.gate.spawn(pair.write(pair.near.get(), numbered(5000), &written));
    (void)pair.read(pair.far.get(), 5000);
    Nanos took = pair.reactor.now() - began;
    EXPECT_GE(took, kSecond / 2);
    EXPECT_LT(took, kSecond);
}

TEST(SimulatedNetwork, BringsNothingOverACutWayUntilItIsMended) {
    Pair pair;
    pair.network.cut("a", "b");
    bool written = false;
    pair.gate.spawn(pair.write(pair.near.get(), "late", &written));
    bool back = false;
    pair.gate.spawn(pair.write(pair.far.get(), "other", &back));
    EXPECT_EQ(pair.read(pair.near.get(), 5), "other");
    Nanos mended = 0;
    auto mend = [](Pair* at, Nanos* when) -> Task<Done> {
        co_await sleep(at->reactor, 7 * kSecond);
        at->network.mend("a", "b");
        *when = at->reactor.now();
        co_return Done{};
    };
    pair.gate.spawn(mend(&pair, &mended));
    EXPECT_EQ(pair.read(pair.far.get(), 4), "late");
    EXPECT_GT(mended, 7 * kSecond);
    EXPECT_GE(pair.reactor.now(), mended);
}

TEST(SimulatedNetwork, FreesAWindowOnlyOnceWordOfItComesBack) {
    SimulatedLink link;
    link.window_bytes = 1000;
    Pair pair(link);
    pair.network.cut("b", "a");
    bool written = false;
    std::string text = numbered(2000);
    pair.gate.spawn(pair.write(pair.near.get(), text, &written));
    EXPECT_EQ(pair.read(pair.far.get(), 1000), text.substr(0, 1000));
    while (pair.reactor.step()) continue;
    EXPECT_FALSE(written);
    pair.network.mend("b", "a");
    EXPECT_EQ(pair.read(pair.far.get(), 1000), text.substr(1000));
    EXPECT_TRUE(written);
}

// Goal: what arrives before a connection ends is a prefix of what was sent, and both sides hear of
// the end. Method: many seeds, with a reset after each few writes.
TEST(SimulatedNetwork, BringsAPrefixBeforeAResetAndTellsBothSides) {
    SimulatedLink link;
    link.piece_bytes_most = 50;
    link.jitter = kMillisecond;
    bool some = false;
    bool less = false;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Pair pair(link, seed);
        bool written = false;
        std::string text = numbered(1000);
        pair.gate.spawn(pair.write(pair.near.get(), text, &written));
        pair.network.reset("a", "b");
        std::string came = pair.read(pair.far.get(), 1000);
        EXPECT_TRUE(text.starts_with(came));
        some = some || !came.empty();
        less = less || came.size() < text.size();
        EXPECT_EQ(pair.read(pair.near.get(), 1), "");
    }
    EXPECT_TRUE(some && less);
}

TEST(SimulatedNetwork, TellsThePeerThatAProcessIsGone) {
    Pair pair;
    pair.near.reset();
    EXPECT_EQ(pair.read(pair.far.get(), 1), "");
    bool written = false;
    Result<Done> sent = pair.reactor.run(pair.write(pair.far.get(), "x", &written));
    EXPECT_EQ(sent.code(), Code::unavailable);
}

TEST(SimulatedNetwork, AProcessThatIsPausedHearsOfNothingUntilItGoesOn) {
    SimulatedReactor reactor;
    SkewedReactor process(reactor, {});
    SimulatedNetwork network(reactor, 1);
    network.set_clock("b/1", process);
    auto listener = network.at("b/1").listen("b:1");
    auto near = reactor.run(network.at("a").connect("b:1", kSecond));
    ASSERT_TRUE(near.ok());
    auto far = reactor.run(listener.value()->accept());
    ASSERT_TRUE(far.ok());
    process.pause_until(3 * kSecond);
    std::array<ConstBytes, 1> parts = {std::as_bytes(std::span("x", 1))};
    ASSERT_TRUE(reactor.run(near.value()->write(parts)).ok());
    EXPECT_LT(reactor.now(), kSecond);
    std::array<std::byte, 1> into;
    ASSERT_TRUE(reactor.run(far.value()->read(into)).ok());
    EXPECT_EQ(reactor.now(), 3 * kSecond);
}

TEST(SimulatedNetwork, SaysWhyItCannotConnect) {
    Pair pair;
    auto nobody = pair.reactor.run(pair.network.at("a").connect("b:2", kSecond));
    EXPECT_EQ(nobody.code(), Code::unavailable);
    pair.network.cut("b", "a");
    Nanos deadline = pair.reactor.now() + kSecond;
    auto late = pair.reactor.run(pair.network.at("a").connect("b:1", deadline));
    EXPECT_EQ(late.code(), Code::retry_later);
    EXPECT_EQ(pair.reactor.now(), deadline);
}

}  // namespace
}  // namespace weft
