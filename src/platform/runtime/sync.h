#pragma once

#include "platform/runtime/reactor.h"
#include "platform/runtime/task.h"

#include <cstdint>
#include <utility>

namespace weft {

// A broadcast: wait() suspends until the next notify_all(). Waiters re-check their condition.
class Signal {
public:
    explicit Signal(Reactor& reactor) : reactor_(reactor) {}

    class Wait {
    public:
        Wait(Signal& signal, Nanos deadline)
            : signal_(signal), deadline_(deadline), timer_(signal.reactor_) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) {
            waiter_.handle = handle;
            signal_.waiters_.push_back(waiter_);
            if (deadline_ != kNoDeadline) timer_.arm(deadline_, waiter_);
        }
        // False if the deadline came first.
        bool await_resume() {
            bool in_time = deadline_ == kNoDeadline || timer_.armed();
            timer_.disarm();
            return in_time;
        }

    private:
        Signal& signal_;
        Nanos deadline_;
        Waiter waiter_;
        Timer timer_;
    };

    static constexpr Nanos kNoDeadline = INT64_MAX;
    Wait wait(Nanos deadline = kNoDeadline) { return Wait(*this, deadline); }
    void notify_all() {
        while (Waiter* waiter = waiters_.pop_front()) reactor_.ready(*waiter);
    }
    bool has_waiters() const { return !waiters_.empty(); }

private:
    Reactor& reactor_;
    WaitList waiters_;
};

// Counted units, granted first come first served, so that a large request is not starved.
class Semaphore {
public:
    Semaphore(Reactor& reactor, std::uint64_t units) : reactor_(reactor), free_(units) {}

    class Acquire {
    public:
        Acquire(Semaphore& semaphore, std::uint64_t units, Nanos deadline)
            : semaphore_(semaphore),
              units_(units),
              deadline_(deadline),
              timer_(semaphore.reactor_) {}
        ~Acquire() {
            // Destroyed between the grant and the resumption: the units go back.
            if (granted_ && !resumed_) semaphore_.release(units_);
        }
        bool await_ready() {
            if (!semaphore_.waiters_.empty() || semaphore_.free_ < units_) return false;
            semaphore_.free_ -= units_;
            return granted_ = true;
        }
        void await_suspend(std::coroutine_handle<> handle) {
            node_.handle = handle;
            node_.owner = this;
            semaphore_.waiters_.push_back(node_);
            if (deadline_ != Signal::kNoDeadline) timer_.arm(deadline_, node_);
        }
        // False if the deadline came first: nothing is held.
        bool await_resume() {
            timer_.disarm();
            if (granted_) return resumed_ = true;
            // Whoever is behind may have waited for us only.
            semaphore_.release(0);
            return false;
        }

    private:
        friend class Semaphore;
        struct Node : Waiter {
            Acquire* owner = nullptr;
        };
        Semaphore& semaphore_;
        std::uint64_t units_;
        Nanos deadline_;
        bool granted_ = false;
        bool resumed_ = false;
        Node node_;
        Timer timer_;
    };

    // `units` must be at most what the semaphore was made with, or it never comes.
    Acquire acquire(std::uint64_t units = 1, Nanos deadline = Signal::kNoDeadline) {
        return Acquire(*this, units, deadline);
    }
    bool try_acquire(std::uint64_t units = 1) {
        if (!waiters_.empty() || free_ < units) return false;
        free_ -= units;
        return true;
    }
    void release(std::uint64_t units = 1) {
        free_ += units;
        while (Acquire::Node* node = waiters_.front()) {
            if (node->owner->units_ > free_) break;
            free_ -= node->owner->units_;
            node->owner->granted_ = true;
            reactor_.ready(*node);
        }
    }
    std::uint64_t free_units() const { return free_; }

private:
    Reactor& reactor_;
    std::uint64_t free_;
    List<Acquire::Node> waiters_;
};

// Units that go back when the holder goes.
class Permit {
public:
    Permit() = default;
    Permit(Semaphore& semaphore, std::uint64_t units) : semaphore_(&semaphore), units_(units) {}
    Permit(Permit&& other) noexcept
        : semaphore_(std::exchange(other.semaphore_, nullptr)), units_(other.units_) {}
    Permit& operator=(Permit&& other) noexcept {
        release();
        semaphore_ = std::exchange(other.semaphore_, nullptr);
        units_ = other.units_;
        return *this;
    }
    ~Permit() { release(); }
    void release() {
        if (semaphore_ != nullptr) std::exchange(semaphore_, nullptr)->release(units_);
    }

private:
    Semaphore* semaphore_ = nullptr;
    std::uint64_t units_ = 0;
};

// Many readers or one writer, first come first served. Fair: a waiting writer holds back
// later readers. Holders keep a Lock; it ends with its scope and may live across an await.
class SharedMutex {
public:
    explicit SharedMutex(Reactor& reactor) : units_(reactor, kAll) {}

    using Lock = Permit;
    // retry_later: the deadline came first.
    Task<Lock> lock(Nanos deadline = Signal::kNoDeadline) { return take(kAll, deadline); }
    Task<Lock> lock_shared(Nanos deadline = Signal::kNoDeadline) { return take(1, deadline); }
    bool idle() const { return units_.free_units() == kAll; }

private:
    static constexpr std::uint64_t kAll = 1U << 30;

    Task<Lock> take(std::uint64_t units, Nanos deadline) {
        bool in_time = co_await units_.acquire(units, deadline);
        if (!in_time) co_return Error{Code::retry_later, "lock.deadline"};
        co_return Lock(units_, units);
    }

    Semaphore units_;
};

}  // namespace weft
