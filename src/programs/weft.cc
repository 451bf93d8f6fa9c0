// The weft program: the command line, and the process of an embedded cluster (`weft serve`).
#include "control/cli/cli.h"
#include "platform/uring/machine.h"
#include "processes/client/client_mount.h"
#include "processes/embedded/embedded_cluster.h"

#include <cstdio>

namespace {

using namespace weft;

// A mount may have so many invalidations of its kernel's caches under way (frontend: 256).
constexpr unsigned kNoticesMost = 320;

std::unique_ptr<Machine> machine_for(MachineSettings settings, control::MachineOptions options) {
    if (options.force_epoll) settings.kind = MachineKind::epoll;
    settings.stay_awake = !options.power_saving;
    auto machine = make_machine(settings);
    if (machine.ok()) return std::move(machine).value();
    std::fprintf(stderr, "weft: no reactor can be had: %s\n",
                 std::string(machine.error().what).c_str());
    return nullptr;
}

int exit_code(Result<Done> ended) {
    if (ended.ok()) return control::kExitOk;
    std::fprintf(stderr, "weft: %s (%s)\n", std::string(ended.error().what).c_str(),
                 std::string(name_of(ended.code())).c_str());
    return control::kExitFailed;
}

int serve(control::ServeSettings from) {
    auto machine = machine_for(MachineSettings(), from.machine);
    if (machine == nullptr) return control::kExitFailed;
    embedded::EmbeddedSettings settings;
    settings.folder = from.folder;
    settings.name = from.name;
    settings.drive_count = from.drive_count;
    settings.drive_bytes = from.drive_bytes;
    settings.data_width = static_cast<std::uint8_t>(from.data_width);
    settings.parity_width = static_cast<std::uint8_t>(from.parity_width);
    settings.mount_path = from.mount_path;
    settings.listen_address = from.listen;
    return exit_code(embedded::serve(*machine, std::move(settings)));
}

int mount(control::MountSettings from) {
    MachineSettings machine_settings;
    machine_settings.async_writes_max = kNoticesMost;
    auto machine = machine_for(machine_settings, from.machine);
    if (machine == nullptr) return control::kExitFailed;
    client::ClientSettings settings;
    settings.address = from.address;
    settings.filesystem = from.filesystem;
    settings.path = from.path;
    settings.state_path = from.state_path;
    return exit_code(client::serve_mount(*machine, std::move(settings)));
}

Result<control::Reply> request(std::string socket_path, control::Json body) {
    auto machine = make_machine();
    if (!machine.ok()) return machine.error();
    Machine& on = *machine.value();
    return on.run(control::request(on, &on.network(), "unix:" + socket_path, std::move(body)));
}

}  // namespace

int main(int argc, char** argv) {
    control::Host host;
    host.serve = serve;
    host.mount = mount;
    host.request = request;
    return control::run(argc, argv, host);
}
