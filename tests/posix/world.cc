#include "world.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <time.h>

namespace posix_suite {

const std::vector<Kind>& all_kinds() {
    static const std::vector<Kind> kinds = {
        Kind::regular, Kind::directory,        Kind::symlink,     Kind::fifo,
        Kind::socket,  Kind::character_device, Kind::block_device};
    return kinds;
}

const char* kind_name(Kind kind) {
    switch (kind) {
        case Kind::regular:
            return "regular";
        case Kind::directory:
            return "directory";
        case Kind::symlink:
            return "symlink";
        case Kind::fifo:
            return "fifo";
        case Kind::socket:
            return "socket";
        case Kind::character_device:
            return "character_device";
        case Kind::block_device:
            return "block_device";
    }
    return "";
}

mode_t kind_bits(Kind kind) {
    switch (kind) {
        case Kind::regular:
            return S_IFREG;
        case Kind::directory:
            return S_IFDIR;
        case Kind::symlink:
            return S_IFLNK;
        case Kind::fifo:
            return S_IFIFO;
        case Kind::socket:
            return S_IFSOCK;
        case Kind::character_device:
            return S_IFCHR;
        case Kind::block_device:
            return S_IFBLK;
    }
    return 0;
}

void make_kind(const std::string& path, Kind kind, Where where) {
    if (kind == Kind::directory) {
        make_directory(path, 0755, where);
    } else if (kind == Kind::symlink) {
        must(symlink("target", path.c_str()), where);
    } else {
        must(mknod(path.c_str(), kind_bits(kind) | 0644, makedev(1, 3)), where);
    }
}

void make_file(const std::string& path, const std::string& content, mode_t mode, Where where) {
    const Fd fd = open_file(path, O_WRONLY | O_CREAT | O_EXCL, mode, where);
    if (!content.empty()) write_at(fd, content, 0, where);
}

void make_directory(const std::string& path, mode_t mode, Where where) {
    must(mkdir(path.c_str(), mode), where);
    must(chmod(path.c_str(), mode), where);
}

void give(const std::string& path, uid_t uid, gid_t gid, Where where) {
    must(lchown(path.c_str(), uid, gid), where);
}

void set_mode(const std::string& path, mode_t mode, Where where) {
    must(chmod(path.c_str(), mode), where);
}

Fd open_file(const std::string& path, int flags, mode_t mode, Where where) {
    return Fd(must(open(path.c_str(), flags | O_CLOEXEC, mode), where));
}

struct stat stat_of(const std::string& path, Where where) {
    struct stat found{};
    must(lstat(path.c_str(), &found), where);
    return found;
}

struct stat stat_of(int fd, Where where) {
    struct stat found{};
    must(fstat(fd, &found), where);
    return found;
}

std::string content_of(const std::string& path, Where where) {
    const Fd fd = open_file(path, O_RDONLY, 0, where);
    return read_at(fd, static_cast<size_t>(stat_of(fd, where).st_size), 0, where);
}

void write_at(int fd, const std::string& bytes, off_t offset, Where where) {
    for (size_t done = 0; done < bytes.size();) {
        const off_t at = offset + static_cast<off_t>(done);
        done += static_cast<size_t>(
            must(pwrite(fd, bytes.data() + done, bytes.size() - done, at), where));
    }
}

std::string read_at(int fd, size_t count, off_t offset, Where where) {
    std::string bytes(count, '\0');
    size_t done = 0;
    while (done < count) {
        const off_t at = offset + static_cast<off_t>(done);
        const long got = must(pread(fd, bytes.data() + done, count - done, at), where);
        if (got == 0) break;
        done += static_cast<size_t>(got);
    }
    bytes.resize(done);
    return bytes;
}

bool exists(const std::string& path) {
    struct stat found{};
    return lstat(path.c_str(), &found) == 0;
}

unsigned mode_of(const std::string& path) {
    return stat_of(path).st_mode & 07777;
}

std::string fd_path(int fd) {
    return "/proc/self/fd/" + std::to_string(fd);
}

long try_open(const char* path, int flags, mode_t mode) {
    const int fd = open(path, flags | O_CLOEXEC, mode);
    const int error = errno;
    if (fd >= 0) close(fd);
    errno = error;
    return fd;
}

std::string pattern(size_t count, unsigned seed) {
    std::string bytes(count, '\0');
    for (size_t index = 0; index < count; ++index) {
        const size_t mixed = (index + seed) * 2654435761U;
        bytes[index] = static_cast<char>('A' + (mixed >> 13) % 58);
    }
    return bytes;
}

User alice() {
    return {kAlice, kAlice, {}};
}
User bob() {
    return {kBob, kBob, {kTeam}};
}
User nobody() {
    return {kNobody, kNobody, {}};
}

void as_user(const User& user, const std::function<void()>& body, Where where) {
    in_child(
        [&] {
            must(setgroups(user.groups.size(), user.groups.data()), where);
            must(setresgid(user.gid, user.gid, user.gid), where);
            must(setresuid(user.uid, user.uid, user.uid), where);
            body();
        },
        where);
}

bool same_time(const timespec& one, const timespec& other) {
    return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

void wait_for_tick(const timespec& past) {
    timespec start{};
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        timespec now{};
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
        if (now.tv_sec > past.tv_sec || (now.tv_sec == past.tv_sec && now.tv_nsec > past.tv_nsec)) {
            return;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        constexpr time_t kSecondsMax = 2;
        if (now.tv_sec - start.tv_sec > kSecondsMax) return;
    }
}

void age(const std::string& path) {
    // The access time is the older one, so that a mount with relatime updates it on a read.
    const timespec times[2] = {{1000000000, 0}, {1000000100, 0}};
    must(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW));
    wait_for_tick(stat_of(path).st_ctim);
}

}  // namespace posix_suite
