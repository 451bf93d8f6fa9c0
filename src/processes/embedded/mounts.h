#pragma once

#include "model/services/compute_service.h"
#include "model/services/management_service.h"
#include "platform/runtime/gate.h"
#include "platform/uring/machine.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace weft::embedded {

// The mounts of this process: each a frontend of its own, with a session of its own.
class Mounts {
public:
    Mounts(Machine& machine, ComputeService& compute, SessionHost& sessions);
    ~Mounts();

    // The folder is made if it is not there. already_exists: a Weft filesystem is mounted there, by
    // whichever process; not_supported: it lies within one;
    // not_permitted and others: what the kernel said.
    Task<Done> mount(FilesystemId filesystem, std::string name, std::string path);
    // Ends when everything deferred has been sent and the frontend has ended. not_found.
    // would_block: files in it are open.
    Task<Done> unmount(std::string path);
    Task<Done> unmount_all();

    std::vector<MountReport> list() const;
    bool has(FilesystemId filesystem) const;

private:
    struct Mounted;
    Result<Done> may_mount(const std::string& path) const;
    Task<Done> make_mount(FilesystemId filesystem, std::string name, std::string path);
    Task<Done> run(Mounted* mounted);

    Machine& machine_;
    ComputeService& compute_;
    SessionHost& sessions_;
    std::map<std::string, std::unique_ptr<Mounted>> mounted_;
    std::set<std::string> starting_;
    Signal ended_;
    Gate running_;
};

}  // namespace weft::embedded
