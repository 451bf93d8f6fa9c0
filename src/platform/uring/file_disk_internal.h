#pragma once

#include "platform/disk/disk.h"
#include "platform/uring/descriptor_internal.h"
#include "platform/uring/machine_base_internal.h"

#include <string>

namespace weft {

// A block device or a file. One operation of the kernel at a time a task, continued where it
// came up short.
class FileDisk final : public Disk {
public:
    FileDisk(MachineBase& machine, Descriptor file, std::uint64_t size_bytes, bool power_safe)
        : machine_(machine),
          file_(std::move(file)),
          size_bytes_(size_bytes),
          power_safe_(power_safe) {}

    std::uint64_t size_bytes() const override { return size_bytes_; }
    bool power_safe() const override { return power_safe_; }
    Task<Done> read(std::uint64_t offset, Bytes into) override;
    Task<Done> write(std::uint64_t offset, ConstBytes from) override;
    Task<Done> flush() override;

private:
    bool holds(std::uint64_t offset, std::uint64_t length) const;

    MachineBase& machine_;
    Descriptor file_;
    std::uint64_t size_bytes_;
    bool power_safe_;
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
