// Who cached something when compute ended may use it until its term is over, as far as it can tell:
// after a restart nobody changes anything until all who may are back, and so cache nothing, or that
// long is over. So clients that may cache something are on record. docs/protocols/leases.md.
#include "platform/base/planted.h"
#include "roles/compute/core_internal.h"

#include <algorithm>
#include <utility>

namespace weft::compute {

Task<Done> Core::begin_lease_grace() {
    co_await or_return(co_await lease_clients.load());
    Nanos longest = 0;
    for (const auto& [client, value] : lease_clients.all()) {
        auto record = decode_lease_client(value);
        if (!record.has_value()) co_return Error{Code::corrupt, "compute.lease_client"};
        longest = std::max(longest, record->covers_for);
        lease_awaited.insert(client);
    }
    lease_grace_ends = reactor.now() + longest;
    if (!lease_awaited.empty()) gate.spawn(end_lease_grace());
    co_return Done{};
}

Task<Done> Core::end_lease_grace() {
    while (!closing && in_lease_grace()) (void)co_await returned.wait(lease_grace_ends);
    if (closing) co_return Done{};
    for (std::uint64_t client : std::exchange(lease_awaited, {})) forget_lease_client(client);
    returned.notify_all();
    co_return Done{};
}

bool Core::in_lease_grace() const {
    if (planted(Bug::lease_grace_is_not_kept)) return false;
    return !lease_awaited.empty() && reactor.now() < lease_grace_ends;
}

Task<Done> Core::until_caches_are_known(SessionId by) {
    while (in_lease_grace()) {
        (void)co_await or_return(session(by));
        (void)co_await returned.wait(lease_grace_ends);
    }
    co_return Done{};
}

// Until this has ended it is given no lease: a restart would not know of it.
Task<Done> Core::note_lease_client(std::shared_ptr<Session> session) {
    std::uint64_t client = session->client.number;
    co_await or_return(co_await admit());
    if (session->ended) co_return Done{};
    lease_clients.put(client, encode(LeaseClientRecord{settings.lease_terms().over_after(0)}));
    co_await or_return(co_await lease_clients.flushed());
    session->may_cache = true;
    co_return Done{};
}

void Core::forget_lease_client(std::uint64_t client) {
    auto use = clients.find(client);
    bool here = use != clients.end() && use->second.sessions > 0;
    bool awaited = lease_awaited.contains(client);
    if (!closing && !will_close && !here && !awaited) lease_clients.erase(client);
}

bool Core::may_cache(SessionId id) const {
    auto found = sessions.find(id);
    return found != sessions.end() && found->second->may_cache;
}

}  // namespace weft::compute
