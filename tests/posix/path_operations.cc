#include "path_operations.h"

#include <stdio.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

namespace posix_suite {
namespace {

using Wants = PathOperation::Wants;

char buffer[256];

long stat_by(const char* path, int flags) {
    struct stat found{};
    return fstatat(AT_FDCWD, path, &found, flags);
}

long set_times(const char* path, int flags) {
    const timespec times[2] = {{5, 5}, {6, 6}};
    return utimensat(AT_FDCWD, path, times, flags);
}

// Gives back the current directory, so that the next call starts from the same place.
long change_directory(const char* path) {
    const Fd home(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const long result = chdir(path);
    const int error = errno;
    if (result == 0) must(fchdir(home));
    errno = error;
    return result;
}

long statistics_of(const char* path) {
    struct statfs found{};
    return statfs(path, &found);
}

// Calls that look at an inode or change it.
std::vector<PathOperation> inode_operations() {
    return {
        {"open",
         [](const char* p) {
             return try_open(p, O_RDONLY);
         }},
        {"open_to_write",
         [](const char* p) {
             return try_open(p, O_WRONLY);
         }},
        {"open_directory", [](const char* p) { return try_open(p, O_RDONLY | O_DIRECTORY); },
         Wants::directory},
        {"open_path",
         [](const char* p) {
             return try_open(p, O_PATH);
         }},
        {"stat",
         [](const char* p) {
             return stat_by(p, 0);
         }},
        {"lstat", [](const char* p) { return stat_by(p, AT_SYMLINK_NOFOLLOW); }, Wants::file,
         false},
        {"access",
         [](const char* p) -> long {
             return access(p, R_OK);
         }},
        {"readlink", [](const char* p) -> long { return readlink(p, buffer, sizeof buffer); },
         Wants::link, false},
        {"chmod",
         [](const char* p) -> long {
             return chmod(p, 0644);
         }},
        {"chown",
         [](const char* p) -> long {
             return chown(p, geteuid(), getegid());
         }},
        {"lchown", [](const char* p) -> long { return lchown(p, geteuid(), getegid()); },
         Wants::file, false},
        {"truncate",
         [](const char* p) -> long {
             return truncate(p, 10);
         }},
        {"utimens",
         [](const char* p) {
             return set_times(p, 0);
         }},
        {"utimens_link", [](const char* p) { return set_times(p, AT_SYMLINK_NOFOLLOW); },
         Wants::file, false},
        {"statfs",
         [](const char* p) {
             return statistics_of(p);
         }},
        {"chdir", [](const char* p) { return change_directory(p); }, Wants::directory},
    };
}

std::vector<PathOperation> attribute_operations() {
    return {
        {"setxattr",
         [](const char* p) -> long {
             return setxattr(p, "user.a", "v", 1, 0);
         }},
        {"getxattr",
         [](const char* p) -> long {
             return getxattr(p, "user.a", buffer, 8);
         }},
        {"listxattr",
         [](const char* p) -> long {
             return listxattr(p, buffer, sizeof buffer);
         }},
        {"removexattr",
         [](const char* p) -> long {
             return removexattr(p, "user.a");
         }},
    };
}

// Calls that make, move or remove an entry.
std::vector<PathOperation> entry_operations() {
    return {
        {"link_from", [](const char* p) -> long { return link(p, "linked"); }, Wants::file, false},
        {"link_to", [](const char* p) -> long { return link("helper", p); }, Wants::nothing, false},
        {"rename_from", [](const char* p) -> long { return rename(p, "renamed"); }, Wants::file,
         false},
        {"rename_to", [](const char* p) -> long { return rename("helper", p); }, Wants::nothing,
         false},
        {"exchange",
         [](const char* p) -> long {
             return renameat2(AT_FDCWD, "helper", AT_FDCWD, p, RENAME_EXCHANGE);
         },
         Wants::file, false},
        {"create", [](const char* p) { return try_open(p, O_WRONLY | O_CREAT | O_EXCL); },
         Wants::nothing, false},
        {"mkdir", [](const char* p) -> long { return mkdir(p, 0755); }, Wants::nothing, false},
        {"mkfifo", [](const char* p) -> long { return mknod(p, S_IFIFO | 0644, 0); },
         Wants::nothing, false},
        {"make_socket", [](const char* p) -> long { return mknod(p, S_IFSOCK | 0644, 0); },
         Wants::nothing, false},
        {"symlink", [](const char* p) -> long { return symlink("x", p); }, Wants::nothing, false},
        {"unlink", [](const char* p) -> long { return unlink(p); }, Wants::file, false},
        {"rmdir", [](const char* p) -> long { return rmdir(p); }, Wants::directory, false},
    };
}

}  // namespace

const std::vector<PathOperation>& path_operations() {
    static const std::vector<PathOperation> operations = [] {
        std::vector<PathOperation> all = inode_operations();
        for (const PathOperation& one : attribute_operations()) all.push_back(one);
        for (const PathOperation& one : entry_operations()) all.push_back(one);
        return all;
    }();
    return operations;
}

}  // namespace posix_suite
