#pragma once

#include "model/services/compute_service.h"

#include <string>
#include <vector>

namespace weft::frontend {

// Compute under whatever session the mount has now: a request that is tried again after its
// session was lost goes out under the next one, with the same seq.
class SessionCompute final : public ComputeService {
public:
    SessionCompute(ComputeService& compute, SessionId session)
        : compute_(compute), session_(session) {}

    void set_session(SessionId session) { session_ = session; }
    SessionId session() const { return session_; }

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
    Caller stamped(Caller caller) const {
        caller.session = session_;
        return caller;
    }

    ComputeService& compute_;
    SessionId session_;
};

}  // namespace weft::frontend
