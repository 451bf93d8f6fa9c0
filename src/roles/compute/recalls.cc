#include "engines/namespace/attributes.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"
#include "roles/compute/core_internal.h"

#include <algorithm>
#include <memory>

namespace weft::compute {
namespace {

// Runs in the session's gate, and so ends with it.
Task<Done> call_holder(Session* session, Recall recall, std::shared_ptr<bool> answered) {
    // Whatever it answers, it has had its say: it caches nothing of this any more.
    (void)co_await session->holder->recall(std::move(recall));
    *answered = true;
    session->moved.notify_all();
    co_return Done{};
}

// The holder's clock stands still while compute itself keeps requests of the session waiting, with
// an end all the same: perhaps these are not what the holder waits for.
Task<Done> recall_one(Core* core, SessionId id, Recall recall) {
    auto found = core->sessions.find(id);
    if (found == core->sessions.end()) co_return Done{};
    std::shared_ptr<Session> session = found->second;
    auto answered = std::make_shared<bool>(false);
    FileId file = recall.file;
    auto keep = static_cast<leases::Mode>(recall.keep);
    Nanos began = core->reactor.now();
    Nanos ends = began + core->settings.lease_terms().recall_most();
    Nanos not_its_own = session->held_up(began);
    session->recalls.spawn(call_holder(session.get(), std::move(recall), answered));
    while (!*answered && !session->ended) {
        Nanos now = core->reactor.now();
        Nanos held = session->held_up(now) - not_its_own;
        Nanos deadline = std::min(ends, began + core->settings.recall_deadline + held);
        if (now < deadline) {
            if (session->held > 0) deadline = ends;
            (void)co_await session->moved.wait(deadline);
            continue;
        }
        core->end_session(id);
        session->holder->session_ended();
    }
    core->leases.release(id, file, keep);
    co_return Done{};
}

}  // namespace

Task<Done> Core::recall_all(std::vector<leases::Recalled> recalled, FileId file, std::string name,
                            bool data) {
    std::vector<Task<Done>> calls;
    for (const leases::Recalled& one : recalled) {
        Recall recall;
        recall.file = file;
        recall.keep = static_cast<LeaseMode>(one.keep);
        recall.name = name;
        recall.data = data;
        calls.push_back(recall_one(this, one.session, std::move(recall)));
    }
    (void)co_await join(calls);
    co_return Done{};
}

Task<Done> Core::recall_for_change(SessionId by, FileId file, std::string name, bool data) {
    if (in_lease_grace()) co_await or_return(co_await until_caches_are_known(by));
    if (sessions.size() <= 1) co_return Done{};
    auto recalled = leases.recalls_for_change(by, file);
    if (planted(Bug::recall_is_dropped) && recalled.size() > 1) recalled.pop_back();
    if (recalled.empty()) co_return Done{};
    co_return co_await recall_all(std::move(recalled), file, std::move(name), data);
}

Task<Done> Core::recall_for_look(SessionId by, InodePin inode) {
    bool may_be_written = posix::is_regular(inode->record);
    if (may_be_written && in_lease_grace()) {
        co_await or_return(co_await until_caches_are_known(by));
    }
    if (sessions.size() <= 1) co_return Done{};
    auto recalled = leases.recalls_for_look(by, inode->id);
    if (recalled.empty() || planted(Bug::look_without_recall)) co_return Done{};
    // Nobody is given the write lease again before this has ended.
    Changing guard(inode, by);
    co_return co_await recall_all(std::move(recalled), inode->id, std::string(), false);
}

HeldUp::HeldUp(Core& core, SessionId by) : reactor_(core.reactor) {
    auto found = core.sessions.find(by);
    if (found == core.sessions.end()) return;
    session_ = found->second;
    if (session_->held++ == 0) session_->held_since = reactor_.now();
}

HeldUp::~HeldUp() {
    if (session_ == nullptr) return;
    if (session_->held == 1) session_->held_before = session_->held_up(reactor_.now());
    if (--session_->held == 0) session_->moved.notify_all();
}

}  // namespace weft::compute
