#include "platform/uring/machine.h"

#include <cerrno>
#include <cstddef>
#include <cstdio>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft {
namespace {

// What a container's sandbox does: io_uring_setup() fails with EPERM from here on.
void forbid_io_uring() {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{std::size(filter), filter};
    CHECK(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

TEST(MakeMachine, FallsBackToEpollWhereIoUringIsForbiddenAndSaysWhy) {
    pid_t child = ::fork();
    if (child == 0) {
        forbid_io_uring();
        auto made = make_machine();
        bool right = made.ok() && made.value()->describe().starts_with("epoll") &&
                     made.value()->describe().find("not permitted") != std::string::npos;
        auto forced = make_machine({.kind = MachineKind::uring});
        ::_exit(right && forced.code() == Code::not_supported ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace weft
