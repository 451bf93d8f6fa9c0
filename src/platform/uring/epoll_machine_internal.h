#pragma once

#include "platform/uring/machine_base_internal.h"
#include "platform/uring/worker_pool_internal.h"

namespace weft {

// Where io_uring is forbidden: epoll for what can be polled, threads for files.
class EpollMachine final : public MachineBase {
public:
    // `why` says why it is not io_uring.
    static Result<std::unique_ptr<Machine>> make(const MachineSettings& settings, std::string why);
    ~EpollMachine() override;

    std::string describe() const override;
    Result<std::unique_ptr<FdWatch>> watch(int fd) override;

protected:
    void issue(FileOperation& operation) override;
    void exchange(Nanos until) override;
    void woken() override;

private:
    class PolledWatch;

    EpollMachine(const MachineSettings& settings, std::string why);
    void take_ended(WorkerPool& pool);

    std::string why_;
    Descriptor epoll_;
    WorkerPool disk_workers_;
    // Apart, since these may be stuck for as long as the kernel waits for us.
    WorkerPool append_workers_;
    std::vector<WorkerPool::Ended> ended_;
};

}  // namespace weft
