#pragma once

#include "platform/uring/busy_poll_internal.h"
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
    // There are completions, or there will be once the kernel is asked.
    bool something_completed() const;
    bool owes_work() const;
    // Looks for completions until then, awake; false if there were none.
    bool poll_until(Nanos end);
    int submit_without_waiting();
    int submit_and_wait(Nanos duration);
    void take_completions();
    void rearm_polls();

    io_uring ring_{};
    bool ring_made_ = false;
    bool deferred_ = false;
    BusyPoll busy_poll_;
    List<Poll> polls_;        // Known to the kernel.
    List<Poll> ended_polls_;  // Of watches that live: to be armed again.
};

}  // namespace weft
