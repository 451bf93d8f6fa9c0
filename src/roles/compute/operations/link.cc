#include "engines/namespace/attributes.h"
#include "engines/namespace/names.h"
#include "model/layout/keys.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

Result<Done> may_link(const Core& core, const Inode& inode) {
    if (posix::is_directory(inode.record)) return Error{Code::not_permitted, "link"};
    if (inode.record.nlink == 0 && !inode.unnamed) return Error{Code::not_found, "link"};
    if (inode.record.nlink >= core.settings.links_most) return Error{Code::too_many_links, "link"};
    return Done{};
}

Task<Node> link_file(Core* core, Caller caller, FileId file, FileId directory_id,
                     std::string name) {
    co_await or_return(posix::check_entry_name(name));
    if (file.filesystem != directory_id.filesystem) {
        co_return Error{Code::cross_filesystem, "link"};
    }
    co_await or_return(co_await core->admit_request(caller));
    co_await or_return(core->check_metadata_room());
    InodePin inode = co_await or_return(co_await core->pin(file));
    InodePin directory = co_await or_return(co_await core->pin_directory(directory_id));
    co_await or_return(may_link(*core, *inode));
    Changing inode_guard(inode, caller.session);
    Changing guard(directory, caller.session);
    std::uint64_t hash = name_hash(name);
    LockKey key{directory_id, hash};
    auto lock = std::make_optional(
        co_await or_return(co_await core->locks.exclusive(key, caller.deadline)));
    auto existing = co_await or_return(co_await core->find_entry(directory_id, name));
    if (existing.has_value()) {
        lock.reset();
        co_await or_return(co_await core->settled(directory->changed));
        co_return Error{Code::already_exists, "link"};
    }
    co_await or_return(co_await core->recall_for_change(caller.session, directory_id, name, false));
    co_await or_return(
        co_await core->recall_for_change(caller.session, file, std::string(), false));
    // A truncation of a file without a name leaves no marker: it must not get one meanwhile.
    std::optional<KeyLocks::Held> inode_lock;
    LockKey inode_key{file, kInodePart};
    if (inode->unnamed) {
        inode_lock.emplace(
            co_await or_return(co_await core->locks.exclusive(inode_key, caller.deadline)));
    }

    // Decided from here on without an await.
    co_await or_return(core->may_change(caller));
    co_await or_return(may_link(*core, *inode));
    if (directory->record.nlink == 0) co_return Error{Code::not_found, "link"};
    Change change(*core);
    InodeRecord& record = change.edit(inode);
    if (record.nlink++ == 0) change.at(file).erase(keys::orphan(file));
    posix::note_attribute_change(record, core->timestamp());
    EntryRecord entry{file.inode, record.mode & posix::kTypeMask};
    change.at(directory_id).put(keys::entry(directory_id, hash, name), encode(entry));
    posix::note_entry_change(change.edit(directory), 1, 0, core->timestamp());
    core->remember(change, caller, file);
    Lsn lsn = change.commit();
    inode->unnamed = false;
    inode_lock.reset();
    lock.reset();
    Node node = core->look(caller.session, inode);
    co_return co_await core->answer(caller.session, inode, std::move(node), lsn);
}

}  // namespace

Task<Node> ComputeRole::link(Caller caller, FileId file, FileId directory, std::string name) {
    core_->count(Operation::link);
    return core_->once(caller, link_file(core_.get(), caller, file, directory, std::move(name)));
}

}  // namespace weft::compute
