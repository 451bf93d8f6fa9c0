#include "platform/uring/fd_watch.h"

#include "platform/uring/descriptor_internal.h"
#include "platform/uring/errors_internal.h"

#include <algorithm>
#include <cerrno>

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

namespace weft {

FdWatch::~FdWatch() {
    CHECK(in_.wait == nullptr && out_.wait == nullptr);
}

void FdWatch::change(Side& side) {
    side.changed = true;
    if (side.wait != nullptr) reactor_.ready(side.wait->waiter_);
}

void FdWatch::notify(std::uint32_t events) {
    constexpr std::uint32_t kBroken = POLLHUP | POLLERR | POLLNVAL;
    if ((events & (kBroken | POLLRDHUP)) != 0) hung_up_ = true;
    if ((events & (kBroken | POLLRDHUP | POLLIN)) != 0) change(in_);
    if ((events & (kBroken | POLLOUT)) != 0) change(out_);
}

void FdWatch::close() {
    closed_ = true;
    change(in_);
    change(out_);
}

Result<Done> FdWatch::Wait::await_resume() {
    timer_.disarm();
    if (side_.wait == this) side_.wait = nullptr;
    if (watch_.closed_) return Error{Code::unavailable, "fd.closed"};
    if (std::exchange(side_.changed, false)) return Done{};
    return Error{Code::retry_later, "fd.deadline"};
}

Result<std::size_t> FdWatch::try_read(Bytes into) {
    ssize_t got = retry_interrupted([&] { return ::read(fd_, into.data(), into.size()); });
    if (got < 0) return Error{code_of(errno), "fd.read"};
    return static_cast<std::size_t>(got);
}

Result<std::size_t> FdWatch::try_write(std::span<const ConstBytes> parts) {
    iovec vectors[kPartsMax];
    std::size_t count = std::min(parts.size(), kPartsMax);
    for (std::size_t i = 0; i < count; ++i) vectors[i] = vector_of(parts[i]);
    ssize_t sent =
        retry_interrupted([&] { return ::writev(fd_, vectors, static_cast<int>(count)); });
    if (sent < 0) return Error{code_of(errno), "fd.write"};
    return static_cast<std::size_t>(sent);
}

Task<std::size_t> FdWatch::read(Bytes into, Nanos deadline) {
    for (;;) {
        Result<std::size_t> got = try_read(into);
        if (got.code() != Code::would_block) co_return got;
        co_await or_return(co_await readable(deadline));
    }
}

Task<std::size_t> FdWatch::write(std::span<const ConstBytes> parts, Nanos deadline) {
    for (;;) {
        Result<std::size_t> sent = try_write(parts);
        if (sent.code() != Code::would_block) co_return sent;
        co_await or_return(co_await writable(deadline));
    }
}

}  // namespace weft
