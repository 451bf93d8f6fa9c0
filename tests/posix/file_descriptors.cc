// What each access mode of a descriptor permits, and what a closed or foreign one answers.
#include "sections.h"
#include "world.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

namespace posix_suite {
namespace {

char buffer[64];

struct DescriptorOperation {
    const char* name;
    long (*call)(int fd);
    int read_only;  // The error on a descriptor of each access mode; 0 for success.
    int write_only;
    int path_only;
    int directory;
    int fifo;  // Open for both directions.
};

long map_file(int fd, int protection) {
    void* memory = mmap(nullptr, 4096, protection, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return -1;
    return munmap(memory, 4096);
}

long copy_between(int source, int target) {
    off_t from = 0;
    off_t to = 65536;
    return copy_file_range(source, &from, target, &to, 16, 0);
}

iovec one_buffer() {
    return {buffer, sizeof buffer};
}

const std::vector<DescriptorOperation>& data_operations() {
    static const std::vector<DescriptorOperation> operations = {
        {"read", [](int fd) -> long { return read(fd, buffer, 8); }, 0, EBADF, EBADF, EISDIR, 0},
        {"pread", [](int fd) -> long { return pread(fd, buffer, 8, 0); }, 0, EBADF, EBADF, EISDIR,
         ESPIPE},
        {"readv",
         [](int fd) -> long {
             const iovec one = one_buffer();
             return readv(fd, &one, 1);
         },
         0, EBADF, EBADF, EISDIR, 0},
        {"preadv",
         [](int fd) -> long {
             const iovec one = one_buffer();
             return preadv(fd, &one, 1, 0);
         },
         0, EBADF, EBADF, EISDIR, ESPIPE},
        {"write", [](int fd) -> long { return write(fd, buffer, 8); }, EBADF, 0, EBADF, EBADF, 0},
        {"pwrite", [](int fd) -> long { return pwrite(fd, buffer, 8, 0); }, EBADF, 0, EBADF, EBADF,
         ESPIPE},
        {"writev",
         [](int fd) -> long {
             const iovec one = one_buffer();
             return writev(fd, &one, 1);
         },
         EBADF, 0, EBADF, EBADF, 0},
        {"pwritev",
         [](int fd) -> long {
             const iovec one = one_buffer();
             return pwritev(fd, &one, 1, 0);
         },
         EBADF, 0, EBADF, EBADF, ESPIPE},
        {"ftruncate", [](int fd) -> long { return ftruncate(fd, 4096); }, EINVAL, 0, EBADF, EINVAL,
         EINVAL},
        {"fallocate", [](int fd) -> long { return fallocate(fd, 0, 0, 4096); }, EBADF, 0, EBADF,
         EBADF, ESPIPE},
        {"punch_hole",
         [](int fd) -> long {
             return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
         },
         EBADF, 0, EBADF, EBADF, ESPIPE},
        {"map_to_read", [](int fd) -> long { return map_file(fd, PROT_READ); }, 0, EACCES, EBADF,
         ENODEV, ENODEV},
        {"map_to_write", [](int fd) -> long { return map_file(fd, PROT_READ | PROT_WRITE); },
         EACCES, EACCES, EBADF, EACCES, ENODEV},
        {"copy_from", [](int fd) -> long { return copy_between(fd, open_file("other", O_RDWR)); },
         0, EBADF, EBADF, EISDIR, EINVAL},
        {"copy_to", [](int fd) -> long { return copy_between(open_file("other", O_RDWR), fd); },
         EBADF, 0, EBADF, EISDIR, EINVAL},
        {"lseek", [](int fd) -> long { return lseek(fd, 0, SEEK_SET); }, 0, 0, EBADF, 0, ESPIPE},
        {"getdents",
         [](int fd) -> long { return syscall(SYS_getdents64, fd, buffer, sizeof buffer); }, ENOTDIR,
         ENOTDIR, EBADF, 0, ENOTDIR},
    };
    return operations;
}

const std::vector<DescriptorOperation>& attribute_operations() {
    static const timespec times[2] = {{1, 1}, {2, 2}};
    static const std::vector<DescriptorOperation> operations = {
        {"fstat",
         [](int fd) -> long {
             struct stat s{};
             return fstat(fd, &s);
         },
         0, 0, 0, 0, 0},
        {"fstatfs",
         [](int fd) -> long {
             struct statfs s{};
             return fstatfs(fd, &s);
         },
         0, 0, 0, 0, 0},
        {"fchmod", [](int fd) -> long { return fchmod(fd, 0755); }, 0, 0, EBADF, 0, 0},
        {"fchown", [](int fd) -> long { return fchown(fd, 0, 0); }, 0, 0, EBADF, 0, 0},
        {"futimens", [](int fd) -> long { return futimens(fd, times); }, 0, 0, EBADF, 0, 0},
        {"fsetxattr", [](int fd) -> long { return fsetxattr(fd, "trusted.a", "v", 1, 0); }, 0, 0,
         EBADF, 0, 0},
        {"fgetxattr", [](int fd) -> long { return fgetxattr(fd, "trusted.a", buffer, 64); }, 0, 0,
         EBADF, 0, 0},
        {"flistxattr", [](int fd) -> long { return flistxattr(fd, buffer, 64); }, 0, 0, EBADF, 0,
         0},
        {"fremovexattr", [](int fd) -> long { return fremovexattr(fd, "trusted.a"); }, 0, 0, EBADF,
         0, 0},
        {"fsync", [](int fd) -> long { return fsync(fd); }, 0, 0, EBADF, 0, EINVAL},
        {"fdatasync", [](int fd) -> long { return fdatasync(fd); }, 0, 0, EBADF, 0, EINVAL},
        {"syncfs", [](int fd) -> long { return syncfs(fd); }, 0, 0, EBADF, 0, 0},
        {"flock", [](int fd) -> long { return flock(fd, LOCK_EX | LOCK_NB); }, 0, 0, EBADF, 0, 0},
        {"fchdir", [](int fd) -> long { return fchdir(fd); }, ENOTDIR, ENOTDIR, 0, 0, ENOTDIR},
        {"dup", [](int fd) -> long { return Fd(dup(fd)); }, 0, 0, 0, 0, 0},
    };
    return operations;
}

// Each call gets descriptors of its own, so that none sees what another left.
void check_operation(const DescriptorOperation& operation) {
    make_file("file", pattern(100));
    make_file("other", pattern(100));
    make_directory("directory");
    make_kind("fifo", Kind::fifo);
    const auto check = [&](const char* name, const Fd& fd, int error) {
        for (const char* path : {"file", "directory", "fifo"}) {
            must(setxattr(path, "trusted.a", "v", 1, 0));
        }
        in_child([&] { expect_result(name, operation.call(fd), error); });
    };
    check("read_only", open_file("file", O_RDONLY), operation.read_only);
    check("write_only", open_file("file", O_WRONLY), operation.write_only);
    check("read_write", open_file("file", O_RDWR), operation.read_only == ENOTDIR ? ENOTDIR : 0);
    const bool goes_to_a_directory = std::string(operation.name) == "fchdir";
    check("path", open_file(goes_to_a_directory ? "directory" : "file", O_PATH),
          operation.path_only);
    check("directory", open_file("directory", O_RDONLY), operation.directory);
    const Fd fifo = open_file("fifo", O_RDWR);
    must(write(fifo, "12345678", 8));
    check("fifo", fifo, operation.fifo);
    in_child([&] { expect_error("closed", operation.call(999), EBADF); });
}

void check_access_modes() {
    for (const DescriptorOperation& operation : data_operations()) {
        scenario(operation.name, [&] { check_operation(operation); });
    }
    for (const DescriptorOperation& operation : attribute_operations()) {
        scenario(operation.name, [&] { check_operation(operation); });
    }
}

void check_offsets_between_descriptors() {
    make_file("file", "0123456789");
    const Fd one = open_file("file", O_RDWR);
    const Fd copy(must(dup(one)));
    const Fd other = open_file("file", O_RDWR);
    must(read(one, buffer, 3));
    expect_equal("duplicate_shares", lseek(copy, 0, SEEK_CUR), 3);
    expect_equal("second_open_does_not", lseek(other, 0, SEEK_CUR), 0);
    in_child([&] { must(lseek(one, 7, SEEK_SET)); });
    expect_equal("forked_shares", lseek(one, 0, SEEK_CUR), 7);
    must(pread(one, buffer, 2, 0));
    expect_equal("pread_keeps", lseek(one, 0, SEEK_CUR), 7);
    must(pwrite(one, "x", 1, 0));
    expect_equal("pwrite_keeps", lseek(one, 0, SEEK_CUR), 7);
    must(write(one, "ab", 2));
    expect_equal("write_moves", lseek(copy, 0, SEEK_CUR), 9);
    expect_equal("end", lseek(one, 0, SEEK_END), 10);
    expect_equal("end_plus", lseek(one, 100, SEEK_END), 110);
    expect_equal("seek_keeps_size", stat_of(one).st_size, 10);
    expect_equal("end_minus", lseek(one, -10, SEEK_END), 0);
    expect_error("before_start", lseek(one, -1, SEEK_SET), EINVAL);
    expect_error("before_start_from_end", lseek(one, -11, SEEK_END), EINVAL);
    expect_error("unknown_whence", lseek(one, 0, 99), EINVAL);
    expect_error("overflow", lseek(one, INT64_MAX, SEEK_END), EINVAL);
    must(lseek(one, 4, SEEK_SET));
    expect_equal("current_minus", lseek(one, -4, SEEK_CUR), 0);
    expect_equal("other_sees_the_writes", pread(other, buffer, 10, 0), 10);
    expect_text("other_sees_the_data", std::string(buffer, 10), "x123456ab9");
}

void check_status_flags() {
    make_file("file");
    for (const int access : {O_RDONLY, O_WRONLY, O_RDWR}) {
        const Fd fd = open_file("file", access);
        const std::string name = "access_" + std::to_string(access);
        expect_equal(name, fcntl(fd, F_GETFL) & O_ACCMODE, access);
        must(fcntl(fd, F_SETFL, O_RDWR | O_APPEND | O_NONBLOCK));
        expect_equal(name + "_cannot_change", fcntl(fd, F_GETFL) & O_ACCMODE, access);
        expect_true(name + "_append_set", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
        expect_true(name + "_nonblock_set", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    }
    const Fd fd = open_file("file", O_RDWR | O_CREAT | O_TRUNC);
    expect_equal("creation_flags_not_kept", fcntl(fd, F_GETFL) & (O_CREAT | O_TRUNC | O_EXCL), 0);
    const Fd synchronous = open_file("file", O_RDWR | O_DSYNC);
    expect_true("dsync_kept", (fcntl(synchronous, F_GETFL) & O_DSYNC) != 0);
    expect_equal("dsync_write", write(synchronous, "abc", 3), 3);
    const Fd path = open_file("file", O_PATH);
    expect_true("path_kept", (fcntl(path, F_GETFL) & O_PATH) != 0);
    const Fd link = (must(symlink("file", "link")), open_file("link", O_PATH | O_NOFOLLOW));
    expect_true("path_of_link", S_ISLNK(stat_of(link).st_mode));
    expect_equal("readlink_by_descriptor", readlinkat(link, "", buffer, sizeof buffer), 4);
}

}  // namespace

void add_file_descriptors(Sections& sections) {
    sections.push_back({"descriptor", check_access_modes});
    sections.push_back({"offset", check_offsets_between_descriptors});
    sections.push_back({"status_flags", check_status_flags});
}

}  // namespace posix_suite
