#include "processes/client/connection.h"

#include <algorithm>
#include <utility>

namespace weft::client {
namespace {

constexpr Nanos kConnectMost = 2 * kSecond;
constexpr Nanos kCallMost = 30 * kSecond;
// Often enough that one of them may be late, and the lease term is renewed nevertheless.
constexpr Nanos kPingEvery = 500 * kMillisecond;
// While nothing is covered.
constexpr Nanos kPingAgain = 50 * kMillisecond;
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
      term_changed_(reactor),
      stopped_(reactor),
      background_(reactor) {
    background_.spawn(ping_always());
    background_.spawn(watch_term());
    background_.spawn(watch_silence());
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
    Nanos sent = reactor_.now();
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
    holder_ = holder;
    unanswered_since_ = kNone;
    term_.begin(sent, welcome.value().lease_term);
    term_changed_.notify_all();
    co_return session_;
}

// Earlier sessions have gone with their connections.
Task<Done> Connection::close_session(SessionId session) {
    if (session != session_) co_return Done{};
    holder_ = nullptr;
    co_return co_await compute_.close_session(session);
}

Task<Done> Connection::ping_always() {
    while (!stopping_) {
        Nanos sent = reactor_.now();
        if (!compute_.closed()) (void)co_await ping_once(sent);
        Nanos next = sent + kPingEvery;
        if (!term_.covers(reactor_.now())) next = reactor_.now() + kPingAgain;
        while (!stopping_ && reactor_.now() < next) (void)co_await stopped_.wait(next);
    }
    co_return Done{};
}

Task<Done> Connection::ping_once(Nanos sent) {
    SessionId of = session_;
    bool first = unanswered_since_ == kNone;
    if (first) {
        unanswered_since_ = sent;
        taken_ = kNone;
    }
    Nanos* taken = first ? &taken_ : nullptr;
    auto renewed = co_await compute_.ping(sent + kPingMost, taken);
    // Meanwhile this may have become another session's connection.
    if (of != session_) co_return Done{};
    if (renewed.code() != Code::retry_later) unanswered_since_ = kNone;
    if (!renewed.ok() || !renewed.value() || compute_.closed()) co_return Done{};
    term_.renew(sent);
    term_changed_.notify_all();
    co_return Done{};
}

// Whoever does not answer may be gone without the connection having ended: a power loss, a cut
// network. It thinks the same of us. Not the ping's own business, which may wait to be sent behind
// what nobody takes. Over a slow line it waits behind what is taken bit by bit, and its answer
// behind a long one that still comes in.
Task<Done> Connection::watch_silence() {
    while (!stopping_) {
        Nanos next = reactor_.now() + kPingEvery;
        while (!stopping_ && reactor_.now() < next) (void)co_await stopped_.wait(next);
        if (stopping_ || compute_.closed() || unanswered_since_ == kNone) continue;
        Nanos taken = taken_ == kNone ? compute_.last_taken() : taken_;
        Nanos heard = std::max({unanswered_since_, compute_.last_heard(), taken});
        if (reactor_.now() - heard >= kPingMost) compute_.close();
    }
    co_return Done{};
}

Task<Done> Connection::watch_term() {
    bool covered = false;
    while (!stopping_) {
        bool covers = term_.covers(reactor_.now());
        if (covered && !covers && holder_ != nullptr) holder_->term_ended();
        covered = covers;
        Nanos next = covers ? term_.until() : Signal::kNoDeadline;
        (void)co_await term_changed_.wait(next);
    }
    co_return Done{};
}

Task<Done> Connection::stop() {
    stopping_ = true;
    stopped_.notify_all();
    term_changed_.notify_all();
    compute_.close();
    co_return co_await background_.close();
}

}  // namespace weft::client
