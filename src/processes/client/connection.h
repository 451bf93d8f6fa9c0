#pragma once

#include "model/services/compute_service.h"
#include "platform/net/stream.h"
#include "platform/runtime/gate.h"
#include "roles/remote/remote_compute.h"

#include <optional>
#include <string>

namespace weft::client {

// Compute over the one connection that there is at a time, made anew whenever it is lost. Pings
// renew the session's lease term; one that is over begins again as soon as a ping is answered in
// time.
class Connection : public SessionHost {
public:
    // `address` as Network::connect() takes it; `hello` says who comes, but for its client.
    // The network outlives this.
    Connection(Reactor& reactor, Network& network, std::string address, MountHello hello);

    ComputeService& compute() { return compute_; }
    // Calls end with fenced until the next session.
    bool closed() const { return compute_.closed(); }
    // Asks for the filesystem by its name, on a connection of its own.
    Task<FilesystemId> find_filesystem();

    // not_found: the filesystem is gone, or another one of its name is there.
    Task<SessionId> open_session(LeaseHolder* holder, Client client) override;
    Task<Done> close_session(SessionId session) override;
    const LeaseTerm* lease_term() const override { return &term_; }

    // Ends the connection, and everything that runs for it.
    Task<Done> stop();

private:
    Task<Done> ping_always();
    Task<Done> ping_once(Nanos sent);
    Task<Done> watch_term();
    Task<Done> watch_silence();

    Reactor& reactor_;
    Network& network_;
    std::string address_;
    MountHello hello_;
    remote::RemoteCompute compute_;
    SessionId session_;
    LeaseHolder* holder_ = nullptr;  // Of that session.
    LeaseTerm term_;
    Signal term_changed_;
    static constexpr Nanos kNone = -1;
    Nanos unanswered_since_ = kNone;  // When the first ping of those was made that nobody answered,
    Nanos taken_ = kNone;             // and when it had been sent.
    std::optional<FilesystemId> filesystem_;
    bool stopping_ = false;
    Signal stopped_;
    Gate background_;
};

}  // namespace weft::client
