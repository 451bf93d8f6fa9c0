#pragma once

#include "model/cluster/cluster_map.h"
#include "model/services/admin_services.h"
#include "model/services/drive_service.h"

#include <string>
#include <vector>

namespace weft {

// What people see of a drive.
struct DriveReport {
    DriveEntry entry;
    bool serving = false;
    DriveStatus status;  // Zeros unless serving.
};

struct MountReport {
    std::string filesystem;
    std::string path;
    std::string host;       // Of a mount in a process of its own; else empty.
    std::uint32_t pid = 0;  // Of that process, on that host.
};

struct ClusterReport {
    ClusterMap map;
    std::vector<DriveReport> drives;
    std::vector<MountReport> mounts;
    ComputeReport compute;
    std::string machine;  // Such as "io_uring, 1 core".
    Nanos uptime = 0;
    std::uint64_t resident_bytes = 0;
};

// What the management role does for people and programs: the command line, later REST.
// Changes are made one at a time. Names: 1 to 64 of letters, digits, '-', '_', '.'.
class ManagementService {
public:
    virtual ~ManagementService() = default;

    virtual Task<ClusterReport> report() = 0;

    // already_exists, invalid (name). Capacity is thin: promised, not set aside.
    virtual Task<FilesystemEntry> create_filesystem(std::string name,
                                                    std::uint64_t capacity_bytes) = 0;
    // Up or down, in use; below what is used, writes get out_of_space until enough is deleted.
    virtual Task<FilesystemEntry> resize_filesystem(std::string name,
                                                    std::uint64_t capacity_bytes) = 0;
    // not_permitted: it is mounted here.
    virtual Task<Done> remove_filesystem(std::string name) = 0;

    // not_found; not_permitted if data would be lost and not `force`.
    virtual Task<Done> fail_drive(DriveId drive, bool force) = 0;
    // A new, empty drive in a failure domain of its own. already_exists: the file or device
    // holds a drive or anything else, and not `overwrite`. size_bytes 0: like the others, or the
    // device's.
    virtual Task<DriveEntry> add_drive(std::string path, std::uint64_t size_bytes,
                                       bool overwrite) = 0;
    // The same in the domain of `instead_of`, which is failed and forgotten.
    virtual Task<DriveEntry> replace_drive(DriveId instead_of, std::string path,
                                           std::uint64_t size_bytes, bool overwrite) = 0;

    virtual Task<Done> mount(std::string filesystem, std::string path) = 0;
    // Of all mounts at the path; not_found if there is none. would_block: it is in use.
    virtual Task<Done> unmount(std::string path) = 0;

    virtual Task<std::vector<Finding>> check(bool full) = 0;
    // The process ends after its answer.
    virtual Task<Done> stop() = 0;
};

}  // namespace weft
