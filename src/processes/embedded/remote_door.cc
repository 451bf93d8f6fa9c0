#include "processes/embedded/remote_door.h"

#include "platform/base/planted.h"

#include <algorithm>
#include <utility>

namespace weft::embedded {

RemoteDoor::RemoteDoor(Reactor& reactor, ComputeService& compute, SessionHost& sessions,
                       FindFilesystem find_filesystem, LeaseTerms terms)
    : reactor_(reactor),
      compute_(compute),
      sessions_(sessions),
      find_filesystem_(std::move(find_filesystem)),
      terms_(terms),
      ended_(reactor),
      connections_(reactor) {}

void RemoteDoor::serve(std::unique_ptr<Listener> listener) {
    if (listeners_.empty()) connections_.spawn(watch_silence());
    listeners_.push_back(std::move(listener));
    connections_.spawn(accept_all(listeners_.back().get()));
}

Task<Done> RemoteDoor::accept_all(Listener* listener) {
    for (;;) {
        auto accepted = co_await listener->accept();
        if (accepted.code() == Code::unavailable || stopping_) co_return Done{};
        if (!accepted.ok()) {
            // Out of descriptors or memory, until some are given back.
            (void)co_await ended_.wait(reactor_.now() + kTick);
            continue;
        }
        if (serving_.size() >= kConnectionsMost) continue;  // Closes it.
        connections_.spawn(serve_one(std::move(accepted).value()));
    }
}

Task<Done> RemoteDoor::serve_one(std::unique_ptr<Stream> stream) {
    remote::ComputeServer server(reactor_, std::move(stream), compute_, sessions_, this, terms_);
    auto at = serving_.insert(serving_.end(), Connection{&server, 0, 0});
    auto ended = co_await server.run();
    serving_.erase(at);
    const LeaseHolder* holder = &server;
    std::erase_if(attached_, [holder](const Attached& one) { return one.holder == holder; });
    ended_.notify_all();
    co_return ended;
}

// By ticks and not by the clock: if this process itself was held up, what it has not read yet
// is not silence.
Task<Done> RemoteDoor::watch_silence() {
    while (!stopping_) {
        Nanos next = reactor_.now() + kTick;
        while (!stopping_ && reactor_.now() < next) (void)co_await ended_.wait(next);
        for (Connection& each : serving_) {
            Nanos heard = each.server->last_heard();
            if (std::exchange(each.heard, heard) != heard) {
                each.silent_ticks = 0;
            } else if (++each.silent_ticks > kSilentTicksMost) {
                each.server->close();
            }
        }
    }
    co_return Done{};
}

RemoteDoor::Attached* RemoteDoor::find_client(std::uint64_t client) {
    if (planted(Bug::sessions_of_a_client_overlap)) return nullptr;
    for (Attached& one : attached_) {
        if (client != 0 && one.client == client) return &one;
    }
    return nullptr;
}

Task<MountWelcome> RemoteDoor::attach(LeaseHolder* holder, MountHello hello) {
    auto filesystem = find_filesystem_(hello.filesystem);
    if (!filesystem.has_value()) co_return Error{Code::not_found, "no such filesystem"};
    Nanos deadline = reactor_.now() + kEarlierMost;
    while (Attached* earlier = find_client(hello.client.number)) {
        earlier->holder->session_ended();
        bool in_time = co_await ended_.wait(deadline);
        if (!in_time) co_return Error{Code::retry_later, "the earlier connection has not ended"};
    }
    Attached made;
    made.holder = holder;
    made.client = hello.client.number;
    made.filesystem = *filesystem;
    made.report = MountReport{hello.filesystem, hello.path, hello.host, hello.pid};
    // Before anything is awaited: of two that come in one's name, one must wait.
    attached_.push_back(std::move(made));
    auto opened = co_await sessions_.open_session(holder, hello.client);
    if (!opened.ok()) {
        std::erase_if(attached_, [holder](const Attached& one) { return one.holder == holder; });
        co_return opened.error();
    }
    co_return MountWelcome{opened.value(), *filesystem, 0};
}

Task<Done> RemoteDoor::detach(SessionId session) {
    return sessions_.close_session(session);
}

std::vector<MountReport> RemoteDoor::list() const {
    std::vector<MountReport> reports;
    for (const Attached& one : attached_) reports.push_back(one.report);
    return reports;
}

bool RemoteDoor::has(FilesystemId filesystem) const {
    return std::any_of(attached_.begin(), attached_.end(),
                       [filesystem](const Attached& one) { return one.filesystem == filesystem; });
}

Task<Done> RemoteDoor::stop() {
    stopping_ = true;
    ended_.notify_all();
    for (auto& listener : listeners_) listener->close();
    // Not close(): compute ends with them, and the next one waits for what clients have cached.
    for (Connection& each : serving_) each.server->session_ended();
    co_return co_await connections_.close();
}

}  // namespace weft::embedded
