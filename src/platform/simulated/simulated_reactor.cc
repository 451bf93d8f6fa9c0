#include "platform/simulated/simulated_reactor.h"

#include <algorithm>

namespace weft {
namespace {

constexpr std::int64_t kMillion = 1'000'000;

}  // namespace

bool SimulatedReactor::step() {
    std::size_t ran = run_ready();
    // By number: what runs may make further ones.
    for (std::size_t i = 0; i < views_.size(); ++i) {
        if (!views_[i]->paused()) ran += views_[i]->run_ready();
    }
    if (ran > 0) return true;
    Nanos due = next_due();
    for (const SkewedReactor* view : views_) due = std::min(due, view->next_due_of_base());
    if (due == kNever) return false;
    now_ = std::max(now_, due);
    fire_timers();
    for (SkewedReactor* view : views_) {
        if (!view->paused()) view->fire_timers();
    }
    return true;
}

SkewedReactor::SkewedReactor(SimulatedReactor& base, ClockSkew skew) : base_(base), skew_(skew) {
    CHECK(skew.rate_ppm > -kMillion && skew.offset >= 0);
    base_.views_.push_back(this);
}

SkewedReactor::~SkewedReactor() {
    std::erase(base_.views_, this);
}

// Whole millions apart, so that nothing overflows.
Nanos SkewedReactor::at(Nanos base) const {
    Nanos drift = base / kMillion * skew_.rate_ppm + base % kMillion * skew_.rate_ppm / kMillion;
    return skew_.offset + base + drift;
}

Nanos SkewedReactor::next_due_of_base() const {
    if (paused() && has_ready()) return paused_until_;
    Nanos due = next_due();
    if (due == kNever) return kNever;
    // Far off, as what waits for ever is, the base's own clock does.
    constexpr Nanos kFar = kNever / 4;
    if (due > kFar) return kNever;
    Nanos since = std::max<Nanos>(due - skew_.offset, 0);
    Nanos rate = kMillion + skew_.rate_ppm;
    Nanos base = since / rate * kMillion + since % rate * kMillion / rate;
    base = std::max<Nanos>(base - 2, 0);
    while (at(base) < due) ++base;
    return std::max(base, paused_until_);
}

}  // namespace weft
