#include "roles/remote/remote_compute.h"

#include "roles/remote/compute_methods_internal.h"
#include "roles/remote/invoke_internal.h"

namespace weft::remote {
namespace {

constexpr Nanos kNever = INT64_MAX / 2;
constexpr Nanos kGoodbyeMost = 1 * kSecond;

}  // namespace

// One connection, and what the compute role asks over it.
struct RemoteCompute::Connection : rpc::Handler {
    Connection(Reactor& reactor, std::unique_ptr<Stream> stream)
        : peer(reactor, std::move(stream), this) {}

    Task<rpc::Reply> handle(rpc::Request request) override {
        if (holder == nullptr || request.method != number_of(Method::recall)) return refuse();
        return remote::serve(holder, &LeaseHolder::recall, std::move(request.meta));
    }

    LeaseHolder* holder = nullptr;
    rpc::Peer peer;
};

RemoteCompute::RemoteCompute(Reactor& reactor, Nanos deadline_after)
    : reactor_(reactor), deadline_after_(deadline_after) {}

RemoteCompute::~RemoteCompute() = default;

void RemoteCompute::connect(std::unique_ptr<Stream> stream) {
    if (connection_ != nullptr) {
        connection_->holder = nullptr;
        connection_->peer.close();
    }
    connection_ = std::make_shared<Connection>(reactor_, std::move(stream));
}

Task<Done> RemoteCompute::serve(std::shared_ptr<Connection> connection) {
    auto ended = co_await connection->peer.run();
    if (connection->holder != nullptr) connection->holder->session_ended();
    co_return ended;
}

Task<Done> RemoteCompute::run() {
    return serve(connection_);
}

void RemoteCompute::close() {
    if (connection_ != nullptr) connection_->peer.close();
}

bool RemoteCompute::closed() const {
    return connection_ == nullptr || connection_->peer.closed();
}

Nanos RemoteCompute::last_heard() const {
    return connection_ == nullptr ? 0 : connection_->peer.last_heard();
}

Nanos RemoteCompute::last_taken() const {
    return connection_ == nullptr ? 0 : connection_->peer.last_taken();
}

// The session goes with the connection, which `unavailable` would not say.
template <class R>
Task<R> RemoteCompute::ask(std::shared_ptr<Connection> to, Method method, std::string arguments,
                           Nanos deadline, Nanos* taken) {
    constexpr Error kOver{Code::fenced, "rpc.connection"};
    if (to == nullptr) co_return kOver;
    auto answered =
        co_await call<R>(&to->peer, number_of(method), std::move(arguments), deadline, taken);
    if (answered.code() == Code::unavailable && to->peer.closed()) co_return kOver;
    co_return answered;
}

Nanos RemoteCompute::deadline_of(const Caller& caller) const {
    return caller.deadline != 0 ? caller.deadline : reactor_.now() + deadline_after_;
}

Task<SessionId> RemoteCompute::open_session(LeaseHolder* holder, Client client) {
    if (connection_ != nullptr) connection_->holder = holder;
    return ask<SessionId>(connection_, Method::open_session, wire::pack(client),
                          reactor_.now() + deadline_after_);
}

Task<MountWelcome> RemoteCompute::attach(LeaseHolder* holder, MountHello hello) {
    if (connection_ != nullptr) connection_->holder = holder;
    return ask<MountWelcome>(connection_, Method::attach, wire::pack(hello),
                             reactor_.now() + deadline_after_);
}

Task<Done> RemoteCompute::close_session(SessionId) {
    std::shared_ptr<Connection> ending = connection_;
    if (ending == nullptr) co_return Done{};
    ending->holder = nullptr;
    Nanos deadline = reactor_.now() + kGoodbyeMost;
    (void)co_await ask<Done>(ending, Method::close_session, std::string(), deadline);
    ending->peer.close();
    co_return Done{};
}

Task<bool> RemoteCompute::ping(Nanos deadline, Nanos* taken) {
    return ask<bool>(connection_, Method::ping, std::string(), deadline, taken);
}

Task<Node> RemoteCompute::lookup(Caller caller, FileId directory, std::string name) {
    return ask<Node>(connection_, Method::lookup, wire::pack(caller, directory, name),
                     deadline_of(caller));
}

Task<Node> RemoteCompute::getattr(Caller caller, FileId file) {
    return ask<Node>(connection_, Method::getattr, wire::pack(caller, file), deadline_of(caller));
}

Task<Node> RemoteCompute::setattr(Caller caller, FileId file, AttributeChange change) {
    return ask<Node>(connection_, Method::setattr, wire::pack(caller, file, change),
                     deadline_of(caller));
}

Task<Node> RemoteCompute::create(Caller caller, FileId directory, std::string name, NewNode what) {
    return ask<Node>(connection_, Method::create, wire::pack(caller, directory, name, what),
                     deadline_of(caller));
}

Task<Opened> RemoteCompute::create_open(Caller caller, FileId directory, std::string name,
                                        NewNode what, bool exclusive) {
    return ask<Opened>(connection_, Method::create_open,
                       wire::pack(caller, directory, name, what, exclusive), deadline_of(caller));
}

Task<Opened> RemoteCompute::create_unnamed(Caller caller, FileId directory, NewNode what) {
    return ask<Opened>(connection_, Method::create_unnamed, wire::pack(caller, directory, what),
                       deadline_of(caller));
}

Task<Node> RemoteCompute::link(Caller caller, FileId file, FileId directory, std::string name) {
    return ask<Node>(connection_, Method::link, wire::pack(caller, file, directory, name),
                     deadline_of(caller));
}

Task<Done> RemoteCompute::unlink(Caller caller, FileId directory, std::string name) {
    return ask<Done>(connection_, Method::unlink, wire::pack(caller, directory, name),
                     deadline_of(caller));
}

Task<Done> RemoteCompute::rmdir(Caller caller, FileId directory, std::string name) {
    return ask<Done>(connection_, Method::rmdir, wire::pack(caller, directory, name),
                     deadline_of(caller));
}

Task<Done> RemoteCompute::rename(Caller caller, FileId from, std::string from_name, FileId to,
                                 std::string to_name, RenameFlags flags) {
    return ask<Done>(connection_, Method::rename,
                     wire::pack(caller, from, from_name, to, to_name, flags), deadline_of(caller));
}

Task<std::string> RemoteCompute::readlink(Caller caller, FileId file) {
    return ask<std::string>(connection_, Method::readlink, wire::pack(caller, file),
                            deadline_of(caller));
}

Task<DirectoryPage> RemoteCompute::readdir(Caller caller, FileId directory, std::uint64_t cookie,
                                           std::uint32_t most_bytes, bool with_attributes) {
    return ask<DirectoryPage>(connection_, Method::readdir,
                              wire::pack(caller, directory, cookie, most_bytes, with_attributes),
                              deadline_of(caller));
}

Task<Opened> RemoteCompute::open(Caller caller, FileId file, LeaseMode want) {
    return ask<Opened>(connection_, Method::open, wire::pack(caller, file, want),
                       deadline_of(caller));
}

Task<Done> RemoteCompute::release(Caller caller, FileId file, std::uint64_t handle) {
    return ask<Done>(connection_, Method::release, wire::pack(caller, file, handle),
                     deadline_of(caller));
}

Task<Done> RemoteCompute::release_lease(Caller caller, FileId file, LeaseMode keep) {
    return ask<Done>(connection_, Method::release_lease, wire::pack(caller, file, keep),
                     deadline_of(caller));
}

Task<Done> RemoteCompute::fsync(Caller caller, FileId file) {
    return ask<Done>(connection_, Method::fsync, wire::pack(caller, file), deadline_of(caller));
}

Task<Done> RemoteCompute::sync(Caller caller, FilesystemId filesystem) {
    return ask<Done>(connection_, Method::sync, wire::pack(caller, filesystem),
                     deadline_of(caller));
}

Task<Node> RemoteCompute::fallocate(Caller caller, FileId file, std::uint64_t offset,
                                    std::uint64_t length, FallocateFlags flags) {
    return ask<Node>(connection_, Method::fallocate,
                     wire::pack(caller, file, offset, length, flags), deadline_of(caller));
}

Task<std::uint64_t> RemoteCompute::copy_range(Caller caller, FileId from, std::uint64_t from_offset,
                                              FileId to, std::uint64_t to_offset,
                                              std::uint64_t length) {
    return ask<std::uint64_t>(connection_, Method::copy_range,
                              wire::pack(caller, from, from_offset, to, to_offset, length),
                              deadline_of(caller));
}

Task<std::uint64_t> RemoteCompute::seek(Caller caller, FileId file, std::uint64_t offset,
                                        bool data) {
    return ask<std::uint64_t>(connection_, Method::seek, wire::pack(caller, file, offset, data),
                              deadline_of(caller));
}

Task<Done> RemoteCompute::setxattr(Caller caller, FileId file, std::string name, std::string value,
                                   SetXattr how) {
    return ask<Done>(connection_, Method::setxattr, wire::pack(caller, file, name, value, how),
                     deadline_of(caller));
}

Task<std::string> RemoteCompute::getxattr(Caller caller, FileId file, std::string name) {
    return ask<std::string>(connection_, Method::getxattr, wire::pack(caller, file, name),
                            deadline_of(caller));
}

Task<std::vector<std::string>> RemoteCompute::listxattr(Caller caller, FileId file) {
    return ask<std::vector<std::string>>(connection_, Method::listxattr, wire::pack(caller, file),
                                         deadline_of(caller));
}

Task<Done> RemoteCompute::removexattr(Caller caller, FileId file, std::string name) {
    return ask<Done>(connection_, Method::removexattr, wire::pack(caller, file, name),
                     deadline_of(caller));
}

Task<Done> RemoteCompute::lock(Caller caller, FileId file, LockRequest request) {
    return ask<Done>(connection_, Method::lock, wire::pack(caller, file, request),
                     reactor_.now() + kNever);
}

Task<LockRequest> RemoteCompute::test_lock(Caller caller, FileId file, LockRequest request) {
    return ask<LockRequest>(connection_, Method::test_lock, wire::pack(caller, file, request),
                            deadline_of(caller));
}

Task<Done> RemoteCompute::cancel_lock(Caller caller, FileId file, LockRequest request) {
    return ask<Done>(connection_, Method::cancel_lock, wire::pack(caller, file, request),
                     deadline_of(caller));
}

Task<ReadReply> RemoteCompute::read(Caller caller, FileId file, std::uint64_t offset, Bytes into) {
    constexpr Error kOver{Code::fenced, "rpc.connection"};
    std::shared_ptr<Connection> to = connection_;
    if (to == nullptr) co_return kOver;
    auto size = static_cast<std::uint64_t>(into.size());
    std::string arguments = wire::pack(caller, file, offset, size);
    auto answered = co_await to->peer.call(number_of(Method::read), std::move(arguments),
                                           ConstBytes(), into, deadline_of(caller));
    if (answered.code() == Code::unavailable && to->peer.closed()) co_return kOver;
    if (!answered.ok()) co_return answered.error();
    ReadReply reply;
    bool good = wire::unpack(answered.value().meta, reply);
    if (!good || reply.count != answered.value().payload_bytes) {
        co_return Error{Code::corrupt, "rpc.result"};
    }
    co_return reply;
}

Task<Node> RemoteCompute::write(Caller caller, FileId file, std::uint64_t offset, ConstBytes from,
                                bool append, bool clear_setid) {
    constexpr Error kOver{Code::fenced, "rpc.connection"};
    std::shared_ptr<Connection> to = connection_;
    if (to == nullptr) co_return kOver;
    std::string arguments = wire::pack(caller, file, offset, append, clear_setid);
    auto answered = co_await to->peer.call(number_of(Method::write), std::move(arguments), from,
                                           Bytes(), deadline_of(caller));
    if (answered.code() == Code::unavailable && to->peer.closed()) co_return kOver;
    if (!answered.ok()) co_return answered.error();
    Node node;
    if (!wire::unpack(answered.value().meta, node)) co_return Error{Code::corrupt, "rpc.result"};
    co_return node;
}

Task<FilesystemUsage> RemoteCompute::usage(FilesystemId filesystem) {
    return ask<FilesystemUsage>(connection_, Method::usage, wire::pack(filesystem),
                                reactor_.now() + deadline_after_);
}

}  // namespace weft::remote
