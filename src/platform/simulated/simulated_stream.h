#pragma once

#include "platform/net/stream.h"
#include "platform/runtime/reactor.h"

#include <memory>
#include <utility>

namespace weft {

// Two ends of a byte stream in memory. What one end writes arrives at the other after
// `latency` of simulated time. Each end may be destroyed before the other.
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_simulated_streams(Reactor& reactor,
                                                                                   Nanos latency);

}  // namespace weft
