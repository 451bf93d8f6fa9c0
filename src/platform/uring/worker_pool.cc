#include "platform/uring/worker_pool_internal.h"

#include <system_error>
#include <utility>

#include <pthread.h>
#include <signal.h>

namespace weft {

WorkerPool::WorkerPool(const char* name, unsigned threads_max, std::function<void()> on_ended)
    : name_(name), threads_max_(threads_max), shared_(std::make_shared<Shared>()) {
    shared_->on_ended = std::move(on_ended);
}

WorkerPool::~WorkerPool() {
    bool stuck = false;
    {
        std::scoped_lock lock(shared_->mutex);
        shared_->stopping = true;
        stuck = shared_->working > 0;
    }
    shared_->changed.notify_all();
    for (std::thread& thread : threads_) {
        if (stuck) {
            thread.detach();
        } else {
            thread.join();
        }
    }
}

void WorkerPool::start(FileOperation& operation) {
    bool short_of_threads = false;
    {
        std::scoped_lock lock(shared_->mutex);
        shared_->waiting.push_back(&operation);
        short_of_threads = shared_->waiting.size() > shared_->idle;
    }
    if (short_of_threads && threads_.size() < threads_max_) add_thread();
    shared_->changed.notify_one();
}

void WorkerPool::add_thread() {
    // Signals are for the threads that the program made.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    CHECK(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    try {
        threads_.emplace_back(work, shared_);
        ::pthread_setname_np(threads_.back().native_handle(), name_);
    } catch (const std::system_error&) {
        CHECK(!threads_.empty());  // The kernel gives us no more: those we have will do.
    }
    CHECK(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

void WorkerPool::work(const std::shared_ptr<Shared>& shared) {
    std::unique_lock lock(shared->mutex);
    for (;;) {
        ++shared->idle;
        shared->changed.wait(lock, [&] { return shared->stopping || !shared->waiting.empty(); });
        --shared->idle;
        if (shared->stopping) return;
        FileOperation* operation = shared->waiting.front();
        shared->waiting.pop_front();
        ++shared->working;
        lock.unlock();
        int result = operation->perform();
        lock.lock();
        --shared->working;
        if (shared->stopping) return;  // Left behind: the machine may be gone.
        shared->ended.push_back({operation, result});
        // Under the lock, so that the machine cannot go meanwhile. Only the first of a batch
        // needs to wake it.
        if (shared->ended.size() == 1) shared->on_ended();
    }
}

void WorkerPool::take_ended(std::vector<Ended>* into) {
    std::scoped_lock lock(shared_->mutex);
    into->clear();
    std::swap(*into, shared_->ended);
}

}  // namespace weft
