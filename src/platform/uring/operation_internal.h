#pragma once

#include "platform/base/types.h"
#include "platform/runtime/wait_list.h"

#include <cstdint>

namespace weft {

class MachineBase;

// Something that io_uring has been asked to do: its completions come here.
class Completion {
public:
    // `result` is negative errno on failure; `flags` are those of the completion entry.
    // Called between coroutines: may make waiters ready, may not resume any.
    virtual void completed(int result, std::uint32_t flags) = 0;

protected:
    ~Completion() = default;
};

// A call on a file that may take long. io_uring does it, or a worker thread. Lies in the
// coroutine that waits (disks) or on its own (asynchronous writes), linked while it waits for
// its turn.
class FileOperation : public Completion, public ListNode {
public:
    enum class Kind : std::uint8_t {
        read,
        write,
        sync_data,  // fdatasync
        sync_all,   // fsync
        allocate,   // fallocate
        append,     // write(2), at no offset
    };

    Kind kind = Kind::read;
    int fd = -1;
    int allocate_mode = 0;
    int result = 0;  // Set before ended(): bytes or 0, or negative errno.
    std::byte* data = nullptr;
    std::uint64_t length = 0;  // At most kLengthMax, except for allocate.
    std::uint64_t offset = 0;

    static constexpr std::uint64_t kLengthMax = 1 * kGiB;

    MachineBase* machine = nullptr;  // Set by MachineBase::start().

    // The system call itself, blocking. Gives `result`.
    int perform() const;
    // On the machine's thread, once, when `result` is set.
    virtual void ended() = 0;
    void completed(int outcome, std::uint32_t flags) final;

protected:
    ~FileOperation() = default;
};

}  // namespace weft
