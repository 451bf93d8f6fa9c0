#include "platform/uring/errors_internal.h"
#include "platform/uring/socket_stream_internal.h"

#include <algorithm>
#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace weft {
namespace {

// The calls with one buffer are a quarter cheaper than those with a message header.
ssize_t receive_into(int fd, Bytes first, Bytes second) {
    if (second.empty()) {
        return retry_interrupted(
            [&] { return ::recv(fd, first.data(), first.size(), MSG_DONTWAIT); });
    }
    iovec vectors[2] = {vector_of(first), vector_of(second)};
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = 2;
    return retry_interrupted([&] { return ::recvmsg(fd, &message, MSG_DONTWAIT); });
}

ssize_t send_from(int fd, std::span<iovec> vectors) {
    constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (vectors.size() == 1) {
        return retry_interrupted(
            [&] { return ::send(fd, vectors[0].iov_base, vectors[0].iov_len, kFlags); });
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = vectors.size();
    return retry_interrupted([&] { return ::sendmsg(fd, &message, kFlags); });
}

}  // namespace

// Marks the stream as in use for one direction, and broken if left with a message cut in two.
class SocketStream::Progress {
public:
    Progress(bool* in_use, bool* broken) : in_use_(in_use), broken_(broken) {
        CHECK(!*in_use_);  // One reader and one writer at a time.
        *in_use_ = true;
    }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress() {
        *in_use_ = false;
        if (moved > 0 && !whole) *broken_ = true;
    }
    std::size_t moved = 0;
    bool whole = false;

private:
    bool* in_use_;
    bool* broken_;
};

Result<std::unique_ptr<Stream>> SocketStream::make(Machine& machine, Descriptor socket) {
    int on = 1;
    // Fails on a unix socket, which never waits to fill a segment anyway.
    (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    Result<std::unique_ptr<FdWatch>> watched = machine.watch(socket.get());
    if (!watched.ok()) return watched.error();
    return std::unique_ptr<Stream>(
        std::make_unique<SocketStream>(machine, std::move(socket), std::move(watched).value()));
}

void SocketStream::close() {
    if (watch_->closed()) return;
    watch_->close();
    // The kernel's poll may hold the socket open for a moment after us: the peer hears now.
    (void)::shutdown(socket_.get(), SHUT_RDWR);
}

std::size_t SocketStream::take_ahead(Bytes into) {
    std::size_t count = std::min(into.size(), ahead_end_ - ahead_begin_);
    if (count > 0) std::memcpy(into.data(), ahead_.data() + ahead_begin_, count);
    ahead_begin_ += count;
    return count;
}

// Only when nothing lies ahead. Errors: would_block, unavailable ...
Result<std::size_t> SocketStream::receive(Bytes into) {
    CHECK(ahead_begin_ == ahead_end_);
    // Knowing the socket empty spares the call, unless an end has come that no event repeats.
    if (std::exchange(drained_, false) && !watch_->hung_up()) {
        return Error{Code::would_block, "stream.read"};
    }
    bool small = into.size() <= kSmallBytes;
    bool bulk = into.size() >= kBulkBytes;
    if (!bulk && !ahead_) ahead_ = Buffer(kAheadBytes);
    // A copy of a small message costs less than a call with two buffers.
    Bytes first = small ? ahead_.bytes() : into;
    Bytes second = small || bulk ? Bytes{} : ahead_.bytes();
    ssize_t got = receive_into(socket_.get(), first, second);
    if (got < 0) return Error{stream_code_of(errno), "stream.read"};
    if (got == 0) return Error{Code::unavailable, "stream.ended"};
    auto count = static_cast<std::size_t>(got);
    drained_ = count < first.size() + second.size();
    ahead_begin_ = 0;
    if (small) {
        ahead_end_ = count;
        return take_ahead(into);
    }
    std::size_t wanted = std::min(count, into.size());
    ahead_end_ = count - wanted;
    return wanted;
}

Task<Done> SocketStream::read(Bytes into) {
    Progress progress(&reading_, &broken_);
    while (progress.moved < into.size()) {
        if (watch_->closed() || broken_) co_return Error{Code::unavailable, "stream.closed"};
        Bytes rest = into.subspan(progress.moved);
        std::size_t at_hand = take_ahead(rest);
        progress.moved += at_hand;
        if (at_hand > 0) {
            if (wants_turn()) co_await yield(machine_);
            continue;
        }
        Result<std::size_t> got = receive(rest);
        if (got.ok()) {
            progress.moved += got.value();
            if (wants_turn()) co_await yield(machine_);
        } else if (got.code() == Code::would_block) {
            co_await or_return(co_await watch_->readable());
        } else {
            co_return got.error();
        }
    }
    progress.whole = true;
    co_return Done{};
}

// `skip` bytes of the parts are sent already.
Result<std::size_t> SocketStream::send(std::span<const ConstBytes> parts, std::size_t skip) {
    iovec vectors[FdWatch::kPartsMax];
    std::size_t count = 0;
    for (ConstBytes part : parts) {
        std::size_t sent = std::min(skip, part.size());
        skip -= sent;
        if (part.size() == sent) continue;
        vectors[count++] = vector_of(part.subspan(sent));
        if (count == FdWatch::kPartsMax) break;
    }
    ssize_t got = send_from(socket_.get(), std::span(vectors, count));
    if (got < 0) return Error{stream_code_of(errno), "stream.write"};
    return static_cast<std::size_t>(got);
}

Task<Done> SocketStream::write(std::span<const ConstBytes> parts) {
    Progress progress(&writing_, &broken_);
    std::size_t total = 0;
    for (ConstBytes part : parts) total += part.size();
    while (progress.moved < total) {
        if (watch_->closed() || broken_) co_return Error{Code::unavailable, "stream.closed"};
        Result<std::size_t> sent = send(parts, progress.moved);
        if (sent.ok()) {
            progress.moved += sent.value();
            if (wants_turn()) co_await yield(machine_);
        } else if (sent.code() == Code::would_block) {
            co_await or_return(co_await watch_->writable());
        } else {
            co_return sent.error();
        }
    }
    progress.whole = true;
    co_return Done{};
}

}  // namespace weft
