#include "platform/runtime/gate.h"
#include "platform/runtime/join.h"
#include "platform/runtime/sync.h"
#include "platform/simulated/simulated_reactor.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

Task<int> sleep_and_give(Reactor& reactor, Nanos duration, int value) {
    co_await sleep(reactor, duration);
    co_return value;
}

Task<int> fail() {
    co_return Error{Code::not_found, "test"};
}

Task<int> propagate() {
    int value = co_await or_return(co_await fail());
    co_return value + 1;
}

TEST(Task, PropagatesAnErrorThroughOrReturn) {
    SimulatedReactor reactor;
    EXPECT_EQ(reactor.run(propagate()).code(), Code::not_found);
}

Task<int> sum_of_three(Reactor& reactor) {
    std::vector<Task<int>> tasks;
    for (int i = 1; i <= 3; ++i) tasks.push_back(sleep_and_give(reactor, (4 - i) * kSecond, i));
    auto results = co_await join(tasks);
    int sum = 0;
    for (auto& result : results) sum = sum * 10 + result.value();
    co_return sum;
}

TEST(Join, GivesResultsInOrderAndRunsSideBySide) {
    SimulatedReactor reactor;
    EXPECT_EQ(reactor.run(sum_of_three(reactor)).value(), 123);
    EXPECT_EQ(reactor.now(), 3 * kSecond);
}

Task<Done> fail_with_lock(Reactor& reactor, SharedMutex* mutex) {
    auto lock = co_await or_return(co_await mutex->lock());
    co_await sleep(reactor, kSecond);
    Result<Done> failed = Error{Code::io_failed, "test"};
    co_await or_return(failed);
    co_return Done{};
}

Task<Done> fail_side_by_side(Reactor& reactor, SharedMutex* mutex) {
    std::vector<Task<Done>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(fail_with_lock(reactor, mutex));
    auto results = co_await join(tasks);
    co_return first_error(results);
}

TEST(Join, LetsGoOfWhatAFailedTaskHolds) {
    SimulatedReactor reactor;
    SharedMutex mutex(reactor);
    EXPECT_EQ(reactor.run(fail_side_by_side(reactor, &mutex)).code(), Code::io_failed);
    EXPECT_TRUE(mutex.idle());
}

Task<Done> count_up(Reactor& reactor, int* count) {
    co_await sleep(reactor, kSecond);
    ++*count;
    co_return Done{};
}

TEST(Gate, CloseWaitsForWhatRuns) {
    SimulatedReactor reactor;
    int count = 0;
    Gate gate(reactor);
    for (int i = 0; i < 5; ++i) gate.spawn(count_up(reactor, &count));
    EXPECT_EQ(gate.running(), 5U);
    EXPECT_TRUE(reactor.run(gate.close()).ok());
    EXPECT_EQ(count, 5);
    gate.spawn(count_up(reactor, &count));
    EXPECT_EQ(gate.running(), 0U);
}

TEST(Gate, DestroysWhatRunsWithItself) {
    SimulatedReactor reactor;
    int count = 0;
    {
        Gate gate(reactor);
        gate.spawn(count_up(reactor, &count));
    }
    while (reactor.step()) {
    }
    EXPECT_EQ(count, 0);
}

Task<Done> hold(Reactor& reactor, SharedMutex& mutex, bool exclusive, std::string* trace,
                char name) {
    SharedMutex::Lock lock = exclusive ? SharedMutex::Lock() : SharedMutex::Lock();
    if (exclusive) {
        lock = co_await or_return(co_await mutex.lock());
    } else {
        lock = co_await or_return(co_await mutex.lock_shared());
    }
    trace->push_back(name);
    co_await sleep(reactor, kSecond);
    trace->push_back(static_cast<char>(name - 'a' + 'A'));
    co_return Done{};
}

TEST(SharedMutex, IsFairBetweenReadersAndWriters) {
    SimulatedReactor reactor;
    SharedMutex mutex(reactor);
    std::string trace;
    Gate gate(reactor);
    gate.spawn(hold(reactor, mutex, false, &trace, 'a'));
    gate.spawn(hold(reactor, mutex, false, &trace, 'b'));
    gate.spawn(hold(reactor, mutex, true, &trace, 'c'));
    gate.spawn(hold(reactor, mutex, false, &trace, 'd'));
    EXPECT_TRUE(reactor.run(gate.close()).ok());
    EXPECT_EQ(trace, "abABcCdD");
    EXPECT_TRUE(mutex.idle());
}

TEST(SharedMutex, WhoGivesUpWaitingHoldsNobodyBack) {
    SimulatedReactor reactor;
    SharedMutex mutex(reactor);
    std::string trace;
    auto give_up = [](Reactor* at, SharedMutex* which, Code* code) -> Task<Done> {
        auto lock = co_await which->lock(at->now() + kMillisecond);
        *code = lock.code();
        co_return Done{};
    };
    Code code = Code::ok;
    Gate gate(reactor);
    gate.spawn(hold(reactor, mutex, false, &trace, 'a'));
    gate.spawn(give_up(&reactor, &mutex, &code));
    gate.spawn(hold(reactor, mutex, false, &trace, 'b'));  // Behind it, and beside the first.
    EXPECT_TRUE(reactor.run(gate.close()).ok());
    EXPECT_EQ(code, Code::retry_later);
    EXPECT_EQ(trace, "abAB");
    EXPECT_TRUE(mutex.idle());
}

TEST(Semaphore, GivesBackUnitsOfAWaiterThatDiesGranted) {
    SimulatedReactor reactor;
    Semaphore semaphore(reactor, 1);
    ASSERT_TRUE(semaphore.try_acquire());
    {
        auto waiting = [](Semaphore* units) -> Task<Done> {
            co_await units->acquire();
            co_return Done{};
        };
        Gate gate(reactor);
        gate.spawn(waiting(&semaphore));
        semaphore.release();  // Granted to the waiter, which dies before it runs.
        EXPECT_EQ(semaphore.free_units(), 0U);
    }
    EXPECT_EQ(semaphore.free_units(), 1U);
}

Task<bool> wait_until(Signal& signal, Nanos deadline) {
    bool in_time = co_await signal.wait(deadline);
    co_return in_time;
}

TEST(Signal, WaitEndsAtItsDeadline) {
    SimulatedReactor reactor;
    Signal signal(reactor);
    EXPECT_FALSE(reactor.run(wait_until(signal, kSecond)).value());
    EXPECT_EQ(reactor.now(), kSecond);
    EXPECT_FALSE(signal.has_waiters());
}

TEST(Signal, WaitEndsWhenNotified) {
    SimulatedReactor reactor;
    Signal signal(reactor);
    auto notify = [](Reactor* at, Signal* which) -> Task<Done> {
        co_await sleep(*at, kMillisecond);
        which->notify_all();
        co_return Done{};
    };
    Gate gate(reactor);
    gate.spawn(notify(&reactor, &signal));
    EXPECT_TRUE(reactor.run(wait_until(signal, kSecond)).value());
    EXPECT_EQ(reactor.now(), kMillisecond);
}

TEST(Timer, FiresInOrderOfDueTimeThenOfArming) {
    SimulatedReactor reactor;
    std::string trace;
    auto note = [](Reactor* at, Nanos after, std::string* into, char name) -> Task<Done> {
        co_await sleep(*at, after);
        into->push_back(name);
        co_return Done{};
    };
    Gate gate(reactor);
    gate.spawn(note(&reactor, 3, &trace, 'c'));
    gate.spawn(note(&reactor, 1, &trace, 'a'));
    gate.spawn(note(&reactor, 1, &trace, 'b'));
    EXPECT_TRUE(reactor.run(gate.close()).ok());
    EXPECT_EQ(trace, "abc");
}

}  // namespace
}  // namespace weft
