#include "platform/process/process_lock.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft::process {
namespace {

struct flock whole_file() {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
}

// Whoever removes the folder may have taken the file away between our opening and our locking.
bool lies_at(int fd, const std::string& path) {
    struct stat opened{};
    struct stat there{};
    return fstat(fd, &opened) == 0 && stat(path.c_str(), &there) == 0 &&
           opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

}  // namespace

Result<ProcessLock> ProcessLock::take(const std::string& path) {
    constexpr int kTries = 10;
    for (int i = 0; i < kTries; ++i) {
        ProcessLock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (lock.fd_ < 0) return Error{Code::io_failed, "the lock file cannot be opened"};
        struct flock wanted = whole_file();
        if (fcntl(lock.fd_, F_SETLK, &wanted) != 0) {
            bool held = errno == EAGAIN || errno == EACCES;
            if (held) return Error{Code::would_block, "another process has the lock"};
            return Error{Code::io_failed, "the lock file cannot be locked"};
        }
        if (lies_at(lock.fd_, path)) return lock;
    }
    return Error{Code::io_failed, "the lock file does not stay where it is"};
}

ProcessLock::~ProcessLock() {
    if (fd_ >= 0) ::close(fd_);
}

std::optional<int> lock_holder(const std::string& path) {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return std::nullopt;
    struct flock lock = whole_file();
    bool asked = fcntl(fd, F_GETLK, &lock) == 0;
    ::close(fd);
    if (!asked || lock.l_type == F_UNLCK) return std::nullopt;
    return static_cast<int>(lock.l_pid);
}

}  // namespace weft::process
