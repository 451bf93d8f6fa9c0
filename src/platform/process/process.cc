#include "platform/process/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft::process {
namespace {

constexpr int kColumnsUsual = 100;

void pause_until_signal_safe(Nanos duration) {
    timespec left{duration / kSecond, duration % kSecond};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

// Field `number` of proc_pid_stat(5), of a line that begins with field 3, the state.
std::string field(const std::string& fields, int number) {
    std::istringstream words(fields);
    std::string word;
    for (int i = 3; i <= number; ++i) words >> word;
    return words ? word : std::string();
}

// What the kernel says of a process from its state on; empty if it has ended.
std::string fields_of(int pid) {
    // A child of ours that has ended is reaped here; another's may stay a zombie for long.
    if (pid <= 0 || waitpid(pid, nullptr, WNOHANG) == pid) return {};
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string stat;
    if (!std::getline(file, stat)) return {};
    // "PID (NAME) STATE ...", and the name may contain anything.
    std::size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos || name_end + 2 >= stat.size()) return {};
    std::string fields = stat.substr(name_end + 2);
    bool ended = fields.front() == 'Z' || fields.front() == 'X';
    // That is of the main thread. What the process had, locks too, is its last thread's to let go.
    constexpr int kThreads = 20;
    bool last = field(fields, kThreads) == "1" || field(fields, kThreads) == "0";
    return ended && last ? std::string() : fields;
}

Result<Done> replace_file(const std::string& path, std::string_view text, bool durable) {
    constexpr Error kFailed{Code::io_failed, "process.write_file"};
    std::string fresh = path + ".new";
    int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return kFailed;
    auto written = ::write(fd, text.data(), text.size());
    bool good = written == static_cast<ssize_t>(text.size()) && (!durable || fsync(fd) == 0);
    ::close(fd);
    if (!good || rename(fresh.c_str(), path.c_str()) != 0) return kFailed;
    if (!durable) return Done{};
    // The new name outlives loss of power only with its folder.
    std::string folder = std::filesystem::path(path).parent_path().string();
    int in = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (in < 0) return kFailed;
    bool flushed = fsync(in) == 0;
    ::close(in);
    return flushed ? Result<Done>(Done{}) : Result<Done>(kFailed);
}

// Runs in the child: only calls that are safe after fork.
[[noreturn]] void become(char* const* arguments, int log) {
    setsid();
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close_range(3, ~0U, 0);
    execv(arguments[0], arguments);
    _exit(127);
}

}  // namespace

std::optional<std::string> environment(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return std::string(value);
}

bool is_root() {
    return geteuid() == 0;
}

std::uint32_t user_id() {
    return geteuid();
}

std::uint32_t group_id() {
    return getegid();
}

std::string home_folder() {
    if (auto home = environment("HOME")) return *home;
    const passwd* user = getpwuid(geteuid());
    return user != nullptr ? user->pw_dir : "/tmp";
}

std::string own_path() {
    std::error_code error;
    auto path = std::filesystem::read_symlink("/proc/self/exe", error);
    return error ? std::string() : path.string();
}

std::string current_folder() {
    std::error_code error;
    return std::filesystem::current_path(error).string();
}

std::string find_program(const std::string& name) {
    std::istringstream folders(environment("PATH").value_or(std::string()));
    for (std::string folder; std::getline(folders, folder, ':');) {
        std::string path = folder + "/" + name;
        if (access(path.c_str(), X_OK) != 0) continue;
        std::error_code error;
        return std::filesystem::canonical(path, error).string();
    }
    return {};
}

Result<int> start_detached(std::vector<std::string> arguments, std::string log_path) {
    int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) return Error{Code::io_failed, "process.open_log"};
    std::vector<char*> raw;
    for (std::string& argument : arguments) raw.push_back(argument.data());
    raw.push_back(nullptr);
    pid_t child = fork();
    if (child == 0) become(raw.data(), log);
    ::close(log);
    if (child < 0) return Error{Code::limit_reached, "process.start"};
    return static_cast<int>(child);
}

Result<int> run_program(std::vector<std::string> arguments, bool quiet) {
    std::vector<char*> raw;
    for (std::string& argument : arguments) raw.push_back(argument.data());
    raw.push_back(nullptr);
    pid_t child = fork();
    if (child == 0) {
        if (quiet) dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        execvp(raw[0], raw.data());
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return Error{Code::limit_reached, "process.run"};
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

std::string host_name() {
    std::array<char, 256> name{};
    if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
    return name.data();
}

void end_at_once(bool good) {
    std::fflush(nullptr);
    std::_Exit(good ? EXIT_SUCCESS : EXIT_FAILURE);
}

int own_id() {
    return static_cast<int>(getpid());
}

bool is_running(int pid) {
    return !fields_of(pid).empty();
}

std::string birth_of(int pid) {
    constexpr int kStartTime = 22;
    std::string began = field(fields_of(pid), kStartTime);
    if (began.empty()) return {};
    std::string boot;
    std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
    return boot + "/" + began;
}

bool wait_for_end(int pid, Nanos most) {
    constexpr Nanos kStep = 20 * kMillisecond;
    for (Nanos waited = 0; waited < most; waited += kStep) {
        if (!is_running(pid)) return true;
        pause(kStep);
    }
    return !is_running(pid);
}

bool send_kill(int pid) {
    return kill(pid, SIGKILL) == 0;
}

bool is_dying(std::uint32_t thread) {
    std::ifstream file("/proc/" + std::to_string(thread) + "/status");
    bool known = false;
    for (std::string line; std::getline(file, line);) {
        bool pending = line.starts_with("SigPnd:") || line.starts_with("ShdPnd:");
        if (!pending) continue;
        known = true;
        std::uint64_t signals = std::strtoull(line.c_str() + 7, nullptr, 16);
        if ((signals >> (SIGKILL - 1) & 1) != 0) return true;
    }
    return !known;
}

Nanos now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * kSecond + time.tv_nsec;
}

void pause(Nanos duration) {
    pause_until_signal_safe(duration);
}

bool stdout_is_terminal() {
    return isatty(STDOUT_FILENO) == 1;
}

bool stdin_is_terminal() {
    return isatty(STDIN_FILENO) == 1;
}

int terminal_columns() {
    winsize size{};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : kColumnsUsual;
}

std::uint64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    file >> total >> resident;
    return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

unsigned core_count() {
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? static_cast<unsigned>(count) : 1;
}

Result<std::string> read_file(const std::string& path) {
    constexpr Error kFailed{Code::io_failed, "process.read_file"};
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? Error{Code::not_found, "process.read_file"} : kFailed;
    std::string text;
    std::array<char, 4096> piece{};
    ssize_t got = 0;
    while ((got = ::read(fd, piece.data(), piece.size())) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
    ::close(fd);
    if (got < 0) return kFailed;
    return text;
}

Result<Done> write_file(const std::string& path, std::string_view text) {
    return replace_file(path, text, true);
}

Result<Done> write_note(const std::string& path, std::string_view text) {
    return replace_file(path, text, false);
}

Result<Done> make_folders(const std::string& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return Error{Code::io_failed, "process.make_folders"};
    return Done{};
}

Result<Done> make_private_folder(const std::string& path) {
    std::string parent = std::filesystem::path(path).parent_path().string();
    if (!parent.empty()) {
        auto made = make_folders(parent);
        if (!made.ok()) return made;
    }
    if (mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return Done{};
    return Error{Code::io_failed, "process.make_folders"};
}

Result<Done> remove_tree(const std::string& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return Error{Code::io_failed, "process.remove_tree"};
    return Done{};
}

bool remove_one(const std::string& path) {
    std::error_code error;
    std::filesystem::remove(path, error);
    return !error;
}

std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator entry(path, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        names.push_back(entry->path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

bool exists(const std::string& path) {
    std::error_code error;
    return std::filesystem::exists(path, error);
}

std::uint64_t free_bytes_at(const std::string& path) {
    struct statvfs status{};
    if (statvfs(path.c_str(), &status) != 0) return 0;
    return status.f_bavail * status.f_frsize;
}

std::optional<FileIdentity> identity_of(const std::string& path) {
    struct stat status{};
    if (stat(path.c_str(), &status) != 0) return std::nullopt;
    FileIdentity identity{status.st_dev, status.st_ino, 0};
    if (S_ISREG(status.st_mode)) identity.size_bytes = static_cast<std::uint64_t>(status.st_size);
    return identity;
}

}  // namespace weft::process
