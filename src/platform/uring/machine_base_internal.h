#pragma once

#include "platform/uring/descriptor_internal.h"
#include "platform/uring/machine.h"
#include "platform/uring/operation_internal.h"
#include "platform/uring/shallow_idle_internal.h"

#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace weft {

// What both machines share: the loop, injected calls, signals, disks and sockets. They differ
// in how they watch descriptors and who carries out operations on files.
class MachineBase : public Machine {
public:
    ~MachineBase() override;

    Nanos now() const override;
    std::int64_t wall_now() const override;
    std::uint64_t random() override { return random_(); }

    void stop() override;
    [[nodiscard]] bool inject(std::function<void()> call) override;
    Result<OpenedDisk> open_disk(std::string path) override;
    Task<Done> create_disk_file(std::string path, std::uint64_t size_bytes,
                                Preallocation preallocation) override;
    Network& network() override { return *network_; }
    Task<Done> write_fd_async(int fd, ConstBytes bytes) override;
    Task<ProcessSignal> wait_signal() override;

    // Issues the operation now, or when there is room; `ended()` is called when it has ended.
    void start(FileOperation& operation);
    // A completion of an issued operation.
    void finish(FileOperation& operation, int result);

protected:
    explicit MachineBase(const MachineSettings& settings);
    // After the derived machine is able to watch.
    Result<Done> open();
    // First in the derived destructor, while it can still watch.
    void close();

    void work() override;
    void wait() override;
    bool take_stop() override { return stop_requested_.exchange(false); }
    // From any thread: ends the current or the next exchange() early.
    void wake();
    // Never fails: what goes wrong is the operation's result.
    virtual void issue(FileOperation& operation) = 0;
    // Hands the kernel what was issued, sleeps until something happens or `until` (at once if
    // `until` is past), and takes in what happened.
    virtual void exchange(Nanos until) = 0;
    // After each wake(): what other threads have left.
    virtual void woken() {}

    const MachineSettings& settings() const { return settings_; }

private:
    // Operations that share a bound, first come first served.
    struct Lane {
        unsigned inflight_max;
        unsigned inflight = 0;
        List<FileOperation> waiting;
    };
    Lane& lane_of(const FileOperation& operation);
    void admit(Lane& lane);
    void sleep_until(Nanos until);
    void run_injected();
    Result<Done> watch_signals();

    MachineSettings settings_;
    std::thread::id thread_;
    std::mt19937_64 random_;
    ShallowIdle shallow_idle_;
    Lane disks_;
    Lane appends_;

    std::atomic<bool> stop_requested_ = false;
    std::atomic<bool> wake_requested_ = false;
    std::mutex injected_mutex_;
    std::vector<std::function<void()>> injected_;

    Descriptor wake_fd_;
    std::unique_ptr<FdWatch> wake_watch_;
    Descriptor signal_fd_;
    std::unique_ptr<FdWatch> signal_watch_;
    std::unique_ptr<Network> network_;
};

}  // namespace weft
