// Reading directories while they change, positions, link counts, statfs and sync.
#include "sections.h"
#include "world.h"

#include <algorithm>
#include <map>
#include <set>

#include <dirent.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

namespace posix_suite {
namespace {

class Directory {
public:
    explicit Directory(const std::string& path) : stream_(opendir(path.c_str())) {
        must(stream_ == nullptr ? -1 : 0);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() { closedir(stream_); }

    DIR* stream() { return stream_; }
    // Empty at the end.
    std::string next() {
        const dirent* entry = readdir(stream_);
        return entry == nullptr ? "" : entry->d_name;
    }
    std::vector<std::string> rest() {
        std::vector<std::string> names;
        for (std::string name = next(); !name.empty(); name = next()) names.push_back(name);
        return names;
    }

private:
    DIR* stream_;
};

std::string entry_name(int index) {
    return "entry_" + std::to_string(index);
}

std::string odd_entry(int step) {
    return "d/" + entry_name(2 * step + 1);
}

void fill(const std::string& path, int count) {
    make_directory(path);
    for (int index = 0; index < count; ++index) make_file(path + "/" + entry_name(index));
}

// How many of the entries below `count` with that remainder of `modulus` were seen just once.
long long seen_once(const std::vector<std::string>& names, int count, int modulus, int remainder) {
    const std::multiset<std::string> all(names.begin(), names.end());
    long long seen = 0;
    for (int index = remainder; index < count; index += modulus) {
        seen += all.count(entry_name(index)) == 1;
    }
    return seen;
}

void check_complete() {
    for (const int count : {0, 1, 2, 10, 100, 1000, 4000}) {
        const std::string name = "entries_" + std::to_string(count);
        fill(name, count);
        Directory directory(name);
        const std::vector<std::string> names = directory.rest();
        expect_equal(name + "_count", static_cast<long long>(names.size()), count + 2);
        expect_equal(name + "_seen_once", seen_once(names, count, 1, 0), count);
        expect_equal(name + "_dot", std::count(names.begin(), names.end(), "."), 1);
        expect_equal(name + "_dot_dot", std::count(names.begin(), names.end(), ".."), 1);
        expect_text(name + "_end_stays", directory.next(), "");
        rewinddir(directory.stream());
        expect_true(name + "_same_again", directory.rest() == names);
        Directory other(name);
        expect_true(name + "_same_in_other_stream", other.rest() == names);
    }
}

void check_entry_fields() {
    const std::map<Kind, unsigned char> types = {
        {Kind::regular, DT_REG}, {Kind::directory, DT_DIR},        {Kind::symlink, DT_LNK},
        {Kind::fifo, DT_FIFO},   {Kind::character_device, DT_CHR}, {Kind::block_device, DT_BLK},
        {Kind::socket, DT_SOCK}};
    make_directory("d");
    for (const Kind kind : all_kinds()) make_kind(std::string("d/") + kind_name(kind), kind);
    Directory directory("d");
    while (const dirent* entry = readdir(directory.stream())) {
        const std::string name = entry->d_name;
        const struct stat found = stat_of("d/" + name);
        expect_true("inode_of_" + name, entry->d_ino == found.st_ino);
        for (const auto& [kind, type] : types) {
            if (name == kind_name(kind)) expect_equal("type_of_" + name, entry->d_type, type);
        }
        if (name == "." || name == "..") expect_equal("type_of_" + name, entry->d_type, DT_DIR);
    }
}

// Entries that are there throughout must be seen exactly once, whatever happens to the others.
void check_changes_while_reading() {
    constexpr int kCount = 1000;
    const auto run = [](const char* name, void (*change)(int step)) {
        scenario(name, [&] {
            fill("d", kCount);
            Directory directory("d");
            std::vector<std::string> names;
            int step = 0;
            for (std::string entry = directory.next(); !entry.empty(); entry = directory.next()) {
                names.push_back(entry);
                if (step < kCount / 2) change(step++);
            }
            expect_equal("kept_seen_once", seen_once(names, kCount, 2, 0), kCount / 2);
            const std::set<std::string> distinct(names.begin(), names.end());
            expect_equal("nothing_twice", static_cast<long long>(names.size() - distinct.size()),
                         0);
        });
    };
    run("unlink", [](int step) { must(unlink(odd_entry(step).c_str())); });
    run("create", [](int step) { make_file("d/new_" + std::to_string(step)); });
    run("rename_away", [](int step) {
        must(rename(odd_entry(step).c_str(), ("out_" + std::to_string(step)).c_str()));
    });
    run("create_and_unlink", [](int) {
        make_file("d/brief");
        must(unlink("d/brief"));
    });
    fill("all", kCount);
    Directory directory("all");
    long long removed = 0;
    for (std::string entry = directory.next(); !entry.empty(); entry = directory.next()) {
        if (entry[0] != '.') removed += unlink(("all/" + entry).c_str()) == 0;
    }
    expect_equal("removing_each_entry_read", removed, kCount);
    expect_ok("leaves_it_empty", rmdir("all"));
}

void check_positions() {
    constexpr int kCount = 500;
    fill("d", kCount);
    Directory directory("d");
    std::vector<long> positions;
    std::vector<std::string> names;
    for (;;) {
        const long position = telldir(directory.stream());
        const std::string name = directory.next();
        if (name.empty()) break;
        positions.push_back(position);
        names.push_back(name);
    }
    for (size_t group = 0; group < 10; ++group) {
        long long right = 0;
        for (size_t index = group; index < names.size(); index += 10) {
            seekdir(directory.stream(), positions[index]);
            right += directory.next() == names[index];
        }
        const size_t want = (names.size() - group + 9) / 10;
        expect_equal("seek_to_group_" + std::to_string(group), right, static_cast<long long>(want));
    }
    const std::set<long> distinct(positions.begin(), positions.end());
    expect_equal("positions_differ", static_cast<long long>(distinct.size()),
                 static_cast<long long>(positions.size()));
    must(unlink(("d/" + names[100]).c_str()));
    must(unlink(("d/" + names[101]).c_str()));
    make_file("d/late");
    for (const size_t index : {5U, 99U, 103U, 300U, 499U}) {
        if (names[index][0] == '.') continue;
        seekdir(directory.stream(), positions[index]);
        expect_text("after_changes_" + std::to_string(index), directory.next(), names[index]);
    }
    rewinddir(directory.stream());
    const auto again = directory.rest();
    expect_equal("rewind_sees_new", std::count(again.begin(), again.end(), "late"), 1);
    expect_equal("rewind_misses_removed", std::count(again.begin(), again.end(), names[100]), 0);
    seekdir(directory.stream(), positions[0]);
    expect_text("first_position", directory.next(), names[0]);
}

void check_system_calls() {
    fill("d", 100);
    char bytes[32768];
    const Fd fd = open_file("d", O_RDONLY | O_DIRECTORY);
    const auto entries = [&](int from, size_t room) {
        return syscall(SYS_getdents64, from, bytes, room);
    };
    expect_error("no_room_for_one", entries(fd, 10), EINVAL);
    expect_ok("small_room", entries(fd, 64));
    long total = 0;
    for (long got = 1; got > 0; total += got) got = must(entries(fd, 128));
    expect_true("small_steps_go_on", total > 1000);
    expect_equal("end", entries(fd, sizeof bytes), 0);
    must(lseek(fd, 0, SEEK_SET));
    expect_true("back_to_start", entries(fd, sizeof bytes) > 1000);
    expect_error("bad_address",
                 (must(lseek(fd, 0, SEEK_SET)), syscall(SYS_getdents64, int(fd), -4096L, 32768)),
                 EFAULT);
    make_directory("gone");
    const Fd gone = open_file("gone", O_RDONLY | O_DIRECTORY);
    must(rmdir("gone"));
    expect_error("removed", entries(gone, sizeof bytes), ENOENT);
    const Fd first = open_file("d", O_RDONLY | O_DIRECTORY);
    const Fd second(must(dup(first)));
    must(entries(first, 256));
    expect_true("duplicate_shares_position",
                lseek(second, 0, SEEK_CUR) == lseek(first, 0, SEEK_CUR));
    expect_error("missing", opendir("missing") == nullptr ? -1 : 0, ENOENT);
    expect_error("file", opendir("d/entry_1") == nullptr ? -1 : 0, ENOTDIR);
    expect_error("write", pwrite(fd, "x", 1, 0), EBADF);
}

void check_readdir() {
    scenario("complete", check_complete);
    scenario("field", check_entry_fields);
    scenario("change", check_changes_while_reading);
    scenario("position", check_positions);
    scenario("system_call", check_system_calls);
}

// A directory's links are its name, its dot, and the dot-dot of each directory below.
void check_link_counts() {
    make_directory("d");
    long long want = 2;
    const auto check = [&](const std::string& name) {
        expect_equal(name, static_cast<long long>(stat_of("d").st_nlink), want);
    };
    check("new");
    for (int index = 0; index < 20; ++index) {
        must(mkdir(("d/" + std::to_string(index)).c_str(), 0755));
        ++want;
        check("with_" + std::to_string(index + 1));
    }
    for (const Kind kind : all_kinds()) {
        if (kind == Kind::directory) continue;
        make_kind(std::string("d/") + kind_name(kind), kind);
        check(std::string("not_counted_") + kind_name(kind));
    }
    for (int index = 0; index < 20; index += 3) {
        must(rmdir(("d/" + std::to_string(index)).c_str()));
        --want;
        check("without_" + std::to_string(index));
    }
    must(rename("d/1", "moved"));
    --want;
    check("one_moved_out");
    must(rename("moved", "d/back"));
    ++want;
    check("one_moved_in");
    must(rename("d/back", "d/2"));
    --want;
    check("one_replaced");
    make_directory("other");
    must(rename("other", "d/2"));
    check("one_replaced_from_outside");
    must(renameat2(AT_FDCWD, "d/2", AT_FDCWD, "d/regular", RENAME_EXCHANGE));
    check("exchanged_inside");
    make_file("outside");
    must(renameat2(AT_FDCWD, "d/4", AT_FDCWD, "outside", RENAME_EXCHANGE));
    --want;
    check("exchanged_for_a_file");
}

void check_statfs() {
    struct statfs found{};
    expect_ok("call", statfs(".", &found));
    const auto block = static_cast<unsigned long long>(found.f_bsize);
    expect_true("block_is_power_of_two", block >= 512 && (block & (block - 1)) == 0);
    expect_true("blocks", found.f_blocks > 0);
    expect_true("free_within_all", found.f_bfree <= found.f_blocks);
    expect_true("available_within_free", found.f_bavail <= found.f_bfree);
    expect_true("free_files_within_all", found.f_ffree <= found.f_files);
    expect_equal("name_length", found.f_namelen, 255);
    expect_true("type", found.f_type != 0);
    struct statvfs portable{};
    must(statvfs(".", &portable));
    expect_equal("same_blocks", static_cast<long long>(portable.f_blocks),
                 static_cast<long long>(found.f_blocks));
    expect_equal("same_name_length", static_cast<long long>(portable.f_namemax), 255);
    expect_true("fragment_size", portable.f_frsize > 0);
    const Fd fd = open_file(".", O_RDONLY | O_DIRECTORY);
    struct statfs by_descriptor{};
    must(fstatfs(fd, &by_descriptor));
    expect_true("same_type", by_descriptor.f_type == found.f_type);
    make_file("file", pattern(4 << 20));
    must(fsync(open_file("file", O_RDONLY)));
    must(statfs("file", &by_descriptor));
    expect_true("data_takes_space", by_descriptor.f_bfree < found.f_bfree);
    expect_error("missing", statfs("missing", &found), ENOENT);
    expect_error("bad_address", statfs(".", reinterpret_cast<struct statfs*>(-4096L)), EFAULT);
}

void check_sync() {
    for (const Kind kind : {Kind::regular, Kind::directory}) {
        scenario(kind_name(kind), [&] {
            make_kind("entry", kind);
            const Fd fd = open_file("entry", O_RDONLY);
            expect_ok("fsync", fsync(fd));
            expect_ok("fdatasync", fdatasync(fd));
            expect_ok("syncfs", syncfs(fd));
            expect_ok("again", fsync(fd));
            must(rename("entry", "moved"));
            expect_ok("after_rename", fsync(fd));
            must(remove("moved"));
            expect_ok("after_removal", fsync(fd));
        });
    }
    make_file("file");
    const Fd fd = open_file("file", O_RDWR);
    for (const size_t size : {1U, 4096U, 100000U, 5000000U}) {
        const std::string name = "size_" + std::to_string(size);
        write_at(fd, pattern(size), 0);
        expect_ok(name + "_fdatasync", fdatasync(fd));
        write_at(fd, pattern(size, 1), 0);
        expect_ok(name + "_fsync", fsync(fd));
        expect_true(name + "_content", read_at(fd, size, 0) == pattern(size, 1));
        expect_true(name + "_blocks", static_cast<size_t>(stat_of(fd).st_blocks) * 512 >= size);
    }
    expect_ok("range", sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE));
    expect_error("range_unknown_flag", sync_file_range(fd, 0, 1, 1 << 20), EINVAL);
    expect_error("range_negative", sync_file_range(fd, -1, 1, 0), EINVAL);
    expect_error("closed", fsync(-1), EBADF);
    expect_error("closed_syncfs", syncfs(-1), EBADF);
}

}  // namespace

void add_directories(Sections& sections) {
    sections.push_back({"readdir", check_readdir});
    sections.push_back({"directory_links", check_link_counts});
    sections.push_back({"statfs", check_statfs});
    sections.push_back({"sync", check_sync});
}

}  // namespace posix_suite
