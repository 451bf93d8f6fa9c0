#pragma once

#include "control/cli/cli.h"

#include <string>

namespace weft::control {

// What the commands share: which cluster, how to print, how to ask.
class Session {
public:
    explicit Session(const Host& host) : host_(host) {}

    std::string folder;  // Of the cluster's process.
    bool json = false;
    std::string command = "weft";  // How a person calls this program for this cluster.

    std::string socket_path() const { return folder + "/control.sock"; }
    // Asks, and prints what went wrong. An exit code if the command is to end here.
    int ask(const std::string& verb, Json arguments, Json& value) const;
    // The reply without printing.
    Result<Reply> ask_quietly(const std::string& verb, Json arguments) const;
    // Prints `value` as JSON if that was asked for; true if it did.
    bool print_json(const Json& value) const;
    const Host& host() const { return host_; }

private:
    const Host& host_;
};

// What to tell a person of an error: its message, if that is a sentence; if it only names the step
// that failed, what its code (result.h) means to whoever asked.
std::string sentence_of(const std::string& message, const std::string& code);

// Asks on the terminal; --yes answers it, and without a terminal the answer is no.
bool confirmed(const std::string& question, bool yes);

int show_status(const Session& session);
int show_filesystems(const Session& session);
int show_drives(const Session& session);
int show_doctor(const Session& session, bool full);
int show_top(const Session& session, bool once, double interval_seconds);

struct DemoSettings {
    ServeSettings serve;
    bool yes = false;
};
int demo_start(const Session& session, DemoSettings settings);
int demo_stop(const Session& session);
int demo_remove(const Session& session, bool yes);

// A mount in a process of its own: of the cluster at session.folder, or at `at` (HOST:PORT).
int mount_apart(const Session& session, const std::string& at, MountSettings settings);
// Until somebody has, the kernel takes its root folder for root's, and lets nobody else chmod it.
void look_at_mount(const std::string& path);
int unmount(const Session& session, const std::string& path);
int show_mounts(const Session& session);
// Where the cluster's own process was killed while it served a mount, nobody answers any more.
void drop_dead_mounts(const Session& session);
// For a cluster that is being removed: nothing that its mounts have is worth keeping.
void drop_mounts(const Session& session);

std::string completion_script(const std::string& shell);

}  // namespace weft::control
