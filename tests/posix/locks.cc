// flock, byte-range locks of a process, byte-range locks of an open file.
#include "sections.h"
#include "world.h"

#include <csignal>
#include <cstring>

#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>

namespace posix_suite {
namespace {

// Whose locks they are: a process's, or an open file's.
struct Owner {
    const char* name;
    int set;
    int set_and_wait;
    int get;
};
constexpr Owner kProcess = {"process", F_SETLK, F_SETLKW, F_GETLK};
constexpr Owner kOpenFile = {"open_file", F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK};

struct flock range_of(int type, off_t start, off_t length, int whence = SEEK_SET) {
    struct flock lock{};
    lock.l_type = static_cast<short>(type);
    lock.l_whence = static_cast<short>(whence);
    lock.l_start = start;
    lock.l_len = length;
    return lock;
}

long lock_range(int fd, int command, int type, off_t start, off_t length, int whence = SEEK_SET) {
    struct flock lock = range_of(type, start, length, whence);
    return fcntl(fd, command, &lock);
}

// What would stop a write lock of the range by another process: "none" or "read 0+10".
std::string holder_of(off_t start, off_t length) {
    std::string answer;
    int ends[2];
    must(pipe(ends));
    in_child([&] {
        const Fd fd = open_file("file", O_RDWR);
        struct flock lock = range_of(F_WRLCK, start, length);
        must(fcntl(fd, F_GETLK, &lock));
        std::string text = "none";
        if (lock.l_type != F_UNLCK) {
            text = std::string(lock.l_type == F_RDLCK ? "read " : "write ") +
                   std::to_string(lock.l_start) + "+" + std::to_string(lock.l_len);
        }
        must(write(ends[1], text.data(), text.size()));
    });
    close(ends[1]);
    char bytes[64] = {};
    must(read(ends[0], bytes, sizeof bytes - 1));
    close(ends[0]);
    return bytes;
}

struct Range {
    const char* name;
    off_t start;
    off_t length;
    bool overlaps;  // With 100+50.
};
constexpr Range kRanges[] = {
    {"same", 100, 50, true},
    {"inside", 110, 10, true},
    {"around", 50, 200, true},
    {"over_start", 90, 11, true},
    {"over_end", 149, 10, true},
    {"first_byte", 100, 1, true},
    {"to_the_end", 120, 0, true},
    {"from_the_start", 0, 0, true},
    {"just_before", 0, 100, false},
    {"just_after", 150, 10, false},
    {"after_to_the_end", 150, 0, false},
    {"backwards_overlap", 160, -20, true},
    {"backwards_apart", 100, -100, false},
};

const char* type_name(int type) {
    return type == F_RDLCK ? "read" : "write";
}

void check_conflicts(const Owner& owner) {
    make_file("file", pattern(1000));
    for (const int held : {F_RDLCK, F_WRLCK}) {
        const Fd fd = open_file("file", O_RDWR);
        must(lock_range(fd, owner.set, held, 100, 50));
        for (const int wanted : {F_RDLCK, F_WRLCK}) {
            for (const Range& range : kRanges) {
                const std::string name = std::string(type_name(held)) + "_held_" +
                                         type_name(wanted) + "_wanted_" + range.name;
                const bool conflict = range.overlaps && (held == F_WRLCK || wanted == F_WRLCK);
                in_child([&] {
                    const Fd other = open_file("file", O_RDWR);
                    struct flock lock = range_of(wanted, range.start, range.length);
                    must(fcntl(other, owner.get, &lock));
                    expect_equal(name + "_told", lock.l_type, conflict ? held : F_UNLCK);
                    if (conflict) expect_equal(name + "_told_start", lock.l_start, 100);
                    if (conflict) expect_equal(name + "_told_length", lock.l_len, 50);
                    expect_result(name,
                                  lock_range(other, owner.set, wanted, range.start, range.length),
                                  conflict ? EAGAIN : 0);
                });
            }
        }
        must(lock_range(fd, owner.set, F_UNLCK, 0, 0));
    }
}

void check_pieces() {
    make_file("file", pattern(1000));
    const Fd fd = open_file("file", O_RDWR);
    const auto set = [&](int type, off_t start, off_t length) {
        must(lock_range(fd, F_SETLK, type, start, length));
    };
    set(F_WRLCK, 0, 100);
    set(F_UNLCK, 40, 20);
    expect_text("split_first", holder_of(0, 0), "write 0+40");
    expect_text("split_hole", holder_of(40, 20), "none");
    expect_text("split_second", holder_of(50, 0), "write 60+40");
    set(F_WRLCK, 40, 20);
    expect_text("merged", holder_of(0, 0), "write 0+100");
    set(F_WRLCK, 100, 50);
    expect_text("merged_with_neighbour", holder_of(0, 0), "write 0+150");
    set(F_RDLCK, 50, 50);
    expect_text("downgraded_before", holder_of(0, 50), "write 0+50");
    expect_text("downgraded_middle", holder_of(50, 50), "read 50+50");
    expect_text("downgraded_after", holder_of(100, 0), "write 100+50");
    set(F_UNLCK, 0, 0);
    expect_text("all_gone", holder_of(0, 0), "none");
    set(F_UNLCK, 0, 0);
    set(F_RDLCK, 10, 0);
    expect_text("to_the_end", holder_of(5000, 10), "read 10+0");
    set(F_UNLCK, 500, 0);
    expect_text("end_cut", holder_of(0, 0), "read 10+490");
    set(F_WRLCK, 0, 0);
    expect_text("upgraded", holder_of(0, 0), "write 0+0");
    set(F_UNLCK, 0, 0);
    must(lock_range(fd, F_SETLK, F_WRLCK, -100, 50, SEEK_END));
    expect_text("from_the_end", holder_of(0, 0), "write 900+50");
    set(F_UNLCK, 0, 0);
    must(lseek(fd, 300, SEEK_SET));
    must(lock_range(fd, F_SETLK, F_WRLCK, 10, 5, SEEK_CUR));
    expect_text("from_the_offset", holder_of(0, 0), "write 310+5");
    set(F_UNLCK, 0, 0);
    must(lock_range(fd, F_SETLK, F_WRLCK, 100, -30));
    expect_text("backwards", holder_of(0, 0), "write 70+30");
    set(F_UNLCK, 0, 0);
    set(F_WRLCK, (off_t{1} << 62), 100);
    expect_text("far_out", holder_of(0, 0), "write 4611686018427387904+100");
    for (off_t index = 0; index < 300; ++index) set(F_RDLCK, index * 3, 1);
    expect_text("many_pieces", holder_of(897, 1), "read 897+1");
    expect_text("many_gaps", holder_of(898, 1), "none");
}

void check_range_rules() {
    make_file("file", pattern(1000));
    make_directory("directory");
    const Fd reader = open_file("file", O_RDONLY);
    const Fd writer = open_file("file", O_WRONLY);
    const Fd both = open_file("file", O_RDWR);
    const Fd directory = open_file("directory", O_RDONLY);
    for (const Owner& owner : {kProcess, kOpenFile}) {
        const std::string name = owner.name;
        const auto set = [&](int fd, int type, off_t start, off_t length, int whence = SEEK_SET) {
            return lock_range(fd, owner.set, type, start, length, whence);
        };
        expect_error(name + "_write_lock_on_reader", set(reader, F_WRLCK, 0, 1), EBADF);
        expect_error(name + "_read_lock_on_writer", set(writer, F_RDLCK, 0, 1), EBADF);
        expect_ok(name + "_read_lock_on_reader", set(reader, F_RDLCK, 500, 1));
        expect_ok(name + "_write_lock_on_writer", set(writer, F_WRLCK, 600, 1));
        expect_error(name + "_unknown_type", set(both, 77, 0, 1), EINVAL);
        expect_error(name + "_unknown_whence", set(both, F_RDLCK, 0, 1, 77), EINVAL);
        expect_error(name + "_before_start", set(both, F_RDLCK, -1, 1), EINVAL);
        expect_error(name + "_backwards_before_start", set(both, F_RDLCK, 10, -11), EINVAL);
        expect_error(name + "_overflow", set(both, F_RDLCK, INT64_MAX, 2), EOVERFLOW);
        expect_ok(name + "_last_byte", set(both, F_RDLCK, INT64_MAX, 1));
        expect_ok(name + "_directory", set(directory, F_RDLCK, 0, 1));
        expect_error(name + "_closed", set(-1, F_RDLCK, 0, 1), EBADF);
        expect_error(name + "_bad_address",
                     fcntl(both, owner.set, reinterpret_cast<struct flock*>(-4096L)), EFAULT);
        must(set(reader, F_UNLCK, 0, 0));
        must(set(writer, F_UNLCK, 0, 0));
        must(set(both, F_UNLCK, 0, 0));
    }
    struct flock lock = range_of(F_WRLCK, 0, 1);
    lock.l_pid = 1;
    expect_error("open_file_lock_with_pid", fcntl(both, F_OFD_SETLK, &lock), EINVAL);
    must(lock_range(both, F_SETLK, F_WRLCK, 0, 10));
    const pid_t holder = getpid();
    in_child([&] {
        struct flock asked = range_of(F_RDLCK, 5, 1);
        must(fcntl(open_file("file", O_RDWR), F_GETLK, &asked));
        expect_equal("holder_pid", asked.l_pid, holder);
    });
    struct flock own = range_of(F_WRLCK, 0, 10);
    must(fcntl(both, F_GETLK, &own));
    expect_equal("own_lock_is_no_obstacle", own.l_type, F_UNLCK);
}

void check_release() {
    make_file("file", pattern(100));
    const auto free_again = [](const char* name) {
        expect_text(name, holder_of(0, 0), "none");
    };
    {
        const Fd fd = open_file("file", O_RDWR);
        must(lock_range(fd, F_SETLK, F_WRLCK, 0, 10));
        expect_text("held", holder_of(0, 0), "write 0+10");
    }
    free_again("by_close");
    const Fd fd = open_file("file", O_RDWR);
    must(lock_range(fd, F_SETLK, F_WRLCK, 0, 10));
    open_file("file", O_RDONLY).reset();
    free_again("by_close_of_any_descriptor");
    must(lock_range(fd, F_SETLK, F_WRLCK, 0, 10));
    Fd(dup(fd)).reset();
    free_again("by_close_of_a_duplicate");
    in_child([&] { must(lock_range(fd, F_SETLK, F_WRLCK, 0, 10)); });
    free_again("by_exit");
    must(lock_range(fd, F_SETLK, F_WRLCK, 0, 10));
    in_child([&] {
        expect_error("not_inherited_by_fork", lock_range(fd, F_SETLK, F_WRLCK, 0, 10), EAGAIN);
        must(lock_range(fd, F_SETLK, F_UNLCK, 0, 0));
    });
    expect_text("not_released_by_child", holder_of(0, 0), "write 0+10");
    must(lock_range(fd, F_SETLK, F_UNLCK, 0, 0));
    free_again("by_unlock");
    Fd open_lock = open_file("file", O_RDWR);
    must(lock_range(open_lock, F_OFD_SETLK, F_WRLCK, 0, 10));
    expect_error("open_file_against_own_process", lock_range(fd, F_SETLK, F_WRLCK, 0, 10), EAGAIN);
    expect_error("open_file_against_second_open", lock_range(fd, F_OFD_SETLK, F_RDLCK, 5, 1),
                 EAGAIN);
    struct flock asked = range_of(F_WRLCK, 0, 10);
    must(fcntl(fd, F_GETLK, &asked));
    expect_equal("open_file_has_no_pid", asked.l_pid, -1);
    open_file("file", O_RDONLY).reset();
    expect_text("open_file_survives_other_close", holder_of(0, 0), "write 0+10");
    Fd copy(must(dup(open_lock)));
    expect_ok("open_file_shared_by_duplicate", lock_range(copy, F_OFD_SETLK, F_WRLCK, 0, 20));
    open_lock.reset();
    expect_text("open_file_held_by_duplicate", holder_of(0, 0), "write 0+20");
    in_child([&] {
        expect_ok("open_file_inherited_by_fork", lock_range(copy, F_OFD_SETLK, F_WRLCK, 0, 5));
    });
    expect_text("open_file_survives_exit_of_child", holder_of(0, 0), "write 0+20");
    copy.reset();
    free_again("open_file_by_last_close");
}

// Waits are seen through memory that both processes share.
struct Shared {
    volatile int released;
    volatile int seen;
};

Shared& shared_memory() {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(memory == MAP_FAILED ? -1 : 0);
    return *new (memory) Shared{};
}

void check_waiting(const std::string& name, const std::function<void(int)>& lock,
                   const std::function<void(int)>& unlock) {
    Shared& shared = shared_memory();
    const Fd fd = open_file("file", O_RDWR);
    lock(fd);
    const int child = start_child([&] {
        const Fd other = open_file("file", O_RDWR);
        lock(other);
        shared.seen = shared.released + 1;
    });
    for (int turn = 0; turn < 200; ++turn) getppid();
    expect_equal(name + "_waits", shared.seen, 0);
    shared.released = 1;
    unlock(fd);
    finish_child(child);
    expect_equal(name + "_is_let_in_after", shared.seen, 2);
}

void check_waits() {
    make_file("file", pattern(100));
    for (const Owner& owner : {kProcess, kOpenFile}) {
        check_waiting(
            owner.name, [&](int fd) { must(lock_range(fd, owner.set_and_wait, F_WRLCK, 0, 10)); },
            [&](int fd) { must(lock_range(fd, owner.set, F_UNLCK, 0, 0)); });
    }
    check_waiting(
        "flock", [](int fd) { must(flock(fd, LOCK_EX)); },
        [](int fd) { must(flock(fd, LOCK_UN)); });
    check_waiting(
        "process_close", [](int fd) { must(lock_range(fd, F_SETLKW, F_WRLCK, 0, 10)); },
        [](int) { open_file("file", O_RDONLY).reset(); });
}

// The timer goes on ringing, so a ring before the wait has begun does no harm.
void ring_until_interrupted() {
    struct sigaction action{};
    action.sa_handler = [](int) {
    };
    must(sigaction(SIGALRM, &action, nullptr));
    const itimerval every{{0, 20000}, {0, 20000}};
    must(setitimer(ITIMER_REAL, &every, nullptr));
}

void check_interruption() {
    make_file("file", pattern(100));
    const Fd fd = open_file("file", O_RDWR);
    for (const Owner& owner : {kProcess, kOpenFile}) {
        must(lock_range(fd, owner.set, F_WRLCK, 0, 10));
        in_child([&] {
            const Fd other = open_file("file", O_RDWR);
            ring_until_interrupted();
            expect_error(owner.name, lock_range(other, owner.set_and_wait, F_WRLCK, 0, 10), EINTR);
        });
        must(lock_range(fd, owner.set, F_UNLCK, 0, 0));
    }
    must(flock(fd, LOCK_EX));
    in_child([&] {
        const Fd other = open_file("file", O_RDWR);
        ring_until_interrupted();
        expect_error("flock", flock(other, LOCK_EX), EINTR);
    });
}

// Two processes hold one range each and ask for the other's: one of them must be refused.
void check_deadlock() {
    make_file("file", pattern(100));
    Shared& shared = shared_memory();
    int child_holds[2];
    must(pipe(child_holds));
    const Fd fd = open_file("file", O_RDWR);
    must(lock_range(fd, F_SETLK, F_WRLCK, 0, 10));
    const int child = start_child([&] {
        const Fd other = open_file("file", O_RDWR);
        must(lock_range(other, F_SETLK, F_WRLCK, 50, 10));
        must(write(child_holds[1], "x", 1));
        const long result = lock_range(other, F_SETLKW, F_WRLCK, 0, 10);
        shared.seen = result == 0 ? 1 : errno;
    });
    char byte = 0;
    must(read(child_holds[0], &byte, 1));
    const long result = lock_range(fd, F_SETLKW, F_WRLCK, 50, 10);
    const int own = result == 0 ? 1 : errno;
    must(lock_range(fd, F_SETLK, F_UNLCK, 0, 0));
    finish_child(child);
    const int both = shared.seen;
    expect_true("one_is_refused", own == EDEADLK || both == EDEADLK);
    expect_true("other_is_granted", own == 1 || both == 1);
}

void check_flock() {
    make_file("file");
    make_directory("directory");
    for (const char* path : {"file", "directory"}) {
        for (const int held : {LOCK_SH, LOCK_EX}) {
            for (const int wanted : {LOCK_SH, LOCK_EX}) {
                const std::string name = std::string(path) +
                                         (held == LOCK_SH ? "_shared" : "_own") +
                                         (wanted == LOCK_SH ? "_then_shared" : "_then_own");
                const int error = held == LOCK_SH && wanted == LOCK_SH ? 0 : EWOULDBLOCK;
                const Fd fd = open_file(path, O_RDONLY);
                must(flock(fd, held));
                const auto try_other = [&] {
                    return flock(open_file(path, O_RDONLY), wanted | LOCK_NB);
                };
                expect_result(name + "_same_process", try_other(), error);
                in_child([&] { expect_result(name + "_other_process", try_other(), error); });
                must(flock(fd, LOCK_UN));
                expect_ok(name + "_after_unlock", try_other());
            }
        }
    }
    Fd fd = open_file("file", O_RDWR);
    const auto other_gets = [] {
        return flock(open_file("file", O_RDONLY), LOCK_EX | LOCK_NB);
    };
    must(flock(fd, LOCK_EX));
    expect_ok("again", flock(fd, LOCK_EX | LOCK_NB));
    Fd copy(must(dup(fd)));
    expect_ok("by_duplicate", flock(copy, LOCK_EX | LOCK_NB));
    fd.reset();
    expect_error("kept_by_duplicate", other_gets(), EWOULDBLOCK);
    in_child([&] { must(flock(copy, LOCK_UN)); });
    expect_ok("released_by_child_for_all", other_gets());
    must(flock(copy, LOCK_EX));
    expect_ok("downgrade", flock(copy, LOCK_SH | LOCK_NB));
    const Fd second = open_file("file", O_RDONLY);
    expect_ok("shared_with_downgraded", flock(second, LOCK_SH | LOCK_NB));
    expect_error("upgrade_with_other_reader", flock(copy, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    must(flock(second, LOCK_UN));
    expect_ok("upgrade_alone", flock(copy, LOCK_EX | LOCK_NB));
    expect_ok("apart_from_byte_ranges",
              lock_range(open_file("file", O_RDWR), F_SETLK, F_WRLCK, 0, 0));
    copy.reset();
    expect_ok("released_by_close", other_gets());
    in_child([] { must(flock(open_file("file", O_RDONLY), LOCK_EX)); });
    expect_ok("released_by_exit", other_gets());
    expect_error("nothing_asked", flock(second, LOCK_NB), EINVAL);
    expect_error("closed", flock(-1, LOCK_SH), EBADF);
    expect_ok("unlock_without_lock", flock(second, LOCK_UN));
    must(flock(second, LOCK_EX));
    must(unlink("file"));
    expect_ok("unlinked_keeps_lock", flock(second, LOCK_SH | LOCK_NB));
    make_file("file");
    expect_ok("new_file_is_free", other_gets());
}

void check_byte_ranges() {
    scenario("process", [] { check_conflicts(kProcess); });
    scenario("open_file", [] { check_conflicts(kOpenFile); });
    scenario("piece", check_pieces);
    scenario("rule", check_range_rules);
    scenario("release", check_release);
    scenario("deadlock", check_deadlock);
}

}  // namespace

void add_locks(Sections& sections) {
    sections.push_back({"byte_range_lock", check_byte_ranges});
    sections.push_back({"flock", check_flock});
    sections.push_back({"lock_wait", check_waits});
    sections.push_back({"lock_interruption", check_interruption});
}

}  // namespace posix_suite
