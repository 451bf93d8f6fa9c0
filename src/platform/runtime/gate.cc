#include "platform/runtime/gate.h"

namespace weft {

// The frame of one spawned task: linked into its gate, and gone when the task has ended.
struct Gate::Runner {
    struct promise_type {
        Node node;
        Runner get_return_object() {
            return Runner{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { CHECK(false); }
        static void* operator new(std::size_t size) { return allocate_frame(size); }
        static void operator delete(void* frame, std::size_t size) { free_frame(frame, size); }
    };
    std::coroutine_handle<promise_type> handle;
};

Gate::Runner Gate::run(Gate* gate, Task<Done> task) {
    (void)co_await task;
    --gate->running_count_;
    if (gate->running_count_ == 0) gate->emptied_.notify_all();
}

Gate::~Gate() {
    while (Node* node = running_.pop_front()) node->handle.destroy();
}

void Gate::spawn(Task<Done> task) {
    if (closed_) return;
    Runner runner = run(this, std::move(task));
    Node& node = runner.handle.promise().node;
    node.handle = runner.handle;
    running_.push_back(node);
    ++running_count_;
    runner.handle.resume();
}

Task<Done> Gate::close() {
    closed_ = true;
    while (running_count_ > 0) co_await emptied_.wait();
    co_return Done{};
}

}  // namespace weft
