#include "platform/uring/busy_poll_internal.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr Nanos kLongest = 100 * kMicrosecond;

class BusyPollTest : public ::testing::Test {
protected:
    void wait_shortly(int times) {
        for (int i = 0; i < times; ++i) poll_.waited(kLongest);
    }
    BusyPoll poll_{kLongest};
};

TEST_F(BusyPollTest, LooksOnceWorkComesSoonAfterWork) {
    EXPECT_EQ(poll_.window(0), 0);
    wait_shortly(BusyPoll::kShortWaits - 1);
    EXPECT_EQ(poll_.window(0), 0);
    wait_shortly(1);
    EXPECT_EQ(poll_.window(0), kLongest);
    wait_shortly(1000);
    EXPECT_EQ(poll_.window(0), kLongest);
}

TEST_F(BusyPollTest, SleepsAtOnceAfterALookInVain) {
    wait_shortly(1000);
    poll_.waited(kLongest + 1);
    EXPECT_EQ(poll_.window(0), 0);
    wait_shortly(BusyPoll::kShortWaits);
    EXPECT_EQ(poll_.window(0), kLongest);
}

TEST_F(BusyPollTest, LeavesTheProcessorToWhoTookIt) {
    wait_shortly(BusyPoll::kShortWaits);
    poll_.looked(0, BusyPoll::kGapMost);
    EXPECT_EQ(poll_.window(BusyPoll::kGapMost), kLongest);
    Nanos back = BusyPoll::kGapMost + 1;
    poll_.looked(0, back);
    EXPECT_EQ(poll_.window(back), 0);
    EXPECT_EQ(poll_.window(back + BusyPoll::kLeft - 1), 0);
    EXPECT_EQ(poll_.window(back + BusyPoll::kLeft), kLongest);
}

TEST_F(BusyPollTest, NeverLooksIfItMayNot) {
    BusyPoll never(0);
    for (int i = 0; i < 10; ++i) never.waited(1);
    EXPECT_EQ(never.window(0), 0);
}

}  // namespace
}  // namespace weft
