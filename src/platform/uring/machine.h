#pragma once

#include "platform/disk/disk.h"
#include "platform/net/stream.h"
#include "platform/runtime/reactor.h"
#include "platform/uring/fd_watch.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace weft {

enum class MachineKind {
    automatic,  // io_uring, or epoll where the kernel or a sandbox forbids it.
    uring,
    epoll,
};

struct MachineSettings {
    MachineKind kind = MachineKind::automatic;
    // Reads, writes and flushes of drives handed to the kernel at once; the rest wait in
    // order. From 1 to 16384.
    unsigned inflight_max = 1024;
    // Threads for drives where there is no io_uring. From 1 to 256.
    unsigned disk_threads_max = 8;
    // write_fd_async()s under way at once; the rest wait in order. Each may hold a thread (of
    // the kernel's, or ours under epoll) for as long as its descriptor blocks. Choose more than
    // can block at once on what a later one must bring about. From 1 to 1024.
    unsigned async_writes_max = 64;
    // How long to look for work before sleeping, while work comes soon after work and nothing else
    // wants the processor (io_uring only). 0: never.
    Nanos busy_poll = 100 * kMicrosecond;
    // Keep idle processors from sleeping while this one is busy, where that makes waking them much
    // faster: on a virtual machine, for root.
    bool stay_awake = false;
    // Calls of inject() not yet run. At least 1.
    std::size_t injected_max = 65536;
};

enum class ProcessSignal { interrupt, terminate, hangup };

enum class Preallocation {
    // Space is reserved but unwritten: instant. Until a block was written once, its write and
    // the next flush pay for the filesystem's own journal (measured: twice the time).
    reserved,
    // Every block is written once, by the device itself where it offers that
    // (FALLOC_FL_WRITE_ZEROES), else with zeros; later writes change no metadata at all.
    written,
};

struct OpenedDisk {
    std::unique_ptr<Disk> disk;
    std::string warning;  // For the operator; empty if all is well.
};

// One core of a real computer: the reactor, and what it can open. All of it is used from the
// thread that made it, except inject() and stop(). What it opened must go before it does.
//
// A task that reads, writes, flushes or creates a disk may not be destroyed before it ends (the
// device writes into its buffer): that is a failed CHECK. Every other waiting task may; a read
// or write of a Stream that is destroyed half done leaves that stream broken (unavailable).
class Machine : public Reactor {
public:
    // Runs until stop(): what is ready, then whatever the kernel, timers and other threads
    // bring, sleeping when there is nothing.
    void run();
    // Runs until the task has ended.
    template <class T>
    Result<T> run(Task<T> task);
    // From any thread: run() returns soon, or at once when called next.
    virtual void stop() = 0;
    // From any thread: `call` runs on this machine's thread. False if injected_max wait already.
    [[nodiscard]] virtual bool inject(std::function<void()> call) = 0;

    // "io_uring, deferred task work", "epoll, up to 8 disk threads (io_uring: not permitted)".
    virtual std::string describe() const = 0;

    // Opens a block device or a file as a disk, O_DIRECT (but small writes to a file), and locks it
    // against other processes. Errors: would_block (another process serves it, or it is mounted),
    // not_found, permission_denied, not_supported (neither a file nor a block device, or its
    // sectors are above 4 KiB) ...
    virtual Result<OpenedDisk> open_disk(std::string path) = 0;
    // Makes a new file of that size, a multiple of 4 KiB, its space and its name durable.
    // Errors: already_exists, out_of_space, not_found (no such folder) ... Nothing is left then.
    virtual Task<Done> create_disk_file(std::string path, std::uint64_t size_bytes,
                                        Preallocation preallocation) = 0;
    virtual Network& network() = 0;

    // Watches any descriptor that poll(2) takes. See FdWatch for the rules.
    virtual Result<std::unique_ptr<FdWatch>> watch(int fd) = 0;
    // The same without a watch to keep, for descriptors that are rarely waited for. They
    // must be nonblocking. Errors as FdWatch's.
    Task<Done> poll_readable(int fd, Nanos deadline = FdWatch::kNoDeadline);
    Task<std::size_t> read_fd(int fd, Bytes into, Nanos deadline = FdWatch::kNoDeadline);
    Task<std::size_t> write_fd(int fd, std::span<const ConstBytes> parts,
                               Nanos deadline = FdWatch::kNoDeadline);
    // One write(2) of all the bytes that never blocks this thread, even where the kernel makes
    // write() wait for something that this thread must do first (invalidations of /dev/fuse).
    // The bytes are copied. Destroying the task does not call the write off once it is under
    // way. Errors: code_of the errno; io_failed if only a part was written.
    virtual Task<Done> write_fd_async(int fd, ConstBytes bytes) = 0;

    // The next SIGINT, SIGTERM or SIGHUP. From the first call on, these no longer end the
    // process; make that call before other threads start. One waiter at a time.
    virtual Task<ProcessSignal> wait_signal() = 0;

protected:
    // Due timers, and what is ready, for a bounded while.
    virtual void work() = 0;
    // Lets the kernel work, and takes in what it did; sleeps first if nothing is ready.
    virtual void wait() = 0;
    // True once after each stop().
    virtual bool take_stop() = 0;

private:
    template <class T>
    static Task<Done> drive(Task<T>* task, std::optional<Result<T>>* result) {
        result->emplace(co_await *task);
        co_return Done{};
    }
};

// For the calling thread. Errors: not_supported (the kind that was asked for is not to be had
// here), limit_reached (descriptors or memory).
Result<std::unique_ptr<Machine>> make_machine(MachineSettings settings = {});

template <class T>
Result<T> Machine::run(Task<T> task) {
    std::optional<Result<T>> result;
    Task<Done> driver = drive(&task, &result);
    driver.start(std::noop_coroutine());
    for (work(); !result.has_value(); work()) wait();
    return std::move(*result);
}

}  // namespace weft
