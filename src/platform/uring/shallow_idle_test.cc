#include "platform/uring/shallow_idle_internal.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr Nanos kLater = 1000 * kSecond;

// A file that keeps all that is written, in the device's place.
class ShallowIdleTest : public ::testing::Test {
protected:
    ShallowIdleTest() {
        char pattern[] = "/var/tmp/weft-test-XXXXXX";
        folder_ = ::mkdtemp(pattern);
        std::ofstream made(path());
    }
    ~ShallowIdleTest() override { std::filesystem::remove_all(folder_); }
    std::string path() const { return folder_ + "/latency"; }
    std::vector<std::int32_t> written() const {
        std::ifstream file(path(), std::ios::binary);
        std::vector<std::int32_t> all;
        std::int32_t one = 0;
        while (file.read(reinterpret_cast<char*>(&one), sizeof(one))) all.push_back(one);
        return all;
    }
    void wake(ShallowIdle* idle, Nanos from, int times, Nanos apart) {
        for (int i = 0; i < times; ++i) idle->woke(from + i * apart);
    }
    using Values = std::vector<std::int32_t>;

private:
    std::string folder_;
};

TEST_F(ShallowIdleTest, HoldsWhileWakesComeThickAndFast) {
    ShallowIdle idle(path());
    ASSERT_TRUE(idle.usable());
    EXPECT_EQ(idle.wake_at(kLater), kLater);
    wake(&idle, kSecond, ShallowIdle::kBusyWakes - 1, 0);
    EXPECT_FALSE(idle.held());
    idle.woke(kSecond);
    EXPECT_TRUE(idle.held());
    EXPECT_EQ(idle.wake_at(kLater), kSecond + ShallowIdle::kHeld);
    EXPECT_EQ(idle.wake_at(kSecond), kSecond);
    // As long as it stays busy, and asked for once.
    Nanos apart = ShallowIdle::kWindow / (2 * ShallowIdle::kBusyWakes);
    wake(&idle, kSecond, 10'000, apart);
    EXPECT_TRUE(idle.held());
    EXPECT_EQ(written(), Values({ShallowIdle::kNone}));
}

TEST_F(ShallowIdleTest, LetsGoSoonAfter) {
    ShallowIdle idle(path());
    wake(&idle, kSecond, ShallowIdle::kBusyWakes, 0);
    idle.woke(kSecond + ShallowIdle::kHeld - 1);
    EXPECT_TRUE(idle.held());
    idle.woke(kSecond + ShallowIdle::kHeld);
    EXPECT_FALSE(idle.held());
    EXPECT_EQ(idle.wake_at(kLater), kLater);
    EXPECT_EQ(written(), Values({ShallowIdle::kNone, ShallowIdle::kAny}));
}

TEST_F(ShallowIdleTest, FewWakesAreNotBusy) {
    ShallowIdle idle(path());
    wake(&idle, kSecond, 1000, ShallowIdle::kWindow / (ShallowIdle::kBusyWakes - 1) + 1);
    EXPECT_FALSE(idle.held());
    EXPECT_EQ(written(), Values());
}

// It would be asked to let go for ever.
TEST_F(ShallowIdleTest, HoldsNothingIfTheKernelDoesNotTakeIt) {
    ShallowIdle idle("/dev/full");
    ASSERT_TRUE(idle.usable());
    wake(&idle, kSecond, ShallowIdle::kBusyWakes, 0);
    EXPECT_FALSE(idle.held());
    EXPECT_EQ(idle.wake_at(kLater), kLater);
}

TEST_F(ShallowIdleTest, DoesNothingWithoutTheDevice) {
    for (const std::string& none : {std::string(), path() + "-not-there"}) {
        ShallowIdle idle(none);
        EXPECT_FALSE(idle.usable());
        wake(&idle, kSecond, 1000, 0);
        EXPECT_FALSE(idle.held());
        EXPECT_EQ(idle.wake_at(kLater), kLater);
    }
}

}  // namespace
}  // namespace weft
