#pragma once

#include "platform/base/result.h"

#include <optional>
#include <string>
#include <utility>

namespace weft::process {

// A file that this process alone has, until this goes or the process ends, however it ends. Taken
// before anything else of a folder is touched. The process must not open the file otherwise: the
// kernel lets go of the lock when any descriptor of it is closed (fcntl(2), F_SETLK).
class ProcessLock {
public:
    // The file is made if it is not there. would_block: another process has it; io_failed.
    static Result<ProcessLock> take(const std::string& path);
    ProcessLock(ProcessLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    ProcessLock& operator=(ProcessLock&&) = delete;
    ~ProcessLock();

private:
    explicit ProcessLock(int fd) : fd_(fd) {}
    int fd_;
};

// The process that has the lock; 0 if it is one that has no number here (of another container).
// Empty if none has. Never asked of a lock of our own.
std::optional<int> lock_holder(const std::string& path);

}  // namespace weft::process
