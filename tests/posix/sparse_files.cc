// fallocate, holes, SEEK_DATA and SEEK_HOLE, offsets far out; all on blocks of 4 KiB.
#include "sections.h"
#include "world.h"

#include <algorithm>

#include <sys/mman.h>

namespace posix_suite {
namespace {

constexpr off_t kBlockBytes = 4096;
constexpr off_t kTiB = off_t{1} << 40;

struct AllocateMode {
    const char* name;
    int flags;
    bool zeroes;
    bool keeps_size;
};
constexpr AllocateMode kModes[] = {
    {"allocate", 0, false, false},
    {"keep_size", FALLOC_FL_KEEP_SIZE, false, true},
    {"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, true, true},
    {"zero", FALLOC_FL_ZERO_RANGE, true, false},
    {"zero_keep_size", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, true, true},
};

void check_allocate_range(const AllocateMode& mode, size_t offset, size_t length) {
    constexpr size_t kSize = 50000;
    const std::string base = pattern(kSize);
    const std::string name = std::to_string(length) + "_at_" + std::to_string(offset);
    make_file(name, base);
    const Fd fd = open_file(name, O_RDWR);
    must(fallocate(fd, mode.flags, static_cast<off_t>(offset), static_cast<off_t>(length)));
    std::string want = base;
    if (!mode.keeps_size) want.resize(std::max(kSize, offset + length), '\0');
    if (mode.zeroes && offset < want.size()) {
        const size_t count = std::min(length, want.size() - offset);
        want.replace(offset, count, count, '\0');
    }
    expect_equal(name + "_size", stat_of(fd).st_size, static_cast<long long>(want.size()));
    expect_true(name + "_content", content_of(name) == want);
    must(unlink(name.c_str()));
}

void check_allocate_ranges() {
    for (const AllocateMode& mode : kModes) {
        scenario(mode.name, [&] {
            for (const size_t offset : {0U, 1U, 4096U, 5000U, 49999U, 50000U, 60000U}) {
                for (const size_t length : {1U, 4095U, 4096U, 8192U, 30000U}) {
                    check_allocate_range(mode, offset, length);
                }
            }
        });
    }
}

void check_allocate_rules() {
    make_file("file", pattern(100));
    const Fd fd = open_file("file", O_RDWR);
    constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    for (const AllocateMode& mode : kModes) {
        const std::string name = mode.name;
        expect_error(name + "_length_0", fallocate(fd, mode.flags, 0, 0), EINVAL);
        expect_error(name + "_length_negative", fallocate(fd, mode.flags, 0, -1), EINVAL);
        expect_error(name + "_offset_negative", fallocate(fd, mode.flags, -1, 10), EINVAL);
        expect_error(name + "_overflow", fallocate(fd, mode.flags, INT64_MAX, 1), EFBIG);
    }
    expect_error("punch_alone", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
    expect_error("punch_and_zero", fallocate(fd, kPunch | FALLOC_FL_ZERO_RANGE, 0, 1), EOPNOTSUPP);
    expect_error("unknown_flag", fallocate(fd, 1 << 20, 0, 1), EOPNOTSUPP);
    must(ftruncate(fd, 0));
    must(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20));
    expect_true("keep_size_takes_blocks", stat_of(fd).st_blocks >= (1 << 20) / 512);
    must(ftruncate(fd, 0));
    expect_equal("truncate_gives_them_back", stat_of(fd).st_blocks, 0);
    write_at(fd, pattern(1 << 20), 0);
    must(fsync(fd));
    const auto full = stat_of(fd).st_blocks;
    must(fallocate(fd, kPunch, 0, 1 << 19));
    expect_true("punch_frees_blocks", stat_of(fd).st_blocks <= full - (1 << 19) / 512);
    must(fallocate(fd, kPunch, 0, 1 << 20));
    expect_equal("punch_all_frees_all", stat_of(fd).st_blocks, 0);
    expect_equal("punch_keeps_size", stat_of(fd).st_size, 1 << 20);
    expect_error("posix_fallocate_length_0",
                 (errno = posix_fallocate(fd, 0, 0), errno == 0 ? 0 : -1), EINVAL);
    expect_equal("posix_fallocate", posix_fallocate(fd, 0, 3 << 20), 0);
    expect_equal("posix_fallocate_size", stat_of(fd).st_size, 3 << 20);
}

void check_fallocate() {
    scenario("range", check_allocate_ranges);
    scenario("rule", check_allocate_rules);
}

// A layout is one letter a block: D for data, . for a hole.
off_t model_seek(const std::string& layout, off_t size, off_t from, char wanted) {
    for (off_t at = from; at < size;) {
        if (layout[static_cast<size_t>(at / kBlockBytes)] == wanted) return at;
        at = (at / kBlockBytes + 1) * kBlockBytes;
    }
    return wanted == '.' ? size : -1;
}

void check_seek_layouts() {
    for (const std::string& layout :
         {std::string("D"), std::string("."), std::string("D."), std::string(".D"),
          std::string("D.D"), std::string(".D.D."), std::string("DDDD"), std::string("D......D"),
          std::string("..DD..DD"), std::string("D.D.D.D.D")}) {
        std::string label = layout;
        std::replace(label.begin(), label.end(), '.', '_');
        make_file(label);
        const Fd fd = open_file(label, O_RDWR);
        const auto size = static_cast<off_t>(layout.size()) * kBlockBytes;
        must(ftruncate(fd, size));
        for (size_t block = 0; block < layout.size(); ++block) {
            const auto at = static_cast<off_t>(block) * kBlockBytes;
            if (layout[block] == 'D') write_at(fd, pattern(kBlockBytes), at);
        }
        for (off_t from = 0; from < size; from += from % kBlockBytes == 0 ? 1000 : 3096) {
            const std::string name = label + "_from_" + std::to_string(from);
            const off_t data = model_seek(layout, size, from, 'D');
            expect_equal(name + "_data", lseek(fd, from, SEEK_DATA), data);
            expect_equal(name + "_hole", lseek(fd, from, SEEK_HOLE),
                         model_seek(layout, size, from, '.'));
        }
        expect_error(label + "_data_at_end", lseek(fd, size, SEEK_DATA), ENXIO);
        expect_error(label + "_hole_at_end", lseek(fd, size, SEEK_HOLE), ENXIO);
    }
}

void check_seek_rules() {
    make_file("file", pattern(10000));
    const Fd fd = open_file("file", O_RDWR);
    expect_equal("tail_hole", lseek(fd, 9999, SEEK_HOLE), 10000);
    expect_equal("tail_data", lseek(fd, 9999, SEEK_DATA), 9999);
    expect_equal("offset_moves", lseek(fd, 0, SEEK_CUR), 9999);
    expect_error("beyond_end", lseek(fd, 20000, SEEK_DATA), ENXIO);
    expect_equal("offset_kept_by_failure", lseek(fd, 0, SEEK_CUR), 9999);
    expect_error("negative_data", lseek(fd, -1, SEEK_DATA), ENXIO);
    expect_error("negative_hole", lseek(fd, -1, SEEK_HOLE), ENXIO);
    must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
    expect_equal("punched_is_hole", lseek(fd, 0, SEEK_HOLE), 4096);
    expect_equal("after_punched_is_data", lseek(fd, 4096, SEEK_DATA), 8192);
    write_at(fd, "x", 5000);
    expect_equal("written_again_is_data", lseek(fd, 4096, SEEK_DATA), 4096);
    make_file("empty");
    const Fd empty = open_file("empty", O_RDONLY);
    expect_error("empty_data", lseek(empty, 0, SEEK_DATA), ENXIO);
    expect_error("empty_hole", lseek(empty, 0, SEEK_HOLE), ENXIO);
    must(truncate("file", 100));
    must(truncate("file", 100000));
    expect_equal("cut_and_extended_is_hole", lseek(fd, 4096, SEEK_HOLE), 4096);
    expect_error("cut_and_extended_has_no_data", lseek(fd, 4096, SEEK_DATA), ENXIO);
}

void check_seek() {
    scenario("layout", check_seek_layouts);
    scenario("rule", check_seek_rules);
}

void check_far_offset(const std::string& name, off_t offset) {
    make_file(name);
    const Fd fd = open_file(name, O_RDWR);
    const std::string bytes = pattern(5000, 3);
    expect_equal(name + "_write", pwrite(fd, bytes.data(), bytes.size(), offset), 5000);
    expect_equal(name + "_size", stat_of(fd).st_size, offset + 5000);
    expect_true(name + "_content", read_at(fd, 6000, offset) == bytes);
    expect_true(name + "_before_is_zero", read_at(fd, 100, offset - 100) == std::string(100, '\0'));
    expect_true(name + "_start_is_zero", read_at(fd, 100, 0) == std::string(100, '\0'));
    expect_true(name + "_takes_little", stat_of(fd).st_blocks <= 2048);
    expect_equal(name + "_data", lseek(fd, 0, SEEK_DATA), offset / kBlockBytes * kBlockBytes);
    expect_equal(name + "_seek_end", lseek(fd, 0, SEEK_END), offset + 5000);
    must(ftruncate(fd, offset + 100));
    expect_equal(name + "_cut", stat_of(fd).st_size, offset + 100);
    expect_true(name + "_cut_content", read_at(fd, 6000, offset) == bytes.substr(0, 100));
    must(ftruncate(fd, 10));
    expect_equal(name + "_cut_short", stat_of(fd).st_size, 10);
    must(unlink(name.c_str()));
}

void check_far_offsets() {
    for (const int bits : {24, 30, 31, 32, 33, 36, 40, 42, 43}) {
        check_far_offset("two_to_" + std::to_string(bits), off_t{1} << bits);
        check_far_offset("before_two_to_" + std::to_string(bits), (off_t{1} << bits) - 2500);
    }
    check_far_offset("near_16_tib", 16 * kTiB - 65536);
    make_file("sized");
    for (const off_t size : {kTiB, 8 * kTiB, 15 * kTiB, 16 * kTiB - kBlockBytes}) {
        expect_ok("truncate_to_" + std::to_string(size), truncate("sized", size));
        expect_equal("size_" + std::to_string(size), stat_of("sized").st_size, size);
    }
    expect_equal("no_blocks", stat_of("sized").st_blocks, 0);
    const Fd fd = open_file("sized", O_RDWR);
    expect_error("no_data", lseek(fd, 0, SEEK_DATA), ENXIO);
    expect_error("write_at_the_last_offset", pwrite(fd, "x", 1, INT64_MAX), EINVAL);
}

// One file with a block at each power of two: extents far apart keep out of each other's way.
void check_scattered_blocks() {
    make_file("file");
    const Fd fd = open_file("file", O_RDWR);
    for (int bits = 13; bits <= 43; bits += 2) {
        write_at(fd, pattern(100, static_cast<unsigned>(bits)), off_t{1} << bits);
    }
    for (int bits = 13; bits <= 43; bits += 2) {
        const off_t at = off_t{1} << bits;
        expect_true("content_" + std::to_string(bits),
                    read_at(fd, 100, at) == pattern(100, static_cast<unsigned>(bits)));
        expect_equal("data_" + std::to_string(bits),
                     lseek(fd, bits == 13 ? 0 : (at >> 2) + kBlockBytes, SEEK_DATA), at);
        expect_equal("hole_" + std::to_string(bits), lseek(fd, at, SEEK_HOLE),
                     std::min<off_t>(at + kBlockBytes, stat_of(fd).st_size));
    }
    must(ftruncate(fd, (off_t{1} << 31) + 1));
    expect_equal("cut_removes_later", lseek(fd, off_t{1} << 30, SEEK_DATA), off_t{1} << 31);
    expect_equal("cut_last_byte", static_cast<long long>(read_at(fd, 10, off_t{1} << 31).size()),
                 1);
}

void check_beyond_ext4_offsets() {
    for (const int bits : {44, 45, 48, 50, 52, 56, 60, 61, 62}) {
        check_far_offset("two_to_" + std::to_string(bits), off_t{1} << bits);
        check_far_offset("before_two_to_" + std::to_string(bits), (off_t{1} << bits) - 2500);
    }
    make_file("sized");
    for (const int bits : {44, 50, 60, 62}) {
        expect_ok("truncate_" + std::to_string(bits), truncate("sized", off_t{1} << bits));
        expect_equal("size_" + std::to_string(bits), stat_of("sized").st_size, off_t{1} << bits);
    }
    expect_equal("no_blocks", stat_of("sized").st_blocks, 0);
    const Fd fd = open_file("sized", O_RDWR);
    constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    expect_ok("punch_everything", fallocate(fd, kPunch, 0, off_t{1} << 62));
    void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, off_t{1} << 61);
    expect_true("map", memory != MAP_FAILED);
    if (memory == MAP_FAILED) return;
    static_cast<char*>(memory)[7] = 'm';
    must(msync(memory, 4096, MS_SYNC));
    expect_text("map_written", read_at(fd, 1, (off_t{1} << 61) + 7), "m");
    must(munmap(memory, 4096));
}

}  // namespace

void add_sparse_files(Sections& sections) {
    sections.push_back({"fallocate", check_fallocate});
    sections.push_back({"seek", check_seek});
    sections.push_back({"far_offset", check_far_offsets});
    sections.push_back({"scattered", check_scattered_blocks});
    sections.push_back({"beyond_ext4_offset", check_beyond_ext4_offsets, true});
}

}  // namespace posix_suite
