#include "platform/simulated/simulated_reactor.h"

namespace weft {

bool SimulatedReactor::step() {
    if (run_ready() > 0) return true;
    if (next_due() == kNever) return false;
    if (next_due() > now_) now_ = next_due();
    fire_timers();
    return true;
}

}  // namespace weft
