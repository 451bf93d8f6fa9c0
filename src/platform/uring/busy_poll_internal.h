#pragma once

#include "platform/base/types.h"

#include <algorithm>

namespace weft {

// Whether a machine that has nothing to do looks for work for a moment before it sleeps.
//
// To wake a thread on another processor takes longer than to serve a small request: 1 to 4 us on
// bare metal, 20 us and more on a virtual machine. A caller that sends one request after
// another pays that for each, unless the thread still looks when the next one comes. Looking
// costs processor time that nobody else may want; so it is done while work comes soon after
// work, and not while something else wants this processor. The rule for the first is that of
// KVM's halt polling.
class BusyPoll {
public:
    // Waits in a row that must have been short before one is begun by looking. What a look in
    // vain costs is about what as many that succeed save.
    static constexpr int kShortWaits = 4;
    // Between two looks; a longer time means that this thread was not running.
    static constexpr Nanos kGapMost = 300 * kMicrosecond;
    // For how long the processor is left to who took it.
    static constexpr Nanos kLeft = 10 * kMillisecond;

    // `longest`: of one look, and of what counts as a short wait; 0: never look.
    explicit BusyPoll(Nanos longest) : longest_(longest) {}

    // How long to look before sleeping; 0: sleep at once.
    Nanos window(Nanos now) const {
        return short_waits_ >= kShortWaits && now >= left_until_ ? longest_ : 0;
    }
    // Two looks, one after the other, at those times.
    void looked(Nanos before, Nanos now) {
        if (now - before > kGapMost) left_until_ = now + kLeft;
    }
    // A wait has ended that lasted so long, with the looking.
    void waited(Nanos lasted) {
        short_waits_ = lasted <= longest_ ? std::min(short_waits_ + 1, kShortWaits) : 0;
    }

private:
    Nanos longest_;
    int short_waits_ = 0;
    Nanos left_until_ = 0;
};

}  // namespace weft
