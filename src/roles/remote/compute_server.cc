#include "roles/remote/compute_methods_internal.h"
#include "roles/remote/invoke_internal.h"
#include "roles/remote/remote_compute.h"

#include <functional>
#include <map>
#include <utility>

namespace weft::remote {
namespace {

// What the connection says of its caller, whatever the bytes say.
void adopt(Caller& caller, const Caller& as) {
    caller.session = as.session;
    caller.deadline = as.deadline;
    caller.client = as.client;
}

// Decodes the arguments, puts the connection's own session into the caller, and serves.
template <class R, class... A>
Task<rpc::Reply> serve_as(ComputeService* compute, Caller as,
                          Task<R> (ComputeService::*method)(Caller, A...), std::string meta) {
    Caller caller;
    std::tuple<std::decay_t<A>...> arguments;
    auto decode = [&meta, &caller](auto&... each) {
        return wire::unpack(meta, caller, each...);
    };
    if (!std::apply(decode, arguments)) co_return Error{Code::invalid, "rpc.arguments"};
    adopt(caller, as);
    auto invoke = [compute, method, &caller](auto&... each) {
        return (compute->*method)(caller, std::move(each)...);
    };
    Task<R> task = std::apply(invoke, arguments);
    R result = co_await or_return(co_await task);
    rpc::Reply reply;
    reply.meta = wire::pack(result);
    co_return reply;
}

using Serve = std::function<Task<rpc::Reply>(ComputeService*, Caller, std::string)>;

template <class M>
Serve serving(M method) {
    return [method](ComputeService* compute, Caller as, std::string meta) {
        return serve_as(compute, as, method, std::move(meta));
    };
}

const std::map<Method, Serve>& table() {
    using C = ComputeService;
    static const std::map<Method, Serve> kTable = {
        {Method::lookup, serving(&C::lookup)},
        {Method::getattr, serving(&C::getattr)},
        {Method::setattr, serving(&C::setattr)},
        {Method::create, serving(&C::create)},
        {Method::create_open, serving(&C::create_open)},
        {Method::create_unnamed, serving(&C::create_unnamed)},
        {Method::link, serving(&C::link)},
        {Method::unlink, serving(&C::unlink)},
        {Method::rmdir, serving(&C::rmdir)},
        {Method::rename, serving(&C::rename)},
        {Method::readlink, serving(&C::readlink)},
        {Method::readdir, serving(&C::readdir)},
        {Method::open, serving(&C::open)},
        {Method::release, serving(&C::release)},
        {Method::release_lease, serving(&C::release_lease)},
        {Method::fsync, serving(&C::fsync)},
        {Method::sync, serving(&C::sync)},
        {Method::fallocate, serving(&C::fallocate)},
        {Method::copy_range, serving(&C::copy_range)},
        {Method::seek, serving(&C::seek)},
        {Method::setxattr, serving(&C::setxattr)},
        {Method::getxattr, serving(&C::getxattr)},
        {Method::listxattr, serving(&C::listxattr)},
        {Method::removexattr, serving(&C::removexattr)},
        {Method::lock, serving(&C::lock)},
        {Method::test_lock, serving(&C::test_lock)},
        {Method::cancel_lock, serving(&C::cancel_lock)},
    };
    return kTable;
}

}  // namespace

ComputeServer::ComputeServer(Reactor& reactor, std::unique_ptr<Stream> stream,
                             ComputeService& compute, SessionHost& sessions, MountHost* mounts,
                             LeaseTerms terms)
    : reactor_(reactor),
      compute_(compute),
      sessions_(sessions),
      mounts_(mounts),
      terms_(terms),
      let_go_(reactor),
      peer_(reactor, std::move(stream), this) {
    CHECK(terms_.valid());
}

Task<Done> ComputeServer::run() {
    auto ended = co_await peer_.run();
    (void)co_await end_session();  // Opened while the connection ended.
    co_return ended;
}

// Before its requests are waited for: one that waits for a lock ends with its session.
Task<Done> ComputeServer::connection_ended() {
    return end_session();
}

Task<Done> ComputeServer::end_session() {
    if (session_ == SessionId()) co_return Done{};
    (void)co_await until_caches_are_over();
    SessionId session = std::exchange(session_, SessionId());
    if (session == SessionId()) co_return Done{};
    if (attached_) co_return co_await mounts_->detach(session);
    co_return co_await sessions_.close_session(session);
}

void ComputeServer::session_ended() {
    caches_nothing_ = true;
    let_go_.notify_all();
    peer_.close();
}

// A client that cannot be reached may serve its programs from what it has cached until its term is
// over.
Task<Done> ComputeServer::until_caches_are_over() {
    while (!caches_nothing_ && reactor_.now() < caches_end_) {
        (void)co_await let_go_.wait(caches_end_);
    }
    co_return Done{};
}

Task<Done> ComputeServer::recall(Recall recall) {
    Nanos began = reactor_.now();
    auto waiting = recalls_.insert(began);
    // The compute role gives up before that.
    Nanos deadline = began + terms_.recall_most() + terms_.recall_deadline;
    auto answered =
        co_await call<Done>(&peer_, number_of(Method::recall), wire::pack(recall), deadline);
    if (!answered.ok()) (void)co_await until_caches_are_over();
    recalls_.erase(waiting);
    co_return answered;
}

// Who does not answer a recall is not renewed, or compute would stop waiting for it while it may
// still use what is recalled.
Task<rpc::Reply> ComputeServer::serve_ping() {
    Nanos now = reactor_.now();
    bool late = !recalls_.empty() && now - *recalls_.begin() > terms_.recall_patience();
    bool renews = session_ != SessionId() && !late;
    if (renews) caches_end_ = terms_.over_after(now);
    rpc::Reply reply;
    reply.meta = wire::pack(renews);
    co_return reply;
}

Task<rpc::Reply> ComputeServer::serve_close_session() {
    caches_nothing_ = true;
    let_go_.notify_all();
    co_await or_return(co_await end_session());
    co_return rpc::Reply();
}

Task<rpc::Reply> ComputeServer::handle(rpc::Request request) {
    auto method = static_cast<Method>(request.method);
    if (method == Method::ping) return serve_ping();
    if (method == Method::open_session) return serve_open_session(std::move(request.meta));
    if (method == Method::attach) return serve_attach(std::move(request.meta));
    if (method == Method::close_session) return serve_close_session();
    if (method == Method::usage) {
        return serve(&compute_, &ComputeService::usage, std::move(request.meta));
    }
    if (session_ == SessionId()) return refuse();
    if (method == Method::read) return serve_read(std::move(request));
    if (method == Method::write) return serve_write(std::move(request));
    auto found = table().find(method);
    if (found == table().end()) return refuse();
    return found->second(&compute_, caller_of(request), std::move(request.meta));
}

bool ComputeServer::is_quick(std::uint32_t method) const {
    return method == number_of(Method::ping);
}

bool ComputeServer::may_wait_for_ever(std::uint32_t method) const {
    return method == number_of(Method::lock);
}

Caller ComputeServer::caller_of(const rpc::Request& request) const {
    Caller caller;
    caller.session = session_;
    caller.deadline = request.deadline;
    caller.client = client_;
    return caller;
}

Task<rpc::Reply> ComputeServer::serve_open_session(std::string meta) {
    Client client;
    if (opening_ || !wire::unpack(meta, client)) co_return Error{Code::invalid, "rpc.open_session"};
    opening_ = true;
    client_ = client.number;
    session_ = co_await or_return(co_await sessions_.open_session(this, client));
    rpc::Reply reply;
    reply.meta = wire::pack(session_);
    co_return reply;
}

Task<rpc::Reply> ComputeServer::serve_attach(std::string meta) {
    MountHello hello;
    if (opening_ || !wire::unpack(meta, hello)) co_return Error{Code::invalid, "rpc.attach"};
    if (mounts_ == nullptr) co_return Error{Code::not_supported, "rpc.attach"};
    opening_ = true;
    client_ = hello.client.number;
    MountWelcome welcome = co_await or_return(co_await mounts_->attach(this, std::move(hello)));
    attached_ = true;
    session_ = welcome.session;
    caches_end_ = terms_.over_after(reactor_.now());
    welcome.lease_term = terms_.term;
    rpc::Reply reply;
    reply.meta = wire::pack(welcome);
    co_return reply;
}

Task<rpc::Reply> ComputeServer::serve_read(rpc::Request request) {
    Caller caller;
    FileId file;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    if (!wire::unpack(request.meta, caller, file, offset, size) || size > rpc::kPayloadBytesMost) {
        co_return Error{Code::invalid, "rpc.read"};
    }
    adopt(caller, caller_of(request));
    rpc::Reply reply;
    reply.payload = Buffer(size);
    ReadReply result =
        co_await or_return(co_await compute_.read(caller, file, offset, reply.payload.bytes()));
    reply.payload_bytes = result.count;
    reply.meta = wire::pack(result);
    co_return reply;
}

Task<rpc::Reply> ComputeServer::serve_write(rpc::Request request) {
    Caller caller;
    FileId file;
    std::uint64_t offset = 0;
    bool append = false;
    bool clear_setid = false;
    if (!wire::unpack(request.meta, caller, file, offset, append, clear_setid)) {
        co_return Error{Code::invalid, "rpc.write"};
    }
    adopt(caller, caller_of(request));
    ConstBytes from = request.payload.bytes();
    Node node = co_await or_return(
        co_await compute_.write(caller, file, offset, from, append, clear_setid));
    rpc::Reply reply;
    reply.meta = wire::pack(node);
    co_return reply;
}

}  // namespace weft::remote
