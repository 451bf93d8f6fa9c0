#include "platform/process/process.h"

#include "platform/process/host_address.h"
#include "platform/process/process_lock.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/syscall.h>
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

// Goal: a killed process whose main thread is gone, and has another at work still, has not ended.
TEST(Process, RunsUntilItsLastThreadHasEnded) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        std::thread([&ends] {
            // Says that the main thread is a zombie, and stays.
            std::string stat;
            while (stat.find(") Z ") == std::string::npos) {
                std::getline(std::ifstream("/proc/self/stat"), stat);
            }
            if (write(ends[1], "z", 1) != 1) _exit(1);
            for (;;) ::pause();
        }).detach();
        syscall(SYS_exit, 0);
    }
    ASSERT_GT(child, 0);
    char said = 0;
    ASSERT_EQ(read(ends[0], &said, 1), 1);
    EXPECT_TRUE(is_running(child));
    EXPECT_TRUE(send_kill(child));
    EXPECT_TRUE(wait_for_end(child, 10 * kSecond));
    close(ends[0]);
    close(ends[1]);
}

TEST(Process, IsToldFromTheNextOneOfItsNumber) {
    EXPECT_EQ(birth_of(own_id()), birth_of(own_id()));
    EXPECT_NE(birth_of(own_id()), "");
    EXPECT_NE(birth_of(own_id()), birth_of(1));
    EXPECT_EQ(birth_of(0x7fffffff), "");
}

TEST(HostAddress, NamesBecomeNumbers) {
    EXPECT_EQ(numeric_address("localhost:7000").value(), "127.0.0.1:7000");
    EXPECT_EQ(numeric_address("0.0.0.0:0").value(), "0.0.0.0:0");
    EXPECT_EQ(numeric_address("[::1]:80").value(), "[::1]:80");
    for (const char* wrong : {"", "localhost", ":80", "localhost:", "localhost:x", "::1:80",
                              "localhost:70000", "localhost:-1"}) {
        EXPECT_EQ(numeric_address(wrong).code(), Code::invalid) << wrong;
    }
    EXPECT_EQ(numeric_address(std::string(300, 'x') + ":80").code(), Code::not_found);
}

class ProcessFiles : public ::testing::Test {
protected:
    ProcessFiles() {
        std::string pattern = "/tmp/weft-process-XXXXXX";
        folder_ = mkdtemp(pattern.data());
    }
    ~ProcessFiles() override { std::filesystem::remove_all(folder_); }

    std::string folder_;
};

// Who takes the one for the other makes a new cluster where there is one.
TEST_F(ProcessFiles, OneThatCannotBeReadIsNotAbsent) {
    std::string path = folder_ + "/file";
    EXPECT_EQ(read_file(path).code(), Code::not_found);
    ASSERT_EQ(symlink("file", path.c_str()), 0);  // ELOOP, for root as well.
    EXPECT_EQ(read_file(path).code(), Code::io_failed);
    EXPECT_EQ(read_file(folder_).code(), Code::io_failed);
}

TEST_F(ProcessFiles, ComeBackWhole) {
    std::string path = folder_ + "/file";
    std::string text(10000, 'x');
    ASSERT_TRUE(write_file(path, text).ok());
    EXPECT_EQ(read_file(path).value(), text);
    ASSERT_TRUE(write_note(path, "").ok());
    EXPECT_EQ(read_file(path).value(), "");
    EXPECT_EQ(names_in(folder_), std::vector<std::string>{"file"});
}

TEST_F(ProcessFiles, ALockEndsWithItsProcess) {
    std::string path = folder_ + "/lock";
    EXPECT_EQ(lock_holder(path), std::nullopt);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        auto lock = ProcessLock::take(path);
        char taken = lock.ok() ? 'y' : 'n';
        if (write(ends[1], &taken, 1) != 1) _exit(1);
        for (;;) ::pause();
    }
    char taken = 0;
    ASSERT_EQ(read(ends[0], &taken, 1), 1);
    ASSERT_EQ(taken, 'y');
    EXPECT_EQ(lock_holder(path), child);
    EXPECT_EQ(ProcessLock::take(path).code(), Code::would_block);
    EXPECT_TRUE(send_kill(child));
    EXPECT_TRUE(wait_for_end(child, 10 * kSecond));
    EXPECT_EQ(lock_holder(path), std::nullopt);
    EXPECT_TRUE(ProcessLock::take(path).ok());
    close(ends[0]);
    close(ends[1]);
}

}  // namespace
}  // namespace weft::process
