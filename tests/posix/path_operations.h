#pragma once

// Every system call that takes a path, in one shape, for what they all must answer alike.

#include "world.h"

#include <vector>

namespace posix_suite {

struct PathOperation {
    const char* name;
    long (*call)(const char* path);
    // What must lie at the path for the call to succeed; creating calls want nothing there.
    enum class Wants { file, directory, link, nothing } wants = Wants::file;
    bool follows = true;  // A link as the last component.
};

// They expect a file `helper` in the current directory; some take it as their other path.
const std::vector<PathOperation>& path_operations();

}  // namespace posix_suite
