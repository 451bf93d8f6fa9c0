#include "processes/embedded/local_drives.h"

#include <cstdio>

namespace weft::embedded {
namespace {

// A process that was killed is gone some time before the kernel has ended what it had asked of
// its drives and lets their locks go.
constexpr Nanos kUnlockMost = 3 * kSecond;
constexpr Nanos kUnlockPause = 10 * kMillisecond;

}  // namespace

Task<std::shared_ptr<Disk>> LocalDrives::open_disk(std::string path) {
    Nanos deadline = machine_.now() + kUnlockMost;
    auto opened = machine_.open_disk(path);
    while (opened.code() == Code::would_block && machine_.now() < deadline) {
        co_await sleep(machine_, kUnlockPause);
        opened = machine_.open_disk(path);
    }
    if (opened.code() == Code::would_block) {
        std::fprintf(stderr, "weft: %s: a process serves this drive already\n", path.c_str());
        co_return Error{Code::limit_reached, "a process serves this drive already"};
    }
    if (!opened.ok()) co_return opened.error();
    OpenedDisk disk = std::move(opened).value();
    if (!disk.warning.empty()) {
        std::fprintf(stderr, "weft: %s: %s\n", path.c_str(), disk.warning.c_str());
    }
    co_return std::shared_ptr<Disk>(std::move(disk.disk));
}

Task<DriveEntry> LocalDrives::serve(std::shared_ptr<Disk> disk, std::string path,
                                    std::uint64_t cluster) {
    auto attached = co_await role_.attach(std::move(disk), cluster);
    DriveEntry entry = co_await or_return(std::move(attached));
    entry.path = path;
    auto identity = process::identity_of(path);
    if (!identity.has_value()) {
        (void)co_await role_.detach(entry.id);
        co_return Error{Code::unavailable, "the drive is not at its path any more"};
    }
    served_[entry.id] = Served{path, *identity};
    co_return entry;
}

Task<DriveEntry> LocalDrives::format(DriveEntry entry, std::uint64_t cluster,
                                     std::uint32_t slot_bytes, bool overwrite) {
    bool made = !process::exists(entry.path);
    if (made) {
        std::uint64_t size = round_down(entry.size_bytes, kBlockBytes);
        if (size == 0) co_return Error{Code::invalid, "a new drive file needs a size"};
        co_await or_return(
            co_await machine_.create_disk_file(entry.path, size, Preallocation::reserved));
        made_.insert(entry.path);
    } else {
        made_.erase(entry.path);
    }
    auto filled = co_await fill_in(entry, cluster, slot_bytes, overwrite);
    if (!filled.ok()) remove_made(entry.path);
    co_return filled;
}

void LocalDrives::remove_made(const std::string& path) {
    if (made_.erase(path) > 0) (void)process::remove_one(path);
}

Task<DriveEntry> LocalDrives::fill_in(DriveEntry entry, std::uint64_t cluster,
                                      std::uint32_t slot_bytes, bool overwrite) {
    std::shared_ptr<Disk> disk = co_await or_return(co_await open_disk(entry.path));
    drive::NewDrive made;
    made.cluster = cluster;
    made.drive = entry.id;
    made.domain = entry.domain;
    made.slot_bytes = slot_bytes;
    made.overwrite = overwrite;
    co_await or_return(co_await drive::format_drive(&machine_, disk.get(), made));
    co_return co_await serve(std::move(disk), entry.path, cluster);
}

Task<DriveEntry> LocalDrives::attach(std::string path, std::uint64_t cluster) {
    std::shared_ptr<Disk> disk = co_await or_return(co_await open_disk(path));
    co_return co_await serve(std::move(disk), std::move(path), cluster);
}

Task<Done> LocalDrives::detach(DriveId drive) {
    served_.erase(drive);
    return role_.detach(drive);
}

Task<Done> LocalDrives::detach_all() {
    while (!served_.empty()) (void)co_await detach(served_.begin()->first);
    co_return Done{};
}

Task<Done> LocalDrives::probe(DriveId drive) {
    auto served = served_.find(drive);
    if (served == served_.end()) co_return Error{Code::unavailable, "drive.probe"};
    auto now = process::identity_of(served->second.path);
    // Removed, replaced or truncated under us.
    if (now != served->second.identity) co_return Error{Code::unavailable, "drive.probe"};
    co_return co_await role_.probe(drive);
}

}  // namespace weft::embedded
