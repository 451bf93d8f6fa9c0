#pragma once

#include "platform/disk/disk.h"
#include "platform/memory/buffer.h"
#include "platform/runtime/gate.h"
#include "platform/runtime/reactor.h"
#include "platform/runtime/sync.h"

#include <memory>
#include <optional>

namespace weft::drive {

// A disk for whose answer nobody waits longer than `patience`, of time in which this process runs:
// one that gives none for so long is gone. Then all that wait for it end with unavailable, and so
// does every call from then on.
//
// What the disk was asked for goes on in `operations`, which has to outlive that, and may come to
// an end at any time: reads go to memory of its own first. A write takes from the caller's memory,
// whatever is there by then; but only of a disk that is gone.
class PatientDisk final : public Disk {
public:
    PatientDisk(Reactor& reactor, Gate& operations, std::shared_ptr<Disk> disk, Nanos patience)
        : reactor_(reactor), operations_(operations), disk_(std::move(disk)), patience_(patience) {}

    std::uint64_t size_bytes() const override { return disk_->size_bytes(); }
    bool power_safe() const override { return disk_->power_safe(); }
    bool gone() const { return gone_; }
    Task<Done> read(std::uint64_t offset, Bytes into) override;
    Task<Done> write(std::uint64_t offset, ConstBytes from) override;
    Task<Done> flush() override;

private:
    // Shared by who waits for it and by who does it. Listed while it is not done.
    struct Operation : ListNode {
        Operation(Reactor& reactor, std::size_t bytes) : memory(bytes), ended(reactor) {}
        Buffer memory;
        std::optional<Result<Done>> outcome;
        Signal ended;
    };
    using OperationPtr = std::shared_ptr<Operation>;
    OperationPtr begin(std::size_t bytes);
    static Task<Done> perform(std::shared_ptr<Disk> disk, OperationPtr operation, Task<Done> work);
    Task<Done> await_end(OperationPtr operation);
    void give_up();

    Reactor& reactor_;
    Gate& operations_;
    std::shared_ptr<Disk> disk_;
    Nanos patience_;
    bool gone_ = false;
    List<Operation> under_way_;
};

}  // namespace weft::drive
