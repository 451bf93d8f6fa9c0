#pragma once

#include "platform/base/result.h"

#include <optional>
#include <string>
#include <vector>

namespace weft::process {

struct MountPoint {
    std::string path;
    std::string type;    // "fuse.weft"
    std::string device;  // "0:52"
};

// What the kernel lists, oldest first: the last of a path hides the others.
std::vector<MountPoint> mount_points();

// Where filesystems of this type are mounted, the latest last; a path as often as it is mounted on.
std::vector<std::string> mounted_paths(const std::string& type);

// A mount whose process has died: nobody answers there. Waits for who does answer: on a thread that
// serves the mount itself, or that its process waits for, it would wait for ever.
bool is_dead_mount(const std::string& path);

// The same asked by a thread of its own: a descriptor of the caller's, on which one byte arrives,
// kDeadMount or kLiveMount, when somebody has answered or nobody will. May be closed before.
constexpr char kDeadMount = 'd';
constexpr char kLiveMount = 'l';
Result<int> ask_whether_dead_mount(const std::string& path);

struct MountOnWay {
    std::string path;
    bool at_end;  // The whole path leads there; otherwise to something within.
};
// The first filesystem of this type that the path, from the root and links followed, comes to.
// Looks at nothing in it, so nobody is waited for.
std::optional<MountOnWay> mount_on_way(const std::string& path, const std::string& type);

}  // namespace weft::process
