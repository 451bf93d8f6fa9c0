#include "platform/uring/errors_internal.h"
#include "platform/uring/machine_base_internal.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>

namespace weft {

Result<Done> MachineBase::watch_signals() {
    if (signal_watch_ != nullptr) return Done{};
    sigset_t set;
    sigemptyset(&set);
    for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
    if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) {
        return Error{Code::io_failed, "machine.sigmask"};
    }
    signal_fd_ = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signal_fd_) return Error{code_of(errno), "machine.signalfd"};
    Result<std::unique_ptr<FdWatch>> watched = watch(signal_fd_.get());
    if (!watched.ok()) return watched.error();
    signal_watch_ = std::move(watched).value();
    return Done{};
}

Task<ProcessSignal> MachineBase::wait_signal() {
    co_await or_return(watch_signals());
    signalfd_siginfo info;
    Bytes raw = std::as_writable_bytes(std::span(&info, 1));
    std::size_t got = co_await or_return(co_await signal_watch_->read(raw));
    if (got != sizeof(info)) co_return Error{Code::io_failed, "machine.signalfd"};
    switch (info.ssi_signo) {
        case SIGINT:
            co_return ProcessSignal::interrupt;
        case SIGHUP:
            co_return ProcessSignal::hangup;
        default:
            co_return ProcessSignal::terminate;
    }
}

}  // namespace weft
