#pragma once

#include "model/services/admin_services.h"
#include "platform/process/process.h"
#include "platform/uring/machine.h"
#include "roles/drive/drive_role.h"

#include <map>
#include <set>
#include <string>

namespace weft::embedded {

// The drives of this machine: files and block devices by path, served by the drive role.
class LocalDrives : public DriveAdmin {
public:
    LocalDrives(Machine& machine, drive::DriveRole& role) : machine_(machine), role_(role) {}

    Task<DriveEntry> format(DriveEntry entry, std::uint64_t cluster, std::uint32_t slot_bytes,
                            bool overwrite) override;
    Task<DriveEntry> attach(std::string path, std::uint64_t cluster) override;
    Task<Done> detach(DriveId drive) override;
    Task<Done> probe(DriveId drive) override;
    Task<Done> detach_all();
    // Where the last format() made a new file at the path, that goes again; what was there stays.
    void remove_made(const std::string& path);

private:
    struct Served {
        std::string path;
        process::FileIdentity identity;
    };
    Task<DriveEntry> fill_in(DriveEntry entry, std::uint64_t cluster, std::uint32_t slot_bytes,
                             bool overwrite);
    // limit_reached: another process serves it.
    Task<std::shared_ptr<Disk>> open_disk(std::string path);
    Task<DriveEntry> serve(std::shared_ptr<Disk> disk, std::string path, std::uint64_t cluster);

    Machine& machine_;
    drive::DriveRole& role_;
    std::map<DriveId, Served> served_;
    std::set<std::string> made_;
};

}  // namespace weft::embedded
