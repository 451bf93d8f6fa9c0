#pragma once

#include "platform/runtime/gate.h"
#include "roles/frontend/compute_client.h"
#include "sim/world/way.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace weft::sim {

// Compute as a frontend in a process of its own has it, by the frontend's own code for that: what
// was not answered, or not yet, is sent again under its seq, under the next session if the one
// before was lost. That is begun here as roles/frontend/renewal.cc does.
class FarCompute final : public ComputeService, private LeaseHolder {
public:
    FarCompute(Reactor& reactor, std::unique_ptr<Way> way, FilesystemId filesystem);

    // `reclaim` asks for its own again, before anything else leaves, under each session but the
    // first. Errors: fenced (that session is lost as well).
    using Reclaim = std::function<Task<Done>(ComputeService*)>;
    Task<Done> open(Reclaim reclaim);

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
    Task<Done> recall(Recall) override { co_return Done{}; }
    void session_ended() override { session_lost(); }
    void session_lost();
    Task<Done> renew();
    ComputeService* under(const Caller& caller);

    Reactor& reactor_;
    std::unique_ptr<Way> way_;
    frontend::ComputeClient compute_;
    Reclaim reclaim_;
    std::uint64_t last_seq_ = 0;
    bool renewing_ = false;
    bool lost_again_ = false;
    Gate background_;
};

}  // namespace weft::sim
