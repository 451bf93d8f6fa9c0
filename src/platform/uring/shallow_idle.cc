#include "platform/uring/shallow_idle_internal.h"

#include <fcntl.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace weft {
namespace {

bool is_virtual_machine() {
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned kHypervisorPresent = 1U << 31;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kHypervisorPresent) != 0;
#else
    return false;
#endif
}

}  // namespace

std::string ShallowIdle::usual_path() {
    return is_virtual_machine() ? "/dev/cpu_dma_latency" : "";
}

ShallowIdle::ShallowIdle(const std::string& path) {
    if (!path.empty()) device_ = Descriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
}

void ShallowIdle::woke(Nanos now) {
    if (!device_) return;
    if (now - window_began_ >= kWindow) {
        window_began_ = now;
        wakes_ = 0;
    }
    if (++wakes_ == kBusyWakes) {
        held_until_ = now + kHeld;
        if (!held_) allow(kNone);
        held_ = usable();
    } else if (held_ && now >= held_until_) {
        held_ = false;
        allow(kAny);
    }
}

void ShallowIdle::allow(std::int32_t microseconds) {
    // Only slower if the kernel does not take it.
    if (::write(device_.get(), &microseconds, sizeof(microseconds)) < 0) device_ = Descriptor();
}

}  // namespace weft
