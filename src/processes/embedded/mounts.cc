#include "processes/embedded/mounts.h"

#include "platform/fuse_device/kernel_mount.h"
#include "platform/process/mount_points.h"
#include "platform/process/process.h"
#include "roles/frontend/frontend_role.h"

#include <optional>

namespace weft::embedded {

struct Mounts::Mounted {
    FilesystemId filesystem;
    std::string name;
    std::string path;
    std::unique_ptr<FuseChannel> channel;
    std::optional<frontend::FrontendRole> frontend;
};

Mounts::Mounts(Machine& machine, ComputeService& compute, SessionHost& sessions)
    : machine_(machine),
      compute_(compute),
      sessions_(sessions),
      ended_(machine),
      running_(machine) {}

Mounts::~Mounts() = default;

Task<Done> Mounts::mount(FilesystemId filesystem, std::string name, std::string path) {
    if (mounted_.contains(path)) co_return Error{Code::already_exists, "it is mounted there"};
    co_await or_return(may_mount(path));
    starting_.insert(path);
    Task<Done> making = make_mount(filesystem, std::move(name), path);
    auto made = co_await making;
    starting_.erase(path);
    co_return made;
}

// Nothing in a Weft mount can be looked at: who serves it may wait for this thread.
Result<Done> Mounts::may_mount(const std::string& path) const {
    if (starting_.contains(path)) return Error{Code::already_exists, "it is being mounted there"};
    auto way = process::mount_on_way(path, "fuse.weft");
    if (way.has_value() && !way->at_end) {
        return Error{Code::not_supported,
                     "the path is in a mounted Weft filesystem; mount it without --in-process"};
    }
    return Done{};
}

Task<Done> Mounts::make_mount(FilesystemId filesystem, std::string name, std::string path) {
    co_await or_return(co_await unmount_dead(&machine_, path));
    co_await or_return(process::make_folders(path));
    auto mounted = std::make_unique<Mounted>();
    mounted->filesystem = filesystem;
    mounted->name = name;
    mounted->path = path;
    mounted->channel = co_await or_return(co_await mount_fuse(&machine_, "weft:" + name, path));
    Mounted* at = mounted.get();
    mounted_[path] = std::move(mounted);
    running_.spawn(run(at));
    co_return Done{};
}

Task<Done> Mounts::run(Mounted* mounted) {
    frontend::FrontendSettings settings;
    settings.is_dying = process::is_dying;
    mounted->frontend.emplace(machine_, compute_, *mounted->channel, mounted->filesystem,
                              SessionId(), std::move(settings));
    // Sessions end with this process: nobody comes back under a number.
    auto opened = co_await mounted->frontend->open_session(sessions_, 0);
    if (opened.ok()) {
        (void)co_await mounted->frontend->run();
        (void)co_await sessions_.close_session(mounted->frontend->session());
    }
    std::string path = mounted->path;
    mounted_.erase(path);
    ended_.notify_all();
    co_return Done{};
}

Task<Done> Mounts::unmount(std::string path) {
    if (!mounted_.contains(path)) co_return Error{Code::not_found, "not mounted by this process"};
    co_await or_return(co_await unmount_fuse(&machine_, path, false));
    while (mounted_.contains(path)) co_await ended_.wait();
    co_return Done{};
}

Task<Done> Mounts::unmount_all() {
    std::vector<std::string> paths;
    for (const auto& [path, mounted] : mounted_) paths.push_back(path);
    for (const std::string& path : paths) {
        auto gone = co_await unmount_fuse(&machine_, path, false);
        if (gone.code() == Code::would_block) {
            (void)co_await unmount_fuse(&machine_, path, true);
        }
        // What still holds files open gets errors from now on.
        auto left = mounted_.find(path);
        if (left != mounted_.end() && left->second->frontend) left->second->frontend->stop();
    }
    co_return co_await running_.close();
}

std::vector<MountReport> Mounts::list() const {
    std::vector<MountReport> reports;
    for (const auto& [path, mounted] : mounted_) reports.push_back({mounted->name, path, {}, 0});
    return reports;
}

bool Mounts::has(FilesystemId filesystem) const {
    for (const auto& [path, mounted] : mounted_) {
        if (mounted->filesystem == filesystem) return true;
    }
    return false;
}

}  // namespace weft::embedded
