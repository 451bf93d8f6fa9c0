#include "platform/process/process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft::process {
namespace {

TEST(Process, OneThatLivesIsRunning) {
    EXPECT_TRUE(is_running(own_id()));
}

TEST(Process, OneThatLivesIsNotDying) {
    EXPECT_FALSE(is_dying(static_cast<std::uint32_t>(own_id())));
    EXPECT_TRUE(is_dying(0));
    EXPECT_TRUE(is_dying(0x7fffffff));
}

TEST(Process, AChildThatHasEndedIsNotRunning) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    ASSERT_GT(child, 0);
    EXPECT_TRUE(wait_for_end(child, 10 * kSecond));
}

// Goal: a killed process that its parent has not waited for does not look alive to a third one.
// Method: a child starts a grandchild that ends at once, tells its number, and does not reap it.
TEST(Process, AZombieOfAnotherParentIsNotRunning) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        siginfo_t info{};
        // Waits until it has ended, and leaves it a zombie.
        bool good = waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0;
        if (!good || write(ends[1], &child, sizeof(child)) != sizeof(child)) _exit(1);
        for (;;) ::pause();
    }
    ASSERT_GT(parent, 0);
    pid_t zombie = 0;
    ASSERT_EQ(read(ends[0], &zombie, sizeof(zombie)), static_cast<ssize_t>(sizeof(zombie)));
    EXPECT_FALSE(is_running(zombie));
    EXPECT_TRUE(is_running(parent));
    EXPECT_TRUE(send_kill(parent));
    EXPECT_TRUE(wait_for_end(parent, 10 * kSecond));
    close(ends[0]);
    close(ends[1]);
}

}  // namespace
}  // namespace weft::process
