// link, unlink, symlink, readlink; files that live on without a name.
#include "sections.h"
#include "world.h"

#include <sys/mman.h>
#include <sys/xattr.h>

namespace posix_suite {
namespace {

long long links_of(const std::string& path) {
    return static_cast<long long>(stat_of(path).st_nlink);
}

void check_link_kind(Kind kind) {
    make_kind("source", kind);
    const bool allowed = kind != Kind::directory;
    expect_result("linked", link("source", "target"), allowed ? 0 : EPERM);
    if (!allowed) {
        expect_true("nothing_made", !exists("target"));
        return;
    }
    expect_true("same_inode", stat_of("source").st_ino == stat_of("target").st_ino);
    expect_true("same_kind", (stat_of("target").st_mode & S_IFMT) == kind_bits(kind));
    expect_equal("two_links", links_of("source"), 2);
    for (const Kind taken : all_kinds()) {
        make_kind("taken", taken);
        expect_error(std::string("onto_") + kind_name(taken), link("source", "taken"), EEXIST);
        must(remove("taken"));
    }
    make_directory("elsewhere");
    must(link("source", "elsewhere/third"));
    expect_equal("three_links", links_of("elsewhere/third"), 3);
    must(unlink("source"));
    expect_equal("two_again", links_of("target"), 2);
    must(unlink("target"));
    expect_equal("one_left", links_of("elsewhere/third"), 1);
}

void check_link_paths() {
    make_file("file", "abc");
    make_directory("directory");
    must(symlink("file", "to_file"));
    must(symlink("missing", "dangling"));
    must(symlink("directory", "to_directory"));
    expect_ok("link_itself", link("to_file", "second_link"));
    expect_true("link_not_followed", S_ISLNK(stat_of("second_link").st_mode));
    expect_ok("followed", linkat(AT_FDCWD, "to_file", AT_FDCWD, "real", AT_SYMLINK_FOLLOW));
    expect_true("follow_reached_the_file", stat_of("real").st_ino == stat_of("file").st_ino);
    expect_ok("dangling_itself", link("dangling", "dangling_2"));
    expect_error("dangling_followed",
                 linkat(AT_FDCWD, "dangling", AT_FDCWD, "x", AT_SYMLINK_FOLLOW), ENOENT);
    expect_error("directory_followed",
                 linkat(AT_FDCWD, "to_directory", AT_FDCWD, "x", AT_SYMLINK_FOLLOW), EPERM);
    expect_error("missing", link("missing", "x"), ENOENT);
    expect_error("onto_itself", link("file", "file"), EEXIST);
    expect_error("onto_dangling", link("file", "dangling"), EEXIST);
    expect_error("into_missing", link("file", "missing/x"), ENOENT);
    expect_error("into_file", link("file", "real/x"), ENOTDIR);
    expect_error("target_slash", link("file", "x/"), ENOENT);
    expect_error("source_slash", link("file/", "x"), ENOTDIR);
    expect_error("other_filesystem", link("/proc/version", "x"), EXDEV);
    expect_error("unknown_flag", linkat(AT_FDCWD, "file", AT_FDCWD, "x", 1 << 20), EINVAL);
    const Fd fd = open_file("file", O_RDONLY);
    expect_ok("empty_path", linkat(fd, "", AT_FDCWD, "by_fd", AT_EMPTY_PATH));
    expect_error("empty_path_without_flag", linkat(fd, "", AT_FDCWD, "x", 0), ENOENT);
    set_mode("by_fd", 0600);
    expect_mode("mode_is_shared", mode_of("file"), 0600);
    const Fd writer = open_file("real", O_WRONLY);
    write_at(writer, "xyz", 0);
    expect_text("data_is_shared", content_of("file"), "xyz");
}

void check_link() {
    for (const Kind kind : all_kinds()) {
        scenario(kind_name(kind), [&] { check_link_kind(kind); });
    }
    scenario("path", check_link_paths);
}

// A filesystem may bound the links of a file, or not: either way it must count them rightly.
void check_link_limit() {
    constexpr int kMost = 66000;
    make_file("file");
    make_directory("names");
    const Fd names = open_file("names", O_RDONLY | O_DIRECTORY);
    long long made = 1;
    long result = 0;
    while (made < kMost) {
        result = linkat(AT_FDCWD, "file", names, std::to_string(made).c_str(), 0);
        if (result != 0) break;
        ++made;
    }
    if (result == 0) {
        expect_true("no_limit_met", made == kMost);
    } else {
        expect_error("no_limit_met", result, EMLINK);
    }
    expect_equal("counted", links_of("file"), made);
    expect_true("allows_many", made >= 1000);
    must(unlinkat(names, "1", 0));
    expect_equal("counted_after_unlink", links_of("file"), made - 1);
    expect_ok("one_more_fits", linkat(AT_FDCWD, "file", names, "again", 0));
}

void check_unlink_kinds() {
    for (const Kind kind : all_kinds()) {
        scenario(kind_name(kind), [&] {
            make_kind("entry", kind);
            expect_result("unlinked", unlink("entry"), kind == Kind::directory ? EISDIR : 0);
            expect_true("gone", exists("entry") == (kind == Kind::directory));
            expect_result("again", unlink("entry"), kind == Kind::directory ? EISDIR : ENOENT);
            expect_result("with_slash", unlink("entry/"),
                          kind == Kind::directory ? EISDIR : ENOENT);
        });
    }
}

void check_unlink() {
    scenario("kind", check_unlink_kinds);
    make_file("file");
    make_directory("directory");
    must(symlink("directory", "to_directory"));
    must(symlink("file", "to_file"));
    expect_error("missing", unlink("missing"), ENOENT);
    expect_error("file_with_slash", unlink("file/"), ENOTDIR);
    expect_error("link_with_slash", unlink("to_file/"), ENOTDIR);
    expect_error("dot", unlink("."), EISDIR);
    expect_error("dot_dot", unlink(".."), EISDIR);
    expect_error("inside_file", unlink("file/x"), ENOTDIR);
    expect_ok("link_to_directory", unlink("to_directory"));
    expect_true("directory_kept", exists("directory"));
    expect_ok("link_to_file", unlink("to_file"));
    expect_true("file_kept", exists("file"));
}

void check_nameless_file() {
    make_file("file", "content");
    const Fd fd = open_file("file", O_RDWR);
    must(unlink("file"));
    expect_equal("links", static_cast<long long>(stat_of(fd).st_nlink), 0);
    expect_text("read", read_at(fd, 10, 0), "content");
    expect_equal("write", pwrite(fd, pattern(9000).data(), 9000, 100), 9000);
    expect_true("written", read_at(fd, 9000, 100) == pattern(9000));
    expect_equal("size", stat_of(fd).st_size, 9100);
    expect_ok("truncate", ftruncate(fd, 50));
    expect_equal("truncated", stat_of(fd).st_size, 50);
    expect_ok("allocate", fallocate(fd, 0, 0, 100000));
    expect_equal("allocated", stat_of(fd).st_size, 100000);
    expect_ok("chmod", fchmod(fd, 0600));
    expect_mode("mode", stat_of(fd).st_mode & 07777, 0600);
    expect_ok("chown", fchown(fd, kAlice, kAlice));
    const timespec times[2] = {{5, 5}, {6, 6}};
    expect_ok("times", futimens(fd, times));
    expect_equal("time", stat_of(fd).st_mtim.tv_sec, 6);
    expect_ok("set_attribute", fsetxattr(fd, "user.a", "v", 1, 0));
    char value[4];
    expect_equal("get_attribute", fgetxattr(fd, "user.a", value, sizeof value), 1);
    expect_ok("sync", fsync(fd));
    expect_error("cannot_be_linked",
                 linkat(AT_FDCWD, fd_path(fd).c_str(), AT_FDCWD, "back", AT_SYMLINK_FOLLOW),
                 ENOENT);
    expect_ok("reopened", try_open(fd_path(fd).c_str(), O_RDONLY));
    void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    expect_true("mapped", memory != MAP_FAILED);
    make_file("file", "new");
    expect_true("name_has_a_new_inode", stat_of(fd).st_ino != stat_of("file").st_ino);
    expect_text("new_file_unharmed", content_of("file"), "new");
    in_child([&] { expect_equal("inherited_by_child", stat_of(fd).st_size, 100000); });
}

void check_nameless_by_rename_and_directory() {
    make_file("old", "old");
    make_file("new", "new");
    const Fd fd = open_file("old", O_RDWR);
    must(rename("new", "old"));
    expect_equal("renamed_over_links", static_cast<long long>(stat_of(fd).st_nlink), 0);
    expect_text("renamed_over_reads", read_at(fd, 10, 0), "old");
    must(link("old", "second"));
    const Fd linked = open_file("second", O_RDONLY);
    must(unlink("old"));
    expect_equal("other_link_remains", static_cast<long long>(stat_of(linked).st_nlink), 1);
    make_directory("directory");
    const Fd directory = open_file("directory", O_RDONLY | O_DIRECTORY);
    must(chdir("directory"));
    must(rmdir("../directory"));
    expect_equal("directory_links", static_cast<long long>(stat_of(directory).st_nlink), 0);
    expect_error("create_inside", try_open("x", O_RDWR | O_CREAT), ENOENT);
    expect_error("mkdir_inside", mkdir("x", 0755), ENOENT);
    expect_error("symlink_inside", symlink("a", "x"), ENOENT);
    expect_error("mknod_inside", mknod("x", S_IFIFO | 0600, 0), ENOENT);
    expect_error("stat_inside", access("x", F_OK), ENOENT);
    expect_error("rmdir_again", rmdir("."), EINVAL);
    expect_ok("stat_of_itself", access(".", F_OK));
    expect_ok("up_still_works", access("..", F_OK));
    expect_ok("chmod_of_itself", fchmod(directory, 0700));
    expect_ok("sync_of_itself", fsync(directory));
    expect_error("link_into",
                 linkat(AT_FDCWD, fd_path(linked).c_str(), directory, "x", AT_SYMLINK_FOLLOW),
                 ENOENT);
    must(chdir(".."));
    make_file("mover");
    expect_error("rename_into", renameat(AT_FDCWD, "mover", directory, "x"), ENOENT);
}

void check_symlink() {
    for (const size_t size :
         {1U, 2U, 59U, 60U, 61U, 127U, 255U, 256U, 1023U, 1024U, 2048U, 4094U, 4095U}) {
        const std::string name = "length_" + std::to_string(size);
        const std::string target(size, 'x');
        std::string got(5000, '\0');
        expect_ok(name, symlink(target.c_str(), name.c_str()));
        got.resize(static_cast<size_t>(must(readlink(name.c_str(), got.data(), got.size()))));
        expect_true(name + "_reads_back", got == target);
        expect_equal(name + "_size", stat_of(name).st_size, static_cast<long long>(size));
    }
    expect_error("too_long", symlink(std::string(4096, 'x').c_str(), "long"), ENAMETOOLONG);
    expect_error("empty_target", symlink("", "empty"), ENOENT);
    expect_error("empty_name", symlink("a", ""), ENOENT);
    expect_mode("mode", mode_of("length_1"), 0777);
    expect_equal("links", links_of("length_1"), 1);
    expect_error("slash", symlink("a", "new/"), ENOENT);
    for (const Kind kind : all_kinds()) {
        make_kind("taken", kind);
        expect_error(std::string("onto_") + kind_name(kind), symlink("a", "taken"), EEXIST);
        must(remove("taken"));
    }
    const std::string odd = "a b\tc\n\xc3\xa4\xff//../.";
    must(symlink(odd.c_str(), "odd"));
    char bytes[64] = {};
    must(readlink("odd", bytes, sizeof bytes));
    expect_text("bytes_kept", bytes, odd);
    umask(077);
    must(symlink("a", "masked"));
    umask(0);
    expect_mode("umask_ignored", mode_of("masked"), 0777);
    make_directory("directory");
    make_file("directory/file", "x");
    must(symlink("file", "directory/relative"));
    expect_text("relative_to_its_place", content_of("directory/relative"), "x");
    must(rename("directory/relative", "relative"));
    expect_error("broken_by_a_move", try_open("relative", O_RDONLY), ENOENT);
}

void check_readlink() {
    must(symlink("0123456789", "link"));
    char bytes[16] = {};
    expect_equal("whole", readlink("link", bytes, sizeof bytes), 10);
    expect_equal("cut_short", readlink("link", bytes, 4), 4);
    expect_equal("exact", readlink("link", bytes, 10), 10);
    expect_error("no_room", readlink("link", bytes, 0), EINVAL);
    expect_error("missing", readlink("missing", bytes, sizeof bytes), ENOENT);
    for (const Kind kind : all_kinds()) {
        if (kind == Kind::symlink) continue;
        make_kind(kind_name(kind), kind);
        expect_error(kind_name(kind), readlink(kind_name(kind), bytes, sizeof bytes), EINVAL);
    }
    must(symlink("link", "second"));
    expect_equal("of_the_link_itself", readlink("second", bytes, sizeof bytes), 4);
    must(symlink("directory", "to_directory"));
    expect_error("slash_follows", readlink("to_directory/", bytes, sizeof bytes), EINVAL);
    const Fd here = open_file(".", O_RDONLY | O_DIRECTORY);
    expect_equal("at", readlinkat(here, "link", bytes, sizeof bytes), 10);
    expect_error("at_closed", readlinkat(-1, "link", bytes, sizeof bytes), EBADF);
    as_user(nobody(),
            [&] { expect_equal("by_a_stranger", readlink("link", bytes, sizeof bytes), 10); });
}

}  // namespace

void add_links(Sections& sections) {
    sections.push_back({"link", check_link});
    sections.push_back({"link_limit", check_link_limit, false, true});
    sections.push_back({"unlink", check_unlink});
    sections.push_back({"nameless_file", check_nameless_file});
    sections.push_back({"nameless", check_nameless_by_rename_and_directory});
    sections.push_back({"symlink", check_symlink});
    sections.push_back({"readlink", check_readlink});
}

}  // namespace posix_suite
