#pragma once

#include "platform/base/types.h"

#include <cerrno>
#include <utility>

#include <sys/uio.h>
#include <unistd.h>

namespace weft {

// Owns an open descriptor, or none (-1).
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

private:
    int fd_ = -1;
};

// Calls again while a signal handler cuts it short.
template <class Call>
auto retry_interrupted(Call call) {
    for (;;) {
        auto result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

inline iovec vector_of(ConstBytes part) {
    return {const_cast<std::byte*>(part.data()), part.size()};
}

}  // namespace weft
