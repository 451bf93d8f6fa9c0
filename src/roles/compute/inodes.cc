#include "engines/namespace/attributes.h"
#include "model/layout/keys.h"
#include "platform/base/planted.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

constexpr Error kStale{Code::stale, "compute.inode"};

bool serves(const Core& core, FileId file) {
    auto filesystem = core.filesystems.find(file.filesystem);
    bool serving = filesystem != core.filesystems.end() && filesystem->second.serving;
    return serving && file.inode.value != 0 && shard_of(file.inode).value < core.map.shard_count;
}

// The session is the only one with an operation in flight that is about to change it.
bool may_grant(const Inode& inode, SessionId session) {
    if (planted(Bug::lease_during_recall)) return true;
    return inode.changing == 0 || (inode.changing_by == session && !inode.changing_by_many);
}

LeaseMode lease_of(leases::Mode mode) {
    return static_cast<LeaseMode>(mode);
}

}  // namespace

Task<InodePin> Core::load(FileId file) {
    InodePin inode = inodes.pin(file);
    if (inode->loaded) co_return inode;
    auto value = co_await home(file).index.get(keys::inode(file));
    if (!value.ok() && value.code() != Code::not_found) co_return value.error();
    // Somebody else may have been faster, and have changed it since.
    if (inode->loaded) co_return inode;
    if (value.ok()) {
        auto record = decode_inode(value.value());
        if (!record.has_value()) co_return Error{Code::corrupt, "compute.inode"};
        inode->record = std::move(*record);
    }
    inode->loaded = true;
    inode->exists = value.ok();
    inode->loaded_after = journal.last_appended();
    co_return inode;
}

Task<InodePin> Core::pin(FileId file) {
    if (!opened || !serves(*this, file)) co_return kStale;
    InodePin inode = co_await or_return(co_await load(file));
    if (inode->gone()) {
        co_await or_return(co_await settled(inode->changed));
        co_return kStale;
    }
    co_return inode;
}

Task<InodePin> Core::pin_directory(FileId file) {
    auto found = co_await pin(file);
    // A program may well stand in a directory that is gone: nothing has a name in there.
    bool removed = found.code() == Code::stale && serves(*this, file);
    if (removed) co_return Error{Code::not_found, "compute.directory"};
    InodePin inode = co_await or_return(std::move(found));
    if (!posix::is_directory(inode->record)) {
        co_return Error{Code::not_a_directory, "compute.directory"};
    }
    bool only_open = inode->record.nlink == 0;
    if (!only_open) co_return inode;
    co_await or_return(co_await settled(inode->changed));
    co_return Error{Code::not_found, "compute.directory"};
}

Task<InodePin> Core::pin_regular(FileId file) {
    InodePin inode = co_await or_return(co_await pin(file));
    if (posix::is_directory(inode->record)) co_return Error{Code::is_a_directory, "compute.file"};
    if (!posix::is_regular(inode->record)) co_return Error{Code::invalid, "compute.file"};
    co_return inode;
}

Task<std::optional<EntryRecord>> Core::find_entry(FileId directory, std::string name) {
    auto value = co_await home(directory).index.get(keys::entry(directory, name_hash(name), name));
    if (value.code() == Code::not_found) co_return std::optional<EntryRecord>();
    if (!value.ok()) co_return value.error();
    auto entry = decode_entry(value.value());
    if (!entry.has_value()) co_return Error{Code::corrupt, "compute.entry"};
    co_return entry;
}

void Core::note_access(Inode& inode) {
    if (!inode.exists) return;  // Removed while it was read.
    Timestamp now = timestamp();
    if (!posix::atime_is_due(inode.record, now)) return;
    inode.record.atime = now;
    if (!std::exchange(inode.atime_unsaved, true)) ++atimes_unsaved;
}

Node Core::look(SessionId session, InodePin inode) {
    Node node;
    node.inode = inode->id.inode;
    node.attributes = inode->record;
    bool nobody_writes = leases.recalls_for_look(session, inode->id).empty();
    if (may_grant(*inode, session) && nobody_writes && may_cache(session)) {
        leases.grant_read(session, inode->id);
        node.lease = lease_of(leases.held(session, inode->id));
    }
    return node;
}

Task<Node> Core::answer(SessionId session, InodePin inode, Node node, Lsn seen) {
    if (!is_settled(seen)) {
        HeldUp held(*this, session);
        co_await or_return(co_await settled(seen));
    }
    // What has changed meanwhile has been recalled, and may not be cached from this answer.
    LeaseMode held = lease_of(leases.held(session, inode->id));
    if (inode->record.version != node.attributes.version) held = LeaseMode::none;
    node.lease = std::min(node.lease, held);
    co_return node;
}

void Core::purge_if_unused(InodePin inode) {
    if (!inode->exists || !inode->gone()) return;
    constexpr std::size_t kQueueMost = 1 << 16;
    if (to_purge.size() >= kQueueMost) {
        orphans_left_behind = true;
        return;
    }
    if (!being_purged.insert(inode->id).second) return;
    to_purge.push_back(inode->id);
    purging.notify_all();
}

}  // namespace weft::compute
