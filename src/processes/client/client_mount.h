#pragma once

#include "model/services/compute_service.h"
#include "platform/runtime/gate.h"
#include "platform/uring/machine.h"
#include "processes/client/mount_file.h"
#include "roles/remote/remote_compute.h"

#include <optional>
#include <string>

namespace weft::client {

struct ClientSettings {
    std::string address;     // Of the cluster: "unix:FOLDER/data.sock" or "tcp:HOST:PORT".
    std::string filesystem;  // Its name.
    std::string path;        // Where to mount it; the folder is made if it is not there.
    std::string state_path;  // What is told of this process (mount_file.h).
};

// Compute over the one connection that there is at a time, made anew whenever it is lost.
class Connection : public SessionHost {
public:
    Connection(Machine& machine, const ClientSettings& settings);

    ComputeService& compute() { return compute_; }
    // Asks for the filesystem by its name, on a connection of its own.
    Task<FilesystemId> find_filesystem();

    // not_found: the filesystem is gone, or another one of its name is there.
    Task<SessionId> open_session(LeaseHolder* holder, Client client) override;
    Task<Done> close_session(SessionId session) override;

    // Ends the connection, and everything that runs for it.
    Task<Done> stop();

private:
    Task<Done> ping_always();
    MountHello hello(Client client) const;

    Machine& machine_;
    const ClientSettings& settings_;
    remote::RemoteCompute compute_;
    SessionId session_;
    std::optional<FilesystemId> filesystem_;
    bool stopping_ = false;
    Signal stopped_;
    Gate background_;
};

// The whole life of the process: mount, serve until it is unmounted or a signal comes, send what
// is deferred. The file at state_path says how far it is; it is gone at the end, unless mounting
// failed: then it says why.
Result<Done> serve_mount(Machine& machine, ClientSettings settings);

}  // namespace weft::client
