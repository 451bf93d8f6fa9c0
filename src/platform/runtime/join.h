#pragma once

#include "platform/runtime/task.h"

#include <optional>
#include <utility>
#include <vector>

namespace weft {

// Awaits one task of a join; the last to end resumes the joiner.
class Collector {
public:
    struct promise_type;
    struct State {
        std::size_t remaining = 0;
        std::coroutine_handle<> joiner;
    };
    struct Arrive {
        State* state;
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<>) noexcept {
            return --state->remaining == 0 ? state->joiner : std::noop_coroutine();
        }
        void await_resume() const noexcept {}
    };
    struct promise_type {
        Collector get_return_object() {
            return Collector(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { CHECK(false); }
        static void* operator new(std::size_t size) { return allocate_frame(size); }
        static void operator delete(void* frame, std::size_t size) { free_frame(frame, size); }
    };
    // The task goes when it has ended, not with the others: a task that ended with an error
    // still has its variables, and a lock among them may be what another one waits for.
    template <class T>
    static Collector collect(Task<T>* task, std::optional<Result<T>>* result, State* state) {
        result->emplace(co_await *task);
        task->drop();
        Arrive arrive{state};
        co_await arrive;
    }
    explicit Collector(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
    Collector(Collector&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    Collector& operator=(Collector&&) = delete;
    ~Collector() {
        if (frame_) frame_.destroy();
    }
    void start() const { frame_.resume(); }

private:
    std::coroutine_handle<promise_type> frame_;
};

// co_await join(tasks): starts all tasks, and gives their results, in order, when all have
// ended. Destroying the joiner destroys them. The vector must be a named variable that
// outlives the await.
template <class T>
class Join {
public:
    explicit Join(std::vector<Task<T>>& tasks) : tasks_(tasks), results_(tasks.size()) {
        collectors_.reserve(tasks.size());
        for (std::size_t i = 0; i < tasks.size(); ++i) {
            collectors_.push_back(Collector::collect(&tasks[i], &results_[i], &state_));
        }
    }
    Join(const Join&) = delete;
    Join& operator=(const Join&) = delete;
    bool await_ready() const noexcept { return tasks_.empty(); }
    bool await_suspend(std::coroutine_handle<> joiner) {
        state_.joiner = joiner;
        state_.remaining = tasks_.size() + 1;
        for (const Collector& collector : collectors_) collector.start();
        return --state_.remaining > 0;
    }
    std::vector<Result<T>> await_resume() {
        std::vector<Result<T>> results;
        results.reserve(results_.size());
        for (auto& result : results_) results.push_back(std::move(*result));
        return results;
    }

private:
    std::vector<Task<T>>& tasks_;
    std::vector<std::optional<Result<T>>> results_;
    Collector::State state_;
    std::vector<Collector> collectors_;
};
template <class T>
Join<T> join(std::vector<Task<T>>& tasks) {
    return Join<T>(tasks);
}

// The first error among the results, if any.
template <class T>
Result<Done> first_error(const std::vector<Result<T>>& results) {
    for (const Result<T>& result : results) {
        if (!result.ok()) return result.error();
    }
    return Done{};
}

}  // namespace weft
