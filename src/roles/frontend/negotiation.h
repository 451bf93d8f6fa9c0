#pragma once

#include "platform/base/result.h"
#include "roles/frontend/fuse_wire.h"

#include <cstdint>

namespace weft::frontend {

// What both sides of a connection agreed on.
struct Agreement {
    std::uint32_t minor = 0;
    bool increase_epoch = false;  // FUSE_NOTIFY_INC_EPOCH
    bool long_setxattr = false;   // FUSE_SETXATTR_EXT
    bool kernel_locks = false;    // The kernel keeps locks for this mount alone.
    fuse_init_out reply{};
};

// Decides the reply to INIT; docs/protocols/fuse.md says why each flag is taken or left.
// `shared_locks`: flock and byte-range locks are seen by all clients.
// not_supported: the kernel is too old (before 7.31, Linux 5.4) or speaks another major version.
Result<Agreement> negotiate(const fuse_init_in& in, bool shared_locks);

}  // namespace weft::frontend
