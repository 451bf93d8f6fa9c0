#include "engines/namespace/attributes.h"
#include "model/layout/keys.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

constexpr std::size_t kStepMost = 256;

// The keys of a filesystem in a shard: [first, second).
std::pair<std::string, std::string> keys_of(FilesystemId id) {
    FileId first{id, InodeId{0}};
    FileId behind{FilesystemId{id.value + 1}, InodeId{0}};
    return {keys::inode(first), keys::inode(behind)};
}

// Every extent of the file in this shard, so that its blocks' accounts are kept.
Task<Done> free_extents(Core* core, Shard* shard, FileId file) {
    for (bool more = true; more;) {
        co_await or_return(co_await core->admit());
        auto purge = co_await or_return(co_await shard->data.prepare_purge(file, 0, kStepMost));
        more = purge.more;
        Transaction transaction;
        transaction.on(shard->id()) = std::move(purge.change.batch);
        if (!transaction.empty()) (void)core->commit(std::move(transaction));
    }
    co_return Done{};
}

Task<Done> remove_from_shard(Core* core, Shard* shard, FilesystemId id) {
    // What is staged only has no key yet.
    co_await or_return(co_await shard->data.destage(core->journal.last_appended()));
    auto [from, to] = keys_of(id);
    for (;;) {
        auto found = co_await or_return(co_await shard->index.scan(from, to, kStepMost));
        Transaction transaction;
        FileId last_file;
        for (const auto& [key, value] : found) {
            auto extent = keys::parse_extent(key);
            if (!extent.has_value()) {
                transaction.on(shard->id()).erase(key);
            } else if (extent->file != last_file) {
                last_file = extent->file;
                co_await or_return(co_await free_extents(core, shard, last_file));
            }
        }
        if (!transaction.empty()) (void)core->commit(std::move(transaction));
        co_await or_return(co_await core->admit());
        if (found.size() < kStepMost) co_return Done{};
        from = found.back().first + '\0';
    }
}

// Orphans and counters, which do not lie among the filesystem's keys. The mark goes last.
Task<Done> forget_in_shard(Core* core, Shard* shard, FilesystemId id) {
    std::string from = keys::orphan_prefix();
    std::string to = keys::after_prefix(from);
    std::string mark = keys::orphan(FileId{id, kRootInode});
    for (bool more = true; more;) {
        co_await or_return(co_await core->admit());
        auto found = co_await or_return(co_await shard->index.scan(from, to, kStepMost));
        more = found.size() == kStepMost;
        if (more) from = found.back().first + '\0';
        Transaction step;
        for (const auto& [key, value] : found) {
            auto file = keys::parse_orphan(key);
            bool ours = file.has_value() && file->filesystem == id && key != mark;
            if (ours) step.on(shard->id()).erase(key);
        }
        if (!step.empty()) (void)core->commit(std::move(step));
    }
    Transaction transaction;
    if (shard->id() == shard_of(kRootInode)) transaction.on(shard->id()).erase(mark);
    transaction.on(shard->id()).erase(keys::usage_blocks(id));
    transaction.on(shard->id()).erase(keys::usage_inodes(id));
    (void)core->commit(std::move(transaction));
    co_return Done{};
}

Task<Done> make_filesystem(Core* core, FilesystemId id) {
    if (id.value == 0 || id.value == UINT32_MAX) co_return Error{Code::invalid, "filesystem"};
    FileId root{id, kRootInode};
    LockKey key{root, kInodePart};
    auto lock = co_await or_return(co_await core->locks.exclusive(key, 0));
    InodePin inode = co_await or_return(co_await core->load(root));
    Filesystem& filesystem = core->filesystems[id];
    if (!inode->exists) {
        Change change(*core);
        InodeRecord& record = change.edit(inode);
        record = posix::make_root(core->timestamp());
        record.uid = core->settings.root_uid;
        record.gid = core->settings.root_gid;
        change.charge(id, shard_of(kRootInode), 0, 1);
        Lsn lsn = change.commit();
        co_await or_return(co_await core->flushed(lsn));
    }
    filesystem.serving = true;
    co_return Done{};
}

}  // namespace

Task<Done> Core::mark_removed(FilesystemId id) {
    FileId root{id, kRootInode};
    Change change(*this);
    change.at(root).put(keys::orphan(root), std::string(kRemovedMark));
    Lsn lsn = change.commit();
    co_return co_await flushed(lsn);
}

Task<Done> Core::remove_filesystem_now(FilesystemId id) {
    for (auto& [number, shard] : shards) {
        co_await or_return(co_await remove_from_shard(this, shard.get(), id));
    }
    for (auto shard = shards.rbegin(); shard != shards.rend(); ++shard) {
        co_await or_return(co_await forget_in_shard(this, shard->second.get(), id));
    }
    filesystems.erase(id);
    co_return Done{};
}

void Core::start_removing(FilesystemId id) {
    Filesystem& filesystem = filesystems[id];
    filesystem.serving = false;
    if (!std::exchange(filesystem.removing, true)) gate.spawn(remove_filesystem_now(id));
}

Task<Done> ComputeRole::create_filesystem(FilesystemId id) {
    return make_filesystem(core_.get(), id);
}

Task<Done> ComputeRole::remove_filesystem(FilesystemId id) {
    auto found = core_->filesystems.find(id);
    if (found == core_->filesystems.end()) co_return Done{};
    bool was_serving = std::exchange(found->second.serving, false);
    if (!was_serving) co_return Done{};
    co_await or_return(co_await core_->mark_removed(id));
    core_->start_removing(id);
    co_return Done{};
}

}  // namespace weft::compute
