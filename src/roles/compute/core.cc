#include "model/layout/keys.h"
#include "platform/base/bytes.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"
#include "roles/compute/core_internal.h"
#include "roles/compute/recovery_internal.h"

#include <algorithm>

namespace weft::compute {

Core::Core(Reactor& with_reactor, DriveService& with_drives, ComputeSettings with_settings)
    : reactor(with_reactor),
      settings(with_settings),
      table(with_reactor, with_drives),
      journal_drives(with_drives, table),
      journal(with_reactor, journal_drives, JournalId{0}),
      drives(with_drives, journal),
      cache(settings.index_cache_bytes),
      inodes(settings.cached_inodes_most, [this](Lsn lsn) { return is_settled(lsn); }),
      locks(with_reactor),
      leases(settings.leases),
      advisory(settings.locks),
      lock_clients(*this, keys::Kind::lock_client),
      lease_clients(*this, keys::Kind::lease_client),
      cleaning(with_reactor),
      merging(with_reactor),
      trimming(with_reactor),
      purging(with_reactor),
      saving(with_reactor),
      redundancy(with_reactor),
      cleaned(with_reactor),
      merged(with_reactor),
      returned(with_reactor),
      landed(with_reactor),
      gate(with_reactor) {
    table.set_promised([this] { return journal_segments_to_come(); });
}

// Without close() it is a crash, and inodes are still open: none of them is to be judged.
Core::~Core() {
    inodes.keep_all();
}

Timestamp Core::timestamp() {
    last_wall = std::max(last_wall, reactor.wall_now());
    return timestamp_of(last_wall);
}

Lsn Core::commit(Transaction transaction) {
    std::string record = encode_record(transaction);
    CHECK(record.size() <= journal::Journal::kRecordBytesMost);
    Lsn lsn = journal.append(std::move(record));
    if (journal_bytes() > settings.journal_bytes_most) trimming.notify_all();
    for (const auto& [id, batch] : transaction.parts) {
        Shard& at = shard(id);
        at.apply(batch, lsn);
        if (at.is_due()) at.due.notify_all();
    }
    return lsn;
}

Lsn commit_everywhere(Core& core, Transaction transaction) {
    return core.commit(std::move(transaction));
}

bool Core::is_behind() const {
    auto behind = [](const auto& item) {
        return item.second->index.is_behind();
    };
    return journal_bytes() > journal_bytes_wait() ||
           std::any_of(shards.begin(), shards.end(), behind);
}

Task<Done> Core::admit_request(Caller caller) {
    // Longer than any merge takes that is worth waiting for; then whoever asks decides.
    constexpr Nanos kWaitInVain = 10 * kSecond;
    constexpr Nanos kWaitMost = 600 * kSecond;
    HeldUp held(*this, caller.session);
    Nanos ends = earlier_of(caller.deadline, kWaitMost);
    while (!closing && is_behind()) {
        trimming.notify_all();
        merging.notify_all();
        bool in_time = co_await merged.wait(earlier_of(ends, kWaitInVain));
        if (!in_time) co_return Error{Code::retry_later, "compute.admit"};
    }
    co_return co_await journal.admit();
}

Task<Done> Core::settled(Lsn lsn) {
    if (is_settled(lsn)) co_return Done{};
    co_return co_await journal.committed(lsn);
}

std::vector<ShardId> Core::shards_of(FileId file, std::uint64_t from_region,
                                     std::uint64_t to_region) const {
    std::vector<ShardId> found;
    if (to_region - from_region >= map.shard_count) {
        for (const auto& [id, shard] : shards) found.push_back(id);
        return found;
    }
    for (std::uint64_t region = from_region; region < to_region; ++region) {
        found.push_back(routing.of(file, region));
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

namespace {

// Adds up what the shard has counted of each filesystem, of those too that the map does not have:
// they are being removed, and take room until they are.
Task<Done> count_usage(Core* core, Shard* shard) {
    constexpr std::size_t kScanMost = 256;
    std::string from = keys::usage_prefix();
    std::string to = keys::after_prefix(from);
    std::size_t prefix = from.size();
    for (bool more = true; more;) {
        auto found = co_await or_return(co_await shard->index.scan(from, to, kScanMost));
        more = found.size() == kScanMost;
        if (more) from = found.back().first + '\0';
        for (const auto& [key, value] : found) {
            // Behind the prefix it begins with the filesystem.
            FilesystemId id{ByteReader(key.substr(prefix)).sorted<std::uint32_t>()};
            Filesystem& filesystem = core->filesystems[id];
            auto count = ByteReader(value).number<std::int64_t>();
            bool blocks = key == keys::usage_blocks(id);
            (blocks ? filesystem.used_blocks : filesystem.inodes) += count;
        }
    }
    co_return Done{};
}

// Management takes a filesystem out of the map first: after a crash right then, nobody else would
// see to it. Of one with a number that the map does not know of yet, the map is out of date.
void remove_what_is_gone(Core& core) {
    std::vector<FilesystemId> gone;
    for (const auto& [id, filesystem] : core.filesystems) {
        bool made = id.value <= core.map.filesystems_made;
        if (made && core.map.filesystem(id) == nullptr) gone.push_back(id);
    }
    for (FilesystemId id : gone) core.start_removing(id);
}

void take_filesystems(Core& core) {
    for (const FilesystemEntry& entry : core.map.filesystems) {
        Filesystem& filesystem = core.filesystems[entry.id];
        filesystem.capacity_blocks = entry.capacity_bytes / kBlockBytes;
    }
}

Task<Done> find_roots(Core* core) {
    for (auto& [id, filesystem] : core->filesystems) {
        FileId root{id, kRootInode};
        auto found = co_await core->home(root).index.get(keys::inode(root));
        if (!found.ok() && found.code() != Code::not_found) co_return found.error();
        filesystem.serving = found.ok() && core->map.filesystem(id) != nullptr;
    }
    co_return Done{};
}

}  // namespace

Task<Done> Core::open(ClusterMap with_map, Epoch epoch) {
    CHECK(!opened && shards.empty());
    if (!settings.lease_terms().valid()) {
        co_return Error{Code::invalid,
                        "compute.lease_term_ms is too long for compute.recall_deadline_ms"};
    }
    map = std::move(with_map);
    routing = {map.routing_key, map.shard_count};
    settings = fitted(settings, map);
    journal.set_map(map);
    table.set_map(map);
    ShardHost host{reactor, drives, journal, *this, cache, table, settings};
    Recovery recovery(host, &map);
    auto visit = [&recovery](Lsn lsn, std::string_view record) {
        return recovery.visit(lsn, record);
    };
    auto verify = [&recovery](Lsn lsn, std::string_view record) {
        return recovery.verify(lsn, record);
    };
    journal::Journal::Visit on_visit = visit;
    journal::Journal::Verify on_verify = verify;
    co_await or_return(co_await journal.open(epoch, std::move(on_visit), std::move(on_verify)));

    for (std::uint32_t number = 0; number < map.shard_count; ++number) {
        ShardId id{number};
        shards[id] = std::make_unique<Shard>(host, id);
    }
    co_await or_return(co_await recovery.open_shards(&shards));
    take_filesystems(*this);
    for (auto& [id, shard] : shards) co_await or_return(co_await count_usage(this, shard.get()));
    co_await or_return(co_await find_roots(this));
    opened = true;
    opened_at = reactor.now();
    for (auto& [id, each] : shards) {
        each->index.set_drop_filter([this](std::string_view key) { return is_old_reply(key); });
    }
    bool recovers = !planted(Bug::orphans_are_not_recovered);
    if (recovers) co_await or_return(co_await recover_orphans());
    remove_what_is_gone(*this);
    co_await or_return(co_await begin_lock_grace());
    co_await or_return(co_await begin_lease_grace());
    start_duties();
    co_return Done{};
}

Task<Done> Core::close() {
    closing = true;
    wake_duties();
    cleaned.notify_all();
    merged.notify_all();
    returned.notify_all();
    std::vector<SessionId> open_sessions;
    for (const auto& [id, session] : sessions) open_sessions.push_back(id);
    for (SessionId id : open_sessions) (void)co_await close_session(id);
    while (in_flight > 0) co_await landed.wait();
    co_await or_return(co_await gate.close());
    // A restart then finds next to nothing to replay. Where there is no room for that, it replays
    // what stays in the journal.
    for (auto& [id, shard] : shards) {
        if (shard->first_needed().value == 0) continue;
        auto lock = co_await or_return(co_await shard->maintenance.lock());
        auto done = co_await shard->checkpoint();
        if (!done.ok() && done.code() != Code::out_of_space) co_return done;
    }
    for (auto& [id, shard] : shards) co_await or_return(co_await shard->close());
    Lsn last = journal.last_appended();
    co_await or_return(co_await journal.flushed(last));
    co_return co_await journal.close();
}

Task<Done> Core::set_map(ClusterMap next) {
    if (next.epoch < map.epoch) co_return Error{Code::refresh_map, "compute.set_map"};
    bool same_shape = next.cluster == map.cluster && next.shard_count == map.shard_count &&
                      next.routing_key == map.routing_key && next.slot_bytes == map.slot_bytes;
    if (!same_shape) co_return Error{Code::invalid, "compute.set_map"};
    map = std::move(next);
    journal.set_map(map);
    table.set_map(map);
    for (auto& [id, shard] : shards) shard->segments.set_map(map);
    take_filesystems(*this);
    wake_duties();
    co_return Done{};
}

InodeRecord& Change::edit(InodePin inode) {
    for (Edit& edit : edits_) {
        if (&*edit.inode == &*inode) return edit.record;
    }
    InodeRecord record = inode->record;
    edits_.push_back({std::move(inode), std::move(record), true});
    return edits_.back().record;
}

InodePin Change::create(FileId file, InodeRecord record) {
    InodePin inode = core_.inodes.pin(file);
    CHECK(!inode->exists);  // Somebody may have asked for the number before, in vain.
    inode->loaded = true;
    edits_.push_back({inode, std::move(record), true});
    return inode;
}

void Change::erase(InodePin inode) {
    (void)edit(inode);
    for (Edit& edit : edits_) {
        if (&*edit.inode == &*inode) edit.exists = false;
    }
}

void Change::charge(FilesystemId filesystem, ShardId shard, std::int64_t blocks,
                    std::int64_t inodes) {
    bool logged = blocks > 0 || !planted(Bug::usage_is_not_logged);
    if (blocks != 0 && logged) on(shard).add(keys::usage_blocks(filesystem), blocks);
    if (inodes != 0) on(shard).add(keys::usage_inodes(filesystem), inodes);
    if (blocks != 0 || inodes != 0) charges_.push_back({filesystem, blocks, inodes});
}

Lsn Change::commit() {
    for (const Edit& edit : edits_) {
        if (edit.exists) {
            at(edit.inode->id).put(keys::inode(edit.inode->id), encode(edit.record));
        } else {
            at(edit.inode->id).erase(keys::inode(edit.inode->id));
        }
    }
    Lsn lsn = commit_everywhere(core_, std::move(transaction_));
    for (Edit& edit : edits_) {
        Inode& inode = *edit.inode;
        inode.record = std::move(edit.record);
        inode.exists = edit.exists;
        inode.changed = lsn;
        if (std::exchange(inode.atime_unsaved, false)) --core_.atimes_unsaved;
    }
    for (const Charge& charge : charges_) {
        Filesystem& filesystem = core_.filesystems[charge.filesystem];
        filesystem.used_blocks += charge.blocks;
        filesystem.inodes += charge.inodes;
    }
    return lsn;
}

}  // namespace weft::compute
