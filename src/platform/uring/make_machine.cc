#include "platform/uring/epoll_machine_internal.h"
#include "platform/uring/uring_machine_internal.h"

namespace weft {

Result<std::unique_ptr<Machine>> make_machine(MachineSettings settings) {
    if (settings.kind == MachineKind::epoll) return EpollMachine::make(settings, "as set");
    std::string why_not;
    auto machine = UringMachine::make(settings, &why_not);
    if (machine.ok() || settings.kind == MachineKind::uring) return machine;
    return EpollMachine::make(settings, std::move(why_not));
}

}  // namespace weft
