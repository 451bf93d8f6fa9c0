#include "engines/namespace/attributes.h"
#include "model/layout/keys.h"
#include "platform/base/bytes.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

// Extents, or keys, that one transaction frees.
constexpr std::size_t kStepMost = 256;

}  // namespace

Task<Lsn> Core::purge_blocks(InodePin inode, std::uint64_t from_block, std::vector<ShardId> in) {
    FileId file = inode->id;
    Lsn last;
    for (ShardId id : in) {
        bool more = true;
        while (more) {
            co_await or_return(co_await admit());
            auto purge = co_await or_return(
                co_await shard(id).data.prepare_purge(file, from_block, kStepMost));
            more = purge.more;
            if (purge.change.batch.empty() && purge.change.blocks_delta == 0) continue;
            Change change(*this);
            InodeRecord& record = change.edit(inode);
            record.blocks += static_cast<std::uint64_t>(purge.change.blocks_delta);
            change.on(id).append(std::move(purge.change.batch));
            change.charge(file.filesystem, id, purge.change.blocks_delta, 0);
            last = change.commit();
        }
    }
    co_return last;
}

Task<Done> Core::finish_truncation(InodePin inode) {
    if (!inode->purge_from.has_value()) co_return Done{};
    std::uint64_t from_block = *inode->purge_from;
    auto all = shards_of(inode->id, 0, map.shard_count);
    co_await or_return(co_await purge_blocks(inode, from_block, std::move(all)));
    inode->purge_from.reset();
    // Of one without a name it is the record that it is to go.
    if (inode->record.nlink == 0) co_return Done{};
    Change change(*this);
    change.at(inode->id).erase(keys::orphan(inode->id));
    (void)change.commit();
    co_return Done{};
}

// Everything of an inode that has neither a name nor a handle.
Task<Done> Core::purge_inode(FileId file) {
    LockKey key{file, kInodePart};
    auto lock = co_await or_return(co_await locks.exclusive(key, 0));
    InodePin inode = co_await or_return(co_await load(file));
    if (!inode->exists || !inode->gone()) co_return Done{};

    const InodeRecord& record = inode->record;
    if (posix::is_regular(record)) {
        std::uint64_t regions = std::max<std::uint64_t>(divide_up(record.size, kRegionBytes), 1);
        co_await or_return(co_await purge_blocks(inode, 0, shards_of(file, 0, regions)));
        // Promised behind the end of the file, by fallocate.
        if (inode->record.blocks != 0) {
            co_await or_return(co_await purge_blocks(inode, 0, shards_of(file, 0, UINT64_MAX)));
        }
    }
    std::string from = keys::xattr_prefix(file);
    std::string to = keys::after_prefix(from);
    for (;;) {
        auto found = co_await or_return(co_await home(file).index.scan(from, to, kStepMost));
        Change change(*this);
        for (const auto& [name, value] : found) change.at(file).erase(name);
        bool last = found.size() < kStepMost;
        if (last) {
            change.erase(inode);
            change.at(file).erase(keys::orphan(file));
            change.charge(file.filesystem, shard_of(file.inode), 0, -1);
        }
        (void)change.commit();
        if (last) co_return Done{};
        from = found.back().first + '\0';
    }
}

Task<Done> Core::purge_worker() {
    while (!closing) {
        if (to_purge.empty()) {
            if (orphans_left_behind) {
                orphans_left_behind = false;
                auto looked = co_await recover_orphans();
                if (looked.ok()) continue;
                co_await sleep(reactor, kSecond);
                orphans_left_behind = true;
                continue;
            }
            co_await purging.wait();
            continue;
        }
        FileId file = to_purge.front();
        to_purge.pop_front();
        co_await or_return(co_await admit());
        auto done = co_await purge_inode(file);
        being_purged.erase(file);
        // Its orphan record stays, and the next look for orphans finds it.
        if (!done.ok()) co_await sleep(reactor, kSecond);
        if (!done.ok() && !closing) orphans_left_behind = true;
    }
    co_return Done{};
}

// At opening, and whenever the queue was too short: what was unlinked and not purged, and
// truncations that were cut short.
Task<Done> Core::recover_orphans() {
    std::string from = keys::orphan_prefix();
    std::string to = keys::after_prefix(from);
    for (auto& [id, at] : shards) {
        std::string next = from;
        for (bool more = true; more;) {
            auto found = co_await or_return(co_await at->index.scan(next, to, kStepMost));
            more = found.size() == kStepMost;
            if (more) next = found.back().first + '\0';
            for (const auto& [key, value] : found) {
                auto file = keys::parse_orphan(key);
                if (!file.has_value()) co_return Error{Code::corrupt, "compute.orphan"};
                co_await or_return(co_await recover_orphan(*file, value));
            }
        }
    }
    co_return Done{};
}

Task<Done> Core::recover_orphan(FileId file, std::string marker) {
    if (marker == kRemovedMark) {
        if (!recovering) co_return Done{};  // It is being removed.
        start_removing(file.filesystem);
        co_return Done{};
    }
    auto filesystem = filesystems.find(file.filesystem);
    if (filesystem == filesystems.end() || !filesystem->second.serving) co_return Done{};
    InodePin inode = co_await or_return(co_await load(file));
    purge_if_unused(inode);
    // While serving, whoever truncates sees to it: a marker read here may be out of date.
    if (!recovering || marker.empty() || inode->gone()) co_return Done{};
    inode->purge_from = ByteReader(marker).number<std::uint64_t>();
    co_return co_await finish_truncation(inode);
}

}  // namespace weft::compute
