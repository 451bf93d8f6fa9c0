#pragma once

#include "platform/net/stream.h"
#include "platform/uring/machine.h"

#include <memory>

namespace weft {

// TCP and unix sockets on any machine: they need no more of it than watch().
std::unique_ptr<Network> make_network(Machine& machine);

}  // namespace weft
