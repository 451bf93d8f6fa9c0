#include "platform/base/planted.h"
#include "platform/runtime/join.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

struct RecallWait {
    explicit RecallWait(Reactor& reactor) : signal(reactor) {}
    bool ended = false;
    Signal signal;
};

Task<Done> call_holder(LeaseHolder* holder, Recall recall, std::shared_ptr<RecallWait> wait) {
    // Whatever it answers, it has had its say: it caches nothing of this any more.
    (void)co_await holder->recall(std::move(recall));
    wait->ended = true;
    wait->signal.notify_all();
    co_return Done{};
}

Task<Done> recall_one(Core* core, SessionId id, Recall recall) {
    auto found = core->sessions.find(id);
    if (found == core->sessions.end()) co_return Done{};
    std::shared_ptr<Session> session = found->second;
    auto wait = std::make_shared<RecallWait>(core->reactor);
    FileId file = recall.file;
    auto keep = static_cast<leases::Mode>(recall.keep);
    Nanos deadline = core->reactor.now() + core->settings.recall_deadline;
    session->recalls.spawn(call_holder(session->holder, std::move(recall), wait));
    while (!wait->ended && !session->ended) {
        bool in_time = co_await wait->signal.wait(deadline);
        if (in_time || wait->ended) continue;
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
    if (sessions.size() <= 1) co_return Done{};
    auto recalled = leases.recalls_for_change(by, file);
    if (planted(Bug::recall_is_dropped) && recalled.size() > 1) recalled.pop_back();
    if (recalled.empty()) co_return Done{};
    co_return co_await recall_all(std::move(recalled), file, std::move(name), data);
}

Task<Done> Core::recall_for_look(SessionId by, InodePin inode) {
    if (sessions.size() <= 1) co_return Done{};
    auto recalled = leases.recalls_for_look(by, inode->id);
    if (recalled.empty() || planted(Bug::look_without_recall)) co_return Done{};
    // Nobody is given the write lease again before this has ended.
    Changing guard(inode, by);
    co_return co_await recall_all(std::move(recalled), inode->id, std::string(), false);
}

}  // namespace weft::compute
