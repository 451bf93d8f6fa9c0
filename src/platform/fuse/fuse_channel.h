#pragma once

#include "platform/base/types.h"
#include "platform/runtime/task.h"

#include <span>
#include <string>

namespace weft {

// The largest request the kernel sends us: two headers of 40 bytes, then 1 MiB of WRITE data.
inline constexpr std::size_t kFusePayloadMost = 1 * kMiB;
inline constexpr std::size_t kFuseHeadBytes = 80;
inline constexpr std::size_t kFuseRequestMost = kFuseHeadBytes + kFusePayloadMost;

// One connection to the kernel's FUSE client: whole messages in and out, as bytes. What they
// mean is the frontend's to know.
class FuseChannel {
public:
    virtual ~FuseChannel() = default;

    // Waits for a request, puts it at the start of `into` (at least kFuseRequestMost bytes) and
    // gives its size. One caller at a time. Ends at once, without a pause, while requests wait.
    // Errors: cancelled (unmounted, or closed).
    virtual Task<std::size_t> receive(Bytes into) = 0;

    // One reply, or a notification for which the kernel takes no lock of an inode; now, and
    // without blocking. Errors: not_found (the kernel has given the request up), invalid (it
    // refuses the message; the request is still open), cancelled.
    virtual Result<Done> send(std::span<const ConstBytes> parts) = 0;

    // A notification for which the kernel may have to wait for a request that we have not yet
    // answered. Never blocks the reactor; ends when the kernel has acted on it.
    // Errors: not_found (the kernel does not know the inode or name), cancelled.
    virtual Task<Done> notify(std::string message) = 0;

    // The INIT exchange is over: what can be tuned only from here on is tuned now.
    virtual void initialized() {}

    // receive() and whatever waits end with cancelled, now and from now on.
    virtual void close() = 0;
};

}  // namespace weft
