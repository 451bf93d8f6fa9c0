#include "processes/client/connection.h"

#include <utility>

namespace weft::client {
namespace {

constexpr Nanos kConnectMost = 2 * kSecond;
constexpr Nanos kCallMost = 30 * kSecond;
constexpr Nanos kPingEvery = 1 * kSecond;
constexpr Nanos kPingMost = 4 * kSecond;

class NoLeases : public LeaseHolder {
public:
    Task<Done> recall(Recall) override { co_return Done{}; }
};

}  // namespace

Connection::Connection(Reactor& reactor, Network& network, std::string address, MountHello hello)
    : reactor_(reactor),
      network_(network),
      address_(std::move(address)),
      hello_(std::move(hello)),
      compute_(reactor, kCallMost),
      stopped_(reactor),
      background_(reactor) {
    background_.spawn(ping_always());
}

Task<FilesystemId> Connection::find_filesystem() {
    NoLeases nobody;
    Client once;
    SessionId session = co_await or_return(co_await open_session(&nobody, once));
    FilesystemId found = *filesystem_;
    (void)co_await close_session(session);
    co_return found;
}

Task<SessionId> Connection::open_session(LeaseHolder* holder, Client client) {
    Nanos deadline = reactor_.now() + kConnectMost;
    auto stream = co_await or_return(co_await network_.connect(address_, deadline));
    compute_.connect(std::move(stream));
    background_.spawn(compute_.run());
    MountHello hello = hello_;
    hello.client = client;
    auto welcome = co_await compute_.attach(holder, std::move(hello));
    if (!welcome.ok()) {
        (void)co_await compute_.close_session(SessionId());
        co_return welcome.error();
    }
    FilesystemId filesystem = welcome.value().filesystem;
    if (filesystem_.has_value() && *filesystem_ != filesystem) {
        (void)co_await compute_.close_session(SessionId());
        co_return Error{Code::not_found, "another filesystem has its name now"};
    }
    filesystem_ = filesystem;
    session_ = welcome.value().session;
    co_return session_;
}

// Earlier sessions have gone with their connections.
Task<Done> Connection::close_session(SessionId session) {
    if (session != session_) co_return Done{};
    co_return co_await compute_.close_session(session);
}

// Whoever does not answer may be gone without the connection having ended: a power loss, a cut
// network. It thinks the same of us.
Task<Done> Connection::ping_always() {
    while (!stopping_) {
        Nanos next = reactor_.now() + kPingEvery;
        while (!stopping_ && reactor_.now() < next) (void)co_await stopped_.wait(next);
        if (stopping_ || compute_.closed()) continue;
        auto answered = co_await compute_.ping(reactor_.now() + kPingMost);
        // Behind a long answer that still comes in the ping's waits.
        bool silent = reactor_.now() - compute_.last_heard() >= kPingMost;
        if (answered.code() == Code::retry_later && silent) compute_.close();
    }
    co_return Done{};
}

Task<Done> Connection::stop() {
    stopping_ = true;
    stopped_.notify_all();
    compute_.close();
    co_return co_await background_.close();
}

}  // namespace weft::client
