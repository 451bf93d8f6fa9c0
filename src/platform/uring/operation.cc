#include "platform/uring/descriptor_internal.h"
#include "platform/uring/operation_internal.h"

#include <fcntl.h>
#include <unistd.h>

namespace weft {

int FileOperation::perform() const {
    auto call = [this]() -> ssize_t {
        auto at = static_cast<off_t>(offset);
        switch (kind) {
            case Kind::read:
                return ::pread(fd, data, length, at);
            case Kind::write:
                return ::pwrite(fd, data, length, at);
            case Kind::sync_data:
                return ::fdatasync(fd);
            case Kind::sync_all:
                return ::fsync(fd);
            case Kind::allocate:
                return ::fallocate(fd, allocate_mode, at, static_cast<off_t>(length));
            case Kind::append:
                return ::write(fd, data, length);
        }
        return -1;
    };
    ssize_t got = retry_interrupted(call);
    return got < 0 ? -errno : static_cast<int>(got);
}

}  // namespace weft
