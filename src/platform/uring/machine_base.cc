#include "platform/uring/append_operation_internal.h"
#include "platform/uring/errors_internal.h"
#include "platform/uring/file_disk_internal.h"
#include "platform/uring/machine_base_internal.h"
#include "platform/uring/sockets_internal.h"

#include <utility>

#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>

namespace weft {
namespace {

// Ready coroutines run in at most this many rounds before the kernel is looked at again, so
// that a chain of them that always has more to do cannot keep completions waiting.
constexpr int kRoundsPerTurn = 16;

// How long a machine that is destroyed waits for asynchronous writes whose tasks are gone.
constexpr Nanos kCloseTime = 1 * kSecond;

std::int64_t read_clock(clockid_t clock) {
    timespec time;
    CHECK(::clock_gettime(clock, &time) == 0);
    return time.tv_sec * kSecond + time.tv_nsec;
}

std::uint64_t random_seed() {
    std::uint64_t seed = 0;
    CHECK(::getrandom(&seed, sizeof(seed), 0) == sizeof(seed));
    return seed;
}

}  // namespace

void Machine::run() {
    for (work(); !take_stop(); work()) wait();
}

Task<Done> Machine::poll_readable(int fd, Nanos deadline) {
    std::unique_ptr<FdWatch> watched = co_await or_return(watch(fd));
    co_return co_await watched->readable(deadline);
}

Task<std::size_t> Machine::read_fd(int fd, Bytes into, Nanos deadline) {
    std::unique_ptr<FdWatch> watched = co_await or_return(watch(fd));
    co_return co_await watched->read(into, deadline);
}

Task<std::size_t> Machine::write_fd(int fd, std::span<const ConstBytes> parts, Nanos deadline) {
    std::unique_ptr<FdWatch> watched = co_await or_return(watch(fd));
    co_return co_await watched->write(parts, deadline);
}

MachineBase::MachineBase(const MachineSettings& settings)
    : settings_(settings),
      thread_(std::this_thread::get_id()),
      random_(random_seed()),
      shallow_idle_(settings.stay_awake ? ShallowIdle::usual_path() : ""),
      disks_{.inflight_max = settings.inflight_max, .waiting = {}},
      appends_{.inflight_max = settings.async_writes_max, .waiting = {}} {
    CHECK(settings.inflight_max >= 1 && settings.inflight_max <= 16384);
    CHECK(settings.async_writes_max >= 1 && settings.async_writes_max <= 1024);
    CHECK(settings.disk_threads_max >= 1 && settings.disk_threads_max <= 256);
    CHECK(settings.injected_max >= 1);
}

MachineBase::~MachineBase() {
    CHECK(wake_watch_ == nullptr);  // close() has run.
}

Result<Done> MachineBase::open() {
    wake_fd_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_fd_) return Error{code_of(errno), "machine.eventfd"};
    Result<std::unique_ptr<FdWatch>> watched = watch(wake_fd_.get());
    if (!watched.ok()) return watched.error();
    wake_watch_ = std::move(watched).value();
    network_ = make_network(*this);
    return Done{};
}

void MachineBase::close() {
    CHECK(std::this_thread::get_id() == thread_);
    CHECK(disks_.inflight == 0 && disks_.waiting.empty());
    network_.reset();
    signal_watch_.reset();
    Nanos until = now() + kCloseTime;
    while (appends_.inflight > 0 && now() < until) sleep_until(until);
    wake_watch_.reset();
}

Nanos MachineBase::now() const {
    return read_clock(CLOCK_MONOTONIC);
}

std::int64_t MachineBase::wall_now() const {
    return read_clock(CLOCK_REALTIME);
}

void MachineBase::work() {
    CHECK(std::this_thread::get_id() == thread_);
    fire_timers();
    for (int round = 0; round < kRoundsPerTurn && run_ready() > 0; ++round) {
    }
}

void MachineBase::wait() {
    admit(disks_);
    admit(appends_);
    sleep_until(has_ready() ? now() : next_due());
}

void MachineBase::sleep_until(Nanos until) {
    exchange(shallow_idle_.wake_at(until));
    shallow_idle_.woke(now());
    if (!wake_requested_.load(std::memory_order_acquire)) return;
    std::uint64_t count = 0;
    (void)!::read(wake_fd_.get(), &count, sizeof(count));  // Not there yet: wakes us once more.
    // First the flag, then what it stands for: who comes between wakes us again.
    wake_requested_.exchange(false, std::memory_order_acq_rel);
    woken();
    run_injected();
}

void MachineBase::wake() {
    if (wake_requested_.exchange(true, std::memory_order_acq_rel)) return;
    std::uint64_t one = 1;
    CHECK(::write(wake_fd_.get(), &one, sizeof(one)) == sizeof(one));
}

void MachineBase::stop() {
    stop_requested_ = true;
    wake();
}

bool MachineBase::inject(std::function<void()> call) {
    {
        std::scoped_lock lock(injected_mutex_);
        if (injected_.size() >= settings_.injected_max) return false;
        injected_.push_back(std::move(call));
    }
    wake();
    return true;
}

void MachineBase::run_injected() {
    std::vector<std::function<void()>> calls;
    {
        std::scoped_lock lock(injected_mutex_);
        calls.swap(injected_);
    }
    for (auto& call : calls) call();
}

MachineBase::Lane& MachineBase::lane_of(const FileOperation& operation) {
    return operation.kind == FileOperation::Kind::append ? appends_ : disks_;
}

void MachineBase::start(FileOperation& operation) {
    CHECK(operation.length <= FileOperation::kLengthMax ||
          operation.kind == FileOperation::Kind::allocate);
    operation.machine = this;
    Lane& lane = lane_of(operation);
    lane.waiting.push_back(operation);
    admit(lane);
}

void MachineBase::admit(Lane& lane) {
    while (lane.inflight < lane.inflight_max && !lane.waiting.empty()) {
        ++lane.inflight;
        issue(*lane.waiting.pop_front());
    }
}

void FileOperation::completed(int outcome, std::uint32_t) {
    machine->finish(*this, outcome);
}

void MachineBase::finish(FileOperation& operation, int result) {
    Lane& lane = lane_of(operation);
    CHECK(lane.inflight > 0);
    --lane.inflight;
    operation.result = result;
    operation.ended();
}

Task<Done> MachineBase::write_fd_async(int fd, ConstBytes bytes) {
    AppendWait written(*this, fd, bytes);
    int result = co_await written;
    if (result < 0) co_return Error{code_of(-result), "fd.write_async"};
    if (static_cast<std::size_t>(result) != bytes.size()) {
        co_return Error{Code::io_failed, "fd.write_async"};
    }
    co_return Done{};
}

}  // namespace weft
