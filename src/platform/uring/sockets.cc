#include "platform/uring/address_internal.h"
#include "platform/uring/descriptor_internal.h"
#include "platform/uring/errors_internal.h"
#include "platform/uring/socket_stream_internal.h"
#include "platform/uring/sockets_internal.h"

#include <algorithm>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace weft {
namespace {

constexpr int kBacklog = 1024;
// Between two tries to reach a unix socket whose queue of connections is full.
constexpr Nanos kRetryEvery = 1 * kMillisecond;

Result<Descriptor> open_socket(int family, std::string_view what) {
    Descriptor socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return Error{code_of(errno), what};
    return socket;
}

// A socket's file outlives a process that dies: it goes if nobody listens there any more.
// Errors: already_exists (somebody does, or it is not a socket).
Result<Done> remove_stale(const SocketAddress& address) {
    std::string path = address.path();
    struct stat about;
    if (::lstat(path.c_str(), &about) < 0) return Done{};
    if (!S_ISSOCK(about.st_mode)) return Error{Code::already_exists, "net.listen"};
    Result<Descriptor> probe = open_socket(AF_UNIX, "net.listen");
    if (!probe.ok()) return probe.error();
    int connected = ::connect(probe.value().get(), address.raw(), address.length);
    if (connected == 0 || errno != ECONNREFUSED) return Error{Code::already_exists, "net.listen"};
    if (::unlink(path.c_str()) < 0) return Error{code_of(errno), "net.listen"};
    return Done{};
}

class SocketListener final : public Listener {
public:
    SocketListener(Machine& machine, Descriptor socket, std::unique_ptr<FdWatch> watch)
        : machine_(machine), socket_(std::move(socket)), watch_(std::move(watch)) {
        std::string path = SocketAddress::of_local(socket_.get()).path();
        if (!path.empty() && ::lstat(path.c_str(), &file_) == 0) path_ = std::move(path);
    }
    ~SocketListener() override { close(); }

    Task<std::unique_ptr<Stream>> accept() override;
    void close() override;
    std::string address() const override { return SocketAddress::of_local(socket_.get()).text(); }

private:
    Machine& machine_;
    Descriptor socket_;
    std::unique_ptr<FdWatch> watch_;
    std::string path_;  // Of a unix socket,
    struct stat file_;  // and which file that was.
};

Task<std::unique_ptr<Stream>> SocketListener::accept() {
    for (;;) {
        if (watch_->closed()) co_return Error{Code::unavailable, "net.accept"};
        Descriptor peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (peer) co_return SocketStream::make(machine_, std::move(peer));
        Code code = code_of(errno);
        if (code == Code::would_block) {
            co_await or_return(co_await watch_->readable());
        } else if (code == Code::limit_reached || code == Code::retry_later ||
                   code == Code::invalid) {
            co_return Error{code, "net.accept"};
        } else {
            // That peer is gone already; the next may be well.
            co_await yield(machine_);
        }
    }
}

void SocketListener::close() {
    if (watch_->closed()) return;
    watch_->close();
    (void)::shutdown(socket_.get(), SHUT_RDWR);
    if (path_.empty()) return;
    struct stat now;
    bool ours = ::lstat(path_.c_str(), &now) == 0 && now.st_ino == file_.st_ino &&
                now.st_dev == file_.st_dev;
    if (ours) ::unlink(path_.c_str());
}

class SocketNetwork final : public Network {
public:
    explicit SocketNetwork(Machine& machine) : machine_(machine) {}
    Result<std::unique_ptr<Listener>> listen(std::string address) override;
    Task<std::unique_ptr<Stream>> connect(std::string address, Nanos deadline) override;

private:
    Task<Done> wait_connected(int fd, Nanos deadline);

    Machine& machine_;
};

Result<std::unique_ptr<Listener>> SocketNetwork::listen(std::string text) {
    Result<SocketAddress> parsed = SocketAddress::parse(text);
    if (!parsed.ok()) return parsed.error();
    const SocketAddress& address = parsed.value();
    if (!address.path().empty()) {
        Result<Done> removed = remove_stale(address);
        if (!removed.ok()) return removed.error();
    }
    Result<Descriptor> opened = open_socket(address.family(), "net.listen");
    if (!opened.ok()) return opened.error();
    Descriptor socket = std::move(opened).value();
    // A unix socket's file has this mode from its first moment, whatever the umask is: who may
    // connect may do everything.
    if (!address.path().empty() && ::fchmod(socket.get(), S_IRUSR | S_IWUSR) < 0) {
        return Error{code_of(errno), "net.listen"};
    }
    int on = 1;
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(socket.get(), address.raw(), address.length) < 0 ||
        ::listen(socket.get(), kBacklog) < 0) {
        return Error{code_of(errno), "net.listen"};
    }
    Result<std::unique_ptr<FdWatch>> watched = machine_.watch(socket.get());
    if (!watched.ok()) return watched.error();
    return std::unique_ptr<Listener>(
        std::make_unique<SocketListener>(machine_, std::move(socket), std::move(watched).value()));
}

Task<Done> SocketNetwork::wait_connected(int fd, Nanos deadline) {
    std::unique_ptr<FdWatch> watched = co_await or_return(machine_.watch(fd));
    for (;;) {
        Result<Done> changed = co_await watched->writable(deadline);
        if (!changed.ok()) co_return Error{changed.code(), "net.connect"};
        int failed = 0;
        socklen_t length = sizeof(failed);
        if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &length) < 0) failed = errno;
        if (failed != 0) co_return Error{stream_code_of(failed), "net.connect"};
        sockaddr_storage peer;
        length = sizeof(peer);
        if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0) {
            co_return Done{};
        }
    }
}

Task<std::unique_ptr<Stream>> SocketNetwork::connect(std::string text, Nanos deadline) {
    SocketAddress address = co_await or_return(SocketAddress::parse(text));
    for (;;) {
        Descriptor socket = co_await or_return(open_socket(address.family(), "net.connect"));
        int connected = ::connect(socket.get(), address.raw(), address.length);
        int failed = connected < 0 ? errno : 0;
        if (failed == EINPROGRESS || failed == EINTR) {
            co_await or_return(co_await wait_connected(socket.get(), deadline));
            failed = 0;
        }
        if (failed == 0) co_return SocketStream::make(machine_, std::move(socket));
        if (failed != EAGAIN) co_return Error{stream_code_of(failed), "net.connect"};
        // A unix socket whose listener is behind: it offers no other way to wait.
        if (machine_.now() >= deadline) co_return Error{Code::retry_later, "net.connect"};
        Nanos pause = std::min(kRetryEvery, deadline - machine_.now());
        co_await sleep(machine_, pause);
    }
}

}  // namespace

std::unique_ptr<Network> make_network(Machine& machine) {
    return std::make_unique<SocketNetwork>(machine);
}

}  // namespace weft
