#pragma once

#include "platform/uring/machine.h"

#include <string>

namespace weft::client {

struct ClientSettings {
    std::string address;     // Of the cluster: "unix:FOLDER/data.sock" or "tcp:HOST:PORT".
    std::string filesystem;  // Its name.
    std::string path;        // Where to mount it; the folder is made if it is not there.
    std::string state_path;  // What is told of this process (mount_file.h).
};

// The whole life of the process: mount, serve until it is unmounted or a signal comes, send what
// is deferred. The file at state_path says how far it is; it is gone at the end, unless mounting
// failed: then it says why.
Result<Done> serve_mount(Machine& machine, ClientSettings settings);

}  // namespace weft::client
