// Shared and private maps: one content with read and write, SIGBUS beyond the end.
#include "sections.h"
#include "world.h"

#include <cstring>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

namespace posix_suite {
namespace {

constexpr size_t kPageBytes = 4096;

class Map {
public:
    Map(int fd, size_t bytes, int protection, int flags = MAP_SHARED, off_t offset = 0)
        : bytes_(bytes), memory_(mmap(nullptr, bytes, protection, flags, fd, offset)) {
        must(memory_ == MAP_FAILED ? -1 : 0);
    }
    Map(const Map&) = delete;
    Map& operator=(const Map&) = delete;
    ~Map() { munmap(memory_, bytes_); }

    char* at(size_t offset) { return static_cast<char*>(memory_) + offset; }
    std::string text(size_t offset, size_t count) { return {at(offset), count}; }

private:
    size_t bytes_;
    void* memory_;
};

constexpr int kBoth = PROT_READ | PROT_WRITE;

void check_coherence() {
    for (const size_t size : {kPageBytes, 4 * kPageBytes, 256 * kPageBytes}) {
        for (const size_t at : {size_t{0}, kPageBytes - 2, size - 5}) {
            if (at + 5 > size) continue;
            const std::string name = std::to_string(size) + "_at_" + std::to_string(at);
            make_file("file", std::string(size, '.'));
            const Fd fd = open_file("file", O_RDWR);
            Map map(fd, size, kBoth);
            expect_text(name + "_first", map.text(at, 5), ".....");
            write_at(fd, "wrote", static_cast<off_t>(at));
            expect_text(name + "_write_shows", map.text(at, 5), "wrote");
            memcpy(map.at(at), "store", 5);
            expect_text(name + "_store_shows", read_at(fd, 5, static_cast<off_t>(at)), "store");
            expect_text(name + "_other_open",
                        read_at(open_file("file", O_RDONLY), 5, static_cast<off_t>(at)), "store");
            in_child([&] { memcpy(map.at(at), "child", 5); });
            expect_text(name + "_child_store_shows", map.text(at, 5), "child");
            Map second(open_file("file", O_RDONLY), size, PROT_READ);
            expect_text(name + "_second_map", second.text(at, 5), "child");
            must(unlink("file"));
        }
    }
}

void check_persistence() {
    for (const auto& [name, flag] : {std::pair{"sync", MS_SYNC},
                                     {"async", MS_ASYNC},
                                     {"invalidate", MS_SYNC | MS_INVALIDATE}}) {
        make_file("file", std::string(3 * kPageBytes, '.'));
        {
            const Fd fd = open_file("file", O_RDWR);
            Map map(fd, 3 * kPageBytes, kBoth);
            memcpy(map.at(kPageBytes + 10), name, strlen(name));
            expect_ok(std::string("msync_") + name, msync(map.at(0), 3 * kPageBytes, flag));
        }
        const std::string content = content_of("file");
        expect_text(std::string("kept_") + name, content.substr(kPageBytes + 10, strlen(name)),
                    name);
        expect_equal(std::string("size_") + name, static_cast<long long>(content.size()),
                     3 * kPageBytes);
        must(unlink("file"));
    }
    make_file("file", "abc");
    Fd fd = open_file("file", O_RDWR);
    Map map(fd, kPageBytes, kBoth);
    fd.reset();
    memcpy(map.at(0), "xyz", 3);
    expect_text("map_outlives_descriptor", content_of("file"), "xyz");
    memcpy(map.at(3), "beyond", 6);
    must(msync(map.at(0), kPageBytes, MS_SYNC));
    expect_equal("store_beyond_end_keeps_size", stat_of("file").st_size, 3);
    must(truncate("file", 20));
    expect_true("store_beyond_end_is_not_data",
                content_of("file").substr(9) == std::string(11, '\0'));
    must(unlink("file"));
    memcpy(map.at(0), "end", 3);
    expect_text("map_outlives_name", map.text(0, 3), "end");
}

void check_private() {
    make_file("file", std::string(kPageBytes, '.'));
    const Fd fd = open_file("file", O_RDONLY);
    Map map(fd, kPageBytes, kBoth, MAP_PRIVATE);
    memcpy(map.at(0), "mine", 4);
    expect_text("store_shows_here", map.text(0, 4), "mine");
    expect_text("store_stays_here", read_at(fd, 4, 0), "....");
    must(msync(map.at(0), kPageBytes, MS_SYNC));
    expect_text("sync_stores_nothing", content_of("file").substr(0, 4), "....");
}

bool dies_of_bus_error(const std::function<void()>& touch) {
    const int child = fork();
    if (child == 0) {
        signal(SIGBUS, SIG_DFL);
        touch();
        _exit(0);
    }
    int status = 0;
    must(waitpid(child, &status, 0));
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
}

void check_ends() {
    make_file("file", pattern(kPageBytes + 100));
    const Fd fd = open_file("file", O_RDWR);
    Map map(fd, 4 * kPageBytes, kBoth);
    volatile char sink = 0;
    const auto reads = [&](size_t at) {
        return [&, at] {
            sink = *map.at(at);
        };
    };
    const auto writes = [&](size_t at) {
        return [&, at] {
            *map.at(at) = 'x';
        };
    };
    expect_true("last_byte", !dies_of_bus_error(reads(kPageBytes + 99)));
    expect_true("rest_of_last_page", !dies_of_bus_error(reads(2 * kPageBytes - 1)));
    expect_true("rest_of_last_page_is_zero",
                map.text(kPageBytes + 100, 100) == std::string(100, '\0'));
    expect_true("read_of_next_page", dies_of_bus_error(reads(2 * kPageBytes)));
    expect_true("write_of_next_page", dies_of_bus_error(writes(2 * kPageBytes)));
    expect_true("read_of_last_mapped_page", dies_of_bus_error(reads(4 * kPageBytes - 1)));
    must(ftruncate(fd, 3 * kPageBytes));
    expect_true("grown_can_be_read", !dies_of_bus_error(reads(2 * kPageBytes)));
    expect_true("grown_is_zero", *map.at(2 * kPageBytes) == 0);
    expect_true("grown_can_be_written", !dies_of_bus_error(writes(2 * kPageBytes + 5)));
    expect_text("written_shows", read_at(fd, 1, 2 * kPageBytes + 5), "x");
    must(ftruncate(fd, 100));
    expect_true("cut_cannot_be_read", dies_of_bus_error(reads(kPageBytes)));
    expect_true("cut_keeps_first_page", !dies_of_bus_error(reads(0)));
    expect_true("cut_is_zero_after_end", map.text(100, 100) == std::string(100, '\0'));
    must(ftruncate(fd, 2 * kPageBytes));
    expect_true("grown_again_is_zero", map.text(kPageBytes, 50) == std::string(50, '\0'));
}

void check_holes() {
    make_file("file", pattern(3 * kPageBytes));
    const Fd fd = open_file("file", O_RDWR);
    Map second_page(fd, kPageBytes, kBoth, MAP_SHARED, kPageBytes);
    must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPageBytes, kPageBytes));
    expect_true("punched_shows", second_page.text(0, kPageBytes) == std::string(kPageBytes, '\0'));
    memcpy(second_page.at(0), "again", 5);
    expect_text("store_into_hole", read_at(fd, 5, kPageBytes), "again");
    must(fallocate(fd, FALLOC_FL_ZERO_RANGE, kPageBytes, 3));
    expect_text("zeroed_shows", second_page.text(0, 5), std::string("\0\0\0in", 5));
}

void check_rules() {
    make_file("file", pattern(3 * kPageBytes));
    const Fd fd = open_file("file", O_RDWR);
    const auto result = [&](size_t bytes, int flags, off_t offset) -> long {
        return mmap(nullptr, bytes, kBoth, flags, fd, offset) == MAP_FAILED ? -1 : 0;
    };
    expect_error("length_0", result(0, MAP_SHARED, 0), EINVAL);
    expect_error("odd_offset", result(kPageBytes, MAP_SHARED, 100), EINVAL);
    expect_error("no_kind", result(kPageBytes, 0, 0), EINVAL);
    expect_ok("beyond_the_end", result(kPageBytes, MAP_SHARED, 1 << 30));
    Map second_page(fd, kPageBytes, kBoth, MAP_SHARED, kPageBytes);
    expect_true("offset",
                second_page.text(0, 100) == pattern(3 * kPageBytes).substr(kPageBytes, 100));
    make_file("sparse");
    must(truncate("sparse", 1 << 20));
    const Fd sparse = open_file("sparse", O_RDWR);
    Map wide(sparse, 1 << 20, kBoth);
    for (size_t at = 0; at < (1 << 20); at += 64 * kPageBytes) *wide.at(at) = 's';
    must(msync(wide.at(0), 1 << 20, MS_SYNC));
    expect_true("sparse_stays_sparse", stat_of(sparse).st_blocks < (1 << 20) / 512);
    expect_text("sparse_content", read_at(sparse, 2, 64 * kPageBytes), std::string("s\0", 2));
    // A write whose bytes come from the map of the same file.
    make_file("self", std::string(2 * kPageBytes, 'a'));
    const Fd self = open_file("self", O_RDWR);
    Map own(self, 2 * kPageBytes, kBoth);
    *own.at(0) = 'b';
    expect_equal("write_from_own_map", pwrite(self, own.at(0), kPageBytes, kPageBytes), 4096);
    expect_text("write_from_own_map_content", own.text(kPageBytes, 2), "ba");
    expect_equal("read_into_own_map", pread(self, own.at(kPageBytes + 1), 10, 0), 10);
    expect_text("read_into_own_map_content", read_at(self, 3, kPageBytes), "bba");
}

// Many processes count in one page: shared memory is one memory.
void check_counting() {
    make_file("file", std::string(kPageBytes, '\0'));
    const Fd fd = open_file("file", O_RDWR);
    Map map(fd, kPageBytes, kBoth);
    std::vector<int> children;
    for (int child = 0; child < 4; ++child) {
        children.push_back(start_child([&] {
            Map own(open_file("file", O_RDWR), kPageBytes, kBoth);
            auto* counter = reinterpret_cast<int*>(own.at(64));
            for (int round = 0; round < 10000; ++round) {
                __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
            }
        }));
    }
    for (const int child : children) finish_child(child);
    int total = 0;
    memcpy(&total, map.at(64), sizeof total);
    expect_equal("sum", total, 40000);
}

void check_maps() {
    scenario("coherence", check_coherence);
    scenario("persistence", check_persistence);
    scenario("private", check_private);
    scenario("end", check_ends);
    scenario("hole", check_holes);
    scenario("rule", check_rules);
    scenario("counting", check_counting);
}

}  // namespace

void add_memory_maps(Sections& sections) {
    sections.push_back({"mmap", check_maps});
}

}  // namespace posix_suite
