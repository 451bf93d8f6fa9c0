#include "platform/uring/errors_internal.h"
#include "platform/uring/uring_machine_internal.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>

namespace weft {
namespace {

constexpr unsigned kSubmissionEntries = 256;
// Every operation and every poll may complete between two looks; beyond this the kernel keeps
// what does not fit (IORING_FEAT_NODROP).
constexpr unsigned kCompletionEntries = 4096;
constexpr Nanos kForever = INT64_MAX;

// The newest first: completions are worked off only when we look (6.1), no interrupt of the
// thread for them (5.19), or whatever the kernel does by itself.
constexpr std::array<unsigned, 3> kRingFlags = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    0,
};

// Multishot polls came with 5.13, and no flag of their own; this one came with them.
constexpr unsigned kFeaturesNeeded =
    IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS;

// Interrupted, timed out, or busy until completions are taken: the next round goes on.
void must_exchange(int result) {
    CHECK(result >= 0 || result == -EINTR || result == -ETIME || result == -EBUSY ||
          result == -EAGAIN);
}

// With one processor, whoever could bring work waits for us to sleep.
bool has_other_processors() {
    cpu_set_t ours;
    return ::sched_getaffinity(0, sizeof(ours), &ours) != 0 || CPU_COUNT(&ours) > 1;
}

// Of a loop that waits for memory to change.
void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace

// A multishot poll. The kernel holds it until the completion without IORING_CQE_F_MORE, which
// may come after its watch is gone.
class UringMachine::Poll final : public Completion, public ListNode {
public:
    Poll(UringMachine& machine, PolledWatch* watch, unsigned events)
        : machine_(machine), watch_(watch), events_(events) {}
    void arm();
    void completed(int result, std::uint32_t flags) override;
    // The watch goes.
    void cancel();

private:
    UringMachine& machine_;
    PolledWatch* watch_;
    unsigned events_;
    bool armed_ = false;
};

class UringMachine::PolledWatch final : public FdWatch {
public:
    PolledWatch(UringMachine& machine, int fd)
        : FdWatch(machine, fd),
          machine_(machine),
          input_(new Poll(machine, this, POLLIN | POLLRDHUP)) {
        input_->arm();
    }
    ~PolledWatch() override {
        input_->cancel();
        if (output_ != nullptr) output_->cancel();
    }
    using FdWatch::notify;

protected:
    void watch_output() override {
        if (output_ != nullptr) return;
        output_ = new Poll(machine_, this, POLLOUT);
        output_->arm();
    }

private:
    UringMachine& machine_;
    Poll* input_;  // These own themselves: see Poll.
    Poll* output_ = nullptr;
};

void UringMachine::Poll::arm() {
    io_uring_sqe* entry = machine_.next_entry();
    io_uring_prep_poll_multishot(entry, watch_->fd(), events_);
    io_uring_sqe_set_data(entry, static_cast<Completion*>(this));
    machine_.polls_.push_back(*this);
    armed_ = true;
}

void UringMachine::Poll::completed(int result, std::uint32_t flags) {
    if ((flags & IORING_CQE_F_MORE) == 0) {
        unlink();
        armed_ = false;
    }
    if (watch_ == nullptr) {
        if (!armed_) delete this;
        return;
    }
    if (result < 0) {
        // Not a descriptor that can be polled: nothing will ever come of it.
        if (result != -ECANCELED) watch_->close();
    } else {
        watch_->notify(static_cast<std::uint32_t>(result));
    }
    if (!armed_ && !watch_->closed()) machine_.ended_polls_.push_back(*this);
}

void UringMachine::Poll::cancel() {
    watch_ = nullptr;
    if (!armed_) {
        delete this;
        return;
    }
    io_uring_sqe* entry = machine_.next_entry();
    io_uring_prep_cancel(entry, static_cast<Completion*>(this), 0);
    io_uring_sqe_set_data(entry, nullptr);
}

UringMachine::UringMachine(const MachineSettings& settings)
    : MachineBase(settings), busy_poll_(has_other_processors() ? settings.busy_poll : 0) {}

Result<std::unique_ptr<Machine>> UringMachine::make(const MachineSettings& settings,
                                                    std::string* why_not) {
    std::unique_ptr<UringMachine> machine(new UringMachine(settings));
    int failed = machine->set_up_ring();
    if (failed == -EPERM || failed == -ENOSYS) {
        *why_not = "io_uring: not permitted here";
    } else if (failed < 0) {
        *why_not = std::string("io_uring: ") + std::strerror(-failed);
    } else if ((machine->ring_.features & kFeaturesNeeded) != kFeaturesNeeded) {
        *why_not = "io_uring: the kernel is older than 5.13";
    } else if (!machine->open().ok()) {
        *why_not = "io_uring: no eventfd";
    } else {
        return std::unique_ptr<Machine>(std::move(machine));
    }
    return Error{Code::not_supported, "machine.uring"};
}

int UringMachine::set_up_ring() {
    int result = 0;
    for (unsigned flags : kRingFlags) {
        io_uring_params params{};
        params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        params.cq_entries = kCompletionEntries;
        result = io_uring_queue_init_params(kSubmissionEntries, &ring_, &params);
        if (result == -EINVAL) continue;
        if (result < 0) return result;
        ring_made_ = true;
        deferred_ = (flags & IORING_SETUP_DEFER_TASKRUN) != 0;
        // Spares each call looking up the ring's descriptor; older kernels cannot.
        (void)io_uring_register_ring_fd(&ring_);
        return 0;
    }
    return result;
}

UringMachine::~UringMachine() {
    close();
    if (ring_made_) io_uring_queue_exit(&ring_);
    CHECK(ended_polls_.empty());  // Watches go before the machine.
    while (Poll* poll = polls_.pop_front()) delete poll;
}

std::string UringMachine::describe() const {
    return deferred_ ? "io_uring, deferred task work" : "io_uring";
}

Result<std::unique_ptr<FdWatch>> UringMachine::watch(int fd) {
    int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return Error{code_of(errno), "fd.watch"};
    if ((flags & O_NONBLOCK) == 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return Error{code_of(errno), "fd.watch"};
    }
    return std::unique_ptr<FdWatch>(std::make_unique<PolledWatch>(*this, fd));
}

io_uring_sqe* UringMachine::next_entry() {
    for (;;) {
        if (io_uring_sqe* entry = io_uring_get_sqe(&ring_)) return entry;
        // Full. The kernel refuses more while completions overflow: those only note results
        // and make waiters ready, so taking them here is safe.
        int submitted = io_uring_submit(&ring_);
        CHECK(submitted > 0 || submitted == -EBUSY || submitted == -EAGAIN || submitted == -EINTR);
        if (submitted <= 0) take_completions();
    }
}

void UringMachine::issue(FileOperation& operation) {
    io_uring_sqe* entry = next_entry();
    auto length = static_cast<unsigned>(operation.length);
    switch (operation.kind) {
        case FileOperation::Kind::read:
            io_uring_prep_read(entry, operation.fd, operation.data, length, operation.offset);
            break;
        case FileOperation::Kind::write:
            io_uring_prep_write(entry, operation.fd, operation.data, length, operation.offset);
            break;
        case FileOperation::Kind::sync_data:
            io_uring_prep_fsync(entry, operation.fd, IORING_FSYNC_DATASYNC);
            break;
        case FileOperation::Kind::sync_all:
            io_uring_prep_fsync(entry, operation.fd, 0);
            break;
        case FileOperation::Kind::allocate:
            io_uring_prep_fallocate(entry, operation.fd, operation.allocate_mode,
                                    static_cast<off_t>(operation.offset),
                                    static_cast<off_t>(operation.length));
            break;
        case FileOperation::Kind::append:
            // From a kernel thread: on ours it could wait for what only we can do.
            io_uring_prep_write(entry, operation.fd, operation.data, length, ~std::uint64_t{0});
            io_uring_sqe_set_flags(entry, IOSQE_ASYNC);
            break;
    }
    io_uring_sqe_set_data(entry, static_cast<Completion*>(&operation));
}

void UringMachine::exchange(Nanos until) {
    rearm_polls();
    Nanos began = now();
    bool wait = until > began && !something_completed();
    if (wait) {
        Nanos window = busy_poll_.window(began);
        bool found = window > 0 && poll_until(std::min(until, began + window));
        Nanos left = until == kNever ? kForever : until - now();
        must_exchange(found || left <= 0 ? submit_without_waiting() : submit_and_wait(left));
        busy_poll_.waited(now() - began);
    } else {
        must_exchange(submit_without_waiting());
    }
    take_completions();
}

bool UringMachine::something_completed() const {
    return owes_work() || io_uring_cq_ready(&ring_) > 0;
}

bool UringMachine::owes_work() const {
    unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

bool UringMachine::poll_until(Nanos end) {
    if (io_uring_sq_ready(&ring_) > 0) must_exchange(io_uring_submit(&ring_));
    for (Nanos before = now(); !something_completed();) {
        relax();
        Nanos at = now();
        busy_poll_.looked(before, at);
        if (at >= end) return false;
        before = at;
    }
    return true;
}

int UringMachine::submit_without_waiting() {
    if (owes_work()) return io_uring_submit_and_get_events(&ring_);
    if (io_uring_sq_ready(&ring_) > 0) return io_uring_submit(&ring_);
    return 0;
}

int UringMachine::submit_and_wait(Nanos duration) {
    if (duration == kForever) return io_uring_submit_and_wait(&ring_, 1);
    __kernel_timespec time{duration / kSecond, duration % kSecond};
    io_uring_cqe* entry = nullptr;
    return io_uring_submit_and_wait_timeout(&ring_, &entry, 1, &time, nullptr);
}

void UringMachine::take_completions() {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* entry = nullptr;
    io_uring_for_each_cqe(&ring_, head, entry) {
        ++count;
        auto* completion = static_cast<Completion*>(io_uring_cqe_get_data(entry));
        if (completion != nullptr) completion->completed(entry->res, entry->flags);
    }
    io_uring_cq_advance(&ring_, count);
}

void UringMachine::rearm_polls() {
    while (Poll* poll = ended_polls_.pop_front()) poll->arm();
}

}  // namespace weft
