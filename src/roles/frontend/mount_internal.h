#pragma once

#include "platform/fuse/fuse_channel.h"
#include "platform/runtime/gate.h"
#include "roles/frontend/compute_client.h"
#include "roles/frontend/entry_names.h"
#include "roles/frontend/exchange.h"
#include "roles/frontend/file.h"
#include "roles/frontend/frontend_role.h"
#include "roles/frontend/held_locks.h"
#include "roles/frontend/known_nodes.h"
#include "roles/frontend/lease_table.h"
#include "roles/frontend/negotiation.h"
#include "roles/frontend/reply.h"
#include "roles/frontend/request_memory.h"
#include "roles/frontend/write_behind.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::frontend {

// The state of one mount, and a handler for each operation. The handlers, on(), lie in
// operations/, one file for each group; each puts its reply into the exchange and ends, or
// ends with the error that the program shall see.
class Mount {
public:
    Mount(Reactor& reactor, ComputeService& compute, FuseChannel& channel, FilesystemId filesystem,
          SessionId session, FrontendSettings settings);

    Task<Done> run();
    void stop() { channel_.close(); }
    Task<Done> recall(Recall recall);
    FrontendStatus status() const;
    Task<Done> open_session(SessionHost* sessions, LeaseHolder* holder, std::uint64_t client);
    SessionId session() const { return compute_.session(); }
    // From now on nothing is covered by a lease, and compute knows of no open file or lock.
    void session_lost();
    // Whether anything may be cached now: call before anything that is may be used, or kept.
    void look_at_term();

private:
    // From bytes to reply (mount.cc).
    Task<Done> receive_all();
    std::unique_ptr<Exchange> accept(Memory memory, std::size_t size);
    Task<Done> serve(std::unique_ptr<Exchange> exchange);
    Task<Done> dispatch(Exchange* x);
    void reply(Exchange& x, Code code);
    void refuse(const fuse_in_header& header, int error_number);
    void interrupt(std::uint64_t unique);
    Task<Done> cancel_lock(std::uint64_t unique);
    Exchange* find_exchange(std::uint64_t unique);
    Task<Done> announce();
    Task<Done> drain();

    // What handlers share (mount_replies.cc).
    Caller reader(const Exchange& x) const;
    Caller writer(const Exchange& x);
    // Asks compute; what may succeed later is tried again until the program loses patience.
    template <class T, class Call>
    Task<T> ask(Exchange* x, Call call) {
        return compute_.attempt<T>(x->interruption(), std::move(call));
    }
    // `node` as it may be shown: asked for again if something happened to it since the request
    // arrived, remembered, and overlaid with what is deferred. Its lease is what is held now.
    Task<Node> settle(Exchange* x, Node node);
    Task<Node> fetch(Exchange* x, InodeId inode);
    void remember(const Node& node, std::uint64_t namespace_changes);
    Moments moments() const { return Moments{recalls_.now(), changes_.now(), namespace_changes_}; }
    Task<Done> cover(Exchange* x, InodeId directory);
    bool may_keep_entry(const Exchange& x, InodeId directory, std::string_view name);
    Validity validity(const Exchange& x, InodeId directory, std::string_view name,
                      const Node& node);
    Nanos attribute_validity(const Node& node) const;
    Task<Done> put_entry(Exchange* x, InodeId directory, std::string_view name, Node node);
    Task<Done> put_attributes(Exchange* x, Node node);
    // Link counts and times of inodes that we cannot name have changed.
    void namespace_changed() { ++namespace_changes_; }

    // operations/
    Task<Done> on(Exchange* x, Unknown op);
    Task<Done> on(Exchange* x, NotATerminal op);
    Task<Done> on(Exchange* x, Init op);
    Task<Done> on(Exchange* x, Destroy op);
    Task<Done> on(Exchange* x, Forget op);
    Task<Done> on(Exchange* x, Interrupt op);
    Task<Done> on(Exchange* x, Access op);
    Task<Done> on(Exchange* x, StatFilesystem op);
    Task<Done> on(Exchange* x, SyncFilesystem op);
    Task<Done> on(Exchange* x, Lookup op);
    Task<Done> on(Exchange* x, GetAttributes op);
    Task<Done> on(Exchange* x, GetStatx op);
    Task<Done> on(Exchange* x, SetAttributes op);
    Task<Done> on(Exchange* x, ReadLink op);
    Task<Done> on(Exchange* x, MakeSymlink op);
    Task<Done> on(Exchange* x, MakeNode op);
    Task<Done> on(Exchange* x, Link op);
    Task<Done> on(Exchange* x, Unlink op);
    Task<Done> on(Exchange* x, RemoveDirectory op);
    Task<Done> on(Exchange* x, Rename op);
    Task<Done> on(Exchange* x, Open op);
    Task<Done> on(Exchange* x, Create op);
    Task<Done> on(Exchange* x, Flush op);
    Task<Done> on(Exchange* x, Release op);
    Task<Done> on(Exchange* x, Fsync op);
    Task<Done> on(Exchange* x, Read op);
    Task<Done> on(Exchange* x, Write op);
    Task<Done> on(Exchange* x, Fallocate op);
    Task<Done> on(Exchange* x, Seek op);
    Task<Done> on(Exchange* x, CopyRange op);
    Task<Done> on(Exchange* x, OpenDirectory op);
    Task<Done> on(Exchange* x, ReadDirectory op);
    Task<Done> on(Exchange* x, ReleaseDirectory op);
    Task<Done> on(Exchange* x, SyncDirectory op);
    Task<Done> on(Exchange* x, StoreXattr op);
    Task<Done> on(Exchange* x, GetXattr op);
    Task<Done> on(Exchange* x, ListXattr op);
    Task<Done> on(Exchange* x, RemoveXattr op);
    Task<Done> on(Exchange* x, GetLock op);
    Task<Done> on(Exchange* x, SetLock op);

    // Pieces of operations.
    Task<Node> change_attributes(Exchange* x, InodeId inode, AttributeChange change);
    bool defer(const FilePtr& file, const AttributeChange& change);
    Task<Done> truncate_opened(Exchange* x, Opened* opened, bool clear_setid);
    Task<Done> put_opened(Exchange* x, Opened opened, SessionId opened_in, std::uint32_t flags,
                          std::optional<std::string_view> created_name);
    // A file whose name is given to others all the time may be gone between LOOKUP and OPEN, again
    // and again, which programs would see: open(2) of a name that is always there. So once that has
    // happened, what is looked up is kept open for a moment. stale: it is gone already.
    bool keeps_looked_up(const Node& node) const;
    Task<Done> keep_for_open(InodeId inode);
    Task<Done> release_later(InodeId inode, std::uint64_t compute_handle);
    static constexpr Nanos kKeepsLookedUpFor = 1 * kSecond;
    Task<Done> release_handle(InodeId inode, std::uint64_t compute_handle);
    Task<Done> finish_release(OpenFile closed);
    Task<Done> unlock_owner(Exchange* x, FilePtr file, LockRequest request);
    bool may_defer(const Write& op, const File& file) const;
    void defer(Exchange* x, const FilePtr& file, const Write& op, bool append, bool direct);
    Task<Done> write_through(Exchange* x, FilePtr file, Write op, bool append, bool direct);
    // `covered`: whether a lease that is held is as old as the bytes.
    Task<ReadReply> read_uncrossed(Exchange* x, InodeId inode, std::uint64_t offset, Bytes into,
                                   bool* covered);
    Task<Done> drop_pages_beside(FilePtr file, std::uint64_t from, std::uint64_t length);
    Task<Done> flush_inode(InodeId inode);
    Task<Done> tell_mode(Exchange* x, std::string_view name);
    Task<Done> clear_setgid(Exchange* x);
    void entry_has_moved(const Exchange& x, InodeId directory, std::string_view name);
    void attributes_changed(InodeId inode);
    void forget_access_time(InodeId inode);
    // Pages that no lease covers may not stay: they go once this request has been answered.
    void drop_pages_later(InodeId inode, std::uint64_t offset, std::uint64_t length);

    // Making the kernel forget (recall.cc).
    struct Notice {
        bool done = false;
    };
    Task<Done> send_notice(std::string message, std::shared_ptr<Notice> notice);
    std::shared_ptr<Notice> begin_notice(InodeId inode, std::int64_t offset, std::int64_t length);
    // That everything cached of it goes.
    std::vector<std::shared_ptr<Notice>> begin_notices(InodeId inode);
    Task<Done> invalidate(InodeId inode, bool pages);
    std::vector<std::pair<std::int64_t, std::int64_t>> pages_being_written(InodeId inode);
    Task<Done> forget_entry(InodeId directory, std::string name);
    Task<Done> forget_all_entries(InodeId directory);
    bool occupied(InodeId inode);
    void increase_epoch();

    // The next session (renewal.cc).
    Task<Done> renew();
    void end_renewal(bool good);
    void forget_grants();
    Task<Done> drop_all_caches();
    Task<Done> reclaim();
    template <class T, class Call>
    Task<T> insist(Call call);
    Task<Done> reopen(std::uint64_t handle);
    std::optional<std::uint64_t> handle_to_reopen();
    Task<Done> judge_deferred(FilePtr file);
    Task<Done> reclaim_locks(InodeId inode);

    Reactor& reactor_;
    FuseChannel& channel_;
    FrontendSettings settings_;
    Agreement agreement_;
    bool running_ = false;

    MemoryPool pool_;
    FileTable files_;
    LeaseTable leases_;
    ChangeLog recalls_;  // What others changed: a grant from before is void.
    ChangeLog changes_;  // That, and our own deferred writes: attributes from before are old.
    KnownNodes nodes_;
    HeldLocks held_locks_;
    EntryNames names_;  // Only where the kernel has no epochs.
    ComputeClient compute_;
    std::uint64_t namespace_changes_ = 0;

    SessionHost* sessions_ = nullptr;  // Where the next session comes from, if one may.
    LeaseHolder* holder_ = nullptr;
    std::uint64_t client_ = 0;
    bool covered_ = true;  // By the lease term, when it was last looked at.
    bool renewing_ = false;
    bool lost_again_ = false;  // The session that a renewal has just got.
    bool draining_ = false;
    Nanos keeps_looked_up_until_ = 0;

    Semaphore request_slots_;
    Semaphore lock_wait_slots_;
    std::vector<Exchange*> exchanges_;  // Under way; few, mostly.
    Signal arrivals_;  // A request has arrived, or a notice is done: for recalls that wait.

    FrontendStatus counters_;

    // What runs here uses all of the above, so it goes first.
    WriteBehind write_behind_;
    Gate background_;
    Gate requests_;
};

}  // namespace weft::frontend
