#pragma once

#include "platform/runtime/reactor.h"
#include "platform/runtime/task.h"

#include <functional>
#include <optional>
#include <random>

namespace weft {

// A reactor whose clock moves only when nothing is ready, straight to the next timer.
// Deterministic: the same seed and the same work give the same run.
class SimulatedReactor : public Reactor {
public:
    explicit SimulatedReactor(std::uint64_t seed = 1) : random_(seed) {}

    Nanos now() const override { return now_; }
    std::int64_t wall_now() const override { return kWallStart + now_; }
    std::uint64_t random() override { return random_(); }

    // One round: what is ready runs, or else time goes on to the next timer. False if there
    // was neither.
    bool step();

    // Runs until the task has ended, and gives its result; CHECK-fails if everything stops
    // before that.
    template <class T>
    Result<T> run(Task<T> task) {
        std::optional<Result<T>> result;
        Task<Done> driver = drive(&task, &result);
        driver.start(std::noop_coroutine());
        while (!result.has_value()) CHECK(step());
        return std::move(*result);
    }

private:
    static constexpr std::int64_t kWallStart = 1'700'000'000 * kSecond;
    template <class T>
    static Task<Done> drive(Task<T>* task, std::optional<Result<T>>* result) {
        result->emplace(co_await *task);
        co_return Done{};
    }

    Nanos now_ = 0;
    std::mt19937_64 random_;
};

}  // namespace weft
