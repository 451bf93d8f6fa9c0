#include "platform/simulated/simulated_reactor.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

Task<Done> sleep_on(Reactor* reactor, Nanos duration, Nanos* woke) {
    co_await sleep(*reactor, duration);
    *woke = reactor->now();
    co_return Done{};
}

TEST(SkewedReactor, ItsClockHasAnOffsetAndARate) {
    SimulatedReactor base;
    SkewedReactor fast(base, {.offset = 5 * kSecond, .rate_ppm = 10'000, .wall_offset = -kSecond});
    SkewedReactor slow(base, {.offset = 0, .rate_ppm = -150'000, .wall_offset = 0});
    EXPECT_EQ(fast.now(), 5 * kSecond);
    Nanos woke = 0;
    ASSERT_TRUE(base.run(sleep_on(&base, 100 * kSecond, &woke)).ok());
    EXPECT_EQ(fast.now(), 106 * kSecond);
    EXPECT_EQ(slow.now(), 85 * kSecond);
    EXPECT_EQ(fast.wall_now(), base.wall_now() - kSecond);
}

TEST(SkewedReactor, WhoSleepsThereSleepsByItsClock) {
    for (std::int64_t ppm : {-150'000, -200, 0, 1, 200, 10'000, 150'000}) {
        SCOPED_TRACE(ppm);
        SimulatedReactor base;
        SkewedReactor view(base, {.offset = 123, .rate_ppm = ppm, .wall_offset = 0});
        for (Nanos duration : {Nanos{1}, kMicrosecond + 7, 3 * kSecond + 1, 1000 * kSecond}) {
            Nanos begun = view.now();
            Nanos woke = 0;
            ASSERT_TRUE(base.run(sleep_on(&view, duration, &woke)).ok());
            EXPECT_GE(woke, begun + duration);
            EXPECT_LE(woke, begun + duration + 2);
        }
    }
}

TEST(SkewedReactor, WhatIsPausedDoesNothingUntilItGoesOn) {
    SimulatedReactor base;
    SkewedReactor view(base, {.offset = 3, .rate_ppm = 10'000, .wall_offset = 0});
    Nanos woke = 0;
    Nanos other = 0;
    view.pause_until(5 * kSecond);
    EXPECT_TRUE(view.paused());
    Task<Done> early = sleep_on(&view, kSecond, &woke);
    early.start(std::noop_coroutine());
    ASSERT_TRUE(base.run(sleep_on(&base, 4 * kSecond, &other)).ok());
    EXPECT_EQ(woke, 0);
    while (!early.ended()) ASSERT_TRUE(base.step());
    EXPECT_EQ(base.now(), 5 * kSecond);
    EXPECT_EQ(woke, view.now());
    EXPECT_FALSE(view.paused());
}

TEST(SkewedReactor, WhatIsReadyWhereItIsPausedRunsThen) {
    SimulatedReactor base;
    SkewedReactor view(base, {});
    auto hop = [](Reactor* to) -> Task<Done> {
        co_await yield(*to);
        co_return Done{};
    };
    view.pause_until(kSecond);
    ASSERT_TRUE(base.run(hop(&view)).ok());
    EXPECT_EQ(base.now(), kSecond);
}

TEST(SkewedReactor, TheWallClockJumpsAndTheMonotonicOneDoesNot) {
    SimulatedReactor base;
    std::int64_t wall = base.wall_now();
    base.jump_wall(-3600 * kSecond);
    EXPECT_EQ(base.wall_now(), wall - 3600 * kSecond);
    EXPECT_EQ(base.now(), 0);
}

}  // namespace
}  // namespace weft
