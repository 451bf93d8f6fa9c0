#include "platform/runtime/reactor.h"

#include <utility>

namespace weft {

void Timer::arm(Nanos due, Waiter& waiter) {
    disarm();
    due_ = due;
    waiter_ = &waiter;
    reactor_.add(*this);
}

void Timer::disarm() {
    if (armed()) reactor_.remove(*this);
}

Reactor::~Reactor() {
    CHECK(timers_.empty());
}

void Reactor::ready(Waiter& waiter) {
    waiter.unlink();
    ready_.push_back(waiter);
}

std::size_t Reactor::run_ready() {
    WaitList batch;
    while (Waiter* waiter = ready_.pop_front()) batch.push_back(*waiter);
    std::size_t count = 0;
    while (Waiter* waiter = batch.pop_front()) {
        ++count;
        waiter->handle.resume();
    }
    return count;
}

std::size_t Reactor::fire_timers() {
    std::size_t count = 0;
    while (!timers_.empty() && timers_.front()->due_ <= now()) {
        Timer* timer = timers_.front();
        remove(*timer);
        ready(*timer->waiter_);
        ++count;
    }
    return count;
}

bool Reactor::earlier(const Timer& a, const Timer& b) const {
    return a.due_ != b.due_ ? a.due_ < b.due_ : a.order_ < b.order_;
}

void Reactor::place(std::size_t index, Timer* timer) {
    timers_[index] = timer;
    timer->index_ = index;
}

void Reactor::sift_up(std::size_t index) {
    Timer* timer = timers_[index];
    while (index > 0) {
        std::size_t parent = (index - 1) / 2;
        if (!earlier(*timer, *timers_[parent])) break;
        place(index, timers_[parent]);
        index = parent;
    }
    place(index, timer);
}

void Reactor::sift_down(std::size_t index) {
    Timer* timer = timers_[index];
    for (;;) {
        std::size_t child = 2 * index + 1;
        if (child >= timers_.size()) break;
        if (child + 1 < timers_.size() && earlier(*timers_[child + 1], *timers_[child])) ++child;
        if (!earlier(*timers_[child], *timer)) break;
        place(index, timers_[child]);
        index = child;
    }
    place(index, timer);
}

void Reactor::add(Timer& timer) {
    timer.order_ = timers_armed_++;
    timers_.push_back(&timer);
    timer.index_ = timers_.size() - 1;
    sift_up(timer.index_);
}

void Reactor::remove(Timer& timer) {
    std::size_t index = std::exchange(timer.index_, Timer::kNotArmed);
    CHECK(index < timers_.size() && timers_[index] == &timer);
    Timer* last = timers_.back();
    timers_.pop_back();
    if (last == &timer) return;
    place(index, last);
    sift_up(index);
    sift_down(last->index_);
}

}  // namespace weft
