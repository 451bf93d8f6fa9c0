// Who held locks when compute ended holds them still, as far as its programs know: after a restart
// it comes back and asks for them again. Until then nobody else may have them, nor anything that
// could be in their way. So clients that lock something are on record.
#include "model/layout/keys.h"
#include "platform/base/planted.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

ShardId shard_of_client(const Core& core, std::uint64_t client) {
    return ShardId{static_cast<std::uint32_t>(client % core.map.shard_count)};
}

}  // namespace

Task<Done> Core::begin_lock_grace() {
    std::string from = keys::lock_client_prefix();
    std::string to = keys::after_prefix(from);
    for (auto& [id, each] : shards) {
        std::size_t most = settings.sessions_most;
        auto found = co_await or_return(co_await each->index.scan(from, to, most));
        for (const auto& entry : found) {
            auto client = keys::parse_lock_client(entry.first);
            if (!client.has_value()) co_return Error{Code::corrupt, "compute.lock_client"};
            lock_clients.insert(*client);
            lock_awaited.insert(*client);
        }
    }
    lock_grace_ends = reactor.now() + settings.lock_grace;
    if (!lock_awaited.empty()) gate.spawn(end_lock_grace());
    co_return Done{};
}

// Who has not come back by now has lost its locks.
Task<Done> Core::end_lock_grace() {
    while (!closing && in_lock_grace()) (void)co_await reclaimed.wait(lock_grace_ends);
    if (closing) co_return Done{};
    std::set<std::uint64_t> gone = std::exchange(lock_awaited, {});
    for (std::uint64_t client : gone) {
        auto use = clients.find(client);
        if (use == clients.end() || use->second.sessions == 0) forget_lock_client(client);
    }
    reclaimed.notify_all();
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
        (void)co_await reclaimed.wait(ends);
    }
    co_return Done{};
}

// It survives loss of power before the lock is granted, and so does that others have none any more.
Task<Done> Core::note_lock_client(SessionId of) {
    auto session = co_await or_return(this->session(of));
    std::uint64_t client = session->client.number;
    if (client == 0) co_return Done{};
    if (!lock_clients.contains(client)) {
        co_await or_return(co_await admit());
        // Of a session that is over nobody would take the record away.
        (void)co_await or_return(this->session(of));
    }
    if (lock_clients.insert(client).second) {
        Transaction transaction;
        transaction.on(shard_of_client(*this, client))
            .put(keys::lock_client(client), std::string());
        lock_clients_changed = commit(std::move(transaction));
    }
    co_return co_await lock_clients_flushed();
}

Task<Done> Core::lock_clients_flushed() {
    while (lock_clients_changed != Lsn{}) {
        Lsn changed = lock_clients_changed;
        co_await or_return(co_await flushed(changed));
        if (lock_clients_changed == changed) lock_clients_changed = Lsn{};
    }
    co_return Done{};
}

void Core::forget_lock_client(std::uint64_t client) {
    if (closing || will_close || lock_clients.erase(client) == 0) return;
    Transaction transaction;
    transaction.on(shard_of_client(*this, client)).erase(keys::lock_client(client));
    lock_clients_changed = commit(std::move(transaction));
}

void Core::note_reclaimed(Session& session) {
    if (session.reclaims_left == 0 || --session.reclaims_left > 0) return;
    if (lock_awaited.erase(session.client.number) == 0) return;
    if (planted(Bug::lock_grace_ends_with_first)) lock_awaited.clear();
    reclaimed.notify_all();
}

// It is back, and holds nothing.
void Core::await_no_more(std::uint64_t client) {
    if (lock_awaited.erase(client) == 0) return;
    if (planted(Bug::lock_grace_ends_with_first)) lock_awaited.clear();
    forget_lock_client(client);
    reclaimed.notify_all();
}

}  // namespace weft::compute
