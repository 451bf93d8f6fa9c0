// What the machine costs against plain system calls, in one run: random 4 KiB O_DIRECT reads
// of a file (pread, and both machines at depth 1 and 32), and messages over a unix socket
// with both ends on this thread. Rounds interleave; the best of each counts.
//     reactor_bench [folder]

#include "platform/base/bytes.h"
#include "platform/memory/buffer.h"
#include "platform/runtime/gate.h"
#include "platform/uring/machine.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

namespace weft {
namespace {

constexpr std::uint64_t kFileBytes = 1 * kGiB;
constexpr int kRounds = 5;

double seconds(clockid_t clock) {
    timespec time;
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Cost {
    double wall_us = 1e9;
    double cpu_us = 1e9;
};
std::map<std::string, Cost> costs;

// Includes the CPU time of all threads of this process, and of the kernel for them.
class Measure {
public:
    Measure(std::string name, int count) : name_(std::move(name)), count_(count) {}
    ~Measure() {
        Cost& best = costs[name_];
        best.wall_us = std::min(best.wall_us, (seconds(CLOCK_MONOTONIC) - wall_) * 1e6 / count_);
        best.cpu_us =
            std::min(best.cpu_us, (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_) * 1e6 / count_);
    }

private:
    std::string name_;
    int count_;
    double wall_ = seconds(CLOCK_MONOTONIC);
    double cpu_ = seconds(CLOCK_PROCESS_CPUTIME_ID);
};

void measure_pread(const std::string& path, int count, std::uint64_t random) {
    int fd = ::open(path.c_str(), O_RDONLY | O_DIRECT);
    CHECK(fd >= 0);
    Buffer buffer(kBlockBytes);
    Measure measure("disk 4k qd1   pread", count);
    for (int i = 0; i < count; ++i) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        std::uint64_t block = (random >> 33) % (kFileBytes / kBlockBytes);
        CHECK(::pread(fd, buffer.data(), kBlockBytes, static_cast<off_t>(block * kBlockBytes)) > 0);
    }
    ::close(fd);
}

Task<Done> read_blocks(Machine* machine, Disk* disk, int count) {
    Buffer buffer(kBlockBytes);
    for (int i = 0; i < count; ++i) {
        std::uint64_t block = machine->random() % (kFileBytes / kBlockBytes);
        co_await or_return(co_await disk->read(block * kBlockBytes, buffer.bytes()));
    }
    co_return Done{};
}

void measure_disk(Machine& machine, Disk& disk, const std::string& kind, int depth, int count) {
    Measure measure("disk 4k qd" + std::to_string(depth) + (depth < 10 ? "   " : "  ") + kind,
                    count);
    Gate gate(machine);
    for (int i = 0; i < depth; ++i) gate.spawn(read_blocks(&machine, &disk, count / depth));
    CHECK(machine.run(gate.close()).ok());
}

Task<Done> accept_into(Listener* listener, std::unique_ptr<Stream>* stream) {
    *stream = co_await or_return(co_await listener->accept());
    co_return Done{};
}

Task<Done> wait_for(Machine* machine, const std::unique_ptr<Stream>* stream) {
    while (*stream == nullptr) co_await sleep(*machine, kMillisecond);
    co_return Done{};
}

Task<Done> answer(Stream* stream) {
    std::array<std::byte, 32> raw;
    std::array<ConstBytes, 1> parts = {ConstBytes(raw)};
    for (;;) {
        co_await or_return(co_await stream->read(raw));
        co_await or_return(co_await stream->write(parts));
    }
}

Task<Done> ask(Stream* stream, int count) {
    std::array<std::byte, 32> raw{};
    std::array<ConstBytes, 1> parts = {ConstBytes(raw)};
    for (int i = 0; i < count; ++i) {
        co_await or_return(co_await stream->write(parts));
        co_await or_return(co_await stream->read(raw));
    }
    co_return Done{};
}

void measure_messages(Machine& machine, const std::string& path, const std::string& kind,
                      int count) {
    auto listener = machine.network().listen("unix:" + path).value();
    std::unique_ptr<Stream> near;
    std::unique_ptr<Stream> far;
    Gate gate(machine);
    gate.spawn(accept_into(listener.get(), &far));
    Nanos deadline = machine.now() + kSecond;
    near = machine.run(machine.network().connect("unix:" + path, deadline)).value();
    CHECK(machine.run(wait_for(&machine, &far)).ok());
    gate.spawn(answer(far.get()));
    {
        Measure measure("unix 32 B qd1 " + kind, count);
        CHECK(machine.run(ask(near.get(), count)).ok());
    }
    near->close();
    CHECK(machine.run(gate.close()).ok());
}

std::unique_ptr<Machine> machine_of(MachineKind kind) {
    MachineSettings settings;
    settings.kind = kind;
    settings.disk_threads_max = 32;
    return make_machine(settings).value();
}

int run(const std::string& folder) {
    std::string path = folder + "/weft-reactor-bench";
    ::unlink(path.c_str());
    auto uring = machine_of(MachineKind::uring);
    auto epoll = machine_of(MachineKind::epoll);
    CHECK(uring->run(uring->create_disk_file(path, kFileBytes, Preallocation::written)).ok());
    for (int round = 0; round < kRounds; ++round) {
        measure_pread(path, 5000, static_cast<std::uint64_t>(round));
        for (Machine* machine : {uring.get(), epoll.get()}) {
            std::string kind = machine == uring.get() ? "io_uring" : "epoll";
            auto disk = std::move(machine->open_disk(path).value().disk);
            measure_disk(*machine, *disk, kind, 1, 5000);
            measure_disk(*machine, *disk, kind, 32, 64000);
            measure_messages(*machine, path + ".socket", kind, 100000);
        }
    }
    ::unlink(path.c_str());
    std::printf("%-26s %10s %10s %12s\n", "", "us", "cpu us", "per second");
    for (const auto& [name, cost] : costs) {
        std::printf("%-26s %10.2f %10.2f %12.0f\n", name.c_str(), cost.wall_us, cost.cpu_us,
                    1e6 / cost.wall_us);
    }
    return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
    return weft::run(argc > 1 ? argv[1] : "/var/tmp");
}
