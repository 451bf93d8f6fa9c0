#include "platform/runtime/gate.h"
#include "platform/uring/machine_testing_internal.h"

#include <cstring>
#include <random>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace weft {
namespace {

constexpr Nanos kLong = 30 * kSecond;

struct Pair {
    std::unique_ptr<Listener> listener;
    std::unique_ptr<Stream> near;
    std::unique_ptr<Stream> far;
};

Task<Done> accept_into(Listener* listener, std::unique_ptr<Stream>* stream) {
    *stream = co_await or_return(co_await listener->accept());
    co_return Done{};
}

class NetTest : public OnBothMachines {
protected:
    std::vector<std::string> addresses() { return {"tcp:127.0.0.1:0", "unix:" + path("socket")}; }
    Result<std::unique_ptr<Stream>> connect(const std::string& address, Nanos patience = kLong) {
        return machine().run(machine().network().connect(address, machine().now() + patience));
    }
    Pair connected(const std::string& address) {
        Pair pair;
        pair.listener = machine().network().listen(address).value();
        Gate gate(machine());
        gate.spawn(accept_into(pair.listener.get(), &pair.far));
        pair.near = connect(pair.listener->address()).value();
        EXPECT_TRUE(machine().run(gate.close()).ok());
        CHECK(pair.far != nullptr);
        return pair;
    }
    Result<Done> send(Stream& stream, std::string_view text) {
        std::array<ConstBytes, 1> parts = {bytes_of(text)};
        return machine().run(stream.write(parts));
    }
    Result<std::string> receive(Stream& stream, std::size_t count) {
        std::string text(count, '\0');
        Result<Done> got = machine().run(stream.read(std::as_writable_bytes(std::span(text))));
        if (!got.ok()) return got.error();
        return text;
    }
};
WEFT_ON_BOTH_MACHINES(NetTest);

TEST_P(NetTest, CarriesBytesBothWays) {
    for (const std::string& address : addresses()) {
        Pair pair = connected(address);
        ASSERT_TRUE(send(*pair.near, "question").ok());
        EXPECT_EQ(receive(*pair.far, 3).value(), "que");
        EXPECT_EQ(receive(*pair.far, 5).value(), "stion");
        ASSERT_TRUE(send(*pair.far, "answer").ok());
        EXPECT_EQ(receive(*pair.near, 6).value(), "answer");
        EXPECT_TRUE(machine().run(pair.near->read({})).ok());
        EXPECT_TRUE(machine().run(pair.near->write({})).ok());
    }
}

TEST_P(NetTest, CarriesIp6) {
    auto listener = machine().network().listen("tcp:[::1]:0");
    if (!listener.ok()) GTEST_SKIP() << "no IPv6 here";
    EXPECT_TRUE(listener.value()->address().starts_with("tcp:[::1]:"));
    EXPECT_TRUE(connect(listener.value()->address()).ok());
}

struct Transfer {
    std::string sent;
    std::string received;
};

Task<Done> send_all(Stream* stream, const std::string* text, unsigned seed) {
    std::mt19937 random(seed);
    std::string_view rest = *text;
    while (!rest.empty()) {
        std::vector<ConstBytes> parts;
        std::size_t count = 1 + random() % 100;
        for (std::size_t i = 0; i < count && !rest.empty(); ++i) {
            std::size_t size = std::min<std::size_t>(
                rest.size(), random() % 8 == 0 ? random() % 300000 : random() % 200);
            parts.push_back(bytes_of(rest.substr(0, size)));
            rest.remove_prefix(size);
        }
        co_await or_return(co_await stream->write(parts));
    }
    co_return Done{};
}

Task<Done> receive_all(Stream* stream, std::string* text, unsigned seed) {
    std::mt19937 random(seed);
    Bytes rest = std::as_writable_bytes(std::span(*text));
    while (!rest.empty()) {
        std::size_t size = std::min<std::size_t>(
            rest.size(), random() % 8 == 0 ? random() % 300000 : random() % 200);
        co_await or_return(co_await stream->read(rest.first(size)));
        rest = rest.subspan(size);
    }
    co_return Done{};
}

TEST_P(NetTest, KeepsOrderForAnyCutOfTheStream) {
    for (const std::string& address : addresses()) {
        for (unsigned seed = 1; seed <= 5; ++seed) {
            Pair pair = connected(address);
            std::mt19937 random(seed);
            std::array<Transfer, 2> both;
            for (Transfer& transfer : both) {
                transfer.sent.resize(8 * kMiB);
                for (std::size_t i = 0; i + 4 <= transfer.sent.size(); i += 4) {
                    auto value = static_cast<std::uint32_t>(random());
                    std::memcpy(transfer.sent.data() + i, &value, sizeof(value));
                }
                transfer.received.resize(transfer.sent.size());
            }
            Gate gate(machine());
            gate.spawn(send_all(pair.near.get(), &both[0].sent, seed * 10));
            gate.spawn(receive_all(pair.far.get(), &both[0].received, seed * 10 + 1));
            gate.spawn(send_all(pair.far.get(), &both[1].sent, seed * 10 + 2));
            gate.spawn(receive_all(pair.near.get(), &both[1].received, seed * 10 + 3));
            EXPECT_TRUE(machine().run(gate.close()).ok());
            EXPECT_TRUE(both[0].sent == both[0].received) << "seed " << seed;
            EXPECT_TRUE(both[1].sent == both[1].received) << "seed " << seed;
        }
    }
}

TEST_P(NetTest, ReadsWhatAPeerSentBeforeItLeft) {
    for (const std::string& address : addresses()) {
        Pair pair = connected(address);
        ASSERT_TRUE(send(*pair.near, "last words").ok());
        pair.near->close();
        EXPECT_EQ(receive(*pair.far, 4).value(), "last");
        EXPECT_EQ(receive(*pair.far, 6).value(), " words");
        EXPECT_EQ(receive(*pair.far, 1).code(), Code::unavailable);
        EXPECT_EQ(receive(*pair.far, 1).code(), Code::unavailable);
    }
}

Task<Done> read_one(Stream* stream, Code* code) {
    std::array<std::byte, 100> raw;
    *code = (co_await stream->read(raw)).code();
    co_return Done{};
}

Task<Done> write_much(Stream* stream, Code* code) {
    std::vector<std::byte> raw(64 << 20);
    std::array<ConstBytes, 1> parts = {ConstBytes(raw)};
    *code = (co_await stream->write(parts)).code();
    co_return Done{};
}

Task<Done> close_soon(Machine* machine, Stream* stream) {
    co_await sleep(*machine, kMillisecond);
    stream->close();
    co_return Done{};
}

TEST_P(NetTest, ClosingEndsWhatWaitsOnBothSides) {
    for (const std::string& address : addresses()) {
        Pair pair = connected(address);
        std::array<Code, 3> codes{};
        Gate gate(machine());
        gate.spawn(read_one(pair.near.get(), &codes[0]));
        gate.spawn(write_much(pair.near.get(), &codes[1]));
        gate.spawn(read_one(pair.far.get(), &codes[2]));
        codes[2] = Code::ok;
        gate.spawn(close_soon(&machine(), pair.near.get()));
        EXPECT_TRUE(machine().run(gate.close()).ok());
        EXPECT_EQ(codes[0], Code::unavailable);
        EXPECT_EQ(codes[1], Code::unavailable);
        EXPECT_EQ(codes[2], Code::ok);  // It had its 100 bytes before.
        EXPECT_EQ(send(*pair.near, "x").code(), Code::unavailable);
    }
}

TEST_P(NetTest, WritingToAPeerThatLeftFailsWithoutASignal) {
    for (const std::string& address : addresses()) {
        Pair pair = connected(address);
        pair.far.reset();
        Code code = Code::ok;
        EXPECT_TRUE(machine().run(write_much(pair.near.get(), &code)).ok());
        EXPECT_EQ(code, Code::unavailable);
    }
}

TEST_P(NetTest, AReadCutInTwoBreaksTheStream) {
    Pair pair = connected("unix:" + path("socket"));
    Code code = Code::ok;
    {
        Gate gate(machine());
        gate.spawn(read_one(pair.near.get(), &code));  // Destroyed before anything came.
    }
    ASSERT_TRUE(send(*pair.far, "abc").ok());
    EXPECT_EQ(receive(*pair.near, 1).value(), "a");
    {
        Gate gate(machine());
        gate.spawn(read_one(pair.near.get(), &code));  // Destroyed with 2 bytes of 100.
    }
    EXPECT_EQ(receive(*pair.near, 1).code(), Code::unavailable);
}

TEST_P(NetTest, OneBusyPeerLeavesTimeForOthers) {
    Pair pair = connected("unix:" + path("socket"));
    ASSERT_TRUE(send(*pair.far, std::string(60000, 'x')).ok());
    auto read_bytes = [](Stream* stream, bool* ended) -> Task<Done> {
        std::array<std::byte, 1> raw;
        for (int i = 0; i < 60000; ++i) co_await or_return(co_await stream->read(raw));
        *ended = true;
        co_return Done{};
    };
    bool ended = false;
    Gate gate(machine());
    gate.spawn(read_bytes(pair.near.get(), &ended));
    EXPECT_FALSE(ended);  // It yielded, though it never had to wait.
    EXPECT_TRUE(machine().run(gate.close()).ok());
    EXPECT_TRUE(ended);
}

TEST_P(NetTest, AUnixSocketIsItsOwnersAlone) {
    mode_t before = ::umask(0);
    auto listener = machine().network().listen("unix:" + path("socket"));
    ::umask(before);
    ASSERT_TRUE(listener.ok());
    struct stat about;
    ASSERT_EQ(::stat(path("socket").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0600U);
}

TEST_P(NetTest, RefusesAddressesItCannotUse) {
    for (std::string address :
         {"", "tcp:", "tcp:localhost:80", "tcp:127.0.0.1", "tcp:127.0.0.1:x", "tcp:127.0.0.1:70000",
          "tcp:[::1:80", "tcp::80", "unix:", "udp:127.0.0.1:1", "tcp:127.0.0.1:-1"}) {
        EXPECT_EQ(machine().network().listen(address).code(), Code::invalid) << address;
        EXPECT_EQ(connect(address).code(), Code::invalid) << address;
    }
    EXPECT_EQ(machine().network().listen("unix:/" + std::string(200, 'x')).code(), Code::invalid);
}

TEST_P(NetTest, TellsThatNobodyListens) {
    EXPECT_EQ(connect("unix:" + path("absent")).code(), Code::unavailable);
    std::string address;
    {
        auto listener = machine().network().listen("tcp:127.0.0.1:0");
        address = listener.value()->address();
    }
    EXPECT_EQ(connect(address).code(), Code::unavailable);
}

TEST_P(NetTest, AConnectThatFindsNoRoomEndsAtItsDeadline) {
    // A listener of the kernel's whose queue is full: it never accepts.
    int raw = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::strncpy(at.sun_path, path("full").c_str(), sizeof(at.sun_path) - 1);
    ASSERT_EQ(::bind(raw, reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
    ASSERT_EQ(::listen(raw, 0), 0);
    std::vector<std::unique_ptr<Stream>> streams;
    Code code = Code::ok;
    for (int i = 0; i < 10 && code == Code::ok; ++i) {
        auto stream = connect("unix:" + path("full"), 3 * kMillisecond);
        code = stream.code();
        if (stream.ok()) streams.push_back(std::move(stream).value());
    }
    EXPECT_EQ(code, Code::retry_later);
    ::close(raw);
}

TEST_P(NetTest, ReplacesTheSocketFileOfADeadProcess) {
    std::string address = "unix:" + path("stale");
    int raw = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::strncpy(at.sun_path, path("stale").c_str(), sizeof(at.sun_path) - 1);
    ASSERT_EQ(::bind(raw, reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
    ::close(raw);
    {
        auto listener = machine().network().listen(address);
        ASSERT_TRUE(listener.ok());
        EXPECT_EQ(listener.value()->address(), address);
        EXPECT_EQ(machine().network().listen(address).code(), Code::already_exists);
        EXPECT_TRUE(connect(address).ok());
    }
    EXPECT_FALSE(std::filesystem::exists(path("stale")));
    std::FILE* file = std::fopen(path("stale").c_str(), "w");
    std::fclose(file);
    EXPECT_EQ(machine().network().listen(address).code(), Code::already_exists);
    EXPECT_TRUE(std::filesystem::exists(path("stale")));
}

TEST_P(NetTest, ListensAgainAtTheSameAddressAtOnce) {
    std::string address = "tcp:127.0.0.1:0";
    for (int round = 0; round < 10; ++round) {
        Pair pair = connected(address);
        address = pair.listener->address();
        ASSERT_TRUE(send(*pair.near, "x").ok());
    }
}

Task<Done> accept_until_closed(Listener* listener, Code* code) {
    for (;;) {
        Result<std::unique_ptr<Stream>> accepted = co_await listener->accept();
        *code = accepted.code();
        if (!accepted.ok()) co_return Done{};
    }
}

TEST_P(NetTest, ClosingAListenerEndsItsAccept) {
    for (const std::string& address : addresses()) {
        auto listener = machine().network().listen(address).value();
        Code code = Code::ok;
        Gate gate(machine());
        gate.spawn(accept_until_closed(listener.get(), &code));
        EXPECT_TRUE(connect(listener->address()).ok());
        listener->close();
        EXPECT_TRUE(machine().run(gate.close()).ok());
        EXPECT_EQ(code, Code::unavailable);
    }
}

TEST_P(NetTest, ManyConnectionsComeAndGo) {
    auto listener = machine().network().listen("unix:" + path("many")).value();
    auto echo = [](Listener* at) -> Task<Done> {
        for (;;) {
            std::unique_ptr<Stream> stream = co_await or_return(co_await at->accept());
            std::array<std::byte, 4> raw;
            std::array<ConstBytes, 1> parts = {ConstBytes(raw)};
            co_await or_return(co_await stream->read(raw));
            co_await or_return(co_await stream->write(parts));
        }
    };
    auto ask = [](Machine* on, std::string address, int* answers) -> Task<Done> {
        Nanos deadline = on->now() + kLong;
        std::unique_ptr<Stream> stream =
            co_await or_return(co_await on->network().connect(address, deadline));
        std::array<std::byte, 4> raw{};
        std::array<ConstBytes, 1> parts = {ConstBytes(raw)};
        co_await or_return(co_await stream->write(parts));
        co_await or_return(co_await stream->read(raw));
        ++*answers;
        co_return Done{};
    };
    Gate servers(machine());
    for (int i = 0; i < 1; ++i) servers.spawn(echo(listener.get()));
    int answers = 0;
    Gate clients(machine());
    for (int i = 0; i < 300; ++i) {
        clients.spawn(ask(&machine(), listener->address(), &answers));
    }
    EXPECT_TRUE(machine().run(clients.close()).ok());
    EXPECT_EQ(answers, 300);
    listener->close();
    EXPECT_TRUE(machine().run(servers.close()).ok());
}

}  // namespace
}  // namespace weft
