#pragma once

#include "model/services/compute_service.h"
#include "platform/runtime/reactor.h"
#include "platform/runtime/sync.h"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::testing {

// A ComputeService in memory, for tests of frontends and gateways: one filesystem, coherent
// leases between sessions, and faults on demand. It knows no permissions, quotas or deadlines;
// seqs are recorded, not remembered.
class MemoryCompute : public ComputeService {
public:
    explicit MemoryCompute(Reactor& reactor);

    // Whose leases are recalled. Without a holder a session gets none.
    void open_session(SessionId session, LeaseHolder& holder) { holders_[session] = &holder; }
    void close_session(SessionId session);
    // Its locks and open files go.
    void drop_holdings(SessionId session);

    // Each call waits so long before it acts.
    void set_latency(Nanos latency) { latency_ = latency; }
    // The next `times` calls of `operation` (the method's name) end with `code`, undone.
    void fail(std::string operation, Code code, int times = 1) {
        faults_[operation] = {code, times};
    }
    // The call behind the next `n` ends with `code`, undone.
    void fail_after(std::uint64_t n, Code code) { nth_fault_ = {code, static_cast<int>(n) + 1}; }
    // Calls of `operation` wait, undone, until unblock().
    void block(std::string operation) { blocked_.insert(std::move(operation)); }
    // The same, but they act first: what they answer grows old.
    void hold_replies(std::string operation) { held_.insert(std::move(operation)); }
    void unblock(std::string operation);
    void unblock_all();
    // What free_blocks says.
    void set_free_blocks(std::uint64_t blocks) { free_blocks_ = blocks; }
    // Leases are no longer granted (or again).
    void set_grants(bool grants) { grants_ = grants; }

    // Each call as "operation inode" and what tells it apart, in the order they acted.
    const std::vector<std::string>& calls() const { return calls_; }
    void clear_calls() { calls_.clear(); }
    std::size_t count(std::string_view operation) const;
    const std::vector<std::uint64_t>& seqs() const { return seqs_; }

    // Content and attributes without a call.
    std::string content(InodeId inode) const;
    const InodeRecord& attributes(InodeId inode) const { return inodes_.at(inode).record; }
    bool exists(InodeId inode) const { return inodes_.contains(inode); }
    InodeId at(InodeId directory, const std::string& name) const;
    LeaseMode lease(SessionId session, InodeId inode) const;
    std::size_t open_handles() const { return handles_.size(); }
    std::size_t synced(InodeId inode) const;

    Task<Node> lookup(Caller caller, FileId directory, std::string name) override;
    Task<Node> getattr(Caller caller, FileId file) override;
    Task<Node> setattr(Caller caller, FileId file, AttributeChange change) override;
    Task<Node> create(Caller caller, FileId directory, std::string name, NewNode what) override;
    Task<Opened> create_open(Caller caller, FileId directory, std::string name, NewNode what,
                             bool exclusive) override;
    Task<Opened> create_unnamed(Caller caller, FileId directory, NewNode what) override;
    Task<Node> link(Caller caller, FileId file, FileId directory, std::string name) override;
    Task<Done> unlink(Caller caller, FileId directory, std::string name) override;
    Task<Done> rmdir(Caller caller, FileId directory, std::string name) override;
    Task<Done> rename(Caller caller, FileId from, std::string from_name, FileId to,
                      std::string to_name, RenameFlags flags) override;
    Task<std::string> readlink(Caller caller, FileId file) override;
    Task<DirectoryPage> readdir(Caller caller, FileId directory, std::uint64_t cookie,
                                std::uint32_t most_bytes, bool with_attributes) override;
    Task<Opened> open(Caller caller, FileId file, LeaseMode want) override;
    Task<Done> release(Caller caller, FileId file, std::uint64_t handle) override;
    Task<Done> release_lease(Caller caller, FileId file, LeaseMode keep) override;
    Task<ReadReply> read(Caller caller, FileId file, std::uint64_t offset, Bytes into) override;
    Task<Node> write(Caller caller, FileId file, std::uint64_t offset, ConstBytes from, bool append,
                     bool clear_setid) override;
    Task<Done> fsync(Caller caller, FileId file) override;
    Task<Done> sync(Caller caller, FilesystemId filesystem) override;
    Task<Node> fallocate(Caller caller, FileId file, std::uint64_t offset, std::uint64_t length,
                         FallocateFlags flags) override;
    Task<std::uint64_t> copy_range(Caller caller, FileId from, std::uint64_t from_offset, FileId to,
                                   std::uint64_t to_offset, std::uint64_t length) override;
    Task<std::uint64_t> seek(Caller caller, FileId file, std::uint64_t offset, bool data) override;
    Task<Done> setxattr(Caller caller, FileId file, std::string name, std::string value,
                        SetXattr how) override;
    Task<std::string> getxattr(Caller caller, FileId file, std::string name) override;
    Task<std::vector<std::string>> listxattr(Caller caller, FileId file) override;
    Task<Done> removexattr(Caller caller, FileId file, std::string name) override;
    Task<Done> lock(Caller caller, FileId file, LockRequest request) override;
    Task<LockRequest> test_lock(Caller caller, FileId file, LockRequest request) override;
    Task<Done> cancel_lock(Caller caller, FileId file, LockRequest request) override;
    Task<FilesystemUsage> usage(FilesystemId filesystem) override;

private:
    struct HeldLock {
        SessionId session;
        LockRequest request;
    };
    struct Inode {
        InodeRecord record;
        std::string data;
        std::map<std::string, InodeId> entries;
        std::map<std::string, std::string> xattrs;
        std::map<SessionId, LeaseMode> leases;
        std::vector<HeldLock> locks;
        std::size_t synced = 0;
        int recalling = 0;  // Nothing is granted meanwhile.
    };
    struct Handle {
        InodeId inode;
        SessionId session;
    };
    struct Fault {
        Code code = Code::ok;
        int times = 0;
    };

    // Begins a call: records it, waits, and gives the error it shall end with.
    Task<Done> enter(std::string operation, std::string detail, Caller caller);
    Result<Inode*> find(FileId file);
    Result<Inode*> find_directory(FileId file);
    Node node_of(InodeId inode) const;
    // The node, with a lease of at most `want` if nobody else is in the way.
    Node grant(Caller caller, InodeId inode, LeaseMode want);
    // Others may keep `keep` of it.
    Task<Done> recall(Caller caller, InodeId inode, LeaseMode keep, std::string name, bool data);
    void touch(Inode& inode, bool content);
    Result<InodeId> make(FileId directory, const std::string& name, const NewNode& what);
    void drop_link(InodeId inode);
    void drop_if_unused(InodeId inode);
    bool is_open(InodeId inode) const;
    std::uint64_t open_handle(Caller caller, InodeId inode);
    const HeldLock* conflicting(const Inode& inode, SessionId session,
                                const LockRequest& request) const;
    static void apply_lock(Inode& inode, SessionId session, const LockRequest& request);

    Reactor& reactor_;
    std::map<InodeId, Inode> inodes_;
    std::map<std::uint64_t, Handle> handles_;
    std::map<SessionId, LeaseHolder*> holders_;
    std::map<std::string, Fault> faults_;
    Fault nth_fault_;  // `times` counts down to the call that fails; 0: none.
    std::set<std::string> blocked_;
    std::set<std::string> held_;
    Signal changed_;  // Something was unblocked, unlocked or cancelled.
    std::vector<std::pair<SessionId, LockRequest>> cancelled_;
    std::vector<std::string> calls_;
    std::vector<std::uint64_t> seqs_;
    Nanos latency_ = 0;
    bool grants_ = true;
    std::uint64_t free_blocks_ = 1 << 20;
    std::uint64_t last_inode_ = kRootInode.value;
    std::uint64_t last_handle_ = 0;
    std::uint64_t version_ = 0;
};

}  // namespace weft::testing
