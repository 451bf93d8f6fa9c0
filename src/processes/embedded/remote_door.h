#pragma once

#include "model/services/compute_service.h"
#include "model/services/management_service.h"
#include "platform/net/stream.h"
#include "platform/runtime/gate.h"
#include "roles/remote/remote_compute.h"

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weft::embedded {

// Where mounts in other processes come in: each connection is a session of compute's. A mount
// that is not heard of for kSilentTicksMost ticks is cut off: whoever loses its network or its
// power keeps nobody waiting for its locks.
class RemoteDoor : public MountHost {
public:
    using FindFilesystem = std::function<std::optional<FilesystemId>(const std::string& name)>;
    // `terms` are the compute role's.
    RemoteDoor(Reactor& reactor, ComputeService& compute, SessionHost& sessions,
               FindFilesystem find_filesystem, LeaseTerms terms);

    // May be called for several listeners.
    void serve(std::unique_ptr<Listener> listener);
    // Ends every connection and its session.
    Task<Done> stop();

    // A mount that comes back closes what is left of its earlier connection, and waits for it.
    Task<MountWelcome> attach(LeaseHolder* holder, MountHello hello) override;
    Task<Done> detach(SessionId session) override;

    std::vector<MountReport> list() const;
    bool has(FilesystemId filesystem) const;

private:
    static constexpr std::size_t kConnectionsMost = 1024;
    static constexpr Nanos kTick = 1 * kSecond;
    static constexpr int kSilentTicksMost = 5;
    static constexpr Nanos kEarlierMost = 10 * kSecond;

    struct Connection {
        remote::ComputeServer* server = nullptr;
        Nanos heard = 0;
        int silent_ticks = 0;
    };
    struct Attached {
        LeaseHolder* holder = nullptr;
        std::uint64_t client = 0;
        FilesystemId filesystem;
        MountReport report;
    };

    Task<Done> accept_all(Listener* listener);
    Task<Done> serve_one(std::unique_ptr<Stream> stream);
    Task<Done> watch_silence();
    Attached* find_client(std::uint64_t client);

    Reactor& reactor_;
    ComputeService& compute_;
    SessionHost& sessions_;
    FindFilesystem find_filesystem_;
    LeaseTerms terms_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::list<Connection> serving_;
    std::list<Attached> attached_;
    bool stopping_ = false;
    Signal ended_;  // A connection has, with all that came over it; or stop().
    Gate connections_;
};

}  // namespace weft::embedded
