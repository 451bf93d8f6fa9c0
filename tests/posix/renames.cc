// rename and renameat2, for every pair of kinds, in one directory and across two.
#include "sections.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

namespace posix_suite {
namespace {

long rename_with(const char* source, const char* target, unsigned flags) {
    return renameat2(AT_FDCWD, source, AT_FDCWD, target, flags);
}

struct Place {
    const char* name;
    const char* source;
    const char* target;
};
constexpr Place kPlaces[] = {{"same_directory", "source", "target"},
                             {"across_directories", "from/source", "to/target"}};

void make_places() {
    make_directory("from");
    make_directory("to");
}

int replace_error(Kind source, Kind target) {
    if (source == Kind::directory) return target == Kind::directory ? 0 : ENOTDIR;
    return target == Kind::directory ? EISDIR : 0;
}

void check_replace(const Place& place, Kind source, Kind target) {
    make_places();
    make_kind(place.source, source);
    make_kind(place.target, target);
    const ino_t moved = stat_of(place.source).st_ino;
    const ino_t replaced = stat_of(place.target).st_ino;
    const int error = replace_error(source, target);
    expect_result("result", rename(place.source, place.target), error);
    expect_true("source_state", exists(place.source) == (error != 0));
    expect_true("target_state", stat_of(place.target).st_ino == (error == 0 ? moved : replaced));
}

void check_no_replace(const Place& place, Kind source, Kind target) {
    make_places();
    make_kind(place.source, source);
    make_kind(place.target, target);
    const ino_t kept = stat_of(place.target).st_ino;
    expect_error("result", rename_with(place.source, place.target, RENAME_NOREPLACE), EEXIST);
    expect_true("kept", exists(place.source) && stat_of(place.target).st_ino == kept);
}

void check_exchange(const Place& place, Kind source, Kind target) {
    make_places();
    make_kind(place.source, source);
    make_kind(place.target, target);
    const ino_t one = stat_of(place.source).st_ino;
    const ino_t other = stat_of(place.target).st_ino;
    expect_ok("result", rename_with(place.source, place.target, RENAME_EXCHANGE));
    expect_true("swapped",
                stat_of(place.source).st_ino == other && stat_of(place.target).st_ino == one);
    const bool across = strchr(place.source, '/') != nullptr;
    const long long came = target == Kind::directory ? 1 : 0;
    const long long stayed = source == Kind::directory ? 1 : 0;
    expect_equal("parent_links", static_cast<long long>(stat_of(across ? "from" : ".").st_nlink),
                 across ? 2 + came : 4 + came + stayed);
}

void check_onto_nothing(const Place& place, Kind kind) {
    scenario(kind_name(kind), [&] {
        make_places();
        make_kind(place.source, kind);
        const struct stat before = stat_of(place.source);
        expect_ok("plain", rename(place.source, place.target));
        expect_true("source_gone", !exists(place.source));
        const struct stat after = stat_of(place.target);
        expect_true("same_inode", before.st_ino == after.st_ino);
        expect_true("same_mode", before.st_mode == after.st_mode);
        expect_true("same_mtime", same_time(before.st_mtim, after.st_mtim));
        expect_ok("no_replace", rename_with(place.target, place.source, RENAME_NOREPLACE));
        expect_true("back", stat_of(place.source).st_ino == before.st_ino);
        expect_error("exchange", rename_with(place.source, place.target, RENAME_EXCHANGE), ENOENT);
        expect_error("from_nothing", rename(place.target, place.source), ENOENT);
    });
}

using PairCheck = void (*)(const Place& place, Kind source, Kind target);

void for_all_pairs(PairCheck check) {
    for (const Place& place : kPlaces) {
        scenario(place.name, [&] {
            for (const Kind source : all_kinds()) {
                for (const Kind target : all_kinds()) {
                    const std::string name =
                        std::string(kind_name(source)) + "_onto_" + kind_name(target);
                    scenario(name, [&] { check(place, source, target); });
                }
            }
        });
    }
}

void check_rename_kinds() {
    for_all_pairs(check_replace);
    for (const Place& place : kPlaces) {
        scenario(std::string(place.name) + "_onto_nothing", [&] {
            for (const Kind kind : all_kinds()) check_onto_nothing(place, kind);
        });
    }
}

void check_directory_moves() {
    make_directory("a");
    make_directory("a/b");
    make_directory("a/b/c");
    make_directory("other");
    expect_error("into_itself", rename("a", "a/x"), EINVAL);
    expect_error("into_child", rename("a", "a/b/x"), EINVAL);
    expect_error("into_grandchild", rename("a", "a/b/c/x"), EINVAL);
    expect_error("onto_child", rename("a", "a/b"), EINVAL);
    expect_error("onto_parent", rename("a/b", "a"), ENOTEMPTY);
    expect_error("onto_grandparent", rename("a/b/c", "a"), ENOTEMPTY);
    expect_error("onto_full", rename("other", "a"), ENOTEMPTY);
    expect_error("exchange_with_child", rename_with("a", "a/b", RENAME_EXCHANGE), EINVAL);
    expect_error("exchange_with_parent", rename_with("a/b", "a", RENAME_EXCHANGE), EINVAL);
    expect_error("exchange_with_grandchild", rename_with("a", "a/b/c", RENAME_EXCHANGE), EINVAL);
    expect_ok("onto_itself", rename("a", "a"));
    expect_ok("onto_itself_slash", rename("a/", "a"));
    expect_ok("moved", rename("a/b", "other/b"));
    expect_equal("old_parent_links", static_cast<long long>(stat_of("a").st_nlink), 2);
    expect_equal("new_parent_links", static_cast<long long>(stat_of("other").st_nlink), 3);
    expect_true("dot_dot_follows", stat_of("other/b/..").st_ino == stat_of("other").st_ino);
    expect_true("content_follows", exists("other/b/c"));
    expect_ok("onto_empty", rename("other", "a"));
    expect_true("onto_empty_content", exists("a/b/c"));
    expect_error("dot", rename(".", "x"), EBUSY);
    expect_error("dot_dot", rename("a/..", "x"), EBUSY);
    expect_error("to_dot", rename("a", "."), EBUSY);
    expect_error("to_dot_dot", rename("a", "a/b/.."), EBUSY);
    expect_ok("to_slash", rename("a", "renamed/"));
    expect_ok("up_and_down", rename("renamed/b/c", "renamed/c"));
    const Fd fd = open_file("renamed/c", O_RDONLY | O_DIRECTORY);
    must(rename("renamed/c", "top"));
    expect_true("open_directory_follows",
                stat_of(fd_path(openat(fd, "..", O_PATH)) + "/").st_ino == stat_of(".").st_ino);
    must(chdir("top"));
    must(rename("../top", "../renamed/again"));
    expect_ok("current_directory_follows", access("../again", F_OK));
    must(chdir("../.."));
}

void check_file_moves() {
    make_file("one", "1");
    must(link("one", "two"));
    make_directory("directory");
    must(symlink("directory", "link"));
    must(symlink("missing", "dangling"));
    expect_ok("links_of_one_file", rename("one", "two"));
    expect_true("both_links_remain", exists("one") && exists("two"));
    expect_equal("link_count_kept", static_cast<long long>(stat_of("one").st_nlink), 2);
    expect_ok("exchange_links_of_one_file", rename_with("one", "two", RENAME_EXCHANGE));
    expect_error("no_replace_of_itself", rename_with("one", "one", RENAME_NOREPLACE), EEXIST);
    expect_ok("onto_itself", rename("one", "one"));
    expect_error("source_slash", rename("one/", "three"), ENOTDIR);
    expect_error("target_slash", rename("one", "three/"), ENOTDIR);
    expect_error("file_onto_directory_slash", rename("one", "directory/"), ENOTDIR);
    expect_error("directory_onto_link", rename("directory", "link"), ENOTDIR);
    expect_ok("link_moves_itself", rename("link", "moved_link"));
    expect_true("link_is_link", S_ISLNK(stat_of("moved_link").st_mode));
    make_file("three", "3");
    expect_ok("onto_dangling", rename("three", "dangling"));
    expect_true("replaced_the_link", S_ISREG(stat_of("dangling").st_mode));
    expect_error("missing", rename("missing", "x"), ENOENT);
    expect_error("missing_parent", rename("one", "missing/x"), ENOENT);
    expect_error("missing_source_parent", rename("missing/x", "one"), ENOENT);
    expect_error("into_file", rename("one", "dangling/x"), ENOTDIR);
    expect_error("from_file", rename("one/x", "y"), ENOTDIR);
    expect_error("other_filesystem", rename("one", "/proc/x"), EXDEV);
    expect_error("from_other_filesystem", rename("/proc/version", "x"), EXDEV);
    expect_error("both_flags", rename_with("one", "new", RENAME_NOREPLACE | RENAME_EXCHANGE),
                 EINVAL);
    expect_error("unknown_flag", rename_with("one", "new", 1U << 20), EINVAL);
    make_file("victim", "victim");
    must(link("victim", "victim_2"));
    must(rename("two", "victim"));
    expect_equal("replaced_loses_a_link", static_cast<long long>(stat_of("victim_2").st_nlink), 1);
    const Fd from = open_file("directory", O_RDONLY | O_DIRECTORY);
    expect_ok("at", renameat(AT_FDCWD, "one", from, "inside"));
    expect_true("at_moved", exists("directory/inside"));
    expect_error("at_closed", renameat(AT_FDCWD, "victim", -1, "x"), EBADF);
    expect_error("at_file", renameat(open_file("victim", O_RDONLY), "x", from, "y"), ENOTDIR);
}

// A moved directory gets another "..", which is a write to the directory itself.
void check_directory_permission() {
    make_directory("from", 0777);
    make_directory("to", 0777);
    for (const char* name : {"from/writable", "from/read_only", "from/stay"}) {
        make_directory(name, 0755);
        give(name, kAlice, kAlice);
    }
    set_mode("from/read_only", 0555);
    set_mode("from/stay", 0555);
    make_directory("from/of_root", 0755);
    as_user(alice(), [] {
        expect_ok("writable_across", rename("from/writable", "to/writable"));
        expect_error("read_only_across", rename("from/read_only", "to/read_only"), EACCES);
        expect_ok("read_only_in_place", rename("from/stay", "from/stayed"));
        expect_error("foreign_across", rename("from/of_root", "to/of_root"), EACCES);
        expect_ok("foreign_in_place", rename("from/of_root", "from/renamed"));
        expect_error("exchange_read_only",
                     rename_with("from/read_only", "to/writable", RENAME_EXCHANGE), EACCES);
    });
}

// Two processes exchange the same pair many times: both names exist at every moment.
void check_atomic_exchange() {
    make_file("one", "1");
    make_file("two", "2");
    constexpr int kRounds = 300;
    const int other = start_child([] {
        for (int round = 0; round < kRounds; ++round) {
            must(rename_with("one", "two", RENAME_EXCHANGE));
        }
    });
    long long missing = 0;
    for (int round = 0; round < kRounds; ++round) missing += !exists("one") + !exists("two");
    finish_child(other);
    expect_equal("both_always_exist", missing, 0);
    expect_text("even_count_restores", content_of("one") + content_of("two"), "12");
}

void check_atomic_replace() {
    make_file("target", "whole");
    constexpr int kRounds = 300;
    const int other = start_child([] {
        for (int round = 0; round < kRounds; ++round) {
            make_file("next", "whole");
            must(rename("next", "target"));
        }
    });
    long long wrong = 0;
    for (int round = 0; round < kRounds; ++round) {
        const Fd fd(open("target", O_RDONLY));
        char bytes[8] = {};
        wrong += fd < 0 || pread(fd, bytes, 5, 0) != 5 || strcmp(bytes, "whole") != 0;
    }
    finish_child(other);
    expect_equal("never_missing_or_empty", wrong, 0);
}

void check_rename() {
    scenario("directory", check_directory_moves);
    scenario("file", check_file_moves);
    scenario("permission", check_directory_permission);
    scenario("atomic", check_atomic_replace);
}

}  // namespace

void add_renames(Sections& sections) {
    sections.push_back({"rename", check_rename});
    sections.push_back({"rename_kinds", check_rename_kinds});
    sections.push_back({"rename_noreplace", [] {
                            for_all_pairs(check_no_replace);
                        }});
    sections.push_back({"rename_exchange", [] {
                            for_all_pairs(check_exchange);
                        }});
    sections.push_back({"rename_exchange_atomic", check_atomic_exchange});
}

}  // namespace posix_suite
