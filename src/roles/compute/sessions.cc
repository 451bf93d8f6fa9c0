#include "platform/base/planted.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {

Result<SessionId> Core::open_session(LeaseHolder* holder, Client client) {
    CHECK(holder != nullptr);
    if (!opened || closing) return Error{Code::unavailable, "compute.session"};
    if (sessions.size() >= settings.sessions_most) {
        return Error{Code::limit_reached, "compute.session"};
    }
    SessionId id{(reactor.random() >> 1) | 1};
    while (sessions.contains(id)) id.value += 2;
    // Handles of before a restart name nothing here.
    if (last_handle == 0) last_handle = id.value;
    if (!leases.open_session(id)) return Error{Code::limit_reached, "compute.session"};
    note_client(client.number);
    auto made = std::make_shared<Session>(reactor, id, holder, client, settings.replies_kept);
    sessions[id] = made;
    if (lock_awaited.contains(client.number)) made->reclaims_left = client.locks_held;
    if (client.locks_held == 0) await_no_more(client.number);
    // It has dropped all it had, if it has been here before.
    if (lease_awaited.erase(client.number) > 0) returned.notify_all();
    if (client.number == 0) {
        made->may_cache = true;  // It ends with this process.
    } else {
        gate.spawn(note_lease_client(made));
    }
    return id;
}

Result<std::shared_ptr<Session>> Core::session(SessionId id) {
    auto found = sessions.find(id);
    if (found == sessions.end() || closing) return Error{Code::fenced, "compute.session"};
    return found->second;
}

Result<Done> Core::may_change(const Caller& caller) {
    auto found = session(caller.session);
    if (!found.ok()) return found.error();
    return Done{};
}

// Its leases, locks and handles go at once; calls of its holder that have not come back are
// left to close_session().
void Core::end_session(SessionId id) {
    auto found = sessions.find(id);
    if (found == sessions.end()) return;
    std::shared_ptr<Session> session = found->second;
    if (std::exchange(session->ended, true)) return;
    leases.end_session(id);
    for (auto& [ticket, wait] : lock_waits) {
        if (wait->session != id) continue;
        wait->outcome = Code::fenced;
        wait->ended.notify_all();
    }
    wake_locks(advisory.end_session(id));
    while (!session->handles.empty()) drop_handle(*session, session->handles.begin()->first);
    sessions.erase(found);
    bool awaited = lock_awaited.contains(session->client.number);
    if (!awaited) forget_lock_client(session->client.number);
    note_client_gone(session->client.number);
    forget_lease_client(session->client.number);
    returned.notify_all();
    session->moved.notify_all();
    ended_sessions.push_back(session);
    std::erase_if(ended_sessions, [](const auto& ended) { return ended->recalls.running() == 0; });
}

Task<Done> Core::close_session(SessionId id) {
    std::shared_ptr<Session> session;
    auto found = sessions.find(id);
    if (found != sessions.end()) session = found->second;
    for (const auto& ended : ended_sessions) {
        if (ended->id == id) session = ended;
    }
    if (session == nullptr) co_return Done{};
    end_session(id);
    co_return co_await session->recalls.close();
}

Result<std::uint64_t> Core::add_handle(SessionId id, InodePin inode) {
    auto found = session(id);
    if (!found.ok()) return found.error();
    if (handle_count >= settings.handles_most) return Error{Code::limit_reached, "compute.open"};
    ++handle_count;
    ++inode->opens[id];
    found.value()->handles.emplace(++last_handle, std::move(inode));
    return last_handle;
}

void Core::drop_handle(Session& session, std::uint64_t handle) {
    auto found = session.handles.find(handle);
    if (found == session.handles.end()) return;
    InodePin inode = std::move(found->second);
    session.handles.erase(found);
    --handle_count;
    auto opens = inode->opens.find(session.id);
    CHECK(opens != inode->opens.end() && opens->second > 0);
    if (--opens->second == 0) inode->opens.erase(opens);
    if (inode->opens.empty()) inode->unnamed = false;
    if (!planted(Bug::orphan_is_not_purged)) purge_if_unused(std::move(inode));
}

void Core::wake_locks(const std::vector<locks::Ticket>& woken) {
    for (locks::Ticket ticket : woken) {
        auto found = lock_waits.find(ticket);
        if (found == lock_waits.end()) continue;
        found->second->outcome = Code::ok;
        found->second->ended.notify_all();
    }
}

}  // namespace weft::compute
