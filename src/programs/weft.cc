// The weft program: the command line, and the process of an embedded cluster (`weft serve`).
#include "control/cli/cli.h"
#include "platform/uring/machine.h"
#include "processes/embedded/embedded_cluster.h"

#include <cstdio>

namespace {

using namespace weft;

constexpr Nanos kConnectMost = 2 * kSecond;

int serve(control::ServeSettings from) {
    MachineSettings machine_settings;
    if (from.force_epoll) machine_settings.kind = MachineKind::epoll;
    auto machine = make_machine(machine_settings);
    if (!machine.ok()) {
        std::fprintf(stderr, "weft: no reactor can be had: %s\n",
                     std::string(machine.error().what).c_str());
        return control::kExitFailed;
    }
    embedded::EmbeddedSettings settings;
    settings.folder = from.folder;
    settings.name = from.name;
    settings.drive_count = from.drive_count;
    settings.drive_bytes = from.drive_bytes;
    settings.data_width = static_cast<std::uint8_t>(from.data_width);
    settings.parity_width = static_cast<std::uint8_t>(from.parity_width);
    settings.mount_path = from.mount_path;
    auto served = embedded::serve(*machine.value(), std::move(settings));
    if (served.ok()) return control::kExitOk;
    std::fprintf(stderr, "weft: %s (%s)\n", std::string(served.error().what).c_str(),
                 std::string(name_of(served.code())).c_str());
    return control::kExitFailed;
}

Result<control::Reply> request(std::string socket_path, control::Json body) {
    auto machine = make_machine();
    if (!machine.ok()) return machine.error();
    Machine& on = *machine.value();
    return on.run(control::request(&on.network(), "unix:" + socket_path, std::move(body),
                                   on.now() + kConnectMost));
}

}  // namespace

int main(int argc, char** argv) {
    control::Host host;
    host.serve = serve;
    host.request = request;
    return control::run(argc, argv, host);
}
