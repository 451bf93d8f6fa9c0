#include "roles/remote/remote_compute.h"

#include "roles/remote/compute_methods_internal.h"
#include "roles/remote/invoke_internal.h"

namespace weft::remote {
namespace {

constexpr Nanos kNever = INT64_MAX / 2;

}  // namespace

// Serves what the compute role asks of this process.
class RemoteCompute::Recalls : public rpc::Handler {
public:
    LeaseHolder* holder = nullptr;

    Task<rpc::Reply> handle(rpc::Request request) override {
        if (holder == nullptr || request.method != number_of(Method::recall)) return refuse();
        return serve(holder, &LeaseHolder::recall, std::move(request.meta));
    }
};

RemoteCompute::RemoteCompute(Reactor& reactor, std::unique_ptr<Stream> stream, Nanos deadline_after)
    : reactor_(reactor),
      deadline_after_(deadline_after),
      recalls_(std::make_unique<Recalls>()),
      peer_(reactor, std::move(stream), recalls_.get()) {}

RemoteCompute::~RemoteCompute() = default;

Task<Done> RemoteCompute::run() {
    return peer_.run();
}

void RemoteCompute::close() {
    peer_.close();
}

bool RemoteCompute::closed() const {
    return peer_.closed();
}

Nanos RemoteCompute::deadline_of(const Caller& caller) const {
    return caller.deadline != 0 ? caller.deadline : reactor_.now() + deadline_after_;
}

Task<SessionId> RemoteCompute::open_session(LeaseHolder* holder) {
    recalls_->holder = holder;
    return call<SessionId>(&peer_, number_of(Method::open_session), std::string(),
                           reactor_.now() + deadline_after_);
}

Task<Done> RemoteCompute::close_session(SessionId) {
    peer_.close();
    co_return Done{};
}

Task<Node> RemoteCompute::lookup(Caller caller, FileId directory, std::string name) {
    return call<Node>(&peer_, number_of(Method::lookup), wire::pack(caller, directory, name),
                      deadline_of(caller));
}

Task<Node> RemoteCompute::getattr(Caller caller, FileId file) {
    return call<Node>(&peer_, number_of(Method::getattr), wire::pack(caller, file),
                      deadline_of(caller));
}

Task<Node> RemoteCompute::setattr(Caller caller, FileId file, AttributeChange change) {
    return call<Node>(&peer_, number_of(Method::setattr), wire::pack(caller, file, change),
                      deadline_of(caller));
}

Task<Node> RemoteCompute::create(Caller caller, FileId directory, std::string name, NewNode what) {
    return call<Node>(&peer_, number_of(Method::create), wire::pack(caller, directory, name, what),
                      deadline_of(caller));
}

Task<Opened> RemoteCompute::create_open(Caller caller, FileId directory, std::string name,
                                        NewNode what, bool exclusive) {
    return call<Opened>(&peer_, number_of(Method::create_open),
                        wire::pack(caller, directory, name, what, exclusive), deadline_of(caller));
}

Task<Opened> RemoteCompute::create_unnamed(Caller caller, FileId directory, NewNode what) {
    return call<Opened>(&peer_, number_of(Method::create_unnamed),
                        wire::pack(caller, directory, what), deadline_of(caller));
}

Task<Node> RemoteCompute::link(Caller caller, FileId file, FileId directory, std::string name) {
    return call<Node>(&peer_, number_of(Method::link), wire::pack(caller, file, directory, name),
                      deadline_of(caller));
}

Task<Done> RemoteCompute::unlink(Caller caller, FileId directory, std::string name) {
    return call<Done>(&peer_, number_of(Method::unlink), wire::pack(caller, directory, name),
                      deadline_of(caller));
}

Task<Done> RemoteCompute::rmdir(Caller caller, FileId directory, std::string name) {
    return call<Done>(&peer_, number_of(Method::rmdir), wire::pack(caller, directory, name),
                      deadline_of(caller));
}

Task<Done> RemoteCompute::rename(Caller caller, FileId from, std::string from_name, FileId to,
                                 std::string to_name, RenameFlags flags) {
    return call<Done>(&peer_, number_of(Method::rename),
                      wire::pack(caller, from, from_name, to, to_name, flags), deadline_of(caller));
}

Task<std::string> RemoteCompute::readlink(Caller caller, FileId file) {
    return call<std::string>(&peer_, number_of(Method::readlink), wire::pack(caller, file),
                             deadline_of(caller));
}

Task<DirectoryPage> RemoteCompute::readdir(Caller caller, FileId directory, std::uint64_t cookie,
                                           std::uint32_t most_bytes, bool with_attributes) {
    return call<DirectoryPage>(&peer_, number_of(Method::readdir),
                               wire::pack(caller, directory, cookie, most_bytes, with_attributes),
                               deadline_of(caller));
}

Task<Opened> RemoteCompute::open(Caller caller, FileId file, LeaseMode want) {
    return call<Opened>(&peer_, number_of(Method::open), wire::pack(caller, file, want),
                        deadline_of(caller));
}

Task<Done> RemoteCompute::release(Caller caller, FileId file, std::uint64_t handle) {
    return call<Done>(&peer_, number_of(Method::release), wire::pack(caller, file, handle),
                      deadline_of(caller));
}

Task<Done> RemoteCompute::release_lease(Caller caller, FileId file, LeaseMode keep) {
    return call<Done>(&peer_, number_of(Method::release_lease), wire::pack(caller, file, keep),
                      deadline_of(caller));
}

Task<Done> RemoteCompute::fsync(Caller caller, FileId file) {
    return call<Done>(&peer_, number_of(Method::fsync), wire::pack(caller, file),
                      deadline_of(caller));
}

Task<Done> RemoteCompute::sync(Caller caller, FilesystemId filesystem) {
    return call<Done>(&peer_, number_of(Method::sync), wire::pack(caller, filesystem),
                      deadline_of(caller));
}

Task<Node> RemoteCompute::fallocate(Caller caller, FileId file, std::uint64_t offset,
                                    std::uint64_t length, FallocateFlags flags) {
    return call<Node>(&peer_, number_of(Method::fallocate),
                      wire::pack(caller, file, offset, length, flags), deadline_of(caller));
}

Task<std::uint64_t> RemoteCompute::copy_range(Caller caller, FileId from, std::uint64_t from_offset,
                                              FileId to, std::uint64_t to_offset,
                                              std::uint64_t length) {
    return call<std::uint64_t>(&peer_, number_of(Method::copy_range),
                               wire::pack(caller, from, from_offset, to, to_offset, length),
                               deadline_of(caller));
}

Task<std::uint64_t> RemoteCompute::seek(Caller caller, FileId file, std::uint64_t offset,
                                        bool data) {
    return call<std::uint64_t>(&peer_, number_of(Method::seek),
                               wire::pack(caller, file, offset, data), deadline_of(caller));
}

Task<Done> RemoteCompute::setxattr(Caller caller, FileId file, std::string name, std::string value,
                                   SetXattr how) {
    return call<Done>(&peer_, number_of(Method::setxattr),
                      wire::pack(caller, file, name, value, how), deadline_of(caller));
}

Task<std::string> RemoteCompute::getxattr(Caller caller, FileId file, std::string name) {
    return call<std::string>(&peer_, number_of(Method::getxattr), wire::pack(caller, file, name),
                             deadline_of(caller));
}

Task<std::vector<std::string>> RemoteCompute::listxattr(Caller caller, FileId file) {
    return call<std::vector<std::string>>(&peer_, number_of(Method::listxattr),
                                          wire::pack(caller, file), deadline_of(caller));
}

Task<Done> RemoteCompute::removexattr(Caller caller, FileId file, std::string name) {
    return call<Done>(&peer_, number_of(Method::removexattr), wire::pack(caller, file, name),
                      deadline_of(caller));
}

Task<Done> RemoteCompute::lock(Caller caller, FileId file, LockRequest request) {
    return call<Done>(&peer_, number_of(Method::lock), wire::pack(caller, file, request),
                      reactor_.now() + kNever);
}

Task<LockRequest> RemoteCompute::test_lock(Caller caller, FileId file, LockRequest request) {
    return call<LockRequest>(&peer_, number_of(Method::test_lock),
                             wire::pack(caller, file, request), deadline_of(caller));
}

Task<Done> RemoteCompute::cancel_lock(Caller caller, FileId file, LockRequest request) {
    return call<Done>(&peer_, number_of(Method::cancel_lock), wire::pack(caller, file, request),
                      deadline_of(caller));
}

Task<ReadReply> RemoteCompute::read(Caller caller, FileId file, std::uint64_t offset, Bytes into) {
    auto size = static_cast<std::uint64_t>(into.size());
    std::string arguments = wire::pack(caller, file, offset, size);
    auto answered = co_await peer_.call(number_of(Method::read), std::move(arguments), ConstBytes(),
                                        into, deadline_of(caller));
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
    std::string arguments = wire::pack(caller, file, offset, append, clear_setid);
    auto answered = co_await peer_.call(number_of(Method::write), std::move(arguments), from,
                                        Bytes(), deadline_of(caller));
    if (!answered.ok()) co_return answered.error();
    Node node;
    if (!wire::unpack(answered.value().meta, node)) co_return Error{Code::corrupt, "rpc.result"};
    co_return node;
}

Task<FilesystemUsage> RemoteCompute::usage(FilesystemId filesystem) {
    return call<FilesystemUsage>(&peer_, number_of(Method::usage), wire::pack(filesystem),
                                 reactor_.now() + deadline_after_);
}

}  // namespace weft::remote
