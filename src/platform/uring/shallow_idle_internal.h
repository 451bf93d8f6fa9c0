#pragma once

#include "platform/base/types.h"
#include "platform/uring/descriptor_internal.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace weft {

// Keeps this machine's processors from sleeping deeply while a reactor is busy, through the
// kernel's "PM quality of service" (/dev/cpu_dma_latency, root's).
//
// On a virtual machine an idle processor gives itself back to the host, and to wake it takes 20 us
// and more: longer than a small request, which wakes two (ours, then the caller's). Held, idle
// processors look for work instead, at full power; so it is held only while wakes come thick and
// fast, and let go soon after.
class ShallowIdle {
public:
    // So many wakes within a window are busy.
    static constexpr int kBusyWakes = 32;
    static constexpr Nanos kWindow = 10 * kMillisecond;
    // Held for so long after it was last busy.
    static constexpr Nanos kHeld = 50 * kMillisecond;
    // What is written: the longest latency that is allowed, in us; any, as the kernel says it.
    static constexpr std::int32_t kNone = 0;
    static constexpr std::int32_t kAny = 2'000'000'000;

    // Nothing is held, ever, if the path is empty or cannot be opened.
    explicit ShallowIdle(const std::string& path);

    // /dev/cpu_dma_latency on a virtual machine; else empty: bare metal wakes fast enough.
    static std::string usual_path();

    bool usable() const { return static_cast<bool>(device_); }
    bool held() const { return held_; }
    // The reactor's thread has woken.
    void woke(Nanos now);
    // When to wake at the latest, for who would sleep until then.
    Nanos wake_at(Nanos until) const { return held_ ? std::min(until, held_until_) : until; }

private:
    void allow(std::int32_t microseconds);

    Descriptor device_;  // The kernel forgets what was asked for when it is closed.
    bool held_ = false;
    Nanos held_until_ = 0;
    Nanos window_began_ = 0;
    int wakes_ = 0;
};

}  // namespace weft
