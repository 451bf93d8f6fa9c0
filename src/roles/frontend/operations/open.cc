#include "platform/base/check.h"
#include "roles/frontend/mount_internal.h"

#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

namespace weft::frontend {
namespace {

bool opens_for_writing(std::uint32_t flags) {
    return (flags & O_ACCMODE) != O_RDONLY;
}

}  // namespace

Task<Done> Mount::on(Exchange* x, Open op) {
    bool defers = opens_for_writing(op.flags) && settings_.deferred_bytes_most > 0;
    LeaseMode want = defers ? LeaseMode::write : LeaseMode::read;
    Caller caller = writer(*x);
    FileId file = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->open(caller, file, want);
    };
    auto asked = co_await ask<Opened>(x, call);
    // The kernel looks the name up once more, and no further.
    if (asked.code() == Code::stale) keeps_looked_up_until_ = reactor_.now() + kKeepsLookedUpFor;
    Opened opened = co_await or_return(std::move(asked));
    SessionId opened_in = compute_.session();

    if ((op.flags & O_TRUNC) != 0) {
        (void)co_await or_return(co_await truncate_opened(x, &opened, op.clear_setid));
    }
    Task<Done> put = put_opened(x, std::move(opened), opened_in, op.flags, {});
    co_return co_await put;
}

Task<Done> Mount::on(Exchange* x, Create op) {
    NewNode what;
    what.mode = op.mode;
    what.umask = op.umask;
    what.uid = x->header().uid;
    what.gid = x->header().gid;
    Caller caller = writer(*x);
    FileId directory = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::string name(op.name);
    bool exclusive = (op.flags & O_EXCL) != 0;
    bool unnamed = op.unnamed;
    auto call = [=] {
        return unnamed ? service->create_unnamed(caller, directory, what)
                       : service->create_open(caller, directory, name, what, exclusive);
    };
    Opened opened = co_await or_return(co_await ask<Opened>(x, call));
    SessionId opened_in = compute_.session();

    // The kernel has looked the name up just before: an old file here is a lost race.
    if ((op.flags & O_TRUNC) != 0 && opened.node.attributes.size > 0) {
        (void)co_await or_return(co_await truncate_opened(x, &opened, op.clear_setid));
    }
    Task<Done> put = put_opened(x, std::move(opened), opened_in, op.flags, op.name);
    co_return co_await put;
}

// O_TRUNC. What was granted with the open stays granted; settle() knows better if not.
Task<Done> Mount::truncate_opened(Exchange* x, Opened* opened, bool clear_setid) {
    AttributeChange change;
    change.size = 0;
    change.clear_setid = clear_setid;
    LeaseMode granted = opened->node.lease;
    auto truncated = co_await change_attributes(x, opened->node.inode, change);
    if (!truncated.ok()) {
        background_.spawn(release_handle(opened->node.inode, opened->handle));
        co_return truncated.error();
    }
    opened->node = std::move(truncated).value();
    opened->node.lease = std::max(opened->node.lease, granted);
    co_return Done{};
}

// The reply to OPEN, or with a name, or for a file without one, that to CREATE.
Task<Done> Mount::put_opened(Exchange* x, Opened opened, SessionId opened_in, std::uint32_t flags,
                             std::optional<std::string_view> created_name) {
    InodeId inode = opened.node.inode;
    bool held_throughout = leases_.holds(inode);
    // Opened before anything is awaited, so that the file is not forgotten meanwhile.
    OpenFile open;
    open.file = files_.find_or_make(inode);
    open.compute_handle = opened.handle;
    open.session = opened_in;
    open.flags = flags;
    FilePtr file = open.file;
    fuse_open_out out{};
    out.fh = files_.open(std::move(open));
    // A renewal that is over has not seen it; one that is under way will.
    bool missed = opened_in != compute_.session() && !compute_.held();
    if (missed) background_.spawn(reopen(out.fh));
    auto settled = co_await settle(x, std::move(opened.node));
    if (settled.ok() && !leases_.holds(inode)) {
        // It may have changed just while compute answered: ask again before giving up on caching.
        auto again = co_await fetch(x, inode);
        if (again.ok()) settled = co_await settle(x, std::move(again).value());
    }
    OpenFile* made = files_.find_open(out.fh);
    CHECK(made != nullptr);
    if (!settled.ok()) {
        Result<OpenFile> closed = files_.close(out.fh);
        files_.forget_if_idle(file);
        background_.spawn(release_handle(inode, opened.handle));
        co_return settled.error();
    }
    Node node = std::move(settled).value();
    file->lease = leases_.held(inode);
    // Nothing has happened to it since it was made: an attribute would have moved ctime.
    bool untouched = node.attributes.ctime == node.attributes.btime;
    if (created_name.has_value() && untouched) {
        file->no_capability = file->lease != LeaseMode::none;
    }

    // Somebody else changes the file: every read must ask, and none of its pages stay. And an
    // append through the page cache may come as two WRITEs (where a page ends that the kernel
    // has not read), between which another client's would fall.
    bool appends = (flags & O_APPEND) != 0 && opens_for_writing(flags);
    if (file->lease == LeaseMode::none || appends) {
        made->direct = true;
        out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
    } else if (held_throughout && !recalls_.changed_since(inode, x->before().recalls)) {
        out.open_flags = FOPEN_KEEP_CACHE;
    }
    // FLUSH is what drops byte-range locks and reports deferred errors at close().
    if (agreement_.kernel_locks && !opens_for_writing(flags)) out.open_flags |= FOPEN_NOFLUSH;
    if (created_name.has_value()) {
        nodes_.told(inode);
        x->put(entry_of(node, validity(*x, x->inode(), *created_name, node)));
    }
    x->put(out);
    co_return Done{};
}

// close(): starts what is deferred on its way, and reports what has gone wrong so far.
Task<Done> Mount::on(Exchange* x, Flush op) {
    OpenFile* open = files_.find_open(op.handle);
    if (open == nullptr) co_return Error{Code::invalid, "frontend.flush"};
    FilePtr file = open->file;
    if (opens_for_writing(open->flags)) write_behind_.start(file);
    if (file->lock_owners.erase(op.lock_owner) > 0) {
        LockRequest unlock;
        unlock.owner = op.lock_owner;
        unlock.pid = x->header().pid;
        Task<Done> unlocked = unlock_owner(x, file, unlock);
        (void)co_await unlocked;
        open = files_.find_open(op.handle);
        if (open == nullptr) co_return Done{};
    }
    auto failed = file->errors.take(open->errors_seen);
    if (failed.has_value()) co_return *failed;
    co_return Done{};
}

// The last close. What is deferred goes on in the background, and only then the handle, which
// keeps an unlinked inode alive.
Task<Done> Mount::on(Exchange* x, Release op) {
    OpenFile closed = co_await or_return(files_.close(op.handle));
    FilePtr file = closed.file;
    write_behind_.start(file);
    LockRequest unlock;
    unlock.pid = x->header().pid;
    // Owners that are processes have been unlocked by FLUSH: the rest are open files.
    for (std::uint64_t owner : file->take_lock_owners(op.handle)) {
        unlock.owner = owner;
        Task<Done> unlocked = unlock_owner(x, file, unlock);
        (void)co_await unlocked;
    }
    if (op.unlock_flock) {
        unlock.owner = op.lock_owner;
        unlock.flock = true;
        Task<Done> unlocked = unlock_owner(x, file, unlock);
        (void)co_await unlocked;
    }
    background_.spawn(finish_release(std::move(closed)));
    co_return Done{};
}

Task<Done> Mount::finish_release(OpenFile closed) {
    (void)co_await write_behind_.flush(closed.file);
    InodeId inode = closed.file->inode;
    files_.forget_if_idle(closed.file);
    co_return co_await release_handle(inode, closed.compute_handle);
}

Task<Done> Mount::keep_for_open(InodeId inode) {
    Caller caller = compute_.own_writer();
    FileId file = compute_.file(inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->open(caller, file, LeaseMode::none);
    };
    Opened opened = co_await or_return(co_await compute_.attempt<Opened>(nullptr, call));
    background_.spawn(release_later(inode, opened.handle));
    co_return Done{};
}

Task<Done> Mount::release_later(InodeId inode, std::uint64_t compute_handle) {
    co_await sleep(reactor_, kKeepsLookedUpFor);
    Task<Done> released = release_handle(inode, compute_handle);
    co_return co_await released;
}

Task<Done> Mount::release_handle(InodeId inode, std::uint64_t compute_handle) {
    Caller caller = compute_.own_writer();
    FileId file = compute_.file(inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->release(caller, file, compute_handle);
    };
    co_return co_await compute_.attempt<Done>(nullptr, call);
}

Task<Done> Mount::on(Exchange* x, Fsync op) {
    OpenFile* open = files_.find_open(op.handle);
    if (open == nullptr) co_return Error{Code::invalid, "frontend.fsync"};
    FilePtr file = open->file;
    if (file->lost_locks) co_return Error{Code::io_failed, "frontend.lost_locks"};
    (void)co_await write_behind_.flush(file);
    open = files_.find_open(op.handle);
    if (open == nullptr) co_return Error{Code::invalid, "frontend.fsync"};
    auto failed = file->errors.take(open->errors_seen);
    if (failed.has_value()) co_return *failed;

    Caller caller = reader(*x);
    FileId id = compute_.file(file->inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->fsync(caller, id);
    };
    co_return co_await ask<Done>(x, call);
}

}  // namespace weft::frontend
