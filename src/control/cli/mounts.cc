#include "control/cli/session_internal.h"
#include "control/cli/table.h"
#include "platform/process/mount_points.h"
#include "platform/process/process.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>
#include <utility>
#include <vector>

namespace weft::control {
namespace {

constexpr Nanos kMountMost = 60 * kSecond;
// A mount that is unmounted sends what it has; if no cluster answers it gives up before this.
constexpr Nanos kUnmountMost = 150 * kSecond;
constexpr int kUnmountTries = 4;
constexpr Nanos kUnmountPause = 100 * kMillisecond;
constexpr Nanos kPoll = 20 * kMillisecond;
constexpr const char* kType = "fuse.weft";

// What the processes of mounts tell of themselves (processes/client/mount_file.h).
struct Told {
    std::string file;
    std::string filesystem;
    std::string path;
    std::string address;
    std::string error;
    std::string code;
    std::string birth;
    int pid = 0;
    bool mounted = false;
    // What a process has left may name one that has nothing to do with us.
    bool running() const { return !birth.empty() && process::birth_of(pid) == birth; }
};

std::string folder_of_far_mounts() {
    if (process::is_root()) return "/var/lib/weft/mounts";
    return process::home_folder() + "/.local/share/weft/mounts";
}

std::optional<Told> read_told(const std::string& file) {
    auto text = process::read_file(file);
    if (!text.ok()) return std::nullopt;
    auto json = parse_json(text.value());
    if (!json.has_value() || !json->is_object()) return std::nullopt;
    Told told;
    told.file = file;
    told.filesystem = text_at(*json, "filesystem");
    told.path = text_at(*json, "path");
    told.address = text_at(*json, "address");
    told.error = text_at(*json, "error");
    told.code = text_at(*json, "code");
    told.birth = text_at(*json, "birth");
    told.pid = static_cast<int>(number_at(*json, "pid"));
    told.mounted = flag_at(*json, "mounted");
    return told;
}

std::vector<Told> all_told(const Session& session) {
    std::vector<Told> all;
    for (const std::string& folder : {session.folder + "/mounts", folder_of_far_mounts()}) {
        for (const std::string& name : process::names_in(folder)) {
            if (!name.ends_with(".json")) continue;
            auto told = read_told(folder + "/" + name);
            if (told.has_value()) all.push_back(std::move(*told));
        }
    }
    return all;
}

// A file name for a path: its last part for people, and a hash (FNV-1a) of all of it.
std::string file_name_of(const std::string& path) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (char c : path) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    std::array<char, 17> hex{};
    std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(hash));
    std::size_t slash = path.rfind('/');
    std::string last = slash == std::string::npos ? path : path.substr(slash + 1);
    return (last.empty() ? std::string("root") : last.substr(0, 64)) + "-" + hex.data();
}

bool run_unmount(const std::string& path, bool lazy, bool quiet = false) {
    std::vector<std::string> words = {"umount"};
    if (!process::is_root()) words = {"fusermount3", "-u"};
    if (lazy) words.emplace_back(process::is_root() ? "-l" : "-z");
    words.emplace_back("--");
    words.push_back(path);
    auto code = process::run_program(std::move(words), quiet);
    return code.ok() && code.value() == 0;
}

// Whoever asks for a file or for the room there is, as monitors do of every mount now and then, has
// the mount in use for that moment.
bool run_unmount_patiently(const std::string& path) {
    for (int tries = 1; tries < kUnmountTries; ++tries) {
        if (run_unmount(path, false, true)) return true;
        process::pause(kUnmountPause);
    }
    return run_unmount(path, false);
}

int explain(const Told& told) {
    // What the cluster says over rpc is a code alone.
    bool from_afar = told.error.find(' ') == std::string::npos;
    bool unreachable = from_afar && (told.code == name_of(Code::unavailable) ||
                                     told.code == name_of(Code::retry_later));
    std::string what = sentence_of(told.error, told.code);
    if (unreachable) what = "no cluster answers at " + told.address;
    if (from_afar && told.code == name_of(Code::not_found)) what = "no such filesystem";
    std::cerr << "weft: cannot mount " << told.filesystem << " at " << told.path << ": " << what
              << " (" << told.code << ")\n";
    return unreachable ? kExitUnreachable : kExitFailed;
}

int wait_until_mounted(const Session& session, const MountSettings& settings, int pid,
                       const std::string& log) {
    for (Nanos waited = 0; waited < kMountMost; waited += kPoll) {
        auto told = read_told(settings.state_path);
        if (told.has_value() && told->mounted) {
            look_at_mount(told->path);
            Json value{{"filesystem", told->filesystem}, {"path", told->path}, {"pid", told->pid}};
            if (session.print_json(value)) return kExitOk;
            std::cout << "mounted " << told->filesystem << " at " << told->path << " (process "
                      << told->pid << ")\n";
            return kExitOk;
        }
        if (told.has_value()) {
            (void)process::remove_tree(settings.state_path);
            return explain(*told);
        }
        if (!process::is_running(pid)) break;
        process::pause(kPoll);
    }
    std::cerr << "weft: the mount's process does not come up; its last words are in " << log
              << "\n";
    return kExitFailed;
}

// What can be told at once, in better words than the mount's process has. An exit code if the
// command ends here.
int check_filesystem(const Session& session, const MountSettings& settings) {
    Json status;
    if (int code = session.ask("status", Json::object(), status); code != kExitOk) return code;
    for (const Json& mount : status["mounts"]) {
        if (text_at(mount, "path") != settings.path || mount.contains("pid")) continue;
        std::cerr << "weft: " << text_at(mount, "filesystem") << " is mounted at " << settings.path
                  << " already\n";
        return kExitFailed;
    }
    for (const Json& filesystem : status["filesystems"]) {
        if (text_at(filesystem, "name") == settings.filesystem) return kExitOk;
    }
    std::cerr << "weft: no such filesystem: " << settings.filesystem
              << "; 'weft fs list' has them all\n";
    return kExitFailed;
}

// Where the cluster's own process mounts what it is to serve (FOLDER/process.json).
std::vector<std::string> own_mounts(const Session& session) {
    std::vector<std::string> paths;
    auto text = process::read_file(session.folder + "/process.json");
    if (!text.ok()) return paths;
    auto json = parse_json(text.value());
    if (!json.has_value() || !json->is_object() || !json->contains("mounts")) return paths;
    for (const Json& mount : (*json)["mounts"]) paths.push_back(text_at(mount, "path"));
    return paths;
}

// The path as the kernel lists it. What is mounted at its end is not looked at: nobody may answer.
std::string listed_path(const std::string& path) {
    auto way = process::mount_on_way(path, kType);
    if (way.has_value() && way->at_end) return way->path;
    std::filesystem::path whole(path);
    std::error_code error;
    auto parent = std::filesystem::canonical(whole.parent_path(), error);
    return error ? path : (parent / whole.filename()).string();
}

// The type of what lies on top at a path; empty if nothing is mounted there.
std::string type_mounted_at(const std::string& path) {
    std::string listed = listed_path(path);
    std::string type;
    for (process::MountPoint& point : process::mount_points()) {
        if (point.path == listed) type = std::move(point.type);
    }
    return type;
}

// What is mounted there by a process that has died goes. False if nothing of ours was.
bool drop_dead(const std::string& path) {
    bool dropped = false;
    while (type_mounted_at(path) == kType && process::is_dead_mount(path)) {
        if (!run_unmount(path, true)) return dropped;
        dropped = true;
    }
    return dropped;
}

int unmounted(const Session& session, const std::string& path) {
    if (!session.print_json(Json(true))) std::cout << "unmounted " << path << "\n";
    return kExitOk;
}

// A mount that a process of its own serves.
int unmount_served(const Session& session, const Told& told) {
    std::string type = type_mounted_at(told.path);
    if (!type.empty() && type != kType) {
        std::cerr << "weft: a filesystem of type " << type << " is mounted over " << told.path
                  << "; unmount that first\n";
        return kExitFailed;
    }
    // If nothing is, umount(8) was quicker, and the process sends what it has.
    if (!type.empty() && !run_unmount_patiently(told.path)) {
        std::cerr << "weft: cannot unmount " << told.path << ": files in it are in use\n";
        return kExitFailed;
    }
    if (!process::wait_for_end(told.pid, kUnmountMost)) {
        std::cerr << "weft: unmounted, but process " << told.pid
                  << " still sends what was written\n";
        return kExitFailed;
    }
    (void)process::remove_one(told.file);
    return unmounted(session, told.path);
}

}  // namespace

void look_at_mount(const std::string& path) {
    (void)process::exists(path);
}

int mount_apart(const Session& session, const std::string& at, MountSettings settings) {
    bool local = at.empty();
    settings.address = local ? "unix:" + session.folder + "/data.sock" : "tcp:" + at;
    if (local) {
        if (int code = check_filesystem(session, settings); code != kExitOk) return code;
    }
    for (const Told& told : all_told(session)) {
        if (told.path != settings.path || !told.running()) continue;
        std::cerr << "weft: " << told.filesystem << " is mounted at " << told.path << " already\n";
        return kExitFailed;
    }
    std::string folder = local ? session.folder + "/mounts" : folder_of_far_mounts();
    std::string base = folder + "/" + file_name_of(settings.path);
    settings.state_path = base + ".json";
    std::string log = base + ".log";
    if (!process::make_folders(folder).ok() || !process::remove_tree(settings.state_path).ok()) {
        std::cerr << "weft: cannot write in " << folder << "\n";
        return kExitFailed;
    }
    std::vector<std::string> command = {process::own_path(),
                                        "client",
                                        "--at",
                                        settings.address,
                                        "--path",
                                        settings.path,
                                        "--state",
                                        settings.state_path,
                                        "--filesystem",
                                        settings.filesystem};
    for (const std::string& word : settings.machine.words()) command.push_back(word);
    auto started = process::start_detached(std::move(command), log);
    if (!started.ok()) {
        std::cerr << "weft: cannot start the mount's process\n";
        return kExitFailed;
    }
    return wait_until_mounted(session, settings, started.value(), log);
}

int unmount(const Session& session, const std::string& path) {
    bool left_behind = false;
    std::vector<Told> all = all_told(session);
    for (const Told& told : all) {
        if (told.path == path && told.running()) return unmount_served(session, told);
    }
    for (const Told& told : all) {
        if (told.path != path) continue;
        left_behind = true;
        (void)process::remove_one(told.file);
    }
    if (drop_dead(path)) return unmounted(session, path);
    if (left_behind && type_mounted_at(path) != kType) {
        if (session.print_json(Json(true))) return kExitOk;
        std::cout << "nothing of Weft is mounted at " << path << " any more\n";
        return kExitOk;
    }
    Json value;
    Json arguments{{"path", path}};
    if (int code = session.ask("unmount", std::move(arguments), value); code != kExitOk) {
        return code;
    }
    return unmounted(session, path);
}

int show_mounts(const Session& session) {
    Json list = Json::array();
    auto status = session.ask_quietly("status", Json::object());
    bool answers = status.ok() && status.value().ok;
    if (answers) list = status.value().value["mounts"];
    for (const Told& told : all_told(session)) {
        bool known = false;
        for (Json& mount : list) {
            if (number_at(mount, "pid") != static_cast<std::uint64_t>(told.pid)) continue;
            known = true;
        }
        if (known) continue;
        Json mount{{"filesystem", told.filesystem}, {"path", told.path}};
        mount["state"] = told.running() ? "waits for the cluster" : "dead; 'weft umount' it";
        mount["pid"] = static_cast<std::uint64_t>(told.pid);
        list.push_back(std::move(mount));
    }
    if (session.print_json(list)) return kExitOk;
    Table table;
    table.column("FILESYSTEM");
    table.column("PATH");
    table.column("SERVED BY");
    table.column("STATE");
    for (const Json& mount : list) {
        std::uint64_t pid = number_at(mount, "pid");
        std::string by = pid == 0 ? "the cluster's process" : "process " + std::to_string(pid);
        std::string host = text_at(mount, "host");
        if (!host.empty() && host != process::host_name()) by += " on " + host;
        std::string state = text_at(mount, "state");
        table.row({text_at(mount, "filesystem"), text_at(mount, "path"), by,
                   state.empty() ? "mounted" : state});
    }
    std::cout << (table.empty() ? std::string("nothing is mounted\n") : table.text());
    return kExitOk;
}

void drop_dead_mounts(const Session& session) {
    for (const std::string& path : own_mounts(session)) (void)drop_dead(path);
}

void drop_mounts(const Session& session) {
    drop_dead_mounts(session);
    std::string folder = session.folder + "/mounts";
    for (const std::string& name : process::names_in(folder)) {
        auto told = read_told(folder + "/" + name);
        if (!told.has_value()) continue;
        if (!told->running()) {
            (void)drop_dead(told->path);
            continue;
        }
        if (type_mounted_at(told->path) == kType) (void)run_unmount(told->path, true);
        (void)process::send_kill(told->pid);
        (void)process::wait_for_end(told->pid, 10 * kSecond);
    }
}

}  // namespace weft::control
