#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

using Kind = LockRequest::Kind;

locks::Family family_of(const LockRequest& request) {
    return request.flock ? locks::Family::whole_file : locks::Family::byte_range;
}

locks::Owner owner_of(const Caller& caller, const LockRequest& request) {
    return {caller.session, request.owner};
}

locks::Lock lock_of(const Caller& caller, const LockRequest& request) {
    locks::Lock lock;
    lock.owner = owner_of(caller, request);
    lock.range = {request.from, request.to};
    lock.mode = request.kind == Kind::exclusive ? locks::Mode::exclusive : locks::Mode::shared;
    lock.pid = request.pid;
    return lock;
}

Result<Done> check_request(const LockRequest& request) {
    if (request.from > request.to) return Error{Code::invalid, "lock.range"};
    if (request.kind > Kind::exclusive) return Error{Code::invalid, "lock.kind"};
    return Done{};
}

// A waiting request, for as long as somebody waits for it.
class Turn {
public:
    Turn(Core& core, SessionId session, locks::Ticket ticket)
        : core_(core), ticket_(ticket), wait_(std::make_shared<LockWait>(core.reactor, session)) {
        core.lock_waits[ticket] = wait_;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
        core_.lock_waits.erase(ticket_);
        (void)core_.advisory.cancel(ticket_);
    }
    LockWait& wait() { return *wait_; }

private:
    Core& core_;
    locks::Ticket ticket_;
    std::shared_ptr<LockWait> wait_;
};

Task<Done> await_turn(Core* core, Caller caller, locks::Ticket ticket) {
    Turn turn(*core, caller.session, ticket);
    while (turn.wait().outcome == Code::would_block) {
        bool in_time = co_await turn.wait().ended.wait(until(caller.deadline));
        if (!in_time) co_return Error{Code::retry_later, "lock.deadline"};
    }
    if (turn.wait().outcome == Code::ok) co_return Done{};
    co_return Error{turn.wait().outcome, "lock"};
}

Task<Done> set_lock(Core* core, Caller caller, FileId file, LockRequest request) {
    co_await or_return(check_request(request));
    InodePin inode = co_await or_return(co_await core->pin(file));
    locks::Family family = family_of(request);
    if (request.kind == Kind::unlock) {
        locks::Range range{request.from, request.to};
        auto done = core->advisory.unlock(file, family, owner_of(caller, request), range);
        core->wake_locks(done.woken);
        bool full = done.kind == locks::Outcome::Kind::limit_reached;
        if (full) co_return Error{Code::limit_reached, "lock"};
        co_return Done{};
    }
    auto session = co_await or_return(core->session(caller.session));
    if (!core->may_reclaim(*session, request)) {
        co_await or_return(co_await core->until_locks_are_free(caller));
    }
    co_await or_return(co_await core->note_lock_client(caller.session));
    (void)co_await or_return(core->session(caller.session));
    auto outcome = core->advisory.lock(file, family, lock_of(caller, request), request.wait);
    core->wake_locks(outcome.woken);
    switch (outcome.kind) {
        case locks::Outcome::Kind::granted:
            co_return Done{};
        case locks::Outcome::Kind::would_block:
            co_return Error{Code::would_block, "lock"};
        case locks::Outcome::Kind::deadlock:
            co_return Error{Code::deadlock, "lock"};
        case locks::Outcome::Kind::limit_reached:
            co_return Error{Code::limit_reached, "lock"};
        case locks::Outcome::Kind::waiting:
            break;
    }
    co_await or_return(co_await await_turn(core, caller, outcome.ticket));
    co_return co_await core->lock_clients.flushed();
}

// Whatever comes of a reclaim, its client is not waited for any longer because of it.
Task<Done> set_or_reclaim(Core* core, Caller caller, FileId file, LockRequest request) {
    auto done = co_await set_lock(core, caller, file, request);
    auto session = core->session(caller.session);
    bool final = request.reclaim && done.code() != Code::retry_later;
    if (final && session.ok()) core->note_reclaimed(*session.value());
    co_return done;
}

}  // namespace

Task<Done> ComputeRole::lock(Caller caller, FileId file, LockRequest request) {
    core_->count(Operation::lock);
    return core_->once(caller, set_or_reclaim(core_.get(), caller, file, request));
}

Task<LockRequest> ComputeRole::test_lock(Caller caller, FileId file, LockRequest request) {
    core_->count(Operation::lock);
    co_await or_return(core_->session(caller.session));
    co_await or_return(check_request(request));
    InodePin inode = co_await or_return(co_await core_->pin(file));
    LockRequest answer = request;
    answer.kind = Kind::unlock;
    if (request.kind == Kind::unlock) co_return answer;
    co_await or_return(co_await core_->until_locks_are_free(caller));
    auto held = core_->advisory.test(file, family_of(request), lock_of(caller, request));
    if (!held.has_value()) co_return answer;
    answer.kind = held->mode == locks::Mode::exclusive ? Kind::exclusive : Kind::shared;
    answer.from = held->range.from;
    answer.to = held->range.to;
    answer.pid = held->pid;
    answer.owner = held->owner.number;
    co_return answer;
}

Task<Done> ComputeRole::cancel_lock(Caller caller, FileId file, LockRequest request) {
    locks::Range range{request.from, request.to};
    auto ticket =
        core_->advisory.waiting(file, family_of(request), owner_of(caller, request), range);
    if (!ticket.has_value()) co_return Done{};
    (void)core_->advisory.cancel(*ticket);
    auto found = core_->lock_waits.find(*ticket);
    if (found == core_->lock_waits.end()) co_return Done{};
    found->second->outcome = Code::interrupted;
    found->second->ended.notify_all();
    co_return Done{};
}

}  // namespace weft::compute
