#include "platform/process/mount_points.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft::process {
namespace {

// As the kernel's: more links than this on one way are a circle.
constexpr int kLinksMost = 40;

// Blanks and the like are written as \040.
std::string unescaped(const std::string& field) {
    std::string plain;
    for (std::size_t i = 0; i < field.size(); ++i) {
        bool escape = field[i] == '\\' && i + 3 < field.size();
        if (!escape) {
            plain.push_back(field[i]);
            continue;
        }
        plain.push_back(static_cast<char>(std::strtol(field.substr(i + 1, 3).c_str(), nullptr, 8)));
        i += 3;
    }
    return plain;
}

void answer(int fd, const std::string& path) {
    char byte = is_dead_mount(path) ? kDeadMount : kLiveMount;
    // Who asked may have gone: SIGPIPE is blocked on this thread.
    (void)!::write(fd, &byte, 1);
    ::close(fd);
}

std::deque<std::string> components(const std::string& path) {
    std::deque<std::string> words;
    std::istringstream text(path);
    for (std::string word; std::getline(text, word, '/');) {
        if (!word.empty() && word != ".") words.push_back(word);
    }
    return words;
}

std::string parent_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

}  // namespace

// Fields of a line: id, parent, device, root, path, options, any number of others, "-", type,
// source.
std::vector<MountPoint> mount_points() {
    std::vector<MountPoint> points;
    std::ifstream file("/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        std::string id, parent, root, word;
        MountPoint point;
        fields >> id >> parent >> point.device >> root >> word;
        point.path = unescaped(word);
        while (fields >> word && word != "-") {
        }
        fields >> point.type;
        points.push_back(std::move(point));
    }
    return points;
}

std::vector<std::string> mounted_paths(const std::string& type) {
    std::vector<std::string> paths;
    for (MountPoint& point : mount_points()) {
        if (point.type == type) paths.push_back(std::move(point.path));
    }
    return paths;
}

bool is_dead_mount(const std::string& path) {
    // What the kernel has cached outlives the process that told it.
    struct statx status{};
    int failed = statx(AT_FDCWD, path.c_str(), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status);
    // The second: it ends right now. io_uring lets go of a dead process's files a little later.
    return failed != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

Result<int> ask_whether_dead_mount(const std::string& path) {
    std::array<int, 2> ends;
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return Error{Code::io_failed, "process.pipe"};
    // Signals are for the threads that the program made.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    Result<int> asked = ends[0];
    try {
        std::thread(answer, ends[1], path).detach();
    } catch (const std::system_error&) {
        ::close(ends[0]);
        ::close(ends[1]);
        asked = Error{Code::limit_reached, "the kernel gives no more threads"};
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return asked;
}

std::optional<MountOnWay> mount_on_way(const std::string& path, const std::string& type) {
    std::vector<std::string> mounts = mounted_paths(type);
    std::deque<std::string> left = components(std::filesystem::absolute(path).string());
    std::string here;
    int links = 0;
    while (!left.empty()) {
        std::string word = std::move(left.front());
        left.pop_front();
        if (word == "..") {
            here = parent_of(here);
            continue;
        }
        std::string next = here + "/" + word;
        if (std::find(mounts.begin(), mounts.end(), next) != mounts.end()) {
            return MountOnWay{next, left.empty()};
        }
        std::array<char, PATH_MAX> target;
        ssize_t length = readlink(next.c_str(), target.data(), target.size());
        if (length <= 0) {
            here = next;
            continue;
        }
        if (++links > kLinksMost) break;
        std::string text(target.data(), static_cast<std::size_t>(length));
        if (text.front() == '/') here.clear();
        std::deque<std::string> more = components(text);
        left.insert(left.begin(), more.begin(), more.end());
    }
    return std::nullopt;
}

}  // namespace weft::process
