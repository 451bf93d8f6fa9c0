#include "engines/namespace/attributes.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

bool alone(const Inode& inode, SessionId session) {
    for (const auto& [other, count] : inode.opens) {
        if (other != session) return false;
    }
    return true;
}

// The write lease, if nobody else has the file open; others' caches of it are recalled.
Task<Done> try_write_lease(Core* core, SessionId session, InodePin inode) {
    bool possible = posix::is_regular(inode->record) && alone(*inode, session);
    if (!possible) co_return Done{};
    Changing guard(inode, session);
    co_await or_return(co_await core->recall_for_change(session, inode->id, std::string(), false));
    bool sole_changer = !inode->changing_by_many;
    if (!alone(*inode, session) || !sole_changer) co_return Done{};
    if (core->may_cache(session)) (void)core->leases.grant_write(session, inode->id);
    co_return Done{};
}

Task<Opened> open_file(Core* core, Caller caller, FileId file, LeaseMode want) {
    InodePin inode = co_await or_return(co_await core->pin(file));
    co_await or_return(co_await core->recall_for_look(caller.session, inode));
    if (inode->gone()) co_return Error{Code::stale, "open"};
    Opened opened;
    opened.handle = co_await or_return(core->add_handle(caller.session, inode));
    if (want == LeaseMode::write) {
        co_await or_return(co_await try_write_lease(core, caller.session, inode));
    }
    Node node = core->look(caller.session, inode);
    Lsn seen = inode->changed;
    opened.node =
        co_await or_return(co_await core->answer(caller.session, inode, std::move(node), seen));
    co_return opened;
}

Task<Done> release_handle(Core* core, Caller caller, std::uint64_t handle) {
    auto session = co_await or_return(core->session(caller.session));
    core->drop_handle(*session, handle);
    co_return Done{};
}

}  // namespace

Task<Opened> ComputeRole::open(Caller caller, FileId file, LeaseMode want) {
    core_->count(Operation::open);
    return core_->once(caller, open_file(core_.get(), caller, file, want));
}

Task<Done> ComputeRole::release(Caller caller, FileId, std::uint64_t handle) {
    core_->count(Operation::release);
    return core_->once(caller, release_handle(core_.get(), caller, handle));
}

Task<Done> ComputeRole::release_lease(Caller caller, FileId file, LeaseMode keep) {
    core_->leases.release(caller.session, file, static_cast<leases::Mode>(keep));
    co_return Done{};
}

}  // namespace weft::compute
