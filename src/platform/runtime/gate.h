#pragma once

#include "platform/runtime/sync.h"
#include "platform/runtime/task.h"

#include <utility>

namespace weft {

// Owns background tasks. Nothing is detached: what is spawned ends before close() does, or is
// destroyed with the gate.
class Gate {
public:
    explicit Gate(Reactor& reactor) : emptied_(reactor) {}
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;
    ~Gate();

    // Runs `task` until its first suspension, then on. After close() it is destroyed unrun.
    // The task handles its own errors: what it ends with is dropped.
    void spawn(Task<Done> task);
    // No more is accepted; returns when all that runs has ended.
    Task<Done> close();
    bool closed() const { return closed_; }
    std::size_t running() const { return running_count_; }

private:
    struct Runner;
    struct Node : ListNode {
        std::coroutine_handle<> handle;
    };
    static Runner run(Gate* gate, Task<Done> task);

    List<Node> running_;
    std::size_t running_count_ = 0;
    bool closed_ = false;
    Signal emptied_;
};

}  // namespace weft
