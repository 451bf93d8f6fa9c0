#include "roles/frontend/mount_internal.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>

namespace weft::frontend {
namespace {

std::optional<LockRequest> request_of(const fuse_lk_in& in, bool wait) {
    LockRequest request;
    request.owner = in.owner;
    request.from = in.lk.start;
    // The kernel says "to the end" with the largest file offset.
    request.to = in.lk.end >= INT64_MAX ? UINT64_MAX : in.lk.end;
    request.pid = in.lk.pid;
    request.flock = (in.lk_flags & FUSE_LK_FLOCK) != 0;
    request.wait = wait;
    switch (in.lk.type) {
        case F_RDLCK:
            request.kind = LockRequest::Kind::shared;
            break;
        case F_WRLCK:
            request.kind = LockRequest::Kind::exclusive;
            break;
        case F_UNLCK:
            request.kind = LockRequest::Kind::unlock;
            break;
        default:
            return std::nullopt;
    }
    return request;
}

std::uint32_t type_of(LockRequest::Kind kind) {
    switch (kind) {
        case LockRequest::Kind::shared:
            return F_RDLCK;
        case LockRequest::Kind::exclusive:
            return F_WRLCK;
        case LockRequest::Kind::unlock:
            break;
    }
    return F_UNLCK;
}

}  // namespace

Task<Done> Mount::on(Exchange* x, GetLock op) {
    auto request = request_of(op.in, false);
    if (!request.has_value()) co_return Error{Code::invalid, "frontend.lock"};
    Caller caller = reader(*x);
    FileId file = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    LockRequest wanted = *request;
    auto call = [=] {
        return service->test_lock(caller, file, wanted);
    };
    LockRequest found = co_await or_return(co_await ask<LockRequest>(x, call));
    fuse_lk_out out{};
    out.lk.type = type_of(found.kind);
    out.lk.start = found.from;
    out.lk.end = std::min<std::uint64_t>(found.to, INT64_MAX);
    out.lk.pid = found.pid;
    x->put(out);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, SetLock op) {
    auto request = request_of(op.in, op.wait);
    if (!request.has_value()) co_return Error{Code::invalid, "frontend.lock"};
    LockRequest wanted = *request;
    if (op.wait) {
        // It may wait for as long as others please, so it must not take a request's slot:
        // the unlock that it waits for needs one.
        if (!lock_wait_slots_.try_acquire()) {
            co_return Error{Code::limit_reached, "frontend.lock"};
        }
        x->park(Permit(lock_wait_slots_, 1));
        x->wait_for_lock(wanted);
    }
    FilePtr file = files_.find(x->inode());
    bool locks_range = !wanted.flock && wanted.kind != LockRequest::Kind::unlock;
    if (file != nullptr && locks_range) file->lock_owners[wanted.owner].insert(op.in.fh);

    Caller caller = writer(*x);
    FileId id = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->lock(caller, id, wanted);
    };
    // Somebody else may have it before the answer is here, and is not to lose it to us.
    bool unlocks = wanted.kind == LockRequest::Kind::unlock;
    if (unlocks) held_locks_.apply(x->inode(), wanted);
    for (;;) {
        auto locked = co_await ask<Done>(x, call);
        bool again = op.wait && locked.code() == Code::retry_later;
        if (again) continue;
        if (locked.ok() && !unlocks) held_locks_.apply(x->inode(), wanted);
        // A flock that is to become another was given up first, as flock(2) has it.
        bool refused = locked.code() == Code::would_block || locked.code() == Code::interrupted;
        if (refused && wanted.flock) {
            wanted.kind = LockRequest::Kind::unlock;
            held_locks_.apply(x->inode(), wanted);
        }
        co_return locked;
    }
}

// An error leaves the lock to the end of the session: nobody could be told.
Task<Done> Mount::unlock_owner(Exchange* x, FilePtr file, LockRequest request) {
    Caller caller = writer(*x);
    FileId id = compute_.file(file->inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->lock(caller, id, request);
    };
    held_locks_.apply(file->inode, request);
    co_return co_await ask<Done>(x, call);
}

}  // namespace weft::frontend
