#include "control/cli/session_internal.h"
#include "control/cli/units.h"
#include "platform/process/process.h"

#include <algorithm>
#include <iostream>
#include <vector>

namespace weft::control {
namespace {

constexpr Nanos kStartMost = 300 * kSecond;  // Writing drive files takes long on slow disks.
constexpr Nanos kStopMost = 60 * kSecond;
constexpr Nanos kPoll = 50 * kMillisecond;
constexpr std::uint64_t kDriveBytesLeast = 64 * kMiB;
constexpr std::uint64_t kDriveBytesUsual = 4 * kGiB;

// A third of the room there is, so that the demo never fills the disk it lies on.
std::uint64_t fitting_drive_bytes(const ServeSettings& settings) {
    std::uint64_t room = process::free_bytes_at(settings.folder) / 3 / settings.drive_count;
    return std::min(kDriveBytesUsual, round_down(room, kMiB));
}

std::string pid_path(const Session& session) {
    return session.folder + "/weft.pid";
}

int running_pid(const Session& session) {
    auto text = process::read_file(pid_path(session));
    if (!text.ok()) return 0;
    int pid = std::atoi(text.value().c_str());
    return pid > 0 && process::is_running(pid) ? pid : 0;
}

std::vector<std::string> serve_command(const ServeSettings& settings) {
    std::vector<std::string> command = {
        process::own_path(),
        "serve",
        "--folder",
        settings.folder,
        "--name",
        settings.name,
        "--drives",
        std::to_string(settings.drive_count),
        "--scheme",
        std::to_string(settings.data_width) + "+" + std::to_string(settings.parity_width)};
    if (settings.drive_bytes > 0) {
        command.push_back("--drive-size");
        command.push_back(std::to_string(settings.drive_bytes));
    }
    if (!settings.mount_path.empty()) {
        command.push_back("--mount");
        command.push_back(settings.mount_path);
    }
    if (!settings.listen.empty()) {
        command.push_back("--listen");
        command.push_back(settings.listen);
    }
    for (const std::string& word : settings.machine.words()) command.push_back(word);
    return command;
}

void print_progress(const std::string& step) {
    if (process::stdout_is_terminal()) std::cout << "\r\033[K" << step << std::flush;
}

// Waits until the process answers; prints how far it is from its progress file.
int wait_until_served(const Session& session, int pid) {
    std::string shown;
    for (Nanos waited = 0; waited < kStartMost; waited += kPoll) {
        auto reply = session.ask_quietly("status", Json::object());
        if (reply.ok() && reply.value().ok) {
            print_progress("");
            return kExitOk;
        }
        auto progress = process::read_file(session.folder + "/progress");
        if (progress.ok() && progress.value() != shown) {
            shown = progress.value();
            print_progress(shown);
        }
        if (!process::is_running(pid)) {
            print_progress("");
            std::cerr << "weft: the cluster's process ended; its last words are in "
                      << session.folder << "/weft.log\n";
            return kExitFailed;
        }
        process::pause(kPoll);
    }
    std::cerr << "weft: the cluster does not answer yet; see " << session.folder << "/weft.log\n";
    return kExitFailed;
}

struct Hint {
    std::string type;
    std::string about;
};

void print_hints(const std::vector<Hint>& hints) {
    std::size_t width = 0;
    for (const Hint& hint : hints) width = std::max(width, hint.type.size());
    for (const Hint& hint : hints) {
        std::string padding(width - hint.type.size() + 3, ' ');
        std::cout << "  " << hint.type << padding << hint.about << "\n";
    }
}

void print_welcome(const Session& session, const Json& status) {
    const std::string& weft = session.command;
    // The mount of the cluster's own process, where there are others.
    const Json* shown = nullptr;
    for (const Json& mount : status["mounts"]) {
        if (shown == nullptr || !mount.contains("pid")) shown = &mount;
    }
    std::cout << "Weft is running: " << number_at(status, "data_width") << " data + "
              << number_at(status, "parity_width") << " parity over " << status["drives"].size()
              << " drives in " << session.folder << ".\n";
    if (shown == nullptr) {
        std::cout << "Nothing is mounted. If it should be, the reason is in " << session.folder
                  << "/weft.log\n";
        print_hints({{weft + " fs list", "what there is to be mounted"},
                     {weft + " mount NAME PATH", "mount it"}});
        return;
    }
    std::string path = text_at(*shown, "path");
    std::cout << "The filesystem '" << text_at(*shown, "filesystem") << "' is mounted at " << path
              << "\n\nTry next:\n";
    print_hints({{"cp -r /usr/share/doc " + path + "/", "files, as on any filesystem"},
                 {weft + " status", "health, capacity, mounts"},
                 {weft + " drive fail 1", "take a drive away; everything stays readable"},
                 {weft + " top", "what it is doing"},
                 {weft + " doctor --full", "verify every block and all parity"},
                 {weft + " demo stop", "all data stays; 'demo start' resumes"},
                 {weft + " demo remove", "gone, with all its data"}});
}

int print_started(const Session& session) {
    Json status;
    if (int code = session.ask("status", Json::object(), status); code != kExitOk) return code;
    for (const Json& mount : status["mounts"]) {
        if (!mount.contains("pid")) look_at_mount(text_at(mount, "path"));
    }
    if (!session.print_json(status)) print_welcome(session, status);
    return kExitOk;
}

}  // namespace

int demo_start(const Session& session, DemoSettings settings) {
    if (running_pid(session) != 0) return print_started(session);
    ServeSettings& serve = settings.serve;
    serve.folder = session.folder;
    if (!process::make_folders(serve.folder).ok()) {
        std::cerr << "weft: cannot make the folder " << serve.folder << "\n";
        return kExitFailed;
    }
    bool fresh = !process::exists(serve.folder + "/process.json");
    if (fresh && serve.drive_bytes == 0) serve.drive_bytes = fitting_drive_bytes(serve);
    if (fresh && serve.drive_bytes < kDriveBytesLeast) {
        std::cerr << "weft: " << serve.drive_count << " drives of at least "
                  << format_bytes(kDriveBytesLeast) << " do not fit at " << serve.folder
                  << "; choose another place with --cluster\n";
        return kExitFailed;
    }
    auto started = process::start_detached(serve_command(serve), serve.folder + "/weft.log");
    if (!started.ok()) {
        std::cerr << "weft: cannot start the cluster's process\n";
        return kExitFailed;
    }
    if (int code = wait_until_served(session, started.value()); code != kExitOk) return code;
    return print_started(session);
}

int demo_stop(const Session& session) {
    int pid = running_pid(session);
    if (pid == 0) {
        drop_dead_mounts(session);
        std::cout << "nothing is running at " << session.folder << "\n";
        return kExitOk;
    }
    Json value;
    if (int code = session.ask("stop", Json::object(), value); code != kExitOk) return code;
    if (!process::wait_for_end(pid, kStopMost)) {
        std::cerr << "weft: process " << pid << " has not ended yet\n";
        return kExitFailed;
    }
    std::cout << "stopped; all data stays in " << session.folder << "\n";
    return kExitOk;
}

int demo_remove(const Session& session, bool yes) {
    if (!process::exists(session.folder + "/process.json")) {
        std::cout << "no cluster is at " << session.folder << "\n";
        return kExitOk;
    }
    if (!confirmed("This deletes the cluster at " + session.folder + " and all its data.", yes)) {
        return kExitFailed;
    }
    if (running_pid(session) != 0) {
        if (int code = demo_stop(session); code != kExitOk) return code;
    }
    drop_mounts(session);
    // The large files first: as long as process.json is there, a removal that was cut off can be
    // done again.
    bool removed = process::remove_tree(session.folder + "/drives").ok() &&
                   process::remove_tree(session.folder).ok();
    if (!removed) {
        std::cerr << "weft: cannot remove all of " << session.folder << "\n";
        return kExitFailed;
    }
    std::cout << "removed " << session.folder << "\n";
    return kExitOk;
}

}  // namespace weft::control
