#pragma once

#include "control/api/control_client.h"

#include <functional>
#include <string>
#include <vector>

namespace weft::control {

// Of the reactor of a process.
struct MachineOptions {
    bool force_epoll = false;   // Do without io_uring.
    bool power_saving = false;  // Let processors sleep between requests.

    // The same as words of a command line.
    std::vector<std::string> words() const;
};

// How an embedded cluster is to be made and served, as the serve command has it.
struct ServeSettings {
    std::string folder;  // Holds process.json, control.sock, weft.log and drive files.
    std::string name = "demo";
    std::uint32_t drive_count = 6;
    std::uint64_t drive_bytes = 0;  // 0: chosen from the room there is.
    std::uint32_t data_width = 4;
    std::uint32_t parity_width = 2;
    std::string listen;      // "HOST:PORT" for mounts on other machines; empty: none.
    std::string mount_path;  // Where the first filesystem is mounted; empty: nowhere.
    MachineOptions machine;
};

// A mount in a process of its own.
struct MountSettings {
    std::string address;  // "unix:PATH" or "tcp:HOST:PORT".
    std::string filesystem;
    std::string path;
    std::string state_path;  // Where the process tells how it fares.
    MachineOptions machine;
};

// What the command line needs of the program around it.
struct Host {
    // Runs the process of an embedded cluster until it is told to stop; its exit code.
    std::function<int(ServeSettings)> serve;
    // Runs the process of a mount until it is unmounted; its exit code.
    std::function<int(MountSettings)> mount;
    // One control request to the process at a unix socket.
    std::function<Result<Reply>(std::string socket_path, Json body)> request;
};

// Exit codes, the same for every command.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;       // The cluster said no; the message says why.
inline constexpr int kExitUsage = 2;        // The command line cannot be understood.
inline constexpr int kExitUnreachable = 3;  // No process answers at the cluster's folder.
inline constexpr int kExitUnhealthy = 4;    // doctor found something, or status is not healthy.

// The weft command: parses, asks, prints. Returns the exit code.
int run(int argc, const char* const* argv, const Host& host);

}  // namespace weft::control
