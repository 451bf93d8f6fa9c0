#pragma once

#include "platform/base/result.h"
#include "platform/runtime/frame_pool.h"

#include <coroutine>
#include <optional>
#include <utility>

namespace weft {

// A lazy coroutine that ends in a Result<T>. It runs when awaited, on the awaiter's core,
// and is destroyed with its owner: nothing runs on after the scope that started it.
// Frames come from a pool of the core (frame_pool.h).
template <class T>
class [[nodiscard]] Task {
public:
    using Value = T;

    struct promise_type {
        std::optional<Result<T>> result;
        std::coroutine_handle<> waiter = std::noop_coroutine();

        static void* operator new(std::size_t size) { return allocate_frame(size); }
        static void operator delete(void* frame, std::size_t size) { free_frame(frame, size); }

        Task get_return_object() {
            return Task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        auto final_suspend() noexcept {
            struct ResumeWaiter {
                bool await_ready() noexcept { return false; }
                std::coroutine_handle<> await_suspend(
                    std::coroutine_handle<promise_type> self) noexcept {
                    return self.promise().waiter;
                }
                void await_resume() noexcept {}
            };
            return ResumeWaiter{};
        }
        void return_value(Result<T> value) { result.emplace(std::move(value)); }
        void unhandled_exception() { CHECK(false); }  // Errors are values here.
        Result<T> take_result() {
            CHECK(result.has_value());
            return std::move(*result);
        }
    };

    explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
    Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    Task& operator=(Task&&) = delete;
    ~Task() {
        if (frame_) frame_.destroy();
    }

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
        frame_.promise().waiter = waiter;
        return frame_;
    }
    Result<T> await_resume() { return frame_.promise().take_result(); }

    // Starts the task now instead of when awaited; `waiter` runs when it has ended.
    // For the pieces that own tasks (Gate, join); everybody else awaits.
    void start(std::coroutine_handle<> waiter) {
        frame_.promise().waiter = waiter;
        frame_.resume();
    }
    bool ended() const { return frame_.promise().result.has_value(); }
    Result<T> take_result() { return frame_.promise().take_result(); }
    // Lets go of all that the task still holds: it must be suspended or have ended.
    void drop() {
        if (frame_) std::exchange(frame_, {}).destroy();
    }

private:
    std::coroutine_handle<promise_type> frame_;
};

// co_await or_return(result): the value on success; on error the enclosing coroutine ends
// there with the same Error. This is the only propagation tool: there are no macros.
template <class T>
class OrReturn {
public:
    explicit OrReturn(Result<T> result) : result_(std::move(result)) {}
    bool await_ready() const noexcept { return result_.ok(); }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
        self.promise().result.emplace(result_.error());
        return self.promise().waiter;  // `self` stays suspended; its owner destroys it.
    }
    T await_resume() { return std::move(result_).value(); }

private:
    Result<T> result_;
};
template <class T>
OrReturn<T> or_return(Result<T> result) {
    return OrReturn<T>(std::move(result));
}

}  // namespace weft
