#include "roles/frontend/mount_internal.h"

#include <utility>

namespace weft::frontend {
namespace {

// An item with attributes takes the kernel about four times the room of its name.
constexpr std::uint32_t kPlusShare = 4;

}  // namespace

// Nothing is kept for an open directory: cookies say all.
Task<Done> Mount::on(Exchange* x, OpenDirectory) {
    (void)co_await or_return(co_await cover(x, x->inode()));
    fuse_open_out out{};
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
    co_return Done{};
}

Task<Done> Mount::on(Exchange*, ReleaseDirectory) {
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
