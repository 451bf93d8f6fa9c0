#pragma once

#include "platform/base/bytes.h"
#include "platform/uring/machine.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

namespace weft {

// For the tests of this folder: each runs on both machines (io_uring only where it is allowed).
class OnBothMachines : public ::testing::TestWithParam<MachineKind> {
protected:
    void SetUp() override { remake({}); }
    void TearDown() override {
        machine_.reset();
        if (!folder_.empty()) std::filesystem::remove_all(folder_);
    }
    void remake(MachineSettings settings) {
        settings.kind = GetParam();
        machine_.reset();
        auto made = make_machine(settings);
        if (!made.ok() && made.code() == Code::not_supported) GTEST_SKIP() << "no io_uring here";
        machine_ = std::move(made).value();
    }
    Machine& machine() { return *machine_; }
    // In a folder of this test's own, on a real filesystem.
    std::string path(const std::string& name) {
        if (folder_.empty()) {
            char pattern[] = "/var/tmp/weft-test-XXXXXX";
            folder_ = ::mkdtemp(pattern);
        }
        return folder_ + "/" + name;
    }

private:
    std::unique_ptr<Machine> machine_;
    std::string folder_;
};

inline std::string machine_name(const ::testing::TestParamInfo<MachineKind>& info) {
    return info.param == MachineKind::uring ? "uring" : "epoll";
}

}  // namespace weft

#define WEFT_ON_BOTH_MACHINES(Suite) \
    INSTANTIATE_TEST_SUITE_P(        \
        Machine, Suite, ::testing::Values(MachineKind::uring, MachineKind::epoll), machine_name)
