// mkdir, rmdir, mknod.
#include "sections.h"
#include "world.h"

#include <cstring>

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

namespace posix_suite {
namespace {

void check_mkdir_modes() {
    for (const mode_t mask : {0000U, 0022U, 0077U, 0777U}) {
        for (const mode_t mode : {0000U, 0500U, 0711U, 0755U, 0777U, 01777U}) {
            char name[40];
            snprintf(name, sizeof name, "mode_%04o_umask_%03o", mode, mask);
            umask(mask);
            const long result = mkdir(name, mode);
            umask(0);
            must(result);
            expect_mode(name, mode_of(name), mode & ~mask);
        }
    }
}

void check_mkdir_attributes() {
    const nlink_t before = stat_of(".").st_nlink;
    expect_ok("made", mkdir("directory", 0755));
    const struct stat found = stat_of("directory");
    expect_true("is_directory", S_ISDIR(found.st_mode));
    expect_equal("links", static_cast<long long>(found.st_nlink), 2);
    expect_equal("parent_links", static_cast<long long>(stat_of(".").st_nlink - before), 1);
    expect_true("dot_is_itself", stat_of("directory/.").st_ino == found.st_ino);
    expect_true("dot_dot_is_parent", stat_of("directory/..").st_ino == stat_of(".").st_ino);
    expect_equal("uid", found.st_uid, geteuid());
    expect_equal("gid", found.st_gid, getegid());
    expect_ok("trailing_slash", mkdir("slashed/", 0755));
    expect_ok("trailing_slashes", mkdir("slashed_more///", 0755));
    expect_error("under_missing", mkdir("missing/new", 0755), ENOENT);
    expect_error("dot", mkdir(".", 0755), EEXIST);
    expect_error("dot_dot", mkdir("..", 0755), EEXIST);
    expect_error("inner_dot", mkdir("directory/.", 0755), EEXIST);
    expect_error("root", mkdir("/", 0755), EEXIST);
    must(symlink("missing", "dangling"));
    expect_error("dangling_link", mkdir("dangling", 0755), EEXIST);
    expect_error("dangling_link_slash", mkdir("dangling/", 0755), EEXIST);
    expect_ok("deep", mkdir("directory/a", 0755));
    expect_ok("deeper", mkdir("directory/a/b", 0755));
    expect_equal("links_with_one", static_cast<long long>(stat_of("directory").st_nlink), 3);
}

void check_mkdir() {
    scenario("mode", check_mkdir_modes);
    scenario("made", check_mkdir_attributes);
    for (const Kind kind : all_kinds()) {
        scenario(std::string("onto_") + kind_name(kind), [&] {
            make_kind("taken", kind);
            const ino_t inode = stat_of("taken").st_ino;
            expect_error("refused", mkdir("taken", 0755), EEXIST);
            expect_true("kept", stat_of("taken").st_ino == inode);
        });
    }
}

void check_rmdir_contents() {
    for (const Kind kind : all_kinds()) {
        make_directory("directory");
        make_kind("directory/entry", kind);
        const std::string name = std::string("holds_") + kind_name(kind);
        expect_error(name, rmdir("directory"), ENOTEMPTY);
        expect_true(name + "_kept", exists("directory/entry"));
        must(remove("directory/entry"));
        expect_ok(name + "_until_emptied", rmdir("directory"));
    }
}

void check_rmdir() {
    scenario("not_empty", check_rmdir_contents);
    for (const Kind kind : all_kinds()) {
        make_kind(kind_name(kind), kind);
        expect_result(kind_name(kind), rmdir(kind_name(kind)),
                      kind == Kind::directory ? 0 : ENOTDIR);
        expect_true(std::string(kind_name(kind)) + "_kept",
                    exists(kind_name(kind)) == (kind != Kind::directory));
    }
    make_directory("real");
    must(symlink("real", "link"));
    expect_error("link_to_directory", rmdir("link"), ENOTDIR);
    expect_error("link_with_slash", rmdir("link/"), ENOTDIR);
    expect_error("missing", rmdir("missing"), ENOENT);
    expect_error("dot", rmdir("."), EINVAL);
    expect_error("inner_dot", rmdir("real/."), EINVAL);
    expect_error("dot_dot", rmdir("real/.."), ENOTEMPTY);
    expect_error("file_as_parent", rmdir("regular/x"), ENOTDIR);
    expect_error("root", rmdir("/"), EBUSY);
    const nlink_t before = stat_of(".").st_nlink;
    expect_ok("trailing_slash", rmdir("real/"));
    expect_equal("parent_links", static_cast<long long>(before - stat_of(".").st_nlink), 1);
    expect_error("twice", rmdir("real"), ENOENT);
    make_directory("at");
    expect_error("unlinkat_without_flag", unlinkat(AT_FDCWD, "at", 0), EISDIR);
    expect_error("unlinkat_unknown_flag", unlinkat(AT_FDCWD, "at", 1 << 20), EINVAL);
    expect_ok("unlinkat_with_flag", unlinkat(AT_FDCWD, "at", AT_REMOVEDIR));
    expect_error("unlinkat_file_with_flag", unlinkat(AT_FDCWD, "regular", AT_REMOVEDIR), ENOTDIR);
    make_directory("again");
    must(rmdir("again"));
    make_file("again");
    expect_true("name_reused_as_file", S_ISREG(stat_of("again").st_mode));
    make_directory("nest");
    must(mkdir("nest/a", 0755));
    must(mkdir("nest/b", 0755));
    must(rmdir("nest/a"));
    expect_equal("links_after_removal", static_cast<long long>(stat_of("nest").st_nlink), 3);
}

void check_mknod_kinds() {
    for (const Kind kind : all_kinds()) {
        if (kind == Kind::directory || kind == Kind::symlink) continue;
        scenario(kind_name(kind), [&] {
            const dev_t device = makedev(259, 70000);
            umask(022);
            const long result = mknod("made", kind_bits(kind) | 0666, device);
            umask(0);
            expect_ok("made", result);
            const struct stat found = stat_of("made");
            expect_true("kind", (found.st_mode & S_IFMT) == kind_bits(kind));
            expect_mode("mode", found.st_mode & 07777, 0644);
            expect_equal("links", static_cast<long long>(found.st_nlink), 1);
            expect_equal("size", found.st_size, 0);
            const bool is_device = kind == Kind::character_device || kind == Kind::block_device;
            expect_equal("device_number", static_cast<long long>(found.st_rdev),
                         is_device ? static_cast<long long>(device) : 0);
            for (const Kind taken : all_kinds()) {
                make_kind("taken", taken);
                expect_error(std::string("onto_") + kind_name(taken),
                             mknod("taken", kind_bits(kind) | 0644, device), EEXIST);
                must(remove("taken"));
            }
            expect_error("slash", mknod("new/", kind_bits(kind) | 0644, device), ENOENT);
            must(link("made", "second"));
            expect_equal("linked", static_cast<long long>(stat_of("made").st_nlink), 2);
            expect_ok("unlinked", unlink("made"));
            as_user(nobody(), [&] {
                expect_result("by_a_user", mknod("of_user", kind_bits(kind) | 0644, device),
                              is_device ? EPERM : 0);
            });
        });
    }
}

void check_device_numbers() {
    struct Number {
        unsigned major;
        unsigned minor;
    };
    for (const Number number : {Number{0, 1},
                                {1, 0},
                                {1, 3},
                                {255, 255},
                                {256, 256},
                                {511, 65535},
                                {4095, 1048575},
                                {7, 1048575},
                                {4095, 0}}) {
        const std::string name = std::to_string(number.major) + "_" + std::to_string(number.minor);
        must(mknod(name.c_str(), S_IFCHR | 0600, makedev(number.major, number.minor)));
        const dev_t device = stat_of(name).st_rdev;
        expect_equal("major_" + name, major(device), number.major);
        expect_equal("minor_" + name, minor(device), number.minor);
    }
}

void check_fifo_use() {
    must(mkfifo("fifo", 0600));
    const int writer = start_child([] {
        const Fd fd = open_file("fifo", O_WRONLY);
        must(write(fd, "through", 7));
    });
    const Fd fd = open_file("fifo", O_RDONLY);
    char bytes[16] = {};
    expect_equal("reads", read(fd, bytes, sizeof bytes), 7);
    expect_text("content", bytes, "through");
    finish_child(writer);
    expect_equal("end_when_no_writer", read(fd, bytes, sizeof bytes), 0);
    expect_equal("size_stays_0", stat_of("fifo").st_size, 0);
}

void check_socket_use() {
    const Fd server(must(socket(AF_UNIX, SOCK_STREAM, 0)));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, "socket");
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    expect_ok("bind", bind(server, generic, sizeof address));
    expect_true("kind", S_ISSOCK(stat_of("socket").st_mode));
    must(listen(server, 1));
    const Fd client(must(socket(AF_UNIX, SOCK_STREAM, 0)));
    expect_ok("connect", connect(client, generic, sizeof address));
    const Fd second(must(socket(AF_UNIX, SOCK_STREAM, 0)));
    expect_error("bind_twice", bind(second, generic, sizeof address), EADDRINUSE);
    must(rename("socket", "moved"));
    expect_error("connect_old_name", connect(second, generic, sizeof address), ENOENT);
    strcpy(address.sun_path, "moved");
    expect_ok("connect_new_name", connect(second, generic, sizeof address));
}

void check_mknod() {
    scenario("kind", check_mknod_kinds);
    scenario("device_number", check_device_numbers);
    scenario("fifo", check_fifo_use);
    scenario("socket", check_socket_use);
    expect_error("directory", mknod("directory", S_IFDIR | 0755, 0), EPERM);
    expect_error("symlink", mknod("symlink", S_IFLNK | 0777, 0), EINVAL);
    expect_error("unknown_kind", mknod("unknown", 0170000 | 0644, 0), EINVAL);
    expect_ok("no_kind_is_regular", mknod("regular", 0600, 0));
    expect_true("no_kind_made_regular", S_ISREG(stat_of("regular").st_mode));
    const Fd here = open_file(".", O_RDONLY | O_DIRECTORY);
    expect_ok("mknodat", mknodat(here, "at", S_IFIFO | 0600, 0));
    expect_ok("mkdirat", mkdirat(here, "at_directory", 0700));
    expect_error("mkdirat_closed", mkdirat(-1, "x", 0700), EBADF);
}

}  // namespace

void add_nodes(Sections& sections) {
    sections.push_back({"mkdir", check_mkdir});
    sections.push_back({"rmdir", check_rmdir});
    sections.push_back({"mknod", check_mknod});
}

}  // namespace posix_suite
