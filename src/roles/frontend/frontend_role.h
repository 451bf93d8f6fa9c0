#pragma once

#include "model/services/compute_service.h"
#include "platform/fuse/fuse_channel.h"
#include "platform/runtime/reactor.h"
#include "platform/runtime/task.h"

#include <cstdint>
#include <functional>
#include <memory>

namespace weft::frontend {

class Mount;

struct FrontendSettings {
    // Requests served at once; more wait in the kernel. Waits for locks count apart.
    std::size_t requests_most = 256;
    std::size_t lock_waits_most = 4096;
    // Request memories of 1 MiB kept for the next request.
    std::size_t memories_kept = 48;
    // How long the kernel may keep what a lease covers. Recalls end it earlier.
    Nanos lease_time = 3600 * kSecond;
    // How long a request waits for a cluster that does not answer, before it fails.
    Nanos patience = 120 * kSecond;
    // Whether a thread (of fuse_in_header) is being killed. Then it waits for nothing; any other
    // signal ends no more than a wait for a lock, as on a local disk. Without, every signal ends
    // every wait.
    std::function<bool(std::uint32_t thread)> is_dying;
    // flock and fcntl locks are seen by all clients. Without, the kernel keeps them to itself,
    // and closing a file that was only read costs no request.
    bool shared_locks = true;
    // Deferred writes: memory they may take, how many are sent at once, and how long one may
    // wait. No memory means that every write waits for compute.
    std::uint64_t deferred_bytes_most = 32 * kMiB;
    std::uint64_t deferred_sends_most = 32;
    Nanos deferred_age_most = 1 * kSecond;
};

struct FrontendStatus {
    std::uint64_t requests = 0;
    std::uint64_t requests_malformed = 0;
    std::uint64_t replies_refused = 0;  // By the kernel: our mistake, or its.
    std::uint64_t recalls = 0;
    std::uint64_t writes_deferred = 0;
    std::uint64_t bytes_deferred = 0;
    std::uint64_t sends = 0;
    std::uint64_t sends_failed = 0;  // Acknowledged data that could not be stored.
    std::uint64_t deferred_memory_bytes = 0;
    std::uint64_t open_files = 0;
    std::uint64_t known_inodes = 0;  // That the kernel was told of and has not forgotten.
};

// One mount of one filesystem: answers the kernel's FUSE requests from compute.
//
// The kernel caches entries, attributes and pages as long as leases cover them; a recall makes
// it forget them. Under a write lease writes are acknowledged once they lie in this process,
// and sent in large pieces (write_behind.h); fsync, locks of other clients and recalls wait
// for them. Requests, flags and orderings: docs/protocols/fuse.md.
//
// Everything given must outlive it. Destroy it only once run() has ended, or never ran.
class FrontendRole final : public LeaseHolder {
public:
    FrontendRole(Reactor& reactor, ComputeService& compute, FuseChannel& channel,
                 FilesystemId filesystem, SessionId session, FrontendSettings settings = {});
    ~FrontendRole() override;

    // Before run(), instead of a session at construction: opens one of `sessions`, under the
    // client's number. One that is lost is followed by another: meanwhile requests wait and
    // nothing stays cached, then open files are opened and locks taken again
    // (docs/protocols/leases.md). Without, its loss is the end. While the lease term of `sessions`
    // does not cover, nothing is cached or deferred, and the session goes on.
    Task<Done> open_session(SessionHost& sessions, std::uint64_t client);
    // The session it has now, to be closed when run() has ended; earlier ones it closes itself.
    SessionId session() const;

    // Serves until the filesystem is unmounted, stop() is called or the session is lost for
    // good; then everything deferred has been sent, if it was taken, and every open
    // file released.
    Task<Done> run();
    // Lets the kernel wait for nothing more: the connection is closed. run() ends soon.
    void stop();

    Task<Done> recall(Recall recall) override;
    void session_ended() override;
    void term_ended() override;

    FrontendStatus status() const;

private:
    std::unique_ptr<Mount> mount_;
};

}  // namespace weft::frontend
