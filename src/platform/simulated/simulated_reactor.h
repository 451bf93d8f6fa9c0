#pragma once

#include "platform/runtime/reactor.h"
#include "platform/runtime/task.h"

#include <functional>
#include <optional>
#include <random>
#include <vector>

namespace weft {

class SkewedReactor;

// A reactor whose clock moves only when nothing is ready, straight to the next timer.
// Deterministic: the same seed and the same work give the same run.
class SimulatedReactor : public Reactor {
public:
    explicit SimulatedReactor(std::uint64_t seed = 1) : random_(seed) {}

    Nanos now() const override { return now_; }
    std::int64_t wall_now() const override { return kWallStart + now_ + wall_jumps_; }
    // Somebody sets the wall clock, forward or back.
    void jump_wall(Nanos by) { wall_jumps_ += by; }
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
    friend class SkewedReactor;
    static constexpr std::int64_t kWallStart = 1'700'000'000 * kSecond;
    template <class T>
    static Task<Done> drive(Task<T>* task, std::optional<Result<T>>* result) {
        result->emplace(co_await *task);
        co_return Done{};
    }

    Nanos now_ = 0;
    Nanos wall_jumps_ = 0;
    std::mt19937_64 random_;
    std::vector<SkewedReactor*> views_;
};

// How the clocks of a process differ from the simulation's own.
struct ClockSkew {
    Nanos offset = 0;           // Of the monotonic clock, not negative.
    std::int64_t rate_ppm = 0;  // It runs by so much faster, in millionths; above -1,000,000.
    Nanos wall_offset = 0;
};

// What runs in a process with clocks of its own: the same core, in the same simulated time. Steps
// with `base`, which outlives it.
class SkewedReactor final : public Reactor {
public:
    SkewedReactor(SimulatedReactor& base, ClockSkew skew);
    ~SkewedReactor() override;

    Nanos now() const override { return at(base_.now()); }
    std::int64_t wall_now() const override { return base_.wall_now() + skew_.wall_offset; }
    std::uint64_t random() override { return base_.random(); }
    // The process is stopped until then, of the base's clock: its own clocks go on, and nothing of
    // it runs. A moment that has passed ends that.
    void pause_until(Nanos base) { paused_until_ = base; }
    bool paused() const { return paused_until_ > base_.now(); }

private:
    friend class SimulatedReactor;
    Nanos at(Nanos base) const;
    // The first moment of the base at which something is due here.
    Nanos next_due_of_base() const;

    SimulatedReactor& base_;
    ClockSkew skew_;
    Nanos paused_until_ = 0;
};

}  // namespace weft
