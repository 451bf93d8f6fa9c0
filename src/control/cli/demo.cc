#include "control/cli/session_internal.h"
#include "control/cli/units.h"
#include "platform/process/process.h"
#include "platform/process/process_lock.h"

#include <algorithm>
#include <iostream>
#include <optional>
#include <vector>

namespace weft::control {
namespace {

constexpr Nanos kStartMost = 300 * kSecond;  // Writing drive files takes long on slow disks.
constexpr Nanos kStopMost = 60 * kSecond;
// From when its locks are gone.
constexpr Nanos kEndMost = 10 * kSecond;
// What fits into a sockaddr_un, with its end.
constexpr std::size_t kSocketPathMost = 107;
constexpr Nanos kPoll = 50 * kMillisecond;
constexpr std::uint64_t kDriveBytesLeast = 64 * kMiB;
constexpr std::uint64_t kDriveBytesUsual = 4 * kGiB;

// A third of the room there is, so that the demo never fills the disk it lies on.
std::uint64_t fitting_drive_bytes(const ServeSettings& settings) {
    std::uint64_t room = process::free_bytes_at(settings.folder) / 3 / settings.drive_count;
    return std::min(kDriveBytesUsual, round_down(room, kMiB));
}

// The cluster's process, as the lock that it holds tells: 0 if it has no number here, as in another
// container. Empty if there is none.
std::optional<int> running_process(const Session& session) {
    return process::lock_holder(session.folder + "/lock");
}

// No cluster is there, or one whose first start did not come to its end.
bool is_fresh(const Session& session) {
    std::string path = session.folder + "/process.json";
    if (!process::exists(path)) return true;
    auto text = process::read_file(path);
    if (!text.ok()) return false;
    auto json = parse_json(text.value());
    return json.has_value() && json->is_object() && flag_at(*json, "creating");
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
    // Of a process that is stopped each question takes as long as one waits for an answer.
    Nanos until = process::now() + kStartMost;
    while (process::now() < until) {
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
        bool ended = pid > 0 && !process::is_running(pid);
        // Of two that start at once one goes on.
        if (ended) pid = running_process(session).value_or(-1);
        if (pid < 0) {
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
    if (auto running = running_process(session)) {
        if (int code = wait_until_served(session, *running); code != kExitOk) return code;
        return print_started(session);
    }
    ServeSettings& serve = settings.serve;
    serve.folder = session.folder;
    if (session.socket_path().size() > kSocketPathMost) {
        std::cerr << "weft: the path " << serve.folder
                  << " is too long for the sockets in it; choose a shorter one with --cluster\n";
        return kExitUsage;
    }
    if (!process::make_private_folder(serve.folder).ok()) {
        std::cerr << "weft: cannot make the folder " << serve.folder << "\n";
        return kExitFailed;
    }
    bool fresh = is_fresh(session);
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
    auto running = running_process(session);
    if (!running.has_value()) {
        drop_dead_mounts(session);
        std::cout << "nothing is running at " << session.folder << "\n";
        return kExitOk;
    }
    Json value;
    if (int code = session.ask("stop", Json::object(), value); code != kExitOk) return code;
    for (Nanos waited = 0; waited < kStopMost && running_process(session) == running;
         waited += kPoll) {
        process::pause(kPoll);
    }
    bool ended = running_process(session) != running &&
                 (*running == 0 || process::wait_for_end(*running, kEndMost));
    if (!ended) {
        std::cerr << "weft: the cluster's process";
        if (*running != 0) std::cerr << ", " << *running << ",";
        std::cerr << " has not ended yet\n";
        return kExitFailed;
    }
    std::cout << "stopped; all data stays in " << session.folder << "\n";
    return kExitOk;
}

namespace {

// What is Weft's in a folder goes; a file of anybody else stays, and the folder with it.
bool remove_known(const std::string& folder, const std::vector<std::string>& endings) {
    bool removed = true;
    for (const std::string& name : process::names_in(folder)) {
        bool known = std::any_of(endings.begin(), endings.end(),
                                 [&name](const auto& end) { return name.ends_with(end); });
        if (known) removed = process::remove_one(folder + "/" + name) && removed;
    }
    if (process::names_in(folder).empty()) removed = process::remove_one(folder) && removed;
    return removed;
}

bool remove_files(const std::string& folder) {
    // The large files first: as long as process.json is there, a removal that was cut off can be
    // done again.
    if (!remove_known(folder + "/drives", {".drive"})) return false;
    if (!remove_known(folder + "/mounts", {".json", ".json.new", ".log"})) return false;
    for (const char* name :
         {"progress", "progress.new", "weft.log", "weft.pid", "weft.pid.new", "data.sock",
          "control.sock", "process.json.new", "process.json", "lock"}) {
        if (!process::remove_one(folder + "/" + name)) return false;
    }
    return !process::names_in(folder).empty() || process::remove_one(folder);
}

// Drives that were added at other places: whoever added them knows what else is there.
std::vector<std::string> drives_elsewhere(const Session& session) {
    std::vector<std::string> paths;
    auto text = process::read_file(session.folder + "/process.json");
    auto json = text.ok() ? parse_json(text.value()) : std::nullopt;
    if (!json.has_value() || !json->is_object() || !json->contains("drives")) return paths;
    for (const Json& path : (*json)["drives"]) {
        if (!path.is_string()) continue;
        std::string drive = path.get<std::string>();
        bool ours = drive.starts_with(session.folder + "/drives/") && drive.ends_with(".drive");
        if (!ours && process::exists(drive)) paths.push_back(std::move(drive));
    }
    return paths;
}

}  // namespace

int demo_remove(const Session& session, bool yes) {
    if (!process::exists(session.folder + "/process.json")) {
        std::cout << "no cluster is at " << session.folder << "\n";
        return kExitOk;
    }
    if (!confirmed("This deletes the cluster at " + session.folder + " and all its data.", yes)) {
        return kExitFailed;
    }
    if (running_process(session).has_value()) {
        if (int code = demo_stop(session); code != kExitOk) return code;
    }
    // Nobody starts it meanwhile.
    auto lock = process::ProcessLock::take(session.folder + "/lock");
    if (!lock.ok()) {
        std::cerr << "weft: cannot remove " << session.folder << ": " << lock.error().what << "\n";
        return kExitFailed;
    }
    drop_mounts(session);
    std::vector<std::string> elsewhere = drives_elsewhere(session);
    if (!remove_files(session.folder)) {
        std::cerr << "weft: cannot remove all of " << session.folder << "\n";
        return kExitFailed;
    }
    std::cout << "removed " << session.folder << "\n";
    for (const std::string& name : process::names_in(session.folder)) {
        std::cout << "not Weft's, so it stays: " << session.folder << "/" << name << "\n";
    }
    for (const std::string& path : elsewhere) {
        std::cout << "added from elsewhere, so it stays: " << path << "\n";
    }
    return kExitOk;
}

}  // namespace weft::control
