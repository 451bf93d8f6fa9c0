#include "platform/uring/epoll_machine_internal.h"
#include "platform/uring/errors_internal.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/epoll.h>

namespace weft {
namespace {

constexpr int kEventsPerWait = 256;

int wait_for_events(int epoll, epoll_event* events, Nanos duration, bool forever) {
    timespec time{.tv_sec = duration / kSecond, .tv_nsec = duration % kSecond};
    int count = ::epoll_pwait2(epoll, events, kEventsPerWait, forever ? nullptr : &time, nullptr);
    if (count >= 0 || errno != ENOSYS) return count;
    // Before 5.11: milliseconds, rounded up so that timers are due when it returns.
    Nanos ms = std::min<Nanos>((duration + kMillisecond - 1) / kMillisecond, INT32_MAX);
    return ::epoll_wait(epoll, events, kEventsPerWait, forever ? -1 : static_cast<int>(ms));
}

}  // namespace

class EpollMachine::PolledWatch final : public FdWatch {
public:
    PolledWatch(EpollMachine& machine, int fd)
        : FdWatch(machine, fd), epoll_(machine.epoll_.get()) {}
    ~PolledWatch() override {
        if (added_) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd(), nullptr);
    }
    bool add() { return added_ = control(EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP); }
    using FdWatch::notify;

protected:
    void watch_output() override {
        if (output_) return;
        output_ = true;
        CHECK(control(EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | EPOLLOUT));
    }

private:
    bool control(int operation, std::uint32_t events) {
        epoll_event event{};
        event.events = events | static_cast<std::uint32_t>(EPOLLET);
        event.data.ptr = this;
        return ::epoll_ctl(epoll_, operation, fd(), &event) == 0;
    }

    int epoll_;
    bool added_ = false;
    bool output_ = false;
};

EpollMachine::EpollMachine(const MachineSettings& settings, std::string why)
    : MachineBase(settings),
      why_(std::move(why)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      disk_workers_("weft-disk", settings.disk_threads_max, [this] { wake(); }),
      append_workers_("weft-append", settings.async_writes_max, [this] { wake(); }) {}

EpollMachine::~EpollMachine() {
    close();
}

Result<std::unique_ptr<Machine>> EpollMachine::make(const MachineSettings& settings,
                                                    std::string why) {
    std::unique_ptr<EpollMachine> machine(new EpollMachine(settings, std::move(why)));
    if (!machine->epoll_) return Error{code_of(errno), "machine.epoll"};
    Result<Done> opened = machine->open();
    if (!opened.ok()) return opened.error();
    return std::unique_ptr<Machine>(std::move(machine));
}

std::string EpollMachine::describe() const {
    return "epoll, up to " + std::to_string(settings().disk_threads_max) + " disk threads (" +
           why_ + ")";
}

Result<std::unique_ptr<FdWatch>> EpollMachine::watch(int fd) {
    int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return Error{code_of(errno), "fd.watch"};
    if ((flags & O_NONBLOCK) == 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return Error{code_of(errno), "fd.watch"};
    }
    auto watched = std::make_unique<PolledWatch>(*this, fd);
    if (!watched->add()) return Error{code_of(errno), "fd.watch"};
    return std::unique_ptr<FdWatch>(std::move(watched));
}

void EpollMachine::issue(FileOperation& operation) {
    bool append = operation.kind == FileOperation::Kind::append;
    (append ? append_workers_ : disk_workers_).start(operation);
}

void EpollMachine::exchange(Nanos until) {
    epoll_event events[kEventsPerWait];
    bool forever = until == kNever;
    Nanos duration = forever ? 0 : std::max<Nanos>(until - now(), 0);
    int count = wait_for_events(epoll_.get(), events, duration, forever);
    CHECK(count >= 0 || errno == EINTR);
    // Noting events runs no coroutine, so no watch among them goes meanwhile.
    for (int i = 0; i < count; ++i) {
        static_cast<PolledWatch*>(events[i].data.ptr)->notify(events[i].events);
    }
}

void EpollMachine::woken() {
    take_ended(disk_workers_);
    take_ended(append_workers_);
}

void EpollMachine::take_ended(WorkerPool& pool) {
    pool.take_ended(&ended_);
    for (auto [operation, result] : ended_) operation->completed(result, 0);
}

}  // namespace weft
