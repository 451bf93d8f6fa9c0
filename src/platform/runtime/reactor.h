#pragma once

#include "platform/base/types.h"
#include "platform/runtime/wait_list.h"

#include <cstdint>
#include <vector>

namespace weft {

class Reactor;

// Runs a waiter at a time. Leaves the reactor when destroyed; the reactor may not be
// destroyed before its armed timers are.
class Timer {
public:
    explicit Timer(Reactor& reactor) : reactor_(reactor) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { disarm(); }

    // `waiter` is made ready at or after `due` (Reactor::now()), unless disarmed before.
    void arm(Nanos due, Waiter& waiter);
    void disarm();
    bool armed() const { return index_ != kNotArmed; }

private:
    friend class Reactor;
    static constexpr std::size_t kNotArmed = ~std::size_t{0};

    Reactor& reactor_;
    Nanos due_ = 0;
    std::uint64_t order_ = 0;  // Timers due together fire in the order they were armed.
    Waiter* waiter_ = nullptr;
    std::size_t index_ = kNotArmed;
};

// One core: a queue of coroutines that are ready to run, a heap of timers, a clock and a
// source of random numbers. The real machine and the simulated one derive from it; everything
// above sees only this. Used from its own thread only.
class Reactor {
public:
    Reactor() = default;
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;
    virtual ~Reactor();

    // The monotonic clock. Never goes back, and has no meaning across processes.
    virtual Nanos now() const = 0;
    // Nanoseconds since 1970 UTC, for timestamps that people see. May jump.
    virtual std::int64_t wall_now() const = 0;
    virtual std::uint64_t random() = 0;

    // Resumes the waiter after everything that is ready already. It leaves the list it is in.
    void ready(Waiter& waiter);
    bool has_ready() const { return !ready_.empty(); }

protected:
    // Resumes what was ready when called (not what becomes ready meanwhile); returns how many.
    std::size_t run_ready();
    // Makes the waiters of due timers ready; returns how many.
    std::size_t fire_timers();
    // When the earliest timer is due, or kNever.
    Nanos next_due() const { return timers_.empty() ? kNever : timers_.front()->due_; }
    static constexpr Nanos kNever = INT64_MAX;

private:
    friend class Timer;
    bool earlier(const Timer& a, const Timer& b) const;
    void place(std::size_t index, Timer* timer);
    void sift_up(std::size_t index);
    void sift_down(std::size_t index);
    void add(Timer& timer);
    void remove(Timer& timer);

    WaitList ready_;
    std::vector<Timer*> timers_;  // Binary heap by (due, order).
    std::uint64_t timers_armed_ = 0;
};

// co_await sleep(reactor, nanos).
class Sleep {
public:
    Sleep(Reactor& reactor, Nanos duration) : timer_(reactor), due_(reactor.now() + duration) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
        waiter_.handle = handle;
        timer_.arm(due_, waiter_);
    }
    void await_resume() const noexcept {}

private:
    Waiter waiter_;
    Timer timer_;
    Nanos due_;
};
inline Sleep sleep(Reactor& reactor, Nanos duration) {
    return Sleep(reactor, duration);
}

// co_await yield(reactor): lets everything that is ready run first.
class Yield {
public:
    explicit Yield(Reactor& reactor) : reactor_(reactor) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
        waiter_.handle = handle;
        reactor_.ready(waiter_);
    }
    void await_resume() const noexcept {}

private:
    Waiter waiter_;
    Reactor& reactor_;
};
inline Yield yield(Reactor& reactor) {
    return Yield(reactor);
}

}  // namespace weft
