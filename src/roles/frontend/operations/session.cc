#include "roles/frontend/mount_internal.h"

#include <algorithm>
#include <cerrno>

namespace weft::frontend {

// ENOSYS makes the kernel stop asking; for POLL, BMAP and the like that is what we want.
Task<Done> Mount::on(Exchange* x, Unknown) {
    x->set_errno(ENOSYS);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, NotATerminal) {
    x->set_errno(ENOTTY);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, Init op) {
    auto agreement = negotiate(op.in, settings_.shared_locks);
    if (!agreement.ok()) {
        x->set_errno(EPROTO);
        co_return Done{};
    }
    agreement_ = agreement.value();
    x->put(agreement_.reply);
    background_.spawn(announce());
    co_return Done{};
}

// The reply to INIT goes out first.
Task<Done> Mount::announce() {
    co_await yield(reactor_);
    channel_.initialized();
    co_return Done{};
}

Task<Done> Mount::on(Exchange*, Destroy) {
    co_return co_await write_behind_.flush_all();
}

// Answered by accept() already.
Task<Done> Mount::on(Exchange*, Forget) {
    co_return Done{};
}
Task<Done> Mount::on(Exchange*, Interrupt) {
    co_return Done{};
}

// The kernel checks permissions itself (default_permissions) and does not ask.
Task<Done> Mount::on(Exchange*, Access) {
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, StatFilesystem) {
    // What was written behind takes its space when it is sent. If it cannot be sent, somebody else
    // hears of that.
    (void)co_await write_behind_.flush_all();
    FilesystemId filesystem = compute_.filesystem();
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->usage(filesystem);
    };
    auto usage = co_await or_return(co_await ask<FilesystemUsage>(x, call));
    fuse_statfs_out out{};
    out.st.blocks = usage.capacity_blocks;
    // A thin filesystem: what is not used counts as free, and what the drives have room for as
    // available. So df's "used" is what this filesystem uses, whatever its neighbours do.
    std::uint64_t used = std::min(usage.used_blocks, usage.capacity_blocks);
    out.st.bfree = usage.capacity_blocks - used;
    out.st.bavail = usage.free_blocks;
    // Inodes take space like data, about a block each.
    out.st.files = usage.inodes + usage.free_blocks;
    out.st.ffree = usage.free_blocks;
    out.st.bsize = kBlockBytes;
    out.st.frsize = kBlockBytes;
    out.st.namelen = 255;
    x->put(out);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, SyncFilesystem) {
    (void)co_await write_behind_.flush_all();
    Caller caller = reader(*x);
    FilesystemId filesystem = compute_.filesystem();
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->sync(caller, filesystem);
    };
    co_return co_await ask<Done>(x, call);
}

}  // namespace weft::frontend
