// Which call changes which of the three times, of the file itself and of its directory.
#include "sections.h"
#include "world.h"

#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>

namespace posix_suite {
namespace {

struct Watch {
    const char* before;
    const char* changes;  // Of "amc": access, modification, status; "*": access may change.
    const char* after = nullptr;
};

struct TimeCase {
    const char* name;
    void (*call)();
    std::vector<Watch> watches;
};

char buffer[8192];

void fails(long result) {
    if (result >= 0) must((errno = EEXIST, -1));
}

void map_and_write() {
    const Fd fd = open_file("d/file", O_RDWR);
    void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(memory == MAP_FAILED ? -1 : 0);
    static_cast<char*>(memory)[5] = 'x';
    must(msync(memory, 4096, MS_SYNC));
    must(munmap(memory, 4096));
}

void copy_range(const char* source, const char* target) {
    must(copy_file_range(open_file(source, O_RDONLY), nullptr, open_file(target, O_WRONLY), nullptr,
                         100, 0));
}

long exchange(const char* one, const char* other) {
    return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

long read_entries(const char* path) {
    return syscall(SYS_getdents64, int(open_file(path, O_RDONLY)), buffer, sizeof buffer);
}

const std::vector<TimeCase>& data_cases() {
    static const std::vector<TimeCase> cases = {
        {"read",
         [] { read_at(open_file("d/file", O_RDONLY), 10, 0); },
         {{"d/file", "a"}, {"d", ""}}},
        {"read_nothing",
         [] { must(read(open_file("d/file", O_RDONLY), buffer, 0)); },
         {{"d/file", ""}}},
        {"write",
         [] { must(write(open_file("d/file", O_WRONLY), "x", 1)); },
         {{"d/file", "mc"}, {"d", ""}}},
        {"write_nothing",
         [] { must(write(open_file("d/file", O_WRONLY), "x", 0)); },
         {{"d/file", ""}}},
        {"append",
         [] { must(write(open_file("d/file", O_WRONLY | O_APPEND), "x", 1)); },
         {{"d/file", "mc"}, {"d", ""}}},
        {"pwrite",
         [] { write_at(open_file("d/file", O_WRONLY), "x", 50000); },
         {{"d/file", "mc"}, {"d", ""}}},
        {"map_and_write", map_and_write, {{"d/file", "*mc"}}},
        {"truncate_shorter", [] { must(truncate("d/file", 10)); }, {{"d/file", "mc"}, {"d", ""}}},
        {"truncate_longer", [] { must(truncate("d/file", 99999)); }, {{"d/file", "mc"}}},
        {"truncate_same", [] { must(truncate("d/file", 10000)); }, {{"d/file", "mc"}}},
        {"ftruncate",
         [] { must(ftruncate(open_file("d/file", O_WRONLY), 10)); },
         {{"d/file", "mc"}}},
        {"open_truncate",
         [] { must(try_open("d/file", O_WRONLY | O_TRUNC)); },
         {{"d/file", "mc"}, {"d", ""}}},
        {"fallocate",
         [] { must(fallocate(open_file("d/file", O_WRONLY), 0, 0, 90000)); },
         {{"d/file", "mc"}}},
        {"punch_hole",
         [] {
             must(fallocate(open_file("d/file", O_WRONLY),
                            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
         },
         {{"d/file", "mc"}}},
        {"zero_range",
         [] { must(fallocate(open_file("d/file", O_WRONLY), FALLOC_FL_ZERO_RANGE, 0, 4096)); },
         {{"d/file", "mc"}}},
        {"copy_file_range",
         [] { copy_range("d/file", "e/other"); },
         {{"d/file", "a"}, {"e/other", "mc"}}},
    };
    return cases;
}

const std::vector<TimeCase>& attribute_cases() {
    static const std::vector<TimeCase> cases = {
        {"chmod", [] { must(chmod("d/file", 0600)); }, {{"d/file", "c"}, {"d", ""}}},
        {"chmod_same", [] { must(chmod("d/file", 0644)); }, {{"d/file", "c"}}},
        {"chmod_directory", [] { must(chmod("d", 0700)); }, {{"d", "c"}, {"d/file", ""}}},
        {"chown", [] { must(chown("d/file", 5, 6)); }, {{"d/file", "c"}, {"d", ""}}},
        {"lchown_link", [] { must(lchown("d/link", 5, 6)); }, {{"d/link", "c"}, {"d/file", ""}}},
        {"utimens_now",
         [] { must(utimensat(AT_FDCWD, "d/file", nullptr, 0)); },
         {{"d/file", "amc"}, {"d", ""}}},
        {"setxattr",
         [] { must(setxattr("d/file", "user.b", "v", 1, 0)); },
         {{"d/file", "c"}, {"d", ""}}},
        {"setxattr_directory", [] { must(setxattr("d", "user.b", "v", 1, 0)); }, {{"d", "c"}}},
        {"removexattr", [] { must(removexattr("d/file", "user.a")); }, {{"d/file", "c"}}},
        {"getxattr", [] { must(getxattr("d/file", "user.a", buffer, 10)); }, {{"d/file", ""}}},
        {"listxattr", [] { must(listxattr("d/file", buffer, 100)); }, {{"d/file", ""}}},
        {"stat", [] { stat_of("d/file"); }, {{"d/file", ""}, {"d", ""}}},
        {"access", [] { must(access("d/file", R_OK)); }, {{"d/file", ""}, {"d", ""}}},
        {"open_read", [] { must(try_open("d/file", O_RDONLY)); }, {{"d/file", ""}, {"d", ""}}},
        {"open_write", [] { must(try_open("d/file", O_WRONLY)); }, {{"d/file", ""}, {"d", ""}}},
        {"open_create_existing",
         [] { must(try_open("d/file", O_WRONLY | O_CREAT)); },
         {{"d/file", ""}, {"d", ""}}},
        {"fsync", [] { must(fsync(open_file("d/file", O_RDWR))); }, {{"d/file", ""}}},
        {"flock", [] { must(flock(open_file("d/file", O_RDWR), LOCK_EX)); }, {{"d/file", ""}}},
        {"readlink", [] { must(readlink("d/link", buffer, 10)); }, {{"d/link", "a"}, {"d", ""}}},
        {"readdir", [] { must(read_entries("d")); }, {{"d", "a"}, {"d/file", ""}}},
        {"open_directory", [] { must(try_open("d", O_RDONLY)); }, {{"d", ""}}},
    };
    return cases;
}

const std::vector<TimeCase>& entry_cases() {
    static const std::vector<TimeCase> cases = {
        {"create",
         [] { must(try_open("d/new", O_WRONLY | O_CREAT | O_EXCL)); },
         {{"d", "mc"}, {"d/file", ""}}},
        {"mkdir", [] { must(mkdir("d/new", 0755)); }, {{"d", "mc"}, {"d/sub", ""}}},
        {"mknod", [] { must(mknod("d/new", S_IFIFO | 0600, 0)); }, {{"d", "mc"}}},
        {"symlink", [] { must(symlink("file", "d/new")); }, {{"d", "mc"}, {"d/file", ""}}},
        {"link", [] { must(link("d/file", "e/new")); }, {{"d/file", "c"}, {"d", ""}, {"e", "mc"}}},
        {"unlink", [] { must(unlink("d/second")); }, {{"d/file", "c"}, {"d", "mc"}}},
        {"unlink_link", [] { must(unlink("d/link")); }, {{"d/file", ""}, {"d", "mc"}}},
        {"rmdir", [] { must(rmdir("d/sub")); }, {{"d", "mc"}, {"d/file", ""}}},
        {"rename",
         [] { must(rename("d/file", "d/new")); },
         {{"d/file", "c", "d/new"}, {"d", "mc"}}},
        {"rename_across",
         [] { must(rename("d/file", "e/new")); },
         {{"d/file", "c", "e/new"}, {"d", "mc"}, {"e", "mc"}}},
        {"rename_over",
         [] { must(rename("e/other", "d/second")); },
         {{"d/file", "c"}, {"e/other", "c", "d/second"}, {"d", "mc"}, {"e", "mc"}}},
        {"rename_directory",
         [] { must(rename("d/sub", "e/sub")); },
         {{"d", "mc"}, {"e", "mc"}, {"d/sub", "c", "e/sub"}}},
        {"rename_itself", [] { must(rename("d/file", "d/file")); }, {{"d/file", ""}, {"d", ""}}},
        {"exchange",
         [] { must(exchange("d/file", "e/other")); },
         {{"d/file", "c", "e/other"}, {"e/other", "c", "d/file"}, {"d", "mc"}, {"e", "mc"}}},
        {"tmpfile", [] { must(try_open("d", O_TMPFILE | O_RDWR)); }, {{"d", ""}}},
        {"failed_create",
         [] { fails(try_open("d/file", O_WRONLY | O_CREAT | O_EXCL)); },
         {{"d", ""}, {"d/file", ""}}},
        {"failed_mkdir", [] { fails(mkdir("d/sub", 0755)); }, {{"d", ""}, {"d/sub", ""}}},
        {"failed_link", [] { fails(link("d/file", "d/link")); }, {{"d/file", ""}, {"d", ""}}},
        {"failed_rmdir", [] { fails(rmdir("d")); }, {{"d", ""}}},
        {"failed_unlink", [] { fails(unlink("d/missing")); }, {{"d", ""}}},
        {"failed_rename",
         [] { fails(rename("d/missing", "d/file")); },
         {{"d", ""}, {"d/file", ""}}},
        {"failed_rename_onto_directory",
         [] { fails(rename("d/file", "d/sub")); },
         {{"d", ""}, {"d/file", ""}, {"d/sub", ""}}},
        {"failed_truncate", [] { fails(truncate("d/file", -1)); }, {{"d/file", ""}}},
        {"failed_setxattr",
         [] { fails(setxattr("d/file", "user.a", "v", 1, XATTR_CREATE)); },
         {{"d/file", ""}}},
        {"failed_removexattr", [] { fails(removexattr("d/file", "user.none")); }, {{"d/file", ""}}},
    };
    return cases;
}

void check_case(const TimeCase& one) {
    for (const char* directory : {"d", "e", "d/sub"}) make_directory(directory);
    make_file("d/file", pattern(10000));
    make_file("e/other", pattern(10000));
    must(setxattr("d/file", "user.a", "v", 1, 0));
    must(link("d/file", "d/second"));
    must(symlink("file", "d/link"));
    std::vector<struct stat> before;
    for (const Watch& watch : one.watches) age(watch.before);
    for (const Watch& watch : one.watches) before.push_back(stat_of(watch.before));
    one.call();
    for (size_t index = 0; index < one.watches.size(); ++index) {
        const Watch& watch = one.watches[index];
        const struct stat& old = before[index];
        const struct stat now = stat_of(watch.after != nullptr ? watch.after : watch.before);
        std::string changed;
        if (!same_time(old.st_atim, now.st_atim)) changed += 'a';
        if (!same_time(old.st_mtim, now.st_mtim)) changed += 'm';
        if (!same_time(old.st_ctim, now.st_ctim)) changed += 'c';
        const std::string want = watch.changes;
        for (const char which : {'a', 'm', 'c'}) {
            if (which == 'a' && want.starts_with('*')) continue;
            const bool wanted = want.find(which) != std::string::npos;
            const bool got = changed.find(which) != std::string::npos;
            const std::string name = std::string(watch.before) + "_" + which + "time";
            expect_text(name, got ? "changed" : "kept", wanted ? "changed" : "kept");
        }
    }
}

void check_times() {
    for (const auto* cases : {&data_cases(), &attribute_cases(), &entry_cases()}) {
        for (const TimeCase& one : *cases) scenario(one.name, [&] { check_case(one); });
    }
}

void check_times_of_new() {
    timespec before{};
    clock_gettime(CLOCK_REALTIME_COARSE, &before);
    for (const Kind kind : all_kinds()) {
        const std::string name = kind_name(kind);
        make_kind(name, kind);
        const struct stat found = stat_of(name);
        timespec after{};
        clock_gettime(CLOCK_REALTIME, &after);
        const auto lies_between = [&](const timespec& time) {
            const long long first = before.tv_sec * 1000000000LL + before.tv_nsec;
            const long long last = after.tv_sec * 1000000000LL + after.tv_nsec;
            const long long got = time.tv_sec * 1000000000LL + time.tv_nsec;
            return first <= got && got <= last;
        };
        expect_true(name + "_access_is_now", lies_between(found.st_atim));
        expect_true(name + "_modification_is_now", lies_between(found.st_mtim));
        expect_true(name + "_status_is_now", lies_between(found.st_ctim));
    }
    make_file("file", pattern(10));
    const Fd fd = open_file("file", O_RDWR);
    const timespec first = stat_of(fd).st_mtim;
    wait_for_tick(first);
    write_at(fd, "x", 0);
    const timespec second = stat_of("file").st_mtim;
    expect_true("write_is_later", second.tv_sec > first.tv_sec || (second.tv_sec == first.tv_sec &&
                                                                   second.tv_nsec > first.tv_nsec));
    expect_true("seen_alike_by_path_and_descriptor",
                same_time(stat_of(fd).st_mtim, stat_of("file").st_mtim));
    const timespec times[2] = {{1, 0}, {2, 0}};
    write_at(fd, "y", 0);
    must(futimens(fd, times));
    must(fsync(fd));
    expect_equal("set_time_survives_a_sync", stat_of("file").st_mtim.tv_sec, 2);
    Fd closing = open_file("file", O_WRONLY);
    write_at(closing, "z", 0);
    must(futimens(closing, times));
    closing.reset();
    expect_equal("set_time_survives_a_close", stat_of("file").st_mtim.tv_sec, 2);
}

}  // namespace

void add_file_times(Sections& sections) {
    sections.push_back({"times", check_times});
    sections.push_back({"times_of_new", check_times_of_new});
}

}  // namespace posix_suite
