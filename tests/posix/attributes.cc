// chmod and utimensat.
#include "sections.h"
#include "world.h"

#include <sys/sysmacros.h>
#include <sys/time.h>

namespace posix_suite {
namespace {

void check_chmod_kinds() {
    for (const Kind kind : all_kinds()) {
        if (kind == Kind::symlink) continue;
        scenario(kind_name(kind), [&] {
            make_kind("entry", kind);
            for (const mode_t mode : {0000U, 0111U, 0222U, 0444U, 0640U, 0777U, 01000U, 02000U,
                                      04000U, 01755U, 02711U, 04711U, 07777U}) {
                char name[16];
                snprintf(name, sizeof name, "%04o", mode);
                must(chmod("entry", mode));
                expect_mode(name, mode_of("entry"), mode);
            }
            expect_true("kind_kept", (stat_of("entry").st_mode & S_IFMT) == kind_bits(kind));
            must(chmod("entry", kind_bits(Kind::fifo) | 0600));
            expect_true("kind_bits_ignored",
                        (stat_of("entry").st_mode & S_IFMT) == kind_bits(kind));
        });
    }
}

void check_chmod_rules() {
    make_file("file");
    must(symlink("file", "link"));
    must(chmod("link", 0611));
    expect_mode("through_link", mode_of("file"), 0611);
    expect_mode("link_keeps_its_own", mode_of("link"), 0777);
    const Fd fd = open_file("file", O_RDONLY);
    must(fchmod(fd, 0622));
    expect_mode("by_descriptor", mode_of("file"), 0622);
    must(link("file", "second"));
    must(chmod("second", 0633));
    expect_mode("through_hard_link", mode_of("file"), 0633);
    give("file", kAlice, kTeam);
    as_user(nobody(), [] { expect_error("by_a_stranger", chmod("file", 0777), EPERM); });
    as_user(bob(), [] { expect_error("by_the_group", chmod("file", 0777), EPERM); });
    as_user(alice(), [&] {
        expect_ok("by_the_owner", chmod("file", 0700));
        expect_ok("owner_by_descriptor", fchmod(fd, 0707));
        expect_ok("foreign_group_setgid", chmod("file", 02755));
        expect_mode("foreign_group_setgid_dropped", mode_of("file"), 0755);
        expect_ok("setuid", chmod("file", 04755));
        expect_mode("setuid_kept", mode_of("file"), 04755);
        expect_ok("sticky", chmod("file", 01755));
        expect_mode("sticky_kept", mode_of("file"), 01755);
    });
    as_user({kAlice, kAlice, {kTeam}}, [] {
        must(chmod("file", 02755));
        expect_mode("own_group_setgid_kept", mode_of("file"), 02755);
    });
    set_mode("file", 02755);
    expect_mode("root_setgid_kept", mode_of("file"), 02755);
    make_directory("directory");
    give("directory", kAlice, kTeam);
    as_user(alice(), [] {
        must(chmod("directory", 02755));
        expect_mode("directory_foreign_group", mode_of("directory"), 0755);
    });
    as_user(nobody(), [&] { expect_error("stranger_by_descriptor", fchmod(fd, 0777), EPERM); });
    expect_error("flag_unknown", fchmodat(AT_FDCWD, "file", 0600, 1 << 20), EINVAL);
    const Fd here = open_file(".", O_RDONLY | O_DIRECTORY);
    expect_ok("at", fchmodat(here, "file", 0644, 0));
    must(chmod("file", 0));
    expect_true("open_descriptor_still_reads", read_at(fd, 1, 0).empty());
}

void check_chmod() {
    scenario("kind", check_chmod_kinds);
    scenario("rule", check_chmod_rules);
}

void check_time_values() {
    make_file("file");
    for (const long second : {0L, 1L, -1L, -1000000000L, -2147483647L, 1000000000L, 2147483647L,
                              2147483648L, 4294967295L, 4294967296L, 10000000000L}) {
        for (const long nanosecond : {0L, 1L, 123456789L, 999999999L}) {
            const std::string name = std::to_string(second) + "_" + std::to_string(nanosecond);
            const timespec times[2] = {{second, nanosecond}, {second + 7, 999999999 - nanosecond}};
            must(utimensat(AT_FDCWD, "file", times, 0));
            const struct stat found = stat_of("file");
            expect_true("access_" + name, same_time(found.st_atim, times[0]));
            expect_true("modification_" + name, same_time(found.st_mtim, times[1]));
        }
    }
}

void check_time_kinds() {
    const timespec times[2] = {{111, 222}, {333, 444}};
    for (const Kind kind : all_kinds()) {
        scenario(kind_name(kind), [&] {
            make_kind("entry", kind);
            const timespec before = stat_of("entry").st_ctim;
            wait_for_tick(before);
            expect_ok("set", utimensat(AT_FDCWD, "entry", times, AT_SYMLINK_NOFOLLOW));
            const struct stat found = stat_of("entry");
            expect_true("access", same_time(found.st_atim, times[0]));
            expect_true("modification", same_time(found.st_mtim, times[1]));
            expect_true("status_is_now", !same_time(found.st_ctim, before));
        });
    }
}

enum class Wish { now, omit, given };

timespec wish_time(Wish wish, long second) {
    if (wish == Wish::now) return {0, UTIME_NOW};
    if (wish == Wish::omit) return {0, UTIME_OMIT};
    return {second, 5};
}

bool wish_held(Wish wish, const timespec& got, const timespec& before, long second) {
    if (wish == Wish::now) return got.tv_sec > 1500000000;
    if (wish == Wish::omit) return same_time(got, before);
    return same_time(got, {second, 5});
}

const char* wish_name(Wish wish) {
    if (wish == Wish::now) return "now";
    return wish == Wish::omit ? "omit" : "given";
}

void check_time_wishes() {
    for (const Wish access : {Wish::now, Wish::omit, Wish::given}) {
        for (const Wish modification : {Wish::now, Wish::omit, Wish::given}) {
            const std::string name = std::string(wish_name(access)) + "_" + wish_name(modification);
            scenario(name, [&] {
                make_file("file");
                age("file");
                const struct stat before = stat_of("file");
                const timespec times[2] = {wish_time(access, 111), wish_time(modification, 222)};
                expect_ok("set", utimensat(AT_FDCWD, "file", times, 0));
                const struct stat after = stat_of("file");
                expect_true("access", wish_held(access, after.st_atim, before.st_atim, 111));
                expect_true("modification",
                            wish_held(modification, after.st_mtim, before.st_mtim, 222));
                const bool nothing = access == Wish::omit && modification == Wish::omit;
                expect_true("status", same_time(after.st_ctim, before.st_ctim) == nothing);
            });
        }
    }
}

struct TimePermission {
    const char* name;
    Wish access;
    Wish modification;
    int for_writer;
    int for_stranger;
};

void check_time_permissions() {
    make_file("file", "", 0664);
    give("file", kAlice, kTeam);
    for (const TimePermission& row : {
             TimePermission{"both_now", Wish::now, Wish::now, 0, EACCES},
             {"both_given", Wish::given, Wish::given, EPERM, EPERM},
             {"both_omit", Wish::omit, Wish::omit, 0, 0},
             {"now_omit", Wish::now, Wish::omit, EPERM, EPERM},
             {"omit_now", Wish::omit, Wish::now, EPERM, EPERM},
             {"given_now", Wish::given, Wish::now, EPERM, EPERM},
             {"given_omit", Wish::given, Wish::omit, EPERM, EPERM},
         }) {
        const timespec times[2] = {wish_time(row.access, 1), wish_time(row.modification, 2)};
        const std::string name = row.name;
        const auto set = [&] {
            return utimensat(AT_FDCWD, "file", times, 0);
        };
        as_user(alice(), [&] { expect_ok(name + "_owner", set()); });
        as_user(bob(), [&] { expect_result(name + "_writer", set(), row.for_writer); });
        as_user(nobody(), [&] { expect_result(name + "_stranger", set(), row.for_stranger); });
    }
    const auto set_null = [] {
        return utimensat(AT_FDCWD, "file", nullptr, 0);
    };
    as_user(bob(), [&] { expect_ok("null_writer", set_null()); });
    as_user(nobody(), [&] { expect_error("null_stranger", set_null(), EACCES); });
    set_mode("file", 0444);
    as_user(alice(), [&] { expect_ok("null_owner_read_only", set_null()); });
    as_user(bob(), [&] { expect_error("null_reader", set_null(), EACCES); });
}

void check_time_rules() {
    make_file("file");
    must(symlink("file", "link"));
    must(symlink("missing", "dangling"));
    const timespec times[2] = {{11, 22}, {33, 44}};
    must(utimensat(AT_FDCWD, "link", times, 0));
    expect_true("through_link", same_time(stat_of("file").st_mtim, times[1]));
    expect_true("link_untouched", !same_time(stat_of("link").st_mtim, times[1]));
    expect_error("dangling", utimensat(AT_FDCWD, "dangling", times, 0), ENOENT);
    expect_ok("dangling_itself", utimensat(AT_FDCWD, "dangling", times, AT_SYMLINK_NOFOLLOW));
    for (const long bad : {-1L, 1000000000L, 1L << 40}) {
        const std::string name = "nanosecond_" + std::to_string(bad);
        const timespec first[2] = {{1, bad}, {1, 1}};
        const timespec second[2] = {{1, 1}, {1, bad}};
        expect_error("access_" + name, utimensat(AT_FDCWD, "file", first, 0), EINVAL);
        expect_error("modification_" + name, utimensat(AT_FDCWD, "file", second, 0), EINVAL);
    }
    expect_true("unchanged_by_bad_calls", same_time(stat_of("file").st_mtim, times[1]));
    expect_error("flag_unknown", utimensat(AT_FDCWD, "file", times, 1 << 20), EINVAL);
    const Fd fd = open_file("file", O_RDONLY);
    const timespec others[2] = {{55, 66}, {77, 88}};
    expect_ok("by_descriptor", futimens(fd, others));
    expect_true("by_descriptor_held", same_time(stat_of("file").st_mtim, others[1]));
    const timeval coarse[2] = {{9, 123456}, {10, 654321}};
    must(utimes("file", coarse));
    expect_equal("utimes_access", stat_of("file").st_atim.tv_nsec, 123456000);
    expect_equal("utimes_modification", stat_of("file").st_mtim.tv_nsec, 654321000);
    must(rename("file", "moved"));
    expect_equal("kept_by_rename", stat_of("moved").st_mtim.tv_nsec, 654321000);
    must(link("moved", "second"));
    expect_equal("same_by_hard_link", stat_of("second").st_mtim.tv_nsec, 654321000);
    must(chmod("moved", 0600));
    expect_equal("kept_by_chmod", stat_of("moved").st_mtim.tv_nsec, 654321000);
}

void check_utimens() {
    scenario("value", check_time_values);
    scenario("kind", check_time_kinds);
    scenario("wish", check_time_wishes);
    scenario("permission", check_time_permissions);
    scenario("rule", check_time_rules);
}

}  // namespace

void add_attributes(Sections& sections) {
    sections.push_back({"chmod", check_chmod});
    sections.push_back({"utimens", check_utimens});
}

}  // namespace posix_suite
