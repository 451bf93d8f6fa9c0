#include "roles/frontend/mount_internal.h"

#include <utility>

namespace weft::frontend {
namespace {

// An item with attributes takes the kernel about four times the room of its name.
constexpr std::uint32_t kPlusShare = 4;

}  // namespace

// Cookies say all about where it is read; compute's handle keeps it once it has been removed.
Task<Done> Mount::on(Exchange* x, OpenDirectory) {
    Caller caller = writer(*x);
    FileId directory = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->open(caller, directory, LeaseMode::read);
    };
    Opened opened = co_await or_return(co_await ask<Opened>(x, call));
    auto settled = co_await settle(x, std::move(opened.node));
    if (!settled.ok()) {
        background_.spawn(release_handle(x->inode(), opened.handle));
        co_return settled.error();
    }
    fuse_open_out out{};
    out.fh = opened.handle;
    // Whatever the kernel still has of the directory it read under this lease: a recall
    // drops it.
    if (leases_.holds(x->inode())) out.open_flags = FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE;
    x->put(out);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, ReadDirectory op) {
    Caller caller = reader(*x);
    FileId directory = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::uint64_t cookie = op.offset;
    bool plus = op.plus;
    std::uint32_t most_bytes = plus ? op.size / kPlusShare : op.size;
    auto call = [=] {
        return service->readdir(caller, directory, cookie, most_bytes, plus);
    };
    DirectoryPage page = co_await or_return(co_await ask<DirectoryPage>(x, call));

    DirectoryWriter writer(x->payload_space().first(op.size), plus);
    for (DirectoryItem& item : page.items) {
        Validity valid;
        bool link = plus && item.name != "." && item.name != "..";
        if (link) {
            auto settled = co_await settle(x, item.node);
            link = settled.ok();  // If not it has just gone: a name is all there was.
            if (link) {
                item.node = std::move(settled).value();
                valid = validity(*x, x->inode(), item.name, item.node);
            }
        }
        if (!writer.add(item, valid, link)) break;
        if (link) nodes_.told(item.node.inode);
    }
    if (writer.written().empty() && !page.items.empty()) {
        co_return Error{Code::invalid, "frontend.readdir"};
    }
    x->put_payload(writer.written());
    look_at_term();
    // Opened while there was a lease, it is cached by the kernel all the same.
    if (!covered_) drop_pages_later(x->inode(), 0, 0);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, ReleaseDirectory op) {
    background_.spawn(release_handle(x->inode(), op.handle));
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, SyncDirectory) {
    Caller caller = reader(*x);
    FileId directory = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->fsync(caller, directory);
    };
    co_return co_await ask<Done>(x, call);
}

}  // namespace weft::frontend
