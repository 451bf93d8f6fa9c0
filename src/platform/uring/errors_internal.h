#pragma once

#include "platform/base/result.h"

namespace weft {

// What the caller of a system call should do next.
Code code_of(int error_number);

// For reads, writes and flushes of drives: unavailable, out_of_space, or else io_failed.
Code disk_code_of(int error_number);

// For connected sockets: whatever went wrong, the peer is gone; but limits are ours.
Code stream_code_of(int error_number);

}  // namespace weft
