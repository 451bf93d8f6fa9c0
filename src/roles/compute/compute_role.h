#pragma once

#include "model/services/admin_services.h"
#include "model/services/compute_service.h"
#include "model/services/drive_service.h"
#include "platform/runtime/reactor.h"
#include "roles/compute/settings.h"

#include <memory>

namespace weft::compute {

class Core;

// The compute role of one core: all shards of the map, their journal, and the filesystems in
// them. Requests run as tasks of their callers, who end them before the role is destroyed.
//
// Destroying the role without close() is a crash: what was committed is found again.
class ComputeRole final : public ComputeService, public ComputeAdmin {
public:
    ComputeRole(Reactor& reactor, DriveService& drives, ComputeSettings settings = {});
    ~ComputeRole() override;

    // Takes over the journal and the shards with `epoch`, at least the map's, and replays what
    // was committed. corrupt, unavailable: something that was committed cannot be read. invalid:
    // the lease term does not fit the recall deadline.
    Task<Done> open(ClusterMap map, Epoch epoch);
    // close() is to come: sessions that end from now on may come back for their locks.
    void will_close();
    // Sessions end, background work too, and a checkpoint leaves little to replay.
    Task<Done> close();

    // For who lets clients of other processes in.
    LeaseTerms lease_terms() const;

    // `holder` must live until close_session() has ended. limit_reached. The client's earlier
    // session has been closed, and nothing of it is under way any more.
    Result<SessionId> open_session(LeaseHolder* holder, Client client = {});
    // Its leases, locks and handles go. Ends when no recall of it is under way.
    Task<Done> close_session(SessionId session);

    // ComputeAdmin
    Task<Done> set_map(ClusterMap map) override;
    Task<Done> create_filesystem(FilesystemId id) override;
    Task<Done> remove_filesystem(FilesystemId id) override;
    Task<ComputeReport> report() override;
    Task<std::vector<Finding>> check(bool full) override;

    // ComputeService
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
    std::unique_ptr<Core> core_;
};

}  // namespace weft::compute
