#include "engines/namespace/attributes.h"
#include "engines/namespace/names.h"
#include "engines/namespace/rename_rules.h"
#include "model/layout/keys.h"
#include "platform/base/planted.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

// Deeper trees cannot be named by any path: a bound, so that a broken tree ends a walk.
constexpr int kDepthMost = 1 << 16;

struct End {
    FileId directory_id;
    std::string name;
    std::uint64_t hash = 0;
    InodePin directory;
    InodePin inode;  // Empty if there is no such name.

    LockKey key() const { return {directory_id, hash}; }
    bool leads_to_directory() const { return inode && posix::is_directory(inode->record); }
    posix::RenameEnd end() const {
        posix::RenameEnd end{directory_id.inode, std::nullopt, nullptr};
        if (inode) {
            end.inode = inode->id.inode;
            end.record = &inode->record;
        }
        return end;
    }
};

// One rename(2), from its two ends to the commit.
class Rename {
public:
    Rename(Core* core, Caller caller, RenameFlags flags)
        : core_(core), caller_(caller), flags_(flags) {}

    End from;
    End to;

    Task<Done> run();

private:
    Task<Done> find(End* end);
    Task<Done> lock_and_find(bool with_rename_lock);
    bool moves_directory() const;
    Task<Done> refuse_loop(InodePin moved, FileId into);
    Task<Done> refuse_loops();
    Task<Done> recall();
    Result<Lsn> decide();
    void move_entry(Change& change, posix::RenamePlan plan);
    void exchange_entries(Change& change);
    void put_entry(Change& change, const End& at, const InodePin& inode);

    Core* core_;
    Caller caller_;
    RenameFlags flags_;
    std::vector<KeyLocks::Held> held_;
};

Task<Done> Rename::find(End* end) {
    end->inode = InodePin();
    auto entry = co_await or_return(co_await core_->find_entry(end->directory_id, end->name));
    if (!entry.has_value()) co_return Done{};
    FileId child{end->directory_id.filesystem, entry->inode};
    end->inode = co_await or_return(co_await core_->pin(child));
    co_return Done{};
}

bool Rename::moves_directory() const {
    bool elsewhere = from.directory_id != to.directory_id;
    bool any = from.leads_to_directory() || (flags_.exchange && to.leads_to_directory());
    return elsewhere && any;
}

Task<Done> Rename::lock_and_find(bool with_rename_lock) {
    held_.clear();
    if (with_rename_lock) {
        FileId whole{from.directory_id.filesystem, InodeId{0}};
        LockKey key{whole, kRenamePart};
        held_.push_back(co_await or_return(co_await core_->locks.exclusive(key, caller_.deadline)));
    }
    std::vector<LockKey> names;
    names.push_back(from.key());
    names.push_back(to.key());
    auto locked =
        co_await or_return(co_await core_->locks.exclusive_all(std::move(names), caller_.deadline));
    for (auto& lock : locked) held_.push_back(std::move(lock));
    co_await or_return(co_await find(&from));
    co_return co_await find(&to);
}

// Directories change their parents only under the rename lock, so the way up is stable.
Task<Done> Rename::refuse_loop(InodePin moved, FileId into) {
    FileId at = into;
    for (int depth = 0; depth < kDepthMost; ++depth) {
        if (at == moved->id) co_return Error{Code::invalid, "rename.loop"};
        if (at.inode == kRootInode) co_return Done{};
        InodePin directory = co_await or_return(co_await core_->pin(at));
        at.inode = directory->record.parent;
    }
    co_return Error{Code::corrupt, "rename.depth"};
}

Task<Done> Rename::refuse_loops() {
    if (from.leads_to_directory()) {
        co_await or_return(co_await refuse_loop(from.inode, to.directory_id));
    }
    if (flags_.exchange && to.leads_to_directory()) {
        co_await or_return(co_await refuse_loop(to.inode, from.directory_id));
    }
    co_return Done{};
}

Task<Done> Rename::recall() {
    SessionId by = caller_.session;
    std::string none;
    co_await or_return(co_await core_->recall_for_change(by, from.directory_id, from.name, false));
    co_await or_return(co_await core_->recall_for_change(by, to.directory_id, to.name, false));
    co_await or_return(co_await core_->recall_for_change(by, from.inode->id, none, false));
    if (to.inode) {
        co_await or_return(co_await core_->recall_for_change(by, to.inode->id, none, false));
    }
    co_return Done{};
}

void Rename::put_entry(Change& change, const End& at, const InodePin& inode) {
    EntryRecord entry{inode->id.inode, inode->record.mode & posix::kTypeMask};
    change.at(at.directory_id).put(keys::entry(at.directory_id, at.hash, at.name), encode(entry));
    InodeRecord& record = change.edit(inode);
    if (posix::is_directory(record)) record.parent = at.directory_id.inode;
    posix::note_attribute_change(record, core_->timestamp());
}

void Rename::move_entry(Change& change, posix::RenamePlan plan) {
    Timestamp now = core_->timestamp();
    bool replaces = plan == posix::RenamePlan::replace;
    int directory = from.leads_to_directory() ? 1 : 0;
    if (!planted(Bug::rename_keeps_old_name)) {
        change.at(from.directory_id).erase(keys::entry(from.directory_id, from.hash, from.name));
    }
    posix::note_entry_change(change.edit(from.directory), -1, -directory, now);
    put_entry(change, to, from.inode);
    if (planted(Bug::rename_forgets_parent_link)) directory = 0;
    if (!replaces) {
        posix::note_entry_change(change.edit(to.directory), 1, directory, now);
        return;
    }
    posix::note_entry_change(change.edit(to.directory), 0, 0, now);
    InodeRecord& lost = change.edit(to.inode);
    CHECK(lost.nlink > 0);
    lost.nlink = directory != 0 ? 0 : lost.nlink - 1;
    posix::note_attribute_change(lost, now);
    if (lost.nlink == 0) change.at(to.inode->id).put(keys::orphan(to.inode->id), std::string());
}

void Rename::exchange_entries(Change& change) {
    Timestamp now = core_->timestamp();
    int came = (from.leads_to_directory() ? 1 : 0) - (to.leads_to_directory() ? 1 : 0);
    put_entry(change, to, from.inode);
    put_entry(change, from, to.inode);
    posix::note_entry_change(change.edit(from.directory), 0, -came, now);
    posix::note_entry_change(change.edit(to.directory), 0, came, now);
}

// No await: all records are what they are, and stay so until the commit.
Result<Lsn> Rename::decide() {
    auto may = core_->may_change(caller_);
    if (!may.ok()) return may.error();
    auto plan = posix::plan_rename(from.end(), to.end(), flags_);
    if (!plan.ok()) return plan.error();
    if (plan.value() == posix::RenamePlan::nothing) return to.directory->changed;
    if (to.directory->record.nlink == 0) return Error{Code::not_found, "rename.to"};
    Change change(*core_);
    if (plan.value() == posix::RenamePlan::exchange) {
        exchange_entries(change);
    } else {
        move_entry(change, plan.value());
    }
    core_->remember(change, caller_);
    Lsn lsn = change.commit();
    if (plan.value() == posix::RenamePlan::replace) core_->purge_if_unused(to.inode);
    return lsn;
}

Task<Done> Rename::run() {
    co_await or_return(co_await core_->admit_request(caller_));
    from.directory = co_await or_return(co_await core_->pin_directory(from.directory_id));
    to.directory = co_await or_return(co_await core_->pin_directory(to.directory_id));
    Changing from_guard(from.directory, caller_.session);
    Changing to_guard(to.directory, caller_.session);
    co_await or_return(co_await lock_and_find(false));
    // Its lock comes before the names: begin again.
    if (moves_directory()) co_await or_return(co_await lock_and_find(true));
    auto plan = posix::plan_rename(from.end(), to.end(), flags_);
    if (!from.inode) {
        co_await or_return(co_await core_->settled(from.directory->changed));
        co_return Error{Code::not_found, "rename.from"};
    }
    // As Linux orders them: what the flags refuse, then loops, then what cannot be replaced.
    if (plan.code() == Code::already_exists) co_return plan.error();
    if (plan.code() == Code::not_found) co_return plan.error();
    if (moves_directory()) co_await or_return(co_await refuse_loops());
    co_await or_return(std::move(plan));
    Changing from_inode_guard(from.inode, caller_.session);
    Changing to_inode_guard;
    if (to.inode) to_inode_guard = Changing(to.inode, caller_.session);
    co_await or_return(co_await recall());
    Lsn lsn = co_await or_return(decide());
    held_.clear();
    co_return co_await core_->settled(lsn);
}

Task<Done> rename_entry(Core* core, Caller caller, FileId from, std::string from_name, FileId to,
                        std::string to_name, RenameFlags flags) {
    co_await or_return(posix::check_entry_name(from_name));
    co_await or_return(posix::check_entry_name(to_name));
    if (from.filesystem != to.filesystem) co_return Error{Code::cross_filesystem, "rename"};
    Rename rename(core, caller, flags);
    rename.from.directory_id = from;
    rename.from.hash = name_hash(from_name);
    rename.from.name = std::move(from_name);
    rename.to.directory_id = to;
    rename.to.hash = name_hash(to_name);
    rename.to.name = std::move(to_name);
    co_return co_await rename.run();
}

}  // namespace

Task<Done> ComputeRole::rename(Caller caller, FileId from, std::string from_name, FileId to,
                               std::string to_name, RenameFlags flags) {
    core_->count(Operation::rename);
    return core_->once(caller, rename_entry(core_.get(), caller, from, std::move(from_name), to,
                                            std::move(to_name), flags));
}

}  // namespace weft::compute
