#include "platform/runtime/gate.h"
#include "platform/uring/descriptor_internal.h"
#include "platform/uring/machine_testing_internal.h"

#include <atomic>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

namespace weft {
namespace {

class MachineTest : public OnBothMachines {};
WEFT_ON_BOTH_MACHINES(MachineTest);

struct Pipe {
    Pipe() {
        int ends[2];
        CHECK(::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
        in = Descriptor(ends[0]);
        out = Descriptor(ends[1]);
    }
    void put(std::string_view text) {
        CHECK(::write(out.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    Descriptor in;
    Descriptor out;
};

Task<Done> note_after(Reactor* reactor, Nanos pause, std::string* trace, char name) {
    co_await sleep(*reactor, pause);
    trace->push_back(name);
    co_return Done{};
}

TEST_P(MachineTest, SaysWhatItIs) {
    bool uring = GetParam() == MachineKind::uring;
    EXPECT_TRUE(machine().describe().starts_with(uring ? "io_uring" : "epoll"));
}

TEST_P(MachineTest, TimersFireInOrder) {
    std::string trace;
    Gate gate(machine());
    gate.spawn(note_after(&machine(), 3 * kMillisecond, &trace, 'c'));
    gate.spawn(note_after(&machine(), kMillisecond, &trace, 'a'));
    gate.spawn(note_after(&machine(), 2 * kMillisecond, &trace, 'b'));
    EXPECT_TRUE(machine().run(gate.close()).ok());
    EXPECT_EQ(trace, "abc");
}

TEST_P(MachineTest, TimersNeverFireEarly) {
    Nanos before = machine().now();
    std::string trace;
    EXPECT_TRUE(machine().run(note_after(&machine(), 1500 * kMicrosecond, &trace, 'a')).ok());
    EXPECT_GE(machine().now() - before, 1500 * kMicrosecond);
}

Task<Done> stop_after_yields(Machine* machine, int yields) {
    for (int i = 0; i < yields; ++i) co_await yield(*machine);
    machine->stop();
    co_return Done{};
}

TEST_P(MachineTest, RunsUntilStoppedAndAgain) {
    for (int round = 0; round < 3; ++round) {
        Gate gate(machine());
        gate.spawn(stop_after_yields(&machine(), 100));
        machine().run();
        EXPECT_EQ(gate.running(), 0U);
    }
}

TEST_P(MachineTest, AStopBeforeTheRunEndsItAtOnce) {
    machine().stop();
    machine().run();
}

TEST_P(MachineTest, RunsCallsOfOtherThreadsWhileItSleeps) {
    constexpr int kThreads = 4;
    constexpr int kCalls = 2000;
    int count = 0;  // Touched on the machine's thread only.
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            for (int call = 0; call < kCalls; ++call) {
                bool accepted = machine().inject([&] {
                    if (++count == kThreads * kCalls) machine().stop();
                });
                CHECK(accepted);
            }
        });
    }
    machine().run();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(count, kThreads * kCalls);
}

TEST_P(MachineTest, RefusesMoreCallsThanItsBound) {
    remake({.injected_max = 2});
    if (IsSkipped()) return;
    int count = 0;
    EXPECT_TRUE(machine().inject([&] { ++count; }));
    EXPECT_TRUE(machine().inject([&] { ++count; }));
    EXPECT_FALSE(machine().inject([&] { ++count; }));
    EXPECT_TRUE(machine().run(stop_after_yields(&machine(), 50)).ok());
    EXPECT_EQ(count, 2);
    EXPECT_TRUE(machine().inject([&] { ++count; }));
}

TEST_P(MachineTest, AWaitForAnEmptyDescriptorEndsAtItsDeadline) {
    Pipe pipe;
    Nanos deadline = machine().now() + kMillisecond;
    EXPECT_EQ(machine().run(machine().poll_readable(pipe.in.get(), deadline)).code(),
              Code::retry_later);
    pipe.put("x");
    EXPECT_TRUE(machine().run(machine().poll_readable(pipe.in.get())).ok());
}

TEST_P(MachineTest, ReadsWhatComesLater) {
    Pipe pipe;
    std::thread writer([&] { pipe.put("hello"); });
    std::array<std::byte, 16> raw;
    auto got = machine().run(machine().read_fd(pipe.in.get(), raw));
    writer.join();
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(text_of(ConstBytes(raw).first(got.value())), "hello");
}

TEST_P(MachineTest, ReadsTheEndOfAStreamAsNothing) {
    Pipe pipe;
    pipe.out = Descriptor();
    std::array<std::byte, 16> raw;
    EXPECT_EQ(machine().run(machine().read_fd(pipe.in.get(), raw)).value(), 0U);
}

// Fills the pipe, then reads it empty on another thread while the machine writes on.
TEST_P(MachineTest, WritesWaitForRoom) {
    Pipe pipe;
    std::string chunk(4096, 'w');
    while (::write(pipe.out.get(), chunk.data(), chunk.size()) > 0) {
    }
    std::thread reader([&] {
        std::vector<char> into(1 << 20);
        while (::read(pipe.in.get(), into.data(), into.size()) <= 0) {
        }
    });
    std::array<ConstBytes, 2> parts = {bytes_of("ab"), bytes_of("cd")};
    EXPECT_EQ(machine().run(machine().write_fd(pipe.out.get(), parts)).value(), 4U);
    reader.join();
}

Task<Done> count_wakes(FdWatch* watch, int* wakes) {
    for (;;) {
        co_await or_return(co_await watch->readable());
        ++*wakes;
        std::array<std::byte, 64> raw;
        while (watch->try_read(raw).ok()) {
        }
    }
}

TEST_P(MachineTest, AWatchSeesEveryArrival) {
    Pipe pipe;
    int wakes = 0;
    std::unique_ptr<FdWatch> watch = machine().watch(pipe.in.get()).value();
    Gate gate(machine());
    gate.spawn(count_wakes(watch.get(), &wakes));
    for (int i = 0; i < 20; ++i) {
        int before = wakes;
        pipe.put("x");
        while (wakes == before) {
            EXPECT_TRUE(machine().run(stop_after_yields(&machine(), 20)).ok());
        }
    }
    watch->close();
    EXPECT_TRUE(machine().run(gate.close()).ok());
}

TEST_P(MachineTest, AWaitingTaskMayBeDestroyed) {
    for (int round = 0; round < 50; ++round) {
        Pipe pipe;
        std::unique_ptr<FdWatch> watch = machine().watch(pipe.in.get()).value();
        int wakes = 0;
        {
            Gate gate(machine());
            gate.spawn(count_wakes(watch.get(), &wakes));
            if (round % 2 == 0) (void)machine().run(stop_after_yields(&machine(), round));
            if (round % 3 == 0) pipe.put("x");
        }
        {
            Gate gate(machine());
            gate.spawn([](Machine* on, int fd) -> Task<Done> {
                (void)co_await on->poll_readable(fd, on->now() + kSecond);
                co_return Done{};
            }(&machine(), pipe.in.get()));
        }
    }
    (void)machine().run(stop_after_yields(&machine(), 100));
}

TEST_P(MachineTest, DescriptorsMayBeUsedAnewAtOnce) {
    for (int round = 0; round < 200; ++round) {
        Pipe pipe;  // The numbers are those of the round before.
        std::unique_ptr<FdWatch> watch = machine().watch(pipe.in.get()).value();
        std::array<std::byte, 8> raw;
        pipe.put("abc");
        EXPECT_EQ(machine().run(watch->read(raw)).value(), 3U);
    }
}

TEST_P(MachineTest, RefusesToWatchWhatIsNotOpen) {
    EXPECT_FALSE(machine().watch(12345).ok());
}

TEST_P(MachineTest, WritesWithoutBlockingTheThread) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    Descriptor near(ends[0]);
    Descriptor far(ends[1]);
    std::string text = "invalidate";
    EXPECT_TRUE(machine().run(machine().write_fd_async(near.get(), bytes_of(text))).ok());
    char into[32];
    EXPECT_EQ(::read(far.get(), into, sizeof(into)), 10);
    EXPECT_EQ(machine().run(machine().write_fd_async(12345, bytes_of(text))).code(),
              Code::unavailable);
}

Task<Done> write_async(Machine* machine, int fd, std::string text, int* ended) {
    Result<Done> written = co_await machine->write_fd_async(fd, bytes_of(text));
    ++*ended;
    co_return written;
}

// The pipe blocks: its writers hang in the kernel while the machine goes on.
TEST_P(MachineTest, AsynchronousWritesThatBlockHoldUpNothingElse) {
    remake({.async_writes_max = 3});
    if (IsSkipped()) return;
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    Descriptor in(ends[0]);
    Descriptor out(ends[1]);
    std::string full(65536, 'f');
    ASSERT_EQ(::write(out.get(), full.data(), full.size()), 65536);
    int ended = 0;
    {
        Gate gate(machine());
        for (int i = 0; i < 8; ++i) gate.spawn(write_async(&machine(), out.get(), "late", &ended));
        std::string trace;
        EXPECT_TRUE(machine().run(note_after(&machine(), kMillisecond, &trace, 'a')).ok());
        EXPECT_EQ(ended, 0);
        std::vector<char> into(1 << 20);
        ASSERT_EQ(::read(in.get(), into.data(), 65536), 65536);
        EXPECT_TRUE(machine().run(gate.close()).ok());
        EXPECT_EQ(ended, 8);
        EXPECT_EQ(::read(in.get(), into.data(), into.size()), 8 * 4);
    }
}

TEST_P(MachineTest, AnAsynchronousWriteOutlivesItsTask) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    Descriptor in(ends[0]);
    Descriptor out(ends[1]);
    std::string full(65536, 'f');
    ASSERT_EQ(::write(out.get(), full.data(), full.size()), 65536);
    int ended = 0;
    {
        Gate gate(machine());
        gate.spawn(write_async(&machine(), out.get(), "late", &ended));
        EXPECT_TRUE(machine().run(stop_after_yields(&machine(), 50)).ok());
    }
    out = Descriptor();
    std::string got;
    std::vector<char> into(65536);
    ASSERT_EQ(::fcntl(in.get(), F_SETFL, O_NONBLOCK), 0);
    while (got.size() < 65540) {
        EXPECT_TRUE(machine().run(stop_after_yields(&machine(), 20)).ok());
        ssize_t count = ::read(in.get(), into.data(), into.size());
        if (count > 0) got.append(into.data(), static_cast<std::size_t>(count));
    }
    EXPECT_EQ(got.substr(65536), "late");
    EXPECT_EQ(ended, 0);
}

TEST_P(MachineTest, TellsOfSignals) {
    auto wait_for = [&](int number) {
        Gate gate(machine());
        auto raise = [](Machine* on, int which) -> Task<Done> {
            co_await yield(*on);
            ::kill(::getpid(), which);
            co_return Done{};
        };
        gate.spawn(raise(&machine(), number));
        return machine().run(machine().wait_signal()).value();
    };
    EXPECT_EQ(wait_for(SIGTERM), ProcessSignal::terminate);
    EXPECT_EQ(wait_for(SIGINT), ProcessSignal::interrupt);
    EXPECT_EQ(wait_for(SIGHUP), ProcessSignal::hangup);
}

TEST(MakeMachine, TakesWhatIsToBeHad) {
    auto made = make_machine();
    ASSERT_TRUE(made.ok());
    EXPECT_FALSE(made.value()->describe().empty());
}

}  // namespace
}  // namespace weft
