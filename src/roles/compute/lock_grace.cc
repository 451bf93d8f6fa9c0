// Who held locks when compute ended holds them still, as far as its programs know: after a restart
// it comes back and asks for them again. Until then nobody else may have them, nor anything that
// could be in their way. So clients that lock something are on record.
#include "platform/base/planted.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
Task<Done> Core::begin_lock_grace() {
    co_await or_return(co_await lock_clients.load());
    for (const auto& [client, record] : lock_clients.all()) lock_awaited.insert(client);
    lock_grace_ends = reactor.now() + settings.lock_grace;
    if (!lock_awaited.empty()) gate.spawn(end_lock_grace());
    co_return Done{};
}

// Who has not come back by now has lost its locks.
Task<Done> Core::end_lock_grace() {
    while (!closing && in_lock_grace()) (void)co_await returned.wait(lock_grace_ends);
    if (closing) co_return Done{};
    std::set<std::uint64_t> gone = std::exchange(lock_awaited, {});
    for (std::uint64_t client : gone) {
        auto use = clients.find(client);
        if (use == clients.end() || use->second.sessions == 0) forget_lock_client(client);
    }
    returned.notify_all();
    co_return Done{};
}

bool Core::may_reclaim(const Session& session, const LockRequest& request) const {
    return request.reclaim && lock_awaited.contains(session.client.number);
}

Task<Done> Core::until_locks_are_free(Caller caller) {
    while (in_lock_grace()) {
        co_await or_return(session(caller.session));
        if (is_past(caller.deadline)) co_return Error{Code::retry_later, "compute.lock_grace"};
        Nanos ends = std::min(until(caller.deadline), lock_grace_ends);
        (void)co_await returned.wait(ends);
    }
    co_return Done{};
}

// It survives loss of power before the lock is granted, and so does that others have none any more.
Task<Done> Core::note_lock_client(SessionId of) {
    auto session = co_await or_return(this->session(of));
    std::uint64_t client = session->client.number;
    if (client == 0) co_return Done{};
    if (!lock_clients.has(client)) {
        co_await or_return(co_await admit());
        // Of a session that is over nobody would take the record away.
        (void)co_await or_return(this->session(of));
    }
    lock_clients.put(client, std::string());
    co_return co_await lock_clients.flushed();
}

void Core::forget_lock_client(std::uint64_t client) {
    if (!closing && !will_close) lock_clients.erase(client);
}

void Core::note_reclaimed(Session& session) {
    if (session.reclaims_left == 0 || --session.reclaims_left > 0) return;
    if (lock_awaited.erase(session.client.number) == 0) return;
    if (planted(Bug::lock_grace_ends_with_first)) lock_awaited.clear();
    returned.notify_all();
}

// It is back, and holds nothing.
void Core::await_no_more(std::uint64_t client) {
    if (lock_awaited.erase(client) == 0) return;
    if (planted(Bug::lock_grace_ends_with_first)) lock_awaited.clear();
    forget_lock_client(client);
    returned.notify_all();
}

}  // namespace weft::compute
