#pragma once

#include "model/services/management_service.h"

#include <utility>

namespace weft::control {

// A cluster with one filesystem, in which everything works at once.
class FakeManagement : public ManagementService {
public:
    Task<ClusterReport> report() override {
        ClusterReport report;
        report.map.name = "demo";
        report.map.filesystems.push_back({FilesystemId{1}, "a", 4096, 0});
        report.compute.filesystems.push_back({FilesystemId{1}, 3, 4, 5});
        report.compute.counters.emplace_back("ops.create", 7);
        report.drives.emplace_back();
        co_return report;
    }
    Task<FilesystemEntry> create_filesystem(std::string name, std::uint64_t bytes) override {
        if (name == "a") co_return Error{Code::already_exists, "fs.create"};
        co_return FilesystemEntry{FilesystemId{2}, std::move(name), bytes, 0};
    }
    Task<FilesystemEntry> resize_filesystem(std::string name, std::uint64_t bytes) override {
        co_return FilesystemEntry{FilesystemId{1}, std::move(name), bytes, 0};
    }
    Task<Done> remove_filesystem(std::string) override { return done(); }
    Task<Done> fail_drive(DriveId drive, bool) override {
        failed = drive;
        return done();
    }
    Task<DriveEntry> add_drive(std::string path, std::uint64_t, bool) override {
        DriveEntry entry;
        entry.path = std::move(path);
        co_return entry;
    }
    Task<DriveEntry> replace_drive(DriveId, std::string path, std::uint64_t, bool) override {
        return add_drive(std::move(path), 0, false);
    }
    Task<Done> mount(std::string, std::string) override { return done(); }
    Task<Done> unmount(std::string) override { return done(); }
    Task<std::vector<Finding>> check(bool full) override {
        std::vector<Finding> findings;
        if (full) findings.push_back({"inode 7", "link count"});
        co_return findings;
    }
    Task<Done> stop() override { return done(); }

    DriveId failed;

private:
    static Task<Done> done() { co_return Done{}; }
};

}  // namespace weft::control
