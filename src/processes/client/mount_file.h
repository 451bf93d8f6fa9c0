#pragma once

#include "platform/base/result.h"

#include <string>

namespace weft::client {

// What a mount's process tells of itself in a small JSON file, for `weft mount` and `weft umount`.
struct MountFile {
    int pid = 0;
    std::string birth;  // Of that process (process::birth_of): its number may be another's by now.
    std::string filesystem;
    std::string path;
    std::string address;
    bool mounted = false;
    std::string error;  // Why it could not be mounted; else empty.
    Code code = Code::ok;
};

Result<Done> write_mount_file(const std::string& at, const MountFile& file);

}  // namespace weft::client
