#include "roles/drive/patient_disk.h"

#include <algorithm>
#include <utility>

namespace weft::drive {

namespace {

// By ticks and not by the clock: if this process itself was held up, an answer that it has not read
// yet is not silence.
constexpr int kTicks = 20;
constexpr Error kGone{Code::unavailable, "drive.disk: it does not answer"};

}  // namespace

PatientDisk::OperationPtr PatientDisk::begin(std::size_t bytes) {
    auto operation = std::make_shared<Operation>(reactor_, bytes);
    under_way_.push_back(*operation);
    return operation;
}

// Holds the disk and the memory for as long as it takes.
Task<Done> PatientDisk::perform(std::shared_ptr<Disk> disk, OperationPtr operation,
                                Task<Done> work) {
    auto outcome = co_await work;
    operation->outcome = outcome;
    operation->unlink();
    operation->ended.notify_all();
    (void)disk;
    co_return Done{};
}

Task<Done> PatientDisk::await_end(OperationPtr operation) {
    int ticks = 0;
    while (!operation->outcome.has_value()) {
        if (gone_) co_return kGone;
        bool in_time = co_await operation->ended.wait(reactor_.now() + patience_ / kTicks);
        if (in_time || operation->outcome.has_value()) continue;
        if (++ticks == kTicks) give_up();
    }
    // What comes after others were given up comes too late: they may have been told otherwise.
    if (gone_) co_return kGone;
    co_return *operation->outcome;
}

void PatientDisk::give_up() {
    gone_ = true;
    while (Operation* operation = under_way_.pop_front()) operation->ended.notify_all();
}

Task<Done> PatientDisk::read(std::uint64_t offset, Bytes into) {
    if (gone_) co_return kGone;
    OperationPtr operation = begin(into.size());
    Bytes memory = operation->memory.bytes();
    operations_.spawn(perform(disk_, operation, disk_->read(offset, memory)));
    co_await or_return(co_await await_end(operation));
    std::copy(memory.begin(), memory.end(), into.begin());
    co_return Done{};
}

Task<Done> PatientDisk::write(std::uint64_t offset, ConstBytes from) {
    if (gone_) co_return kGone;
    OperationPtr operation = begin(0);
    operations_.spawn(perform(disk_, operation, disk_->write(offset, from)));
    co_return co_await await_end(operation);
}

Task<Done> PatientDisk::flush() {
    if (gone_) co_return kGone;
    OperationPtr operation = begin(0);
    operations_.spawn(perform(disk_, operation, disk_->flush()));
    co_return co_await await_end(operation);
}

}  // namespace weft::drive
