#pragma once

#include "engines/journal/journal.h"
#include "engines/leases/lease_table.h"
#include "engines/locks/lock_table.h"
#include "engines/shard/committer.h"
#include "model/cluster/cluster_map.h"
#include "model/layout/routing.h"
#include "model/services/admin_services.h"
#include "model/services/compute_service.h"
#include "platform/base/planted.h"
#include "roles/compute/client_records_internal.h"
#include "roles/compute/key_locks_internal.h"
#include "roles/compute/noting_drives_internal.h"
#include "roles/compute/session_table_internal.h"
#include "roles/compute/shard_internal.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace weft::compute {

// What an orphan record says: empty, the inode goes; a block number, what is behind it goes;
// this, of a root, the whole filesystem goes.
inline constexpr std::string_view kRemovedMark = "removed";

// A filesystem as far as this core counts it.
struct Filesystem {
    std::uint64_t capacity_blocks = 0;
    std::int64_t used_blocks = 0;
    std::int64_t inodes = 0;
    bool serving = false;  // Its root is there, and it is not being removed.
    bool removing = false;
};

// Of one request that waits for space, over all its waits.
struct SpacePatience {
    Nanos ends = 0;   // Whatever happens meanwhile; 0: it has not waited yet.
    Nanos until = 0;  // If nothing comes free before.
    Nanos since = 0;  // When it began to wait, or something came free last.
    std::uint64_t freed = 0;
};

// What a request lacked that failed for want of space, and how long it has waited for such.
struct Shortage {
    SpacePatience patience;
    bool no_segment = false;   // None was free, though there is room.
    std::int64_t lacking = 0;  // Blocks that there is no room for.
    Nanos purged_by = 0;       // When it no longer waits for a purge; 0: it has not waited yet.
};

enum class Operation : std::uint8_t {
    lookup,
    getattr,
    setattr,
    create,
    link,
    unlink,
    rmdir,
    rename,
    readlink,
    readdir,
    open,
    release,
    read,
    write,
    fsync,
    fallocate,
    copy_range,
    seek,
    xattr,
    lock,
    count
};

class Change;

// Everything of the compute role that operations and duties stand on: shards and journal, the
// inodes in memory, leases, locks, sessions, and space.
//
// The way of a change: admit(), pin the inodes, guard them with Changing, recall what others
// cache, take the locks, read what the decision needs; then, without an await, decide on the
// inodes' records and commit a Change; let the locks go, and wait until it is committed.
// Records in memory change only at a commit, so whoever reads one without awaiting in between
// sees a state that was, and waits for `changed` to be committed before it tells anybody.
class Core final : public Committer {
public:
    Core(Reactor& reactor, DriveService& drives, ComputeSettings settings);
    ~Core() override;

    // core.cc
    Task<Done> open(ClusterMap map, Epoch epoch);
    Task<Done> close();
    Task<Done> set_map(ClusterMap map);
    Lsn commit(Transaction transaction) override;
    Task<Done> admit() override { return journal.admit(); }
    // Of requests: waits while the indexes cannot take more either, or the journal is too long.
    // retry_later: nothing got shorter for a while.
    Task<Done> admit_request(Caller caller);
    // It would wait for the duties.
    bool is_behind() const;
    Task<Done> committed(Lsn lsn) override { return journal.committed(lsn); }
    Task<Done> flushed(Lsn lsn) override { return journal.flushed(lsn); }
    // Never goes back.
    Timestamp timestamp();
    // committed(), without a task where there is nothing to wait for.
    bool is_settled(Lsn lsn) const { return lsn <= journal.last_committed(); }
    Task<Done> settled(Lsn lsn);
    bool is_past(Nanos deadline) const { return deadline != 0 && reactor.now() >= deadline; }
    // For waits that have a bound of their own beside the caller's deadline.
    Nanos earlier_of(Nanos deadline, Nanos bound) const {
        return std::min(until(deadline), reactor.now() + bound);
    }

    Shard& shard(ShardId id) { return *shards.at(id); }
    Shard& home(FileId file) { return shard(shard_of(file.inode)); }
    Shard& region_shard(FileId file, std::uint64_t region) {
        return shard(routing.of(file, region));
    }
    // Shards that may have bytes of the file in regions [from, to); all of them if those are many.
    std::vector<ShardId> shards_of(FileId file, std::uint64_t from_region,
                                   std::uint64_t to_region) const;
    void count(Operation operation) { ++operations[static_cast<std::size_t>(operation)]; }

    // inodes.cc
    // In memory, whether it exists or not.
    Task<InodePin> load(FileId file);
    // stale.
    Task<InodePin> pin(FileId file);
    // not_a_directory, and not_found where it has been removed.
    Task<InodePin> pin_directory(FileId file);
    // is_a_directory, invalid.
    Task<InodePin> pin_regular(FileId file);
    // The entry's record; empty if there is no such name.
    Task<std::optional<EntryRecord>> find_entry(FileId directory, std::string name);
    // Somebody read it: atime, in memory now and in the index later, so that no read waits for the
    // journal.
    void note_access(Inode& inode);
    // What `session` is told of an inode: its attributes as they are now, and a read lease if
    // one can be given.
    Node look(SessionId session, InodePin inode);
    // `node` once `seen` is committed, with the lease only if it still holds.
    Task<Node> answer(SessionId session, InodePin inode, Node node, Lsn seen);
    // Removes the inode in the background if nothing keeps it.
    void purge_if_unused(InodePin inode);

    // recalls.cc
    // Before a change of `inode` by `session`; the caller holds a Changing.
    Task<Done> recall_for_change(SessionId by, FileId file, std::string name, bool data);
    // Before a look at it: whoever buffers writes sends them.
    Task<Done> recall_for_look(SessionId by, InodePin inode);
    Task<Done> recall_all(std::vector<leases::Recalled> recalled, FileId file, std::string name,
                          bool data);

    // sessions.cc
    Result<SessionId> open_session(LeaseHolder* holder, Client client);
    void end_session(SessionId id);
    Task<Done> close_session(SessionId id);
    Result<std::shared_ptr<Session>> session(SessionId id);
    // fenced: the session has ended while its request waited. What it was to change may have
    // become others' since; asked where the change is decided.
    Result<Done> may_change(const Caller& caller);
    // Does `work` once for each (session, seq), and gives later ones the first reply; once for
    // each (client, seq) where the session is of a client that was here before.
    template <class T>
    Task<T> once(Caller caller, Task<T> work);

    // replies.cc: what a client that lost its session was told in it.
    // Adds to a change what its caller shall be told if it asks again: `of`, or that it is done, or
    // how much. One that is done in steps is told of the last of them that is there.
    void remember(Change& change, const Caller& caller, FileId of = {}, std::uint64_t count = 0);
    // Empty: that request has changed nothing, for all that is known.
    Task<std::optional<ReplyRecord>> find_reply(std::uint64_t client, std::uint64_t seq);
    template <class T>
    Task<T> known_or_done(Caller caller, std::uint64_t client, Task<T> work);
    template <class T>
    Task<T> tell_again(Caller caller, ReplyRecord known);
    // Nobody will ask for it any more.
    bool is_old_reply(std::string_view key) const;
    ShardId shard_of_client(std::uint64_t client) const {
        return ShardId{static_cast<std::uint32_t>(client % map.shard_count)};
    }
    void note_client(std::uint64_t client);
    void note_client_gone(std::uint64_t client);

    // A handle of the session on the inode. limit_reached.
    Result<std::uint64_t> add_handle(SessionId session, InodePin inode);
    void drop_handle(Session& session, std::uint64_t handle);
    void wake_locks(const std::vector<locks::Ticket>& woken);

    // lock_grace.cc: after a restart those who may have held locks come first.
    // Reads who they are, and lets nobody else lock anything for a while, if there are any.
    Task<Done> begin_lock_grace();
    Task<Done> end_lock_grace();
    bool in_lock_grace() const {
        if (planted(Bug::lock_grace_is_not_kept)) return false;
        return !lock_awaited.empty() && reactor.now() < lock_grace_ends;
    }
    // Whether the client is one of them, and its request asks for what it held.
    bool may_reclaim(const Session& session, const LockRequest& request) const;
    // Waits until new locks may be taken. fenced, retry_later.
    Task<Done> until_locks_are_free(Caller caller);
    // Before the first lock of a client that may come back: a restart will wait for it.
    Task<Done> note_lock_client(SessionId of);
    void forget_lock_client(std::uint64_t client);
    // `session` has asked for so many of the locks it held before, whatever the answer.
    void note_reclaimed(Session& session);
    void await_no_more(std::uint64_t client);

    // lease_grace.cc: after a restart nobody changes what a client of before may still cache.
    Task<Done> begin_lease_grace();
    Task<Done> end_lease_grace();
    bool in_lease_grace() const;
    // Waits for that, LeaseTerms::over_after() at the most. fenced.
    Task<Done> until_caches_are_known(SessionId by);
    // Lets a session cache things once a restart would know of it.
    Task<Done> note_lease_client(std::shared_ptr<Session> session);
    // Unless it is here, or may be back.
    void forget_lease_client(std::uint64_t client);
    bool may_cache(SessionId id) const;

    // space.cc
    // Waits, slower the fewer segments are free, until the cleaner has made room for so many more
    // bytes, or for as many as it keeps free at the most. retry_later: as wait_for_segments().
    Task<Done> admit_space(std::uint64_t bytes, Caller caller, SpacePatience* patience);
    // How long that would hold a request up, so that the cleaner keeps up, which is woken if need
    // be; empty: until it has made more room.
    std::optional<Nanos> delay_for(std::uint64_t bytes);
    // Until the cleaner may have freed something, for a moment at most. retry_later: nothing came
    // free in a minute of such waits; as long as something does, they go on until the deadline.
    // out_of_space: there is no room, and nothing that could make some.
    Task<Done> wait_for_segments(Nanos deadline, SpacePatience* patience);
    // More lives than there is room for, as after drives failed, and nothing is being freed.
    bool is_overfull();
    // out_of_space: a filesystem is as a disk of its capacity, and all together as one of theirs.
    Result<Done> check_capacity(FilesystemId filesystem, std::int64_t more_blocks) const;
    // The same, and tells how many there was no room for.
    Result<Done> check_capacity(FilesystemId filesystem, std::int64_t more_blocks,
                                std::int64_t* lacking) const;
    // Waits, without locks: while what has no name any more is being purged and may make room, or
    // as wait_for_segments(). True: it may be tried again. False: nothing was lacking, or no room
    // has come. Forgets what was lacking. retry_later: as wait_for_segments(); cancelled.
    Task<bool> has_passed(Shortage* shortage, FilesystemId filesystem, Caller caller);
    // out_of_space: for what needs no data blocks, but grows the indexes.
    Result<Done> check_metadata_room() const;
    // Data blocks, of files and of indexes, that the drives can hold with room left to clean.
    std::uint64_t usable_blocks() const;
    // Those of them that nothing is promised of: neither written, staged nor reserved.
    std::uint64_t room_blocks() const {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(blocks_left(), 0));
    }
    // The same, and negative where more is promised than they can hold, as after some failed.
    std::int64_t blocks_left() const;
    // That the journal may grow to, and how many more of them than it has it may yet take.
    std::uint64_t journal_segments_most() const;
    std::uint64_t journal_segments_to_come() const;
    segments::SegmentSpace space() const;
    // Free blocks, beside what is kept back.
    std::uint64_t cleaning_starts_below(const segments::SegmentSpace& space) const;
    // Of inodes that are on their way out.
    std::uint64_t blocks_being_purged(FilesystemId filesystem);
    FilesystemUsage usage_of(FilesystemId filesystem);

    // check.cc: what ComputeRole::check() finds.
    Task<std::vector<Finding>> check(bool full);

    // purge.cc
    // Frees blocks of the file from `from_block` on in the given shards, in bounded steps; the
    // caller holds the inode's lock. Gives the last record written.
    Task<Lsn> purge_blocks(InodePin inode, std::uint64_t from_block, std::vector<ShardId> in);
    // Ends a truncation that did not come to its end.
    Task<Done> finish_truncation(InodePin inode);

    // duties
    void start_duties();
    void wake_duties();
    Task<Done> keep_shard(Shard* shard);
    Task<Done> keep_journal();
    Task<Done> keep_space();
    Task<Done> keep_merging();
    Task<Done> keep_inodes();
    Task<bool> rebuild_all();
    Task<Done> keep_redundancy();
    Task<Done> purge_worker();
    Task<Done> purge_inode(FileId file);
    // Everything of it, shard by shard; its mark in shard 0 goes last, so that a restart goes on.
    Task<Done> mark_removed(FilesystemId id);
    Task<Done> remove_filesystem_now(FilesystemId id);
    // The same in the background, once.
    void start_removing(FilesystemId id);
    Task<Done> recover_orphans();
    Task<Done> recover_orphan(FileId file, std::string marker);
    std::uint64_t journal_bytes() const;
    // With a journal longer than this, requests wait until it is trimmed.
    std::uint64_t journal_bytes_wait() const { return settings.journal_bytes_most / 2 * 3; }
    Task<Done> checkpoint(Shard* shard);
    Task<Done> trim_journal();
    Task<Done> trim_to_needed();
    // Writes out what only segments of the journal hold that lost a slot, and trims those.
    Task<Done> mend_journal();
    Task<Done> save_atimes();
    struct Victim {
        Shard* shard = nullptr;
        segments::CleaningChoice choice;
    };
    std::optional<Victim> choose_victim();
    Task<Done> clean_victim(Victim victim);
    // out_of_space, fenced, cancelled: no segment can be cleaned now.
    Task<Done> clean_or_pass_over(Victim victim);
    std::uint64_t emptied_blocks() const;

    Reactor& reactor;
    ComputeSettings settings;
    segments::DriveTable table;  // Of all shards: each sees what the others take, and the journal.
    CountedDrives journal_drives;
    journal::Journal journal;
    NotingDrives drives;
    index::BlockCache cache;
    ClusterMap map;
    ShardRouting routing;
    bool opened = false;
    bool recovering = true;  // Until the first request can be served.
    bool closing = false;

    std::map<ShardId, std::unique_ptr<Shard>> shards;
    std::map<FilesystemId, Filesystem> filesystems;
    InodeTable inodes;
    KeyLocks locks;
    leases::LeaseTable leases;
    locks::LockTable advisory;
    std::map<locks::Ticket, std::shared_ptr<LockWait>> lock_waits;
    std::map<SessionId, std::shared_ptr<Session>> sessions;
    std::map<std::uint64_t, ClientUse> clients;  // That may ask again for what they asked.
    Nanos opened_at = 0;
    ClientRecords lock_clients;  // That may hold locks.
    // Those of before the start that have not taken back their locks yet.
    std::set<std::uint64_t> lock_awaited;
    Nanos lock_grace_ends = 0;
    ClientRecords lease_clients;  // That may cache something.
    // Those of before the start that are not back yet.
    std::set<std::uint64_t> lease_awaited;
    Nanos lease_grace_ends = 0;
    bool will_close = false;  // Who loses its session now may find its locks again.
    // Over, but with recalls that their holder has not answered.
    std::vector<std::shared_ptr<Session>> ended_sessions;
    std::size_t handle_count = 0;
    std::uint64_t last_handle = 0;

    std::deque<FileId> to_purge;
    std::set<FileId> being_purged;     // In the queue or in work.
    bool orphans_left_behind = false;  // More than the queue takes: look for them again.
    std::size_t in_flight = 0;         // Requests that may commit.
    // By shard: those that are being cleaned, and until when to leave those alone that could not
    // be.
    std::map<ShardId, std::map<SegmentId, Nanos>> passed_over;
    bool cleaned_in_vain = false;  // No room was left to move anything to, when it was last tried.
    std::set<ShardId> being_merged;
    std::array<std::uint64_t, static_cast<std::size_t>(Operation::count)> operations{};
    std::uint64_t table_blocks_repaired = 0;  // Copies that drives keep beside their slots.
    std::int64_t last_wall = 0;
    std::size_t atimes_unsaved = 0;

    // Something for a duty to look at: for the cleaners, the mergers, the one that trims the
    // journal, the purge workers, the one that saves inodes. Each shard has one of its own.
    Signal cleaning;
    Signal merging;
    Signal trimming;
    Signal purging;
    Signal saving;
    Signal redundancy;
    Signal cleaned;   // The cleaner has emptied a segment.
    Signal merged;    // An index has been written out or merged, or the journal trimmed.
    Signal returned;  // A client of before has what it had, or has not; or a session has ended.
    Signal landed;    // No request that may commit is in flight.
    Gate gate;        // Last: its tasks go first.
};

// A transaction on inodes that is being decided. Made, filled and committed without an await in
// between: then it is atomic in memory as it is in the journal.
class Change {
public:
    explicit Change(Core& core) : core_(core) {}

    // The record the inode will have; the same for every call with the same inode.
    InodeRecord& edit(InodePin inode);
    // A new inode, in memory at once and existing from the commit on.
    InodePin create(FileId file, InodeRecord record);
    void erase(InodePin inode);
    Batch& on(ShardId shard) { return transaction_.on(shard); }
    Batch& at(FileId file) { return on(shard_of(file.inode)); }
    // Counts blocks and inodes of a filesystem that came in this shard (or went, if negative).
    void charge(FilesystemId filesystem, ShardId shard, std::int64_t blocks, std::int64_t inodes);
    Lsn commit();

private:
    struct Edit {
        InodePin inode;
        InodeRecord record;
        bool exists = true;
    };
    struct Charge {
        FilesystemId filesystem;
        std::int64_t blocks = 0;
        std::int64_t inodes = 0;
    };
    Core& core_;
    Transaction transaction_;
    std::deque<Edit> edits_;  // Records stay where they are.
    std::vector<Charge> charges_;
};

// All parts of a transaction, on whatever cores their shards are: one record if they are on
// this one. docs/decisions/0002-cross-shard-commit.md says where two-phase commit comes in.
Lsn commit_everywhere(Core& core, Transaction transaction);

// Counts a request that close() has to wait for.
class InFlight {
public:
    explicit InFlight(Core& core) : core_(core) { ++core_.in_flight; }
    InFlight(const InFlight&) = delete;
    InFlight& operator=(const InFlight&) = delete;
    ~InFlight() {
        if (--core_.in_flight == 0) core_.landed.notify_all();
    }

private:
    Core& core_;
};

// While it lives compute itself keeps a request of the session waiting: for the cleaner, the
// journal or drives, and not for other clients. Whoever holds its leases is not to blame for that,
// and answers recalls only once its writes are in. One that has ended is passed over.
class HeldUp {
public:
    HeldUp(Core& core, SessionId by);
    HeldUp(const HeldUp&) = delete;
    HeldUp& operator=(const HeldUp&) = delete;
    ~HeldUp();

private:
    Reactor& reactor_;
    std::shared_ptr<Session> session_;
};

template <>
Task<Done> Core::tell_again<Done>(Caller caller, ReplyRecord known);
template <>
Task<Node> Core::tell_again<Node>(Caller caller, ReplyRecord known);
template <>
Task<Opened> Core::tell_again<Opened>(Caller caller, ReplyRecord known);
template <>
Task<std::uint64_t> Core::tell_again<std::uint64_t>(Caller caller, ReplyRecord known);

template <class T>
Task<T> Core::known_or_done(Caller caller, std::uint64_t client, Task<T> work_) {
    auto known = co_await or_return(co_await find_reply(client, caller.seq));
    bool first_session = clients.at(client).last_ended == 0;
    if (planted(Bug::retry_after_restart_is_done_again) && first_session) known.reset();
    if (!known.has_value()) co_return co_await work_;
    Task<T> told = tell_again<T>(caller, *known);
    co_return co_await told;
}

template <class T>
Task<T> Core::once(Caller caller, Task<T> work_) {
    auto found = session(caller.session);
    if (!found.ok()) co_return found.error();
    std::shared_ptr<Session> of = std::move(found).value();
    if (is_past(caller.deadline)) {
        if (caller.seq != 0 && !of->replies.knows(caller.seq)) of->replies.put_off(caller.seq);
        co_return Error{Code::retry_later, "compute.deadline"};
    }
    InFlight flight(*this);
    if (caller.seq == 0) co_return co_await work_;
    auto [slot, fresh] = of->replies.begin(reactor, caller.seq);
    if (slot == nullptr) co_return Error{Code::invalid, "compute.seq"};
    if (!fresh && !planted(Bug::retry_is_done_again)) {
        while (!slot->reply.has_value()) {
            bool in_time = co_await slot->ended.wait(until(caller.deadline));
            if (!in_time) co_return Error{Code::retry_later, "compute.deadline"};
        }
        if (!slot->reply->ok()) co_return slot->reply->error();
        const T* known = std::get_if<T>(&slot->reply->value());
        if (known == nullptr) co_return Error{Code::invalid, "compute.seq"};
        co_return *known;
    }
    Result<T> result = Error{Code::retry_later, "compute.once"};
    bool may_be_known = of->client.number != 0 && caller.seq <= of->client.last_seq;
    if (may_be_known && !planted(Bug::retry_after_reset_is_done_again)) {
        Task<T> known = known_or_done<T>(caller, of->client.number, std::move(work_));
        result = co_await known;
    } else {
        result = co_await work_;
    }
    if (result.ok()) {
        slot->reply.emplace(Reply(result.value()));
    } else {
        slot->reply.emplace(result.error());
        if (result.code() == Code::retry_later) of->replies.put_off(caller.seq);
    }
    slot->ended.notify_all();
    co_return result;
}

}  // namespace weft::compute
