#pragma once

#include "control/api/control_server.h"
#include "model/services/management_service.h"
#include "platform/uring/machine.h"
#include "processes/embedded/embedded_settings.h"
#include "processes/embedded/local_drives.h"
#include "processes/embedded/mounts.h"
#include "processes/embedded/remote_door.h"
#include "roles/compute/compute_role.h"
#include "roles/drive/drive_role.h"
#include "roles/management/management_role.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weft::embedded {

// The compute role's sessions, as others ask for them.
class LocalSessions : public SessionHost {
public:
    explicit LocalSessions(compute::ComputeRole& compute) : compute_(compute) {}
    Task<SessionId> open_session(LeaseHolder* holder, Client client) override {
        co_return compute_.open_session(holder, client);
    }
    Task<Done> close_session(SessionId session) override { return compute_.close_session(session); }

private:
    compute::ComputeRole& compute_;
};

// All roles of a cluster in one process: called in place by one another, and at two doors:
// control.sock for people, data.sock for frontends in other processes.
class EmbeddedCluster : public ManagementService {
public:
    EmbeddedCluster(Machine& machine, EmbeddedSettings settings);

    // Makes the cluster, or opens the one that is there; mounts what is to be mounted.
    Task<Done> start();
    // Ends when stop() is asked for, at the door or by a signal.
    Task<Done> run_until_stopped();
    // Everything acked is durable on the drives, and nothing is mounted any more. After a start()
    // that failed as well.
    Task<Done> shut_down();

    // After shut_down(): a drive has still not answered. Then this must not be destroyed.
    bool waits_for_drives() const { return drives_.operations_under_way() > 0; }

    Task<ClusterReport> report() override;
    Task<FilesystemEntry> create_filesystem(std::string name, std::uint64_t capacity) override;
    Task<FilesystemEntry> resize_filesystem(std::string name, std::uint64_t capacity) override;
    Task<Done> remove_filesystem(std::string name) override;
    Task<Done> fail_drive(DriveId drive, bool force) override;
    Task<DriveEntry> add_drive(std::string path, std::uint64_t size, bool overwrite) override;
    Task<DriveEntry> replace_drive(DriveId instead_of, std::string path, std::uint64_t size,
                                   bool overwrite) override;
    Task<Done> mount(std::string filesystem, std::string path) override;
    Task<Done> unmount(std::string path) override;
    Task<std::vector<Finding>> check(bool full) override;
    Task<Done> stop() override;

private:
    Task<Done> create();
    Task<Done> open();
    Task<Done> open_compute();
    Task<Done> mount_remembered();
    Result<Done> clear_way(const std::vector<std::string>& drive_paths);
    Result<Done> listen();
    void open_doors();
    Task<Done> watch_signals();
    std::optional<FilesystemId> filesystem_named(const std::string& name) const;
    Result<Done> remember();
    Result<bool> remember_drive(const std::string& path);
    Result<Done> forget_drive(const std::string& path);
    bool is_drive(const std::string& path) const;
    void tidy_up(const std::string& path, bool known);
    void show_progress(const std::string& step, std::uint64_t done, std::uint64_t total);

    Machine& machine_;
    EmbeddedSettings settings_;
    ProcessFile file_;
    Nanos started_;
    drive::DriveRole drives_;
    LocalDrives local_drives_;
    management::ManagementRole management_;
    compute::ComputeRole compute_;
    LocalSessions sessions_;
    Mounts mounts_;
    RemoteDoor door_;
    std::vector<std::unique_ptr<Listener>> data_listeners_;  // Until the doors are opened.
    std::unique_ptr<Listener> control_listener_;
    // One drive at a time: else one that fails takes away another's file. Outlives requests.
    SharedMutex adding_;
    control::ControlServer control_;
    Signal stopping_;
    bool stop_asked_ = false;
    bool compute_open_ = false;
    Gate background_;
};

// The whole life of the process: start, run until told to stop, shut down.
Result<Done> serve(Machine& machine, EmbeddedSettings settings);

}  // namespace weft::embedded
