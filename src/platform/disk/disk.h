#pragma once

#include "platform/base/types.h"
#include "platform/runtime/task.h"

namespace weft {

// A block device or a preallocated file. Offsets, sizes and buffers are multiples of 4 KiB:
// anything else is our own bug. Buffers stay valid until the task ends; on the real machine
// a task that waits for a disk may not be destroyed.
// Errors: io_failed (the device said no), unavailable (it is gone).
class Disk {
public:
    virtual ~Disk() = default;

    virtual std::uint64_t size_bytes() const = 0;
    // True if a write that has ended survives loss of power without a flush.
    virtual bool power_safe() const = 0;

    virtual Task<Done> read(std::uint64_t offset, Bytes into) = 0;
    // Ended means the device has it; it survives our crash, and loss of power after flush().
    // Torn at loss of power: any subset of its 512-byte sectors may have reached the medium.
    virtual Task<Done> write(std::uint64_t offset, ConstBytes from) = 0;
    // All writes that ended before the call survive loss of power when it ends.
    virtual Task<Done> flush() = 0;
};

}  // namespace weft
