// open: flags by what lies at the path, creation modes, truncation, append, O_TMPFILE, openat.
#include "sections.h"
#include "world.h"

#include <string.h>

namespace posix_suite {
namespace {

struct NamedFlags {
    const char* name;
    int flags;
};

// O_NONBLOCK keeps a fifo from waiting for its other end.
const std::vector<NamedFlags>& flag_columns() {
    static const std::vector<NamedFlags> columns = {
        {"read_only", O_RDONLY | O_NONBLOCK},
        {"write_only", O_WRONLY | O_NONBLOCK},
        {"read_write", O_RDWR | O_NONBLOCK},
        {"create", O_RDONLY | O_CREAT | O_NONBLOCK},
        {"create_exclusive", O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK},
        {"truncate", O_WRONLY | O_TRUNC | O_NONBLOCK},
        {"append", O_WRONLY | O_APPEND | O_NONBLOCK},
        {"directory", O_RDONLY | O_DIRECTORY | O_NONBLOCK},
        {"nofollow", O_RDONLY | O_NOFOLLOW | O_NONBLOCK},
        {"path_nofollow", O_PATH | O_NOFOLLOW},
        {"path", O_PATH},
        {"path_directory", O_PATH | O_DIRECTORY},
    };
    return columns;
}

struct Target {
    const char* name;
    void (*make)();
    std::vector<int> errors;  // One for each of flag_columns().
};

void link_to(const char* target) {
    must(symlink(target, "target"));
}

const std::vector<Target>& open_targets() {
    static const std::vector<Target> targets = {
        {"regular",
         [] { make_file("target", "abc"); },
         {0, 0, 0, 0, EEXIST, 0, 0, ENOTDIR, 0, 0, 0, ENOTDIR}},
        {"directory",
         [] { make_directory("target"); },
         {0, EISDIR, EISDIR, EISDIR, EEXIST, EISDIR, EISDIR, 0, 0, 0, 0, 0}},
        {"link_to_regular",
         [] { make_file("real"), link_to("real"); },
         {0, 0, 0, 0, EEXIST, 0, 0, ENOTDIR, ELOOP, 0, 0, ENOTDIR}},
        {"link_to_directory",
         [] { make_directory("real"), link_to("real"); },
         {0, EISDIR, EISDIR, EISDIR, EEXIST, EISDIR, EISDIR, 0, ELOOP, 0, 0, 0}},
        {"dangling_link",
         [] { link_to("missing"); },
         {ENOENT, ENOENT, ENOENT, 0, EEXIST, ENOENT, ENOENT, ENOENT, ELOOP, 0, ENOENT, ENOENT}},
        {"link_to_itself",
         [] { link_to("target"); },
         {ELOOP, ELOOP, ELOOP, ELOOP, EEXIST, ELOOP, ELOOP, ELOOP, ELOOP, 0, ELOOP, ELOOP}},
        {"fifo",
         [] { make_kind("target", Kind::fifo); },
         {0, ENXIO, 0, 0, EEXIST, ENXIO, ENXIO, ENOTDIR, 0, 0, 0, ENOTDIR}},
        {"socket",
         [] { make_kind("target", Kind::socket); },
         {ENXIO, ENXIO, ENXIO, ENXIO, EEXIST, ENXIO, ENXIO, ENOTDIR, ENXIO, 0, 0, ENOTDIR}},
        {"nothing",
         [] {},
         {ENOENT, ENOENT, ENOENT, 0, 0, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT}},
    };
    return targets;
}

void check_flags_by_target() {
    for (const Target& target : open_targets()) {
        scenario(target.name, [&] {
            for (size_t index = 0; index < flag_columns().size(); ++index) {
                const NamedFlags& column = flag_columns()[index];
                scenario(column.name, [&] {
                    target.make();
                    expect_result("outcome", try_open("target", column.flags),
                                  target.errors[index]);
                });
            }
        });
    }
}

void check_creation_modes() {
    for (const mode_t mask : {0000U, 0022U, 0077U, 0777U}) {
        for (const mode_t mode : {0000U, 0400U, 0644U, 0777U, 04755U, 02755U, 01644U, 07777U}) {
            char name[40];
            snprintf(name, sizeof name, "mode_%04o_umask_%03o", mode, mask);
            umask(mask);
            const long result = try_open(name, O_WRONLY | O_CREAT | O_EXCL, mode);
            umask(0);
            must(result);
            expect_mode(name, mode_of(name), mode & ~mask);
        }
    }
}

void check_created_attributes() {
    must(try_open("file", O_RDWR | O_CREAT | O_EXCL, 0640));
    const struct stat found = stat_of("file");
    expect_equal("size", found.st_size, 0);
    expect_equal("links", static_cast<long long>(found.st_nlink), 1);
    expect_equal("uid", found.st_uid, geteuid());
    expect_equal("gid", found.st_gid, getegid());
    expect_equal("blocks", found.st_blocks, 0);
    expect_true("is_regular", S_ISREG(found.st_mode));
    expect_true("birth_times_agree", same_time(found.st_mtim, found.st_ctim));
    const Fd fd(must(open("unwritable", O_RDWR | O_CREAT | O_EXCL, 0)));
    expect_equal("writes_despite_mode_0", write(fd, "x", 1), 1);
    must(try_open("file", O_RDWR | O_CREAT, 0777));
    expect_mode("existing_keeps_mode", mode_of("file"), 0640);
    expect_ok("creat", creat("creat", 0600));
    expect_equal("creat_is_write_only", fcntl(creat("creat", 0600), F_GETFL) & O_ACCMODE, O_WRONLY);
}

void check_truncation() {
    for (const off_t size : {0, 1, 4095, 4096, 100000, 3000000}) {
        const std::string name = "size_" + std::to_string(size);
        make_file(name, pattern(static_cast<size_t>(size)));
        must(try_open(name.c_str(), O_WRONLY | O_TRUNC));
        expect_equal(name, stat_of(name).st_size, 0);
        expect_equal(name + "_blocks", stat_of(name).st_blocks, 0);
    }
    make_file("plain", "abc");
    must(try_open("plain", O_WRONLY));
    expect_equal("kept_without_the_flag", stat_of("plain").st_size, 3);
    expect_error("exclusive_wins", try_open("plain", O_WRONLY | O_CREAT | O_EXCL | O_TRUNC),
                 EEXIST);
    expect_text("exclusive_keeps_data", content_of("plain"), "abc");
    must(link("plain", "other"));
    must(try_open("other", O_WRONLY | O_TRUNC));
    expect_equal("seen_through_other_link", stat_of("plain").st_size, 0);
    const Fd reader = open_file("size_1", O_RDWR);
    write_at(reader, "abcdef", 0);
    must(try_open("size_1", O_WRONLY | O_TRUNC));
    char byte = 0;
    expect_equal("seen_by_open_file", pread(reader, &byte, 1, 0), 0);
}

void check_append() {
    make_file("file", "abc");
    const Fd fd = open_file("file", O_RDWR | O_APPEND);
    expect_equal("starts_at_0", lseek(fd, 0, SEEK_CUR), 0);
    expect_equal("write", write(fd, "def", 3), 3);
    expect_equal("offset_follows", lseek(fd, 0, SEEK_CUR), 6);
    must(lseek(fd, 0, SEEK_SET));
    must(write(fd, "ghi", 3));
    expect_text("after_seek", content_of("file"), "abcdefghi");
    expect_equal("pwrite", pwrite(fd, "jkl", 3, 0), 3);
    expect_text("pwrite_appends", content_of("file"), "abcdefghijkl");
    must(ftruncate(fd, 2));
    must(write(fd, "x", 1));
    expect_text("after_truncate", content_of("file"), "abx");
    must(fcntl(fd, F_SETFL, 0));
    must(pwrite(fd, "Z", 1, 0));
    expect_text("flag_taken_away", content_of("file"), "Zbx");
    must(fcntl(fd, F_SETFL, O_APPEND));
    must(pwrite(fd, "y", 1, 0));
    expect_text("flag_given_again", content_of("file"), "Zbxy");
    const Fd other = open_file("file", O_WRONLY | O_APPEND);
    must(write(other, "1", 1));
    must(write(fd, "2", 1));
    expect_text("two_appenders", content_of("file"), "Zbxy12");
}

void check_trailing_slashes() {
    make_file("file");
    make_directory("directory");
    must(symlink("directory", "to_directory"));
    must(symlink("file", "to_file"));
    expect_error("file", try_open("file/", O_RDONLY), ENOTDIR);
    expect_error("link_to_file", try_open("to_file/", O_RDONLY), ENOTDIR);
    expect_ok("directory", try_open("directory/", O_RDONLY));
    expect_ok("link_to_directory", try_open("to_directory/", O_RDONLY));
    expect_ok("link_nofollow", try_open("to_directory/", O_RDONLY | O_NOFOLLOW));
    expect_error("missing", try_open("missing/", O_RDONLY), ENOENT);
    expect_error("create_missing", try_open("missing/", O_RDONLY | O_CREAT), EISDIR);
    expect_error("create_directory", try_open("directory/", O_RDONLY | O_CREAT), EISDIR);
    expect_error("create_file", try_open("file/", O_WRONLY | O_CREAT), EISDIR);
    expect_error("create_dot", try_open(".", O_RDWR | O_CREAT), EISDIR);
    expect_error("write_dot", try_open(".", O_WRONLY), EISDIR);
    expect_ok("read_dot", try_open(".", O_RDONLY));
    expect_error(
        "exclusive_through_dangling",
        (must(symlink("none", "dangling")), try_open("dangling", O_WRONLY | O_CREAT | O_EXCL)),
        EEXIST);
    expect_true("exclusive_made_nothing", !exists("none"));
    must(try_open("dangling", O_WRONLY | O_CREAT));
    expect_true("create_makes_the_target", exists("none"));
}

void check_openat() {
    make_directory("directory");
    make_file("directory/file", "in");
    make_file("file", "out");
    const Fd directory = open_file("directory", O_RDONLY | O_DIRECTORY);
    const Fd path = open_file("directory", O_PATH);
    const Fd file = open_file("file", O_RDONLY);
    for (const auto& [name, at] : {std::pair{"opened", int(directory)}, {"path", int(path)}}) {
        scope(name, [&, base = at] {
            const Fd inside(must(openat(base, "file", O_RDONLY)));
            expect_text("reads_inside", read_at(inside, 10, 0), "in");
            const Fd outside(must(openat(base, "../file", O_RDONLY)));
            expect_text("goes_up", read_at(outside, 10, 0), "out");
            expect_error("missing", openat(base, "missing", O_RDONLY), ENOENT);
            expect_ok("creates", openat(base, "new", O_RDWR | O_CREAT | O_EXCL, 0644));
            expect_true("created_inside", exists("directory/new"));
            must(unlinkat(base, "new", 0));
            expect_true("unlinked_inside", !exists("directory/new"));
            expect_error("empty", openat(base, "", O_RDONLY), ENOENT);
        });
    }
    expect_error("base_is_file", openat(file, "file", O_RDONLY), ENOTDIR);
    expect_error("base_is_closed", openat(-1, "file", O_RDONLY), EBADF);
    expect_ok("current", openat(AT_FDCWD, "file", O_RDONLY));
    expect_ok("absolute_ignores_base", openat(-1, "/", O_RDONLY));
    must(rename("directory", "moved"));
    expect_ok("base_was_renamed", openat(directory, "file", O_RDONLY));
    must(unlink("moved/file"));
    must(rmdir("moved"));
    expect_error("base_was_removed", openat(directory, "new", O_RDWR | O_CREAT, 0644), ENOENT);
}

void check_tmpfile_links() {
    make_file("taken", "old");
    const Fd fd = open_file(".", O_TMPFILE | O_RDWR, 0640);
    write_at(fd, "hidden", 0);
    expect_equal("links_before", static_cast<long long>(stat_of(fd).st_nlink), 0);
    expect_text("reads_back", read_at(fd, 10, 0), "hidden");
    const std::string path = fd_path(fd);
    const auto link_as = [&](const char* name) {
        return linkat(AT_FDCWD, path.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW);
    };
    expect_error("link_onto_existing", link_as("taken"), EEXIST);
    expect_text("existing_kept", content_of("taken"), "old");
    expect_error("link_into_missing", link_as("missing/name"), ENOENT);
    expect_ok("link", link_as("named"));
    expect_equal("links_after", static_cast<long long>(stat_of(fd).st_nlink), 1);
    expect_text("content", content_of("named"), "hidden");
    expect_mode("mode", mode_of("named"), 0640);
    expect_true("same_inode", stat_of(fd).st_ino == stat_of("named").st_ino);
    expect_ok("link_again", link_as("named_again"));
    expect_equal("links_of_two", static_cast<long long>(stat_of(fd).st_nlink), 2);
}

void check_tmpfile() {
    scenario("links", check_tmpfile_links);
    make_directory("directory");
    make_file("file");
    for (const char* name : {".", "directory"}) {
        const Fd fd = open_file(name, O_TMPFILE | O_RDWR);
        expect_true(std::string("is_regular_in_") + name, S_ISREG(stat_of(fd).st_mode));
        expect_equal(std::string("empty_in_") + name, stat_of(fd).st_size, 0);
    }
    expect_ok("directory_stays_empty", rmdir("directory"));
    expect_ok("write_only", try_open(".", O_TMPFILE | O_WRONLY));
    expect_error("read_only", try_open(".", O_TMPFILE | O_RDONLY), EINVAL);
    expect_error("in_file", try_open("file", O_TMPFILE | O_RDWR), ENOTDIR);
    expect_error("in_missing", try_open("missing", O_TMPFILE | O_RDWR), ENOENT);
    const Fd sealed = open_file(".", O_TMPFILE | O_EXCL | O_RDWR);
    expect_error("exclusive_cannot_be_linked",
                 linkat(AT_FDCWD, fd_path(sealed).c_str(), AT_FDCWD, "x", AT_SYMLINK_FOLLOW),
                 ENOENT);
    umask(027);
    const Fd masked = open_file(".", O_TMPFILE | O_RDWR, 0666);
    umask(0);
    expect_mode("umask", stat_of(masked).st_mode & 07777, 0640);
    const Fd large = open_file(".", O_TMPFILE | O_RDWR);
    write_at(large, pattern(1 << 20), 5000);
    expect_equal("size", stat_of(large).st_size, 5000 + (1 << 20));
    expect_true("data", read_at(large, 1 << 20, 5000) == pattern(1 << 20));
    make_directory("private", 0700);
    as_user(nobody(), [] {
        expect_error("no_permission", try_open("private", O_TMPFILE | O_RDWR), EACCES);
        expect_ok("permission", try_open(".", O_TMPFILE | O_RDWR));
    });
}

void check_open() {
    scenario("by_target", check_flags_by_target);
    scenario("creation_mode", check_creation_modes);
    scenario("created", check_created_attributes);
    scenario("truncate", check_truncation);
    scenario("append", check_append);
    scenario("slash", check_trailing_slashes);
}

}  // namespace

void add_open_files(Sections& sections) {
    sections.push_back({"open", check_open});
    sections.push_back({"openat", check_openat});
    sections.push_back({"tmpfile", check_tmpfile});
}

}  // namespace posix_suite
