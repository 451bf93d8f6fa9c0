#include "control/cli/cli.h"

#include "control/cli/session_internal.h"
#include "control/cli/units.h"
#include "platform/process/host_address.h"
#include "platform/process/process.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

namespace weft::control {
namespace {

std::string usual_folder() {
    if (auto folder = process::environment("WEFT_CLUSTER")) return *folder;
    if (process::is_root()) return "/var/lib/weft/demo";
    return process::home_folder() + "/.local/share/weft/demo";
}

std::string usual_mount() {
    return process::is_root() ? "/mnt/weft" : process::home_folder() + "/weft";
}

std::string absolute(const std::string& path) {
    return path.empty() || path.front() == '/' ? path : process::current_folder() + "/" + path;
}

// Without needless slashes and dots, so that it is the same for whoever compares it.
std::string plain_path(const std::string& path) {
    std::string plain = std::filesystem::path(absolute(path)).lexically_normal().string();
    while (plain.size() > 1 && plain.back() == '/') plain.pop_back();
    return plain;
}

// As a shell takes it for one word.
std::string shell_word(const std::string& word) {
    auto plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("/._-+@:,=%").find(c) != std::string_view::npos;
    };
    if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
    std::string whole = "'";
    for (char c : word) {
        if (c == '\'') {
            whole += "'\\''";
        } else {
            whole += c;
        }
    }
    return whole + "'";
}

// What to type here to call this very program.
std::string own_name() {
    std::string own = process::own_path();
    if (process::find_program("weft") == own) return "weft";
    std::string here = process::current_folder() + "/";
    if (!own.starts_with(here)) return shell_word(own);
    std::string below = own.substr(here.size());
    return shell_word(below.find('/') == std::string::npos ? "./" + below : below);
}

// "4+2" into the two widths.
std::string parse_scheme(const std::string& text, ServeSettings& settings) {
    const char* end = text.data() + text.size();
    auto first = std::from_chars(text.data(), end, settings.data_width);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != '+') {
        return "a scheme is K+M, such as 4+2";
    }
    auto second = std::from_chars(first.ptr + 1, end, settings.parity_width);
    if (second.ec != std::errc() || second.ptr != end) return "a scheme is K+M, such as 4+2";
    if (settings.data_width < 3 || settings.data_width > 16 || settings.parity_width < 2 ||
        settings.parity_width > 4 || settings.parity_width >= settings.data_width) {
        return "K is 3 to 16, M is 2 to 4 and less than K";
    }
    return {};
}

// One command line, parsed and done. The options live here while CLI11 fills them in.
class Commands {
public:
    explicit Commands(const Host& host) : session_(host) {
        app_.require_subcommand(1);
        app_.fallthrough();
        app_.set_help_all_flag("--help-all", "Help of every command");
        app_.add_flag("--json", session_.json, "Print JSON, for programs");
        app_.add_option("--cluster", session_.folder, "Folder of the cluster's process")
            ->default_val(usual_folder());
        app_.footer(
            "Exit codes: 0 done; 1 the cluster said no; 2 not understood; 3 nobody answers;\n"
            "4 done, and something is unhealthy. WEFT_CLUSTER names the folder, too.");
        add_status();
        add_filesystem_commands();
        add_drive_commands();
        add_mount_commands();
        add_demo_commands();
        add_serve();
        add_completion();
    }

    int run(int argc, const char* const* argv) {
        try {
            app_.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            int code = app_.exit(error);
            return code == 0 ? kExitOk : kExitUsage;
        }
        return code_;
    }

private:
    // `action` gives the exit code; it runs when the command is chosen.
    CLI::App* command(CLI::App* parent, std::string name, std::string about,
                      std::function<int()> action) {
        CLI::App* made = parent->add_subcommand(std::move(name), std::move(about));
        made->callback([this, action = std::move(action)] {
            session_.folder = plain_path(session_.folder);
            session_.command = own_name();
            if (session_.folder != usual_folder()) {
                session_.command += " --cluster " + shell_word(session_.folder);
            }
            code_ = action();
        });
        return made;
    }
    CLI::App* group(std::string name, std::string about) {
        CLI::App* made = app_.add_subcommand(std::move(name), std::move(about));
        made->require_subcommand(1);
        return made;
    }
    CLI::Option* add_size(CLI::App* to, const std::string& name, std::uint64_t* bytes,
                          const std::string& about) {
        return to->add_option_function<std::string>(
            name,
            [bytes, name](const std::string& text) {
                auto parsed = parse_bytes(text);
                if (!parsed.has_value()) {
                    throw CLI::ValidationError(name, "a size is a number with K, M, G, T or P");
                }
                *bytes = *parsed;
            },
            about);
    }
    // A host's name becomes its number here, where one may wait for name servers.
    CLI::Option* add_address(CLI::App* to, const std::string& name, std::string* address,
                             const std::string& about) {
        return to->add_option_function<std::string>(
            name,
            [address, name](const std::string& text) {
                auto numeric = process::numeric_address(text);
                if (!numeric.ok()) {
                    throw CLI::ValidationError(
                        name, "'" + text + "': " + std::string(numeric.error().what));
                }
                *address = numeric.value();
            },
            about);
    }
    // Asks, and says `done` if all went well (or prints the JSON).
    int change(const std::string& verb, Json arguments, const std::string& done) {
        Json value;
        if (int code = session_.ask(verb, std::move(arguments), value); code != kExitOk) {
            return code;
        }
        if (!session_.print_json(value)) std::cout << done << "\n";
        return kExitOk;
    }

    void add_status() {
        command(&app_, "status", "Health, capacity and mounts",
                [this] { return show_status(session_); });
        CLI::App* doctor = command(&app_, "doctor", "Check the cluster's invariants",
                                   [this] { return show_doctor(session_, flag_); });
        doctor->add_flag("--full", flag_, "Read and verify every block and all parity, too");
        CLI::App* top = command(&app_, "top", "What the cluster is doing, live",
                                [this] { return show_top(session_, flag_, interval_); });
        top->add_flag("--once", flag_, "Print once and end");
        top->add_option("--interval", interval_, "Seconds between two looks")
            ->check(CLI::Range(0.1, 3600.0));
    }

    void add_filesystem_commands() {
        CLI::App* fs = group("fs", "Filesystems: create, list, resize, remove");
        CLI::App* create = command(fs, "create", "Make a filesystem", [this] {
            return change("fs.create", Json{{"name", name_}, {"capacity_bytes", bytes_}},
                          "created " + name_ + "; mount it with '" + session_.command + " mount " +
                              name_ + " PATH'");
        });
        create->add_option("name", name_, "Its name")->required();
        add_size(create, "--size", &bytes_,
                 "Capacity, such as 100G; thin, so it may exceed the drives")
            ->required();
        command(fs, "list", "All filesystems", [this] { return show_filesystems(session_); });
        CLI::App* resize = command(fs, "resize", "Change a capacity, in use", [this] {
            return change("fs.resize", Json{{"name", name_}, {"capacity_bytes", bytes_}},
                          "resized " + name_ + " to " + format_bytes(bytes_));
        });
        resize->add_option("name", name_, "Its name")->required();
        add_size(resize, "--size", &bytes_, "The new capacity")->required();
        CLI::App* remove = command(fs, "remove", "Delete a filesystem and all its files", [this] {
            if (!confirmed("This deletes '" + name_ + "' and everything in it.", yes_)) {
                return kExitFailed;
            }
            return change("fs.remove", Json{{"name", name_}}, "removed " + name_);
        });
        remove->add_option("name", name_, "Its name")->required();
        remove->add_flag("--yes", yes_, "Do not ask");
    }

    void add_drive_commands() {
        CLI::App* drive = group("drive", "Drives: list, add, fail, replace");
        command(drive, "list", "All drives", [this] { return show_drives(session_); });
        CLI::App* add = command(drive, "add", "Give the cluster another drive", [this] {
            return change("drive.add", new_drive(), "added " + path_);
        });
        add_new_drive_options(add);
        CLI::App* fail =
            command(drive, "fail", "Stop using a drive; rebuild what was on it", [this] {
                return change("drive.fail", Json{{"drive", number_}, {"force", flag_}},
                              "drive " + std::to_string(number_) +
                                  " is failed; its chunks are rebuilt "
                                  "wherever there is room");
            });
        fail->add_option("drive", number_, "Its number in 'weft drive list'")->required();
        fail->add_flag("--force", flag_, "Even if data is lost by it");
        CLI::App* replace =
            command(drive, "replace", "Put an empty drive in a drive's place", [this] {
                Json arguments = new_drive();
                arguments["drive"] = number_;
                return change("drive.replace", std::move(arguments),
                              path_ + " takes the place of drive " + std::to_string(number_));
            });
        replace->add_option("drive", number_, "Its number in 'weft drive list'")->required();
        add_new_drive_options(replace);
    }

    void add_new_drive_options(CLI::App* to) {
        to->add_option("path", path_, "A block device, or a file to be made")->required();
        add_size(to, "--size", &bytes_, "Of the file; as the other drives if not said");
        to->add_flag("--overwrite", yes_,
                     "Even if it holds something already: a drive, a filesystem, data");
    }

    Json new_drive() const {
        return Json{{"path", plain_path(path_)}, {"size_bytes", bytes_}, {"overwrite", yes_}};
    }

    void add_mount_commands() {
        CLI::App* mount = command(&app_, "mount", "Mount a filesystem, or list what is mounted",
                                  [this] { return do_mount(); });
        auto* name = mount->add_option("filesystem", name_, "Its name; without, all are listed");
        auto* path = mount->add_option("path", path_, "An empty folder; made if it is not there");
        name->needs(path);
        add_address(mount, "--at", &at_, "HOST:PORT of a cluster started with --listen")
            ->needs(name);
        mount->add_flag("--in-process", flag_,
                        "Let the cluster's own process serve it, and mount it at each start");
        add_machine_options(mount, &serve_.machine);
        mount->footer(
            "A mount is a process of its own. It outlives restarts of the cluster: programs wait\n"
            "up to two minutes, their open files and locks stay. An ordinary user mounts through\n"
            "fusermount3, and only a cluster whose folder is theirs, or one with --at.");
        CLI::App* umount = command(&app_, "umount", "Unmount what is mounted at a path",
                                   [this] { return unmount(session_, plain_path(path_)); });
        umount->add_option("path", path_, "Where it is mounted")->required();
        add_client();
    }

    int do_mount() {
        if (name_.empty()) return show_mounts(session_);
        std::string path = plain_path(path_);
        if (flag_) {
            return change("mount", Json{{"filesystem", name_}, {"path", path}},
                          "mounted " + name_ + " at " + path);
        }
        MountSettings settings;
        settings.filesystem = name_;
        settings.path = path;
        settings.machine = serve_.machine;
        return mount_apart(session_, at_, std::move(settings));
    }

    void add_client() {
        CLI::App* client = command(&app_, "client", "Be a mount's process (mount does it)",
                                   [this] { return session_.host().mount(mount_); });
        client->add_option("--at", mount_.address, "unix:PATH or tcp:HOST:PORT")->required();
        client->add_option("--filesystem", mount_.filesystem, "Its name")->required();
        client->add_option("--path", mount_.path, "Where to mount it")->required();
        client->add_option("--state", mount_.state_path, "A file to tell how it fares")->required();
        add_machine_options(client, &mount_.machine);
    }

    void add_machine_options(CLI::App* to, MachineOptions* options) {
        to->add_flag("--no-io-uring", options->force_epoll, "Use epoll and threads instead");
        to->add_flag("--power-saving", options->power_saving,
                     "Let processors sleep between requests; on a virtual machine root's mounts\n"
                     "keep them awake while busy, which makes small requests several times faster");
    }

    void add_serve_options(CLI::App* to, std::string* mount) {
        to->add_option("--name", serve_.name, "Of the cluster and its first filesystem")
            ->capture_default_str();
        to->add_option("--drives", serve_.drive_count, "How many drive files to make")
            ->capture_default_str()
            ->check(CLI::Range(5, 64));
        add_size(to, "--drive-size", &serve_.drive_bytes, "Of each, such as 4G");
        to->add_option_function<std::string>(
            "--scheme",
            [this](const std::string& text) {
                std::string wrong = parse_scheme(text, serve_);
                if (!wrong.empty()) throw CLI::ValidationError("--scheme", wrong);
            },
            "Data and parity width, K+M (usual: 4+2)");
        to->add_option("--mount", *mount, "Where to mount the first filesystem")
            ->capture_default_str();
        add_address(to, "--listen", &serve_.listen,
                    "HOST:PORT for mounts on other machines; without any protection, so for\n"
                    "trusted networks only: whoever reaches it may do everything");
        add_machine_options(to, &serve_.machine);
    }

    void add_demo_commands() {
        CLI::App* demo = group("demo", "A whole cluster in one process on this machine");
        CLI::App* start =
            command(demo, "start", "Create it, or resume it with all its data", [this] {
                DemoSettings settings;
                settings.serve = serve_;
                settings.serve.mount_path = plain_path(demo_mount_);
                return demo_start(session_, std::move(settings));
            });
        add_serve_options(start, &demo_mount_);
        command(demo, "stop", "Stop it; all data stays", [this] { return demo_stop(session_); });
        CLI::App* remove = command(demo, "remove", "Delete it and all its data",
                                   [this] { return demo_remove(session_, yes_); });
        remove->add_flag("--yes", yes_, "Do not ask");
    }

    void add_serve() {
        CLI::App* serve =
            command(&app_, "serve", "Be the cluster's process (demo start does it)", [this] {
                serve_.folder = absolute(serve_.folder);
                serve_.mount_path = plain_path(serve_.mount_path);
                return session_.host().serve(serve_);
            });
        serve->add_option("--folder", serve_.folder, "Of the cluster")->required();
        add_serve_options(serve, &serve_.mount_path);
    }

    void add_completion() {
        CLI::App* completion = command(&app_, "completion", "A shell's completion script", [this] {
            std::cout << completion_script(name_);
            return kExitOk;
        });
        completion->add_option("shell", name_, "bash, zsh or fish")
            ->required()
            ->check(CLI::IsMember({"bash", "zsh", "fish"}));
        completion->footer("bash: source <(weft completion bash)");
    }

    CLI::App app_{"Weft: a distributed parallel filesystem"};
    Session session_;
    ServeSettings serve_;
    std::string demo_mount_ = usual_mount();  // serve_ mounts nothing unless it is told to.
    MountSettings mount_;
    std::string at_;
    std::string name_;
    std::string path_;
    std::uint64_t bytes_ = 0;
    std::uint32_t number_ = 0;
    bool flag_ = false;
    bool yes_ = false;
    double interval_ = 2;
    int code_ = kExitOk;
};

}  // namespace

std::vector<std::string> MachineOptions::words() const {
    std::vector<std::string> words;
    if (force_epoll) words.emplace_back("--no-io-uring");
    if (power_saving) words.emplace_back("--power-saving");
    return words;
}

int run(int argc, const char* const* argv, const Host& host) {
    return Commands(host).run(argc, argv);
}

}  // namespace weft::control
