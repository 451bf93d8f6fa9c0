#include "engines/namespace/acl.h"
#include "engines/namespace/attributes.h"
#include "model/layout/keys.h"
#include "platform/base/bytes.h"
#include "platform/base/planted.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

// The access ACL as it is after a chmod; empty if there is none. The caller holds the inode's
// lock.
Task<std::string> acl_after_chmod(Core* core, FileId file, std::uint32_t mode) {
    std::string key = keys::xattr(file, posix::kAccessAclName);
    auto found = co_await core->home(file).index.get(std::move(key));
    if (found.code() == Code::not_found) co_return std::string();
    if (!found.ok()) co_return found.error();
    auto acl = posix::parse_acl(found.value());
    if (!acl.ok()) co_return Error{Code::corrupt, "setattr.acl"};
    posix::Acl changed = posix::with_mode(std::move(acl).value(), mode);
    co_return posix::encode_acl(changed);
}

// Zeros behind the new end in its block, so that a later extension reads zeros. Empty where
// the end is at a block's.
Task<filedata::PreparedChange> prepare_tail(Core* core, FileId file, std::uint64_t size) {
    std::uint64_t block_end = round_up(size, kBlockBytes);
    if (block_end == size || planted(Bug::truncate_keeps_tail)) {
        co_return filedata::PreparedChange();
    }
    Shard& shard = core->region_shard(file, size / kRegionBytes);
    co_return co_await shard.data.prepare_punch(file, size, block_end - size, false);
}

// The same size frees as well: what fallocate promised behind the end. How much of the file's
// blocks that is, its record does not say, for there may be holes.
bool may_free_blocks(const InodeRecord& record, std::uint64_t size) {
    return size < record.size || (size == record.size && record.blocks > 0);
}

// A smaller size, or the same one, and perhaps other attributes with it. The size, and a marker of
// what is left to free, are committed first; then blocks are freed in bounded steps, all under the
// inode's exclusive lock, so that nobody extends the file before. A restart finds the marker.
Task<Lsn> truncate(Core* core, Caller caller, InodePin inode, AttributeChange asked,
                   std::string acl) {
    FileId file = inode->id;
    std::uint64_t size = *asked.size;
    std::uint64_t old_size = inode->record.size;
    std::uint64_t from_block = divide_up(size, kBlockBytes);
    filedata::PreparedChange tail;
    if (size < old_size) tail = co_await or_return(co_await prepare_tail(core, file, size));

    co_await or_return(core->may_change(caller));
    Change change(*core);
    ShardId tail_shard = core->routing.of(file, size / kRegionBytes);
    InodeRecord& record = change.edit(inode);
    posix::apply_change(record, asked, core->timestamp());
    record.blocks += static_cast<std::uint64_t>(tail.blocks_delta);
    change.on(tail_shard).append(std::move(tail.batch));
    change.charge(file.filesystem, tail_shard, tail.blocks_delta, 0);
    if (!acl.empty()) change.at(file).put(keys::xattr(file, posix::kAccessAclName), acl);
    std::string marker;
    ByteWriter(marker).number(from_block);
    bool named = record.nlink > 0;  // One without a name goes as a whole at a restart.
    if (named) change.at(file).put(keys::orphan(file), marker);
    core->remember(change, caller, file);
    Lsn lsn = change.commit();
    tail.locks.clear();
    inode->purge_from = from_block;

    std::uint64_t from_region = from_block / kRegionBlocks;
    std::uint64_t to_region = std::max(divide_up(old_size, kRegionBytes), from_region + 1);
    auto in = core->shards_of(file, from_region, to_region);
    co_await or_return(co_await core->purge_blocks(inode, from_block, std::move(in)));
    if (inode->record.blocks > 0) {
        // Perhaps some are promised behind the old end, by fallocate.
        auto all = core->shards_of(file, 0, UINT64_MAX);
        co_await or_return(co_await core->purge_blocks(inode, from_block, std::move(all)));
    }
    inode->purge_from.reset();
    if (!named || inode->record.nlink == 0) co_return lsn;
    Change done(*core);
    done.at(file).erase(keys::orphan(file));
    (void)done.commit();
    co_return lsn;
}

Task<Node> set_attributes(Core* core, Caller caller, FileId file, AttributeChange asked) {
    co_await or_return(co_await core->admit_request(caller));
    InodePin inode = co_await or_return(co_await core->pin(file));
    co_await or_return(posix::check_change(inode->record, asked));
    Changing guard(inode, caller.session);
    bool data = asked.size.has_value();
    co_await or_return(co_await core->recall_for_change(caller.session, file, std::string(), data));
    LockKey key{file, kInodePart};
    auto lock = std::make_optional(
        co_await or_return(co_await core->locks.exclusive(key, caller.deadline)));
    std::string acl;
    if (asked.mode.has_value()) {
        acl = co_await or_return(co_await acl_after_chmod(core, file, *asked.mode));
    }
    if (data) co_await or_return(co_await core->finish_truncation(inode));

    Lsn lsn;
    if (data && may_free_blocks(inode->record, *asked.size)) {
        lsn = co_await or_return(co_await truncate(core, caller, inode, asked, std::move(acl)));
    } else {
        co_await or_return(core->may_change(caller));
        Change change(*core);
        posix::apply_change(change.edit(inode), asked, core->timestamp());
        if (!acl.empty()) change.at(file).put(keys::xattr(file, posix::kAccessAclName), acl);
        core->remember(change, caller, file);
        lsn = change.commit();
    }
    Node node = core->look(caller.session, inode);
    lock.reset();
    co_return co_await core->answer(caller.session, inode, std::move(node), lsn);
}

}  // namespace

Task<Node> ComputeRole::setattr(Caller caller, FileId file, AttributeChange change) {
    core_->count(Operation::setattr);
    return core_->once(caller, set_attributes(core_.get(), caller, file, change));
}

}  // namespace weft::compute
