#pragma once

#include "platform/runtime/sync.h"
#include "platform/runtime/task.h"

#include <cstdint>

namespace weft {

// Tells when a descriptor may be read or written without blocking, and reads and writes it.
// Poll, then a plain call: measured faster for sockets and /dev/fuse than a ring operation a
// call, and nothing of the caller's is in the kernel's hands while it waits, so a waiting
// task may be destroyed at any time.
//
// Edge-triggered: a wait ends when something *may* have changed since the last wait of that
// direction ended. Try first; wait after would_block; expect to find nothing now and then.
// One waiter a direction. The watch borrows the descriptor, which must stay open as long, and
// makes it nonblocking. Destroy what waits before the watch, and the watch before the machine.
class FdWatch {
public:
    static constexpr Nanos kNoDeadline = Signal::kNoDeadline;
    class Wait;

    FdWatch(const FdWatch&) = delete;
    FdWatch& operator=(const FdWatch&) = delete;
    virtual ~FdWatch();

    int fd() const { return fd_; }

    // co_await gives a Result<Done>. Errors: retry_later (the deadline passed), unavailable
    // (closed).
    Wait readable(Nanos deadline = kNoDeadline);
    Wait writable(Nanos deadline = kNoDeadline);

    // One system call, at once. Reading gives 0 at the end of a stream.
    // Errors: would_block, unavailable, not_found (ENOENT: /dev/fuse uses it), io_failed ...
    Result<std::size_t> try_read(Bytes into);
    // Sends up to kPartsMax parts as one writev; may send less.
    Result<std::size_t> try_write(std::span<const ConstBytes> parts);
    static constexpr std::size_t kPartsMax = 64;

    // The same, but these wait instead of failing with would_block.
    Task<std::size_t> read(Bytes into, Nanos deadline = kNoDeadline);
    Task<std::size_t> write(std::span<const ConstBytes> parts, Nanos deadline = kNoDeadline);

    // The other side hung up, or the descriptor failed; what was received may still be read.
    bool hung_up() const { return hung_up_; }
    // Waits end with unavailable, now and from now on. The descriptor stays open.
    void close();
    bool closed() const { return closed_; }

protected:
    FdWatch(Reactor& reactor, int fd) : reactor_(reactor), fd_(fd) {}
    // `events` in the bits of poll(2).
    void notify(std::uint32_t events);
    // From now on, room to write counts as an event too. Not from the beginning, since a unix
    // socket would report it at each message that its peer takes.
    virtual void watch_output() = 0;

private:
    struct Side {
        bool changed = false;
        Wait* wait = nullptr;
    };
    void change(Side& side);

    Reactor& reactor_;
    int fd_;
    bool hung_up_ = false;
    bool closed_ = false;
    Side in_;
    Side out_;
};

class FdWatch::Wait {
public:
    Wait(FdWatch& watch, Side& side, Nanos deadline)
        : watch_(watch), side_(side), deadline_(deadline), timer_(watch.reactor_) {}
    ~Wait() {
        if (side_.wait == this) side_.wait = nullptr;
    }
    bool await_ready() const noexcept { return watch_.closed_ || side_.changed; }
    void await_suspend(std::coroutine_handle<> handle) {
        CHECK(side_.wait == nullptr);
        side_.wait = this;
        waiter_.handle = handle;
        if (deadline_ != kNoDeadline) timer_.arm(deadline_, waiter_);
    }
    Result<Done> await_resume();

private:
    friend class FdWatch;
    FdWatch& watch_;
    Side& side_;
    Nanos deadline_;
    Waiter waiter_;
    Timer timer_;
};

inline FdWatch::Wait FdWatch::readable(Nanos deadline) {
    return Wait(*this, in_, deadline);
}
inline FdWatch::Wait FdWatch::writable(Nanos deadline) {
    watch_output();
    return Wait(*this, out_, deadline);
}

}  // namespace weft
