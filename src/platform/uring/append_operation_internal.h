#pragma once

#include "platform/uring/machine_base_internal.h"

#include <memory>

namespace weft {

// A write(2) that may be under way when the task that asked for it is gone: it owns its bytes
// and its own duplicate of the descriptor.
class AppendOperation final : public FileOperation {
public:
    AppendOperation(int target, ConstBytes bytes);
    void ended() override;

    bool has_ended() const { return ended_; }
    Waiter& waiter() { return waiter_; }
    // The waiting task is gone: `self` deletes itself when it has ended.
    static void abandon(std::unique_ptr<AppendOperation> self);

private:
    Descriptor owned_fd_;
    std::unique_ptr<std::byte[]> owned_bytes_;
    Waiter waiter_;
    bool ended_ = false;
    bool abandoned_ = false;
};

// co_await gives its result: bytes, or negative errno. Destroyed before, it calls the write
// off if that still waits for its turn, and else leaves it to end alone.
class AppendWait {
public:
    AppendWait(MachineBase& machine, int fd, ConstBytes bytes)
        : machine_(machine), operation_(std::make_unique<AppendOperation>(fd, bytes)) {}
    AppendWait(const AppendWait&) = delete;
    AppendWait& operator=(const AppendWait&) = delete;
    ~AppendWait();

    // Ready at once if the descriptor could not be duplicated.
    bool await_ready() const noexcept { return operation_->result < 0; }
    void await_suspend(std::coroutine_handle<> handle) {
        started_ = true;
        operation_->waiter().handle = handle;
        machine_.start(*operation_);
    }
    int await_resume() const { return operation_->result; }

private:
    MachineBase& machine_;
    std::unique_ptr<AppendOperation> operation_;
    bool started_ = false;
};

}  // namespace weft
