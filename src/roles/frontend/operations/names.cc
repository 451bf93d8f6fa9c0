#include "roles/frontend/mount_internal.h"

#include <string>
#include <utility>

#include <sys/stat.h>

namespace weft::frontend {
namespace {

// RENAME_* of <linux/fs.h>.
constexpr std::uint32_t kRenameNoReplace = 1;
constexpr std::uint32_t kRenameExchange = 2;
// For a name whose file is another each time before it can be opened.
constexpr int kLooksMost = 16;

NewNode new_node(const Exchange& x, std::uint32_t mode, std::uint32_t umask) {
    NewNode what;
    what.mode = mode;
    what.umask = umask;
    what.uid = x.header().uid;
    what.gid = x.header().gid;
    return what;
}

}  // namespace

// Entries may be kept, and their absence, if the lease on the directory came before them.
Task<Done> Mount::cover(Exchange* x, InodeId directory) {
    if (leases_.holds(directory) || !leases_.may_ask(directory, reactor_.now())) {
        co_return Done{};
    }
    Node node = co_await or_return(co_await fetch(x, directory));
    (void)co_await or_return(co_await settle(x, std::move(node)));
    co_return Done{};
}

bool Mount::keeps_looked_up(const Node& node) const {
    return S_ISREG(node.attributes.mode) && reactor_.now() < keeps_looked_up_until_;
}

Task<Done> Mount::on(Exchange* x, Lookup op) {
    (void)co_await cover(x, x->inode());
    Caller caller = reader(*x);
    FileId directory = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::string name(op.name);
    auto call = [=] {
        return service->lookup(caller, directory, name);
    };
    auto found = co_await ask<Node>(x, call);
    for (int tries = 0; tries < kLooksMost && found.ok() && keeps_looked_up(found.value());
         ++tries) {
        auto kept = co_await keep_for_open(found.value().inode);
        if (kept.code() != Code::stale) break;
        found = co_await ask<Node>(x, call);
    }
    if (found.ok()) {
        Task<Done> put = put_entry(x, x->inode(), op.name, std::move(found).value());
        co_return co_await put;
    }
    if (found.code() != Code::not_found) co_return found.error();
    if (!may_keep_entry(*x, x->inode(), op.name)) co_return found.error();
    x->put(absent_entry(settings_.lease_time));
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, MakeNode op) {
    Caller caller = writer(*x);
    FileId directory = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::string name(op.name);
    NewNode what = new_node(*x, op.mode, op.umask);
    what.rdev = op.rdev;
    auto call = [=] {
        return service->create(caller, directory, name, what);
    };
    Node made = co_await or_return(co_await ask<Node>(x, call));
    Task<Done> put = put_entry(x, x->inode(), op.name, std::move(made));
    co_return co_await put;
}

Task<Done> Mount::on(Exchange* x, MakeSymlink op) {
    Caller caller = writer(*x);
    FileId directory = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::string name(op.name);
    NewNode what = new_node(*x, S_IFLNK | 0777, 0);
    what.symlink = op.target;
    auto call = [=] {
        return service->create(caller, directory, name, what);
    };
    Node made = co_await or_return(co_await ask<Node>(x, call));
    Task<Done> put = put_entry(x, x->inode(), op.name, std::move(made));
    co_return co_await put;
}

Task<Done> Mount::on(Exchange* x, ReadLink) {
    Caller caller = reader(*x);
    FileId file = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->readlink(caller, file);
    };
    std::string target = co_await or_return(co_await ask<std::string>(x, call));
    if (target.size() >= kBlockBytes) co_return Error{Code::name_too_long, "frontend.readlink"};
    x->put_payload_copy(target);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, Link op) {
    Caller caller = writer(*x);
    FileId directory = compute_.file(x->inode());
    FileId file = compute_.file(op.inode);
    ComputeService* service = compute_.service();
    std::string name(op.name);
    auto call = [=] {
        return service->link(caller, file, directory, name);
    };
    Node linked = co_await or_return(co_await ask<Node>(x, call));
    namespace_changed();
    Task<Done> put = put_entry(x, x->inode(), op.name, std::move(linked));
    co_return co_await put;
}

Task<Done> Mount::on(Exchange* x, Unlink op) {
    Caller caller = writer(*x);
    FileId directory = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::string name(op.name);
    auto call = [=] {
        return service->unlink(caller, directory, name);
    };
    (void)co_await or_return(co_await ask<Done>(x, call));
    namespace_changed();
    names_.remove(x->inode(), op.name);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, RemoveDirectory op) {
    Caller caller = writer(*x);
    FileId directory = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::string name(op.name);
    auto call = [=] {
        return service->rmdir(caller, directory, name);
    };
    (void)co_await or_return(co_await ask<Done>(x, call));
    namespace_changed();
    names_.remove(x->inode(), op.name);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, Rename op) {
    if ((op.flags & ~(kRenameNoReplace | kRenameExchange)) != 0) {
        co_return Error{Code::invalid, "frontend.rename"};
    }
    RenameFlags flags;
    flags.no_replace = (op.flags & kRenameNoReplace) != 0;
    flags.exchange = (op.flags & kRenameExchange) != 0;

    Caller caller = writer(*x);
    FileId from = compute_.file(x->inode());
    FileId to = compute_.file(op.to);
    ComputeService* service = compute_.service();
    std::string from_name(op.from_name);
    std::string to_name(op.to_name);
    auto call = [=] {
        return service->rename(caller, from, from_name, to, to_name, flags);
    };
    (void)co_await or_return(co_await ask<Done>(x, call));
    namespace_changed();
    if (!flags.exchange) names_.remove(x->inode(), op.from_name);
    if (flags.exchange) entry_has_moved(*x, x->inode(), op.from_name);
    entry_has_moved(*x, op.to, op.to_name);
    co_return Done{};
}

// The kernel moves its entry together with the time that it may keep it: that was the old folder's
// lease. Where none covers the new one it must go; the notice comes right behind our reply.
void Mount::entry_has_moved(const Exchange& x, InodeId directory, std::string_view name) {
    if (may_keep_entry(x, directory, name)) return;
    std::string message = invalidate_entry_message(directory, name);
    background_.spawn(send_notice(std::move(message), std::make_shared<Notice>()));
}

}  // namespace weft::frontend
