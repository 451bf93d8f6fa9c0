#include "engines/namespace/attributes.h"
#include "engines/namespace/names.h"
#include "model/layout/keys.h"
#include "platform/base/planted.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

Result<Done> may_remove(const InodeRecord& record, bool want_directory) {
    bool is_directory = posix::is_directory(record);
    if (want_directory && !is_directory) return Error{Code::not_a_directory, "rmdir"};
    if (!want_directory && is_directory) return Error{Code::is_a_directory, "unlink"};
    if (is_directory && record.size != 0) return Error{Code::not_empty, "rmdir"};
    return Done{};
}

Task<Done> remove(Core* core, Caller caller, FileId directory_id, std::string name,
                  bool want_directory) {
    co_await or_return(posix::check_entry_name(name));
    co_await or_return(co_await core->admit_request(caller));
    InodePin directory = co_await or_return(co_await core->pin_directory(directory_id));
    Changing guard(directory, caller.session);
    std::uint64_t hash = name_hash(name);
    LockKey key{directory_id, hash};
    auto lock = std::make_optional(
        co_await or_return(co_await core->locks.exclusive(key, caller.deadline)));
    auto entry = co_await or_return(co_await core->find_entry(directory_id, name));
    if (!entry.has_value()) {
        lock.reset();
        co_await or_return(co_await core->settled(directory->changed));
        co_return Error{Code::not_found, "unlink"};
    }
    FileId child{directory_id.filesystem, entry->inode};
    InodePin inode = co_await or_return(co_await core->pin(child));
    co_await or_return(may_remove(inode->record, want_directory));
    Changing child_guard(inode, caller.session);
    co_await or_return(co_await core->recall_for_change(caller.session, directory_id, name, false));
    co_await or_return(
        co_await core->recall_for_change(caller.session, child, std::string(), false));

    // Decided from here on without an await: somebody may have put an entry into it meanwhile.
    co_await or_return(core->may_change(caller));
    co_await or_return(may_remove(inode->record, want_directory));
    Change change(*core);
    change.at(directory_id).erase(keys::entry(directory_id, hash, name));
    posix::note_entry_change(change.edit(directory), -1, want_directory ? -1 : 0,
                             core->timestamp());
    InodeRecord& record = change.edit(inode);
    CHECK(record.nlink > 0);
    record.nlink = want_directory ? 0 : record.nlink - 1;
    if (planted(Bug::unlink_keeps_link_count) && record.nlink > 0) ++record.nlink;
    posix::note_attribute_change(record, core->timestamp());
    if (record.nlink == 0) change.at(child).put(keys::orphan(child), std::string());
    core->remember(change, caller);
    Lsn lsn = change.commit();
    core->purge_if_unused(inode);
    lock.reset();
    co_return co_await core->settled(lsn);
}

}  // namespace

Task<Done> ComputeRole::unlink(Caller caller, FileId directory, std::string name) {
    core_->count(Operation::unlink);
    return core_->once(caller, remove(core_.get(), caller, directory, std::move(name), false));
}

Task<Done> ComputeRole::rmdir(Caller caller, FileId directory, std::string name) {
    core_->count(Operation::rmdir);
    return core_->once(caller, remove(core_.get(), caller, directory, std::move(name), true));
}

}  // namespace weft::compute
