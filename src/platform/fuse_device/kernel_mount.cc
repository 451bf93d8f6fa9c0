#include "platform/fuse_device/kernel_mount.h"

#include "platform/base/result.h"
#include "platform/process/mount_points.h"
#include "platform/process/process.h"
#include "platform/runtime/task.h"

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft {
namespace {

constexpr Nanos kChildPoll = 2 * kMillisecond;
constexpr Nanos kChildMost = 60 * kSecond;
constexpr int kReadAheadKiB = 4096;
// Who serves a mount answers at once, or is busy with a restart: it is alive.
constexpr Nanos kAnswerMost = 2 * kSecond;
constexpr int kUnmountTries = 4;
constexpr Nanos kUnmountPause = 100 * kMillisecond;
constexpr const char* kType = "fuse.weft";

Error failed(int error, std::string_view what) {
    switch (error) {
        case ENOENT:
        case ENODEV:
            return {Code::not_found, what};
        case EPERM:
        case EACCES:
            return {Code::not_permitted, what};
        case EBUSY:
            return {Code::would_block, what};
        case ENOTDIR:
            return {Code::not_a_directory, what};
        default:
            return {Code::io_failed, what};
    }
}

// The folder's name as the kernel lists it. The last component is left alone: looking at it
// could ask the very mount that this thread serves.
std::string listed_name(const std::string& path) {
    std::string trimmed = path;
    while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
    std::size_t slash = trimmed.rfind('/');
    std::string parent = slash == std::string::npos ? "." : trimmed.substr(0, slash + 1);
    std::string name = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
    std::array<char, PATH_MAX> canonical{};
    if (realpath(parent.c_str(), canonical.data()) == nullptr) return trimmed;
    std::string whole(canonical.data());
    if (whole.back() != '/') whole.push_back('/');
    return whole + name;
}

// "0:52" of what is mounted at the path; empty if nothing is.
std::string device_at(const std::string& path) {
    std::string name = listed_name(path);
    std::string found;
    for (process::MountPoint& point : process::mount_points()) {
        if (point.path == name) found = std::move(point.device);
    }
    return found;
}

class KernelChannel : public FuseChannel {
public:
    KernelChannel(Machine& machine, int fd, std::unique_ptr<FdWatch> watch, std::string path)
        : machine_(machine), fd_(fd), watch_(std::move(watch)), path_(std::move(path)) {}
    ~KernelChannel() override {
        watch_.reset();
        ::close(fd_);
    }

    Task<std::size_t> receive(Bytes into) override {
        for (;;) {
            auto got = co_await watch_->read(into);
            if (got.ok() && got.value() > 0) co_return got.value();
            // A request that was interrupted before we could read it.
            if (got.code() == Code::not_found) continue;
            co_return Error{Code::cancelled, "fuse.receive"};
        }
    }

    Result<Done> send(std::span<const ConstBytes> parts) override {
        auto sent = watch_->try_write(parts);
        if (sent.ok()) return Done{};
        if (sent.code() == Code::unavailable) return Error{Code::cancelled, "fuse.send"};
        return sent.error();
    }

    Task<Done> notify(std::string message) override {
        ConstBytes bytes = std::as_bytes(std::span(message.data(), message.size()));
        co_return co_await machine_.write_fd_async(fd_, bytes);
    }

    void initialized() override {
        std::string device = device_at(path_);
        if (device.empty()) return;
        // Needs root; without it the kernel's usual read-ahead does, only slower.
        std::ofstream file("/sys/class/bdi/" + device + "/read_ahead_kb");
        file << kReadAheadKiB;
    }

    void close() override { watch_->close(); }

private:
    Machine& machine_;
    int fd_;
    std::unique_ptr<FdWatch> watch_;
    std::string path_;
};

Result<int> mount_as_root(const std::string& source, const std::string& path) {
    int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0) return failed(errno, "/dev/fuse cannot be opened");
    std::string options = "fd=" + std::to_string(fd) +
                          ",rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions";
    if (::mount(source.c_str(), path.c_str(), kType, 0, options.c_str()) == 0) {
        return fd;
    }
    int error = errno;
    ::close(fd);
    return failed(error, "the kernel refuses the mount");
}

// The descriptor that fusermount3 sends over the socket.
Result<int> receive_descriptor(int socket) {
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0) {
        return Error{Code::not_permitted, "fusermount3 refuses the mount"};
    }
    const cmsghdr* head = CMSG_FIRSTHDR(&message);
    if (head == nullptr || head->cmsg_type != SCM_RIGHTS) {
        return Error{Code::io_failed, "fusermount3 sent no descriptor"};
    }
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    return fd;
}

// In the child: only calls that are safe after fork, where another thread may have held
// malloc's lock.
[[noreturn]] void run_program(char* const* arguments, char* const* environment) {
    execvpe(arguments[0], arguments, environment);
    _exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> all;
    for (std::string& word : words) all.push_back(word.data());
    all.push_back(nullptr);
    return all;
}

Result<int> mount_as_user(const std::string& source, const std::string& path) {
    // fusermount3 opens it in our name, and says no more than no.
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        return failed(errno, "/dev/fuse is closed to this user; root may chmod it to 666");
    }
    if (process::find_program("fusermount3").empty()) {
        return Error{Code::not_found, "fusermount3 is not there; install the package fuse3"};
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return failed(errno, "fuse.socketpair");
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    std::string number = std::to_string(ends[1]);
    std::string options = "fsname=" + source + ",subtype=weft,default_permissions";
    std::vector<std::string> words = {"fusermount3", "-o", options, "--", path};
    std::vector<std::string> settings = {"_FUSE_COMMFD=" + number};
    for (char** one = environ; *one != nullptr; ++one) settings.emplace_back(*one);
    std::vector<char*> arguments = pointers(words);
    std::vector<char*> environment = pointers(settings);
    pid_t child = fork();
    if (child == 0) run_program(arguments.data(), environment.data());
    ::close(ends[1]);
    auto fd = receive_descriptor(ends[0]);
    ::close(ends[0]);
    if (child > 0) waitpid(child, nullptr, 0);
    return fd;
}

struct Reading {
    explicit Reading(int descriptor) : fd(descriptor) {}
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() { ::close(fd); }
    int fd;
};

// Runs a program and waits without blocking the reactor; its exit status.
Task<int> run_child(Machine* machine, std::vector<std::string> words) {
    std::vector<char*> arguments = pointers(words);
    pid_t child = fork();
    if (child == 0) run_program(arguments.data(), environ);
    if (child < 0) co_return Error{Code::limit_reached, "fuse.fork"};
    for (Nanos waited = 0; waited < kChildMost; waited += kChildPoll) {
        int status = 0;
        if (waitpid(child, &status, WNOHANG) == child) {
            co_return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
        }
        co_await sleep(*machine, kChildPoll);
    }
    co_return Error{Code::retry_later, "unmounting takes too long"};
}

}  // namespace

Task<std::unique_ptr<FuseChannel>> mount_fuse(Machine* machine, std::string source,
                                              std::string path) {
    auto mounted = geteuid() == 0 ? mount_as_root(source, path) : mount_as_user(source, path);
    int fd = co_await or_return(std::move(mounted));
    auto watch = machine->watch(fd);
    if (!watch.ok()) {
        ::close(fd);
        co_return watch.error();
    }
    std::unique_ptr<FuseChannel> channel =
        std::make_unique<KernelChannel>(*machine, fd, std::move(watch).value(), std::move(path));
    co_return channel;
}

Task<Done> unmount_dead(Machine* machine, std::string path) {
    for (;;) {
        auto way = process::mount_on_way(path, kType);
        if (!way.has_value() || !way->at_end) co_return Done{};
        Reading asked(co_await or_return(process::ask_whether_dead_mount(way->path)));
        char answer = process::kLiveMount;
        Bytes into = std::as_writable_bytes(std::span(&answer, 1));
        (void)co_await machine->read_fd(asked.fd, into, machine->now() + kAnswerMost);
        if (answer != process::kDeadMount) {
            co_return Error{Code::already_exists, "a Weft filesystem is mounted there already"};
        }
        co_await or_return(co_await unmount_fuse(machine, way->path, true));
    }
}

Task<Done> unmount_fuse(Machine* machine, std::string path, bool lazy) {
    if (device_at(path).empty()) co_return Error{Code::not_found, "nothing is mounted there"};
    std::vector<std::string> words = {"umount"};
    if (geteuid() != 0) words = {"fusermount3", "-u"};
    if (lazy) words.emplace_back(geteuid() == 0 ? "-l" : "-z");
    words.emplace_back("--");
    words.push_back(path);
    int status = co_await or_return(co_await run_child(machine, words));
    // Whoever asks for a file, or for the room there is, has it in use for that moment.
    for (int tries = 1; status != 0 && !lazy && tries < kUnmountTries; ++tries) {
        co_await sleep(*machine, kUnmountPause);
        status = co_await or_return(co_await run_child(machine, words));
    }
    if (status != 0) co_return Error{Code::would_block, "files in it are in use"};
    co_return Done{};
}

}  // namespace weft
