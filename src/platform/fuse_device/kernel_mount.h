#pragma once

#include "platform/fuse/fuse_channel.h"
#include "platform/uring/machine.h"

#include <memory>
#include <string>

namespace weft {

// Mounts and unmounts by the kernel's FUSE client: as root by mount(2), as an ordinary user
// through fusermount3 (package fuse3). The kernel checks permissions (default_permissions).

// The folder must be there and be ours to mount on. `source` is what `df` shows in front.
// Errors: not_found (no /dev/fuse, no folder, no fusermount3), not_permitted, would_block
// (something is mounted there already).
Task<std::unique_ptr<FuseChannel>> mount_fuse(Machine* machine, std::string source,
                                              std::string path);

// Weft mounts at this path whose process has died go; the path need not exist. already_exists: one
// there is served, or does not say within 2 s. Never waits for a mount on this thread.
Task<Done> unmount_dead(Machine* machine, std::string path);

// Ends when the mount is gone; meanwhile its requests must be served. `lazy` takes it out of
// sight at once and lets open files end it. would_block: it is in use. not_found: not mounted.
Task<Done> unmount_fuse(Machine* machine, std::string path, bool lazy);

}  // namespace weft
