#pragma once

#include "platform/uring/operation_internal.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace weft {

// Threads that carry out blocking file operations for one machine, started when first needed.
// What it is given at once is bounded by the machine.
class WorkerPool {
public:
    // `on_ended` is called on a worker whenever take_ended() has something new to give.
    WorkerPool(const char* name, unsigned threads_max, std::function<void()> on_ended);
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    // Waits for the threads, unless some are stuck in an operation: then they are left behind,
    // and so must be their operations.
    ~WorkerPool();

    void start(FileOperation& operation);

    struct Ended {
        FileOperation* operation;
        int result;
    };
    // What has ended since the last call, in no order.
    void take_ended(std::vector<Ended>* into);

private:
    struct Shared {
        std::mutex mutex;
        std::condition_variable changed;
        std::deque<FileOperation*> waiting;
        std::vector<Ended> ended;
        std::function<void()> on_ended;
        std::size_t idle = 0;
        std::size_t working = 0;
        bool stopping = false;
    };
    static void work(const std::shared_ptr<Shared>& shared);
    void add_thread();

    const char* name_;
    unsigned threads_max_;
    std::shared_ptr<Shared> shared_;
    std::vector<std::thread> threads_;
};

}  // namespace weft
