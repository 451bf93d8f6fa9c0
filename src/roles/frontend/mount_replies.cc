#include "platform/base/planted.h"
#include "roles/frontend/mount_internal.h"

#include <utility>

namespace weft::frontend {
namespace {

// An inode that changes faster than it can be asked for is shown as it was, uncached.
constexpr int kFetchesMost = 4;

}  // namespace

Caller Mount::reader(const Exchange& x) const {
    return compute_.reader(x.header().uid, x.header().gid, x.header().pid);
}

Caller Mount::writer(const Exchange& x) {
    return compute_.writer(x.header().uid, x.header().gid, x.header().pid);
}

Task<Node> Mount::fetch(Exchange* x, InodeId inode) {
    Caller caller = reader(*x);
    FileId file = compute_.file(inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->getattr(caller, file);
    };
    co_return co_await ask<Node>(x, call);
}

void Mount::remember(const Node& node, std::uint64_t namespace_changes) {
    look_at_term();
    leases_.grant(node);
    FilePtr file = files_.find(node.inode);
    LeaseMode granted = covered_ ? node.lease : LeaseMode::none;
    if (file != nullptr) file->learn(node, granted, namespace_changes);
}

Task<Node> Mount::settle(Exchange* x, Node node) {
    Moments before = x->before();
    for (int i = 0; i < kFetchesMost && changes_.changed_since(node.inode, before.changes); ++i) {
        before = moments();
        node = co_await or_return(co_await fetch(x, node.inode));
    }
    look_at_term();
    bool crossed = recalls_.changed_since(node.inode, before.recalls);
    if (crossed || !covered_) node.lease = LeaseMode::none;
    remember(node, before.namespace_changes);
    FilePtr file = files_.find(node.inode);
    if (file == nullptr) co_return node;
    file->overlay(node.attributes);
    // Times that a program has seen must be those that compute will show for ever.
    if (file->ahead()) file->store_attributes = true;
    co_return node;
}

Nanos Mount::attribute_validity(const Node& node) const {
    return node.lease == LeaseMode::none ? 0 : settings_.lease_time;
}

Validity Mount::validity(const Exchange& x, InodeId directory, std::string_view name,
                         const Node& node) {
    Validity valid;
    valid.attributes = attribute_validity(node);
    if (node.lease == LeaseMode::none) return valid;
    if (may_keep_entry(x, directory, name)) valid.entry = settings_.lease_time;
    return valid;
}

bool Mount::may_keep_entry(const Exchange& x, InodeId directory, std::string_view name) {
    look_at_term();
    if (planted(Bug::entry_kept_without_lease)) return true;
    if (!leases_.holds(directory)) return false;
    if (recalls_.changed_since(directory, x.before().recalls)) return false;
    return agreement_.increase_epoch || names_.add(directory, name);
}

Task<Done> Mount::put_entry(Exchange* x, InodeId directory, std::string_view name, Node node) {
    Node shown = co_await or_return(co_await settle(x, std::move(node)));
    nodes_.told(shown.inode);
    x->put(entry_of(shown, validity(*x, directory, name, shown)));
    co_return Done{};
}

Task<Done> Mount::put_attributes(Exchange* x, Node node) {
    Node shown = co_await or_return(co_await settle(x, std::move(node)));
    x->put(attributes_reply(shown, attribute_validity(shown)));
    co_return Done{};
}

}  // namespace weft::frontend
