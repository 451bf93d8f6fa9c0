#include "roles/frontend/mount_internal.h"

#include <utility>

#include <sys/stat.h>

namespace weft::frontend {
namespace {

// The kernel's numbers are those of a timespec: seconds have a sign.
Timestamp moment_of(std::uint64_t seconds, std::uint32_t nanoseconds) {
    return {static_cast<std::int64_t>(seconds), nanoseconds};
}

AttributeChange change_of(const fuse_setattr_in& in) {
    AttributeChange change;
    if ((in.valid & FATTR_MODE) != 0) change.mode = in.mode & kPermissionBits;
    if ((in.valid & FATTR_UID) != 0) change.uid = in.uid;
    if ((in.valid & FATTR_GID) != 0) change.gid = in.gid;
    if ((in.valid & FATTR_SIZE) != 0) change.size = in.size;
    if ((in.valid & FATTR_ATIME) != 0) change.atime = moment_of(in.atime, in.atimensec);
    if ((in.valid & FATTR_MTIME) != 0) change.mtime = moment_of(in.mtime, in.mtimensec);
    if ((in.valid & FATTR_CTIME) != 0) change.ctime = moment_of(in.ctime, in.ctimensec);
    if ((in.valid & FATTR_ATIME_NOW) != 0) change.atime = kTimeNow;
    if ((in.valid & FATTR_MTIME_NOW) != 0) change.mtime = kTimeNow;
    // A change of owner drops them whoever asks (FUSE_HANDLE_KILLPRIV_V2 leaves it to us).
    bool owner = (in.valid & (FATTR_UID | FATTR_GID)) != 0;
    change.clear_setid = owner || (in.valid & FATTR_KILL_SUIDGID) != 0;
    return change;
}

// Times may be told late, and permissions that are added: a crash of this client then takes these
// away along with the bytes. A permission that is taken away is so at once. cp and tar create with
// few permissions and add the others, and set the owner to what it is already.
bool deferrable(const AttributeChange& change, const InodeRecord& now) {
    if (change.size) return false;
    if (change.uid && *change.uid != now.uid) return false;
    if (change.gid && *change.gid != now.gid) return false;
    std::uint32_t mode = change.mode.value_or(now.mode & kPermissionBits);
    bool takes_away = (now.mode & kPermissionBits & ~mode) != 0;
    return !takes_away && ((now.mode | mode) & (S_ISUID | S_ISGID)) == 0;
}

bool has_times(const AttributeChange& change) {
    return change.atime || change.mtime || change.ctime;
}

}  // namespace

Task<Done> Mount::on(Exchange* x, GetAttributes) {
    FilePtr file = files_.find(x->inode());
    bool known = file != nullptr && file->attributes_valid &&
                 file->attributes_namespace == namespace_changes_;
    if (!known) {
        Node node = co_await or_return(co_await fetch(x, x->inode()));
        Task<Done> put = put_attributes(x, std::move(node));
        co_return co_await put;
    }
    Node node;
    node.inode = file->inode;
    node.attributes = file->attributes;
    node.lease = file->lease;
    file->overlay(node.attributes);
    if (file->ahead()) file->store_attributes = true;
    x->put(attributes_reply(node, attribute_validity(node)));
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, GetStatx) {
    Node node = co_await or_return(co_await fetch(x, x->inode()));
    Node shown = co_await or_return(co_await settle(x, std::move(node)));
    x->put(statx_reply(shown, attribute_validity(shown)));
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, SetAttributes op) {
    AttributeChange change = change_of(op.in);
    if (change.size.has_value() && *change.size > INT64_MAX) {
        co_return Error{Code::file_too_large, "frontend.setattr"};
    }
    FilePtr file = files_.find(x->inode());
    if (file != nullptr && defer(file, change)) {
        Task<Done> answer = on(x, GetAttributes{});
        co_return co_await answer;
    }
    Node node = co_await or_return(co_await change_attributes(x, x->inode(), change));
    x->put(attributes_reply(node, attribute_validity(node)));
    co_return Done{};
}

// Times and mode set by a program behind its writes (tar, cp -p, rsync) go along with these.
// That the program may set them was judged by the kernel.
bool Mount::defer(const FilePtr& file, const AttributeChange& change) {
    bool ours = file->ahead() && file->lease == LeaseMode::write && file->attributes_valid;
    if (!ours) return false;
    InodeRecord shown = file->attributes;
    file->overlay(shown);
    if (!deferrable(change, shown)) return false;
    Timestamp now = timestamp_of(reactor_.wall_now());
    auto moment = [now](Timestamp given) {
        return given == kTimeNow ? now : given;
    };
    if (change.atime) file->atime = moment(*change.atime);
    if (change.mtime) file->mtime = moment(*change.mtime);
    file->ctime = change.ctime ? moment(*change.ctime) : now;
    if (change.mode && *change.mode != (shown.mode & kPermissionBits)) file->mode = change.mode;
    file->store_attributes = true;
    return true;
}

// Truncation and times come after the writes before them, and all after what was set before.
Task<Node> Mount::change_attributes(Exchange* x, InodeId inode, AttributeChange change) {
    FilePtr file = files_.find(inode);
    bool after_writes = change.size.has_value() || has_times(change);
    if (file != nullptr && file->ahead() && (after_writes || file->attributes_set())) {
        (void)co_await write_behind_.flush(file);
    }
    Caller caller = writer(*x);
    FileId id = compute_.file(inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->setattr(caller, id, change);
    };
    Node node = co_await or_return(co_await ask<Node>(x, call));
    file = files_.find(inode);
    if (file != nullptr && change.size.has_value()) file->size = *change.size;
    co_return co_await settle(x, std::move(node));
}

}  // namespace weft::frontend
