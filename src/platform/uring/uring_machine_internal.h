#pragma once

#include "platform/uring/machine_base_internal.h"

#include <liburing.h>

namespace weft {

// One ring for everything: operations on files go through it, and descriptors are watched
// with multishot polls in it.
class UringMachine final : public MachineBase {
public:
    // Errors: not_supported, with `*why_not` for people.
    static Result<std::unique_ptr<Machine>> make(const MachineSettings& settings,
                                                 std::string* why_not);
    ~UringMachine() override;

    std::string describe() const override;
    Result<std::unique_ptr<FdWatch>> watch(int fd) override;

protected:
    void issue(FileOperation& operation) override;
    void exchange(Nanos until) override;

private:
    class Poll;
    class PolledWatch;

    explicit UringMachine(const MachineSettings& settings);
    // 0 or negative errno.
    int set_up_ring();
    io_uring_sqe* next_entry();
    int submit_without_waiting();
    int submit_and_wait(Nanos duration);
    void take_completions();
    void rearm_polls();

    io_uring ring_{};
    bool ring_made_ = false;
    bool deferred_ = false;
    List<Poll> polls_;        // Known to the kernel.
    List<Poll> ended_polls_;  // Of watches that live: to be armed again.
};

}  // namespace weft
