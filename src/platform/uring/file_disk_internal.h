#pragma once

#include "platform/disk/disk.h"
#include "platform/uring/descriptor_internal.h"
#include "platform/uring/machine_base_internal.h"

#include <string>

namespace weft {

// Whether a write into the page cache is a plain call on the reactor's thread. That takes 3 us; as
// an operation of the ring, most filesystems hand it to a thread of the kernel's: some 30 us.
// But the call can also wait: for the filesystem's journal, or because the kernel makes who writes
// wait while much is unwritten. After such a wait, writes go to the ring for a while.
class InPlaceWrites {
public:
    static constexpr Nanos kStall = 2 * kMillisecond;
    static constexpr Nanos kAvoided = 1 * kSecond;

    bool allowed(Nanos now) const { return now >= avoided_until_; }
    void took(Nanos began, Nanos ended) {
        if (ended - began >= kStall) avoided_until_ = ended + kAvoided;
    }

private:
    Nanos avoided_until_ = 0;
};

// Whether flushes come after few small writes each, one soon after the other: a program that calls
// fsync again and again. What this process flushes on its own account comes after many.
class FlushPattern {
public:
    static constexpr int kFewWrites = 8;
    static constexpr Nanos kSoon = 20 * kMillisecond;

    void flushed(Nanos now) {
        after_few_ = writes_ <= kFewWrites;
        writes_ = 0;
        flushed_at_ = now;
    }
    bool expects_flush_after_write(Nanos now) {
        return ++writes_ <= kFewWrites && after_few_ && now - flushed_at_ < kSoon;
    }

private:
    int writes_ = 0;  // Since the last flush.
    bool after_few_ = false;
    Nanos flushed_at_ = 0;
};

// A block device or a file. One operation of the kernel at a time a task, continued where it
// came up short.
//
// The page cache is the write cache of a file, for small writes: a commit need not wait for the
// medium until somebody flushes, and a device below that has a cache of its own is no safer. The
// kernel keeps reads and writes past the page cache in step with it. Where a flush
// follows on few writes it only adds to their time, so they go to the device.
class FileDisk final : public Disk {
public:
    // Up to this a copy costs less than an operation of the device.
    static constexpr std::uint64_t kCachedWriteMost = 64 * kKiB;

    // `cached`: the same file without O_DIRECT; empty if all is to go to the device at once.
    FileDisk(MachineBase& machine, Descriptor file, Descriptor cached, std::uint64_t size_bytes,
             bool power_safe)
        : machine_(machine),
          file_(std::move(file)),
          cached_(std::move(cached)),
          size_bytes_(size_bytes),
          power_safe_(power_safe) {}

    std::uint64_t size_bytes() const override { return size_bytes_; }
    bool power_safe() const override { return power_safe_; }
    Task<Done> read(std::uint64_t offset, Bytes into) override;
    Task<Done> write(std::uint64_t offset, ConstBytes from) override;
    Task<Done> flush() override;

private:
    bool holds(std::uint64_t offset, std::uint64_t length) const;
    // Whether a write of so many bytes, the next one, goes through the page cache.
    bool goes_to_cache(std::uint64_t length);
    // How many of the bytes are in the page cache then; 0 if it may block, or fails.
    std::size_t write_in_place(std::uint64_t offset, ConstBytes from);

    MachineBase& machine_;
    Descriptor file_;
    Descriptor cached_;
    std::uint64_t size_bytes_;
    bool power_safe_;
    FlushPattern flush_pattern_;
    InPlaceWrites in_place_;
};

// co_await gives the operation's result. Must end before it is destroyed: the kernel, or a
// worker, writes into the caller's buffer.
class FileWait final : public FileOperation {
public:
    FileWait(MachineBase& on, Kind what, int file) {
        machine = &on;
        kind = what;
        fd = file;
    }
    ~FileWait() { CHECK(!under_way_); }
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
        under_way_ = true;
        waiter_.handle = handle;
        machine->start(*this);
    }
    int await_resume() const { return result; }
    void ended() override {
        under_way_ = false;
        machine->ready(waiter_);
    }

private:
    Waiter waiter_;
    bool under_way_ = false;
};

// Moves all bytes of [data, data + length) to or from the file, as often as it takes. Gives
// what Disk's operations give; `what` names the step.
Task<Done> transfer(MachineBase* machine, FileOperation::Kind kind, int fd, std::uint64_t offset,
                    Bytes bytes, std::string_view what);
Task<Done> sync(MachineBase* machine, FileOperation::Kind kind, int fd, std::string_view what);

}  // namespace weft
