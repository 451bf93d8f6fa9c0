#include "processes/client/client_mount.h"

#include "platform/fuse_device/kernel_mount.h"
#include "platform/process/process.h"
#include "processes/client/connection.h"
#include "processes/client/mount_file.h"
#include "roles/frontend/frontend_role.h"

#include <cstdio>
#include <utility>

namespace weft::client {
namespace {

MountHello hello_of(const ClientSettings& settings) {
    MountHello hello;
    hello.filesystem = settings.filesystem;
    hello.host = process::host_name();
    hello.path = settings.path;
    hello.pid = static_cast<std::uint32_t>(process::own_id());
    return hello;
}

// A mount from its first call to its last.
class ClientMount {
public:
    ClientMount(Machine& machine, ClientSettings settings)
        : machine_(machine),
          settings_(std::move(settings)),
          connection_(machine, machine.network(), settings_.address, hello_of(settings_)),
          background_(machine) {}

    Task<Done> live() {
        auto begun = co_await begin();
        if (!begun.ok()) {
            tell(false, begun.error());
            (void)co_await connection_.stop();
            co_return begun.error();
        }
        tell(true, Error{Code::ok, {}});
        std::fprintf(stderr, "weft: %s is mounted at %s\n", settings_.filesystem.c_str(),
                     settings_.path.c_str());
        background_.spawn(watch_signals());
        auto ended = co_await frontend_->run();
        (void)co_await connection_.close_session(frontend_->session());
        (void)co_await connection_.stop();
        (void)process::remove_tree(settings_.state_path);
        co_return ended;
    }

private:
    Task<Done> begin() {
        FilesystemId filesystem = co_await or_return(co_await connection_.find_filesystem());
        co_await or_return(co_await unmount_dead(&machine_, settings_.path));
        co_await or_return(process::make_folders(settings_.path));
        channel_ = co_await or_return(
            co_await mount_fuse(&machine_, "weft:" + settings_.filesystem, settings_.path));
        frontend::FrontendSettings settings;
        settings.is_dying = process::is_dying;
        frontend_.emplace(machine_, connection_.compute(), *channel_, filesystem, SessionId(),
                          std::move(settings));
        std::uint64_t number = machine_.random() | 1;
        auto opened = co_await frontend_->open_session(connection_, number);
        if (!opened.ok()) (void)co_await unmount_fuse(&machine_, settings_.path, true);
        co_return opened;
    }

    void tell(bool mounted, Error error) {
        MountFile file;
        file.pid = process::own_id();
        file.birth = process::birth_of(file.pid);
        file.filesystem = settings_.filesystem;
        file.path = settings_.path;
        file.address = settings_.address;
        file.mounted = mounted;
        file.error = std::string(error.what);
        file.code = error.code;
        auto written = write_mount_file(settings_.state_path, file);
        if (!written.ok()) std::fprintf(stderr, "weft: cannot write the state file\n");
    }

    Task<Done> watch_signals() {
        for (;;) {
            ProcessSignal signal = co_await or_return(co_await machine_.wait_signal());
            if (signal == ProcessSignal::hangup) continue;
            auto gone = co_await unmount_fuse(&machine_, settings_.path, false);
            if (gone.ok()) continue;
            (void)co_await unmount_fuse(&machine_, settings_.path, true);
            // What still holds files open gets errors from now on.
            frontend_->stop();
        }
    }

    Machine& machine_;
    ClientSettings settings_;
    std::unique_ptr<FuseChannel> channel_;
    Connection connection_;
    std::optional<frontend::FrontendRole> frontend_;
    Gate background_;
};

}  // namespace

Result<Done> serve_mount(Machine& machine, ClientSettings settings) {
    ClientMount mount(machine, std::move(settings));
    return machine.run(mount.live());
}

}  // namespace weft::client
