// read and write in all their forms, truncate, copy_file_range, appenders side by side.
#include "sections.h"
#include "world.h"

#include <algorithm>

#include <sys/sendfile.h>
#include <sys/uio.h>

namespace posix_suite {
namespace {

const std::vector<off_t>& offsets() {
    static const std::vector<off_t> values = {0, 1, 4095, 4096, 65535, 131072, 1048575, 4194301};
    return values;
}

const std::vector<size_t>& lengths() {
    static const std::vector<size_t> values = {1, 511, 4096, 4097, 65536, 131073, 1048577};
    return values;
}

void check_write_ranges() {
    for (const off_t offset : offsets()) {
        for (const size_t length : lengths()) {
            const std::string name = std::to_string(length) + "_at_" + std::to_string(offset);
            const std::string bytes = pattern(length, static_cast<unsigned>(offset));
            make_file(name);
            const Fd fd = open_file(name, O_RDWR);
            expect_equal(name + "_written", pwrite(fd, bytes.data(), length, offset),
                         static_cast<long long>(length));
            const off_t end = offset + static_cast<off_t>(length);
            expect_equal(name + "_size", stat_of(name).st_size, end);
            const std::string whole = content_of(name);
            const std::string want = std::string(static_cast<size_t>(offset), '\0') + bytes;
            expect_true(name + "_content", whole == want);
            must(unlink(name.c_str()));
        }
    }
}

// Overwrites inside a file leave what lies around them.
void check_overwrite_ranges() {
    const std::string base = pattern(300000);
    for (const size_t offset : {0U, 1U, 4095U, 4096U, 100000U, 299999U, 299000U}) {
        for (const size_t length : {1U, 100U, 4096U, 8193U, 131072U}) {
            const std::string name = std::to_string(length) + "_at_" + std::to_string(offset);
            make_file("file", base);
            const std::string bytes = pattern(length, 77);
            const Fd fd = open_file("file", O_RDWR);
            write_at(fd, bytes, static_cast<off_t>(offset));
            std::string want = base;
            want.resize(std::max(base.size(), offset + length));
            want.replace(offset, length, bytes);
            expect_true(name, content_of("file") == want);
            must(unlink("file"));
        }
    }
}

void check_truncate_pairs() {
    const std::vector<size_t> sizes = {0, 1, 4095, 4096, 4097, 65536, 1048576, 1048577};
    for (const size_t from : sizes) {
        for (const size_t to : sizes) {
            const std::string name = std::to_string(from) + "_to_" + std::to_string(to);
            const std::string base = pattern(from);
            make_file("file", base);
            must(truncate("file", static_cast<off_t>(to)));
            expect_equal(name + "_size", stat_of("file").st_size, static_cast<long long>(to));
            std::string want = base;
            want.resize(to, '\0');
            expect_true(name + "_content", content_of("file") == want);
            // What was cut off must not come back.
            must(truncate("file", static_cast<off_t>(from + 5000)));
            want.resize(from + 5000, '\0');
            expect_true(name + "_and_longer", content_of("file") == want);
            must(unlink("file"));
        }
    }
}

void check_truncate_rules() {
    make_file("file", "abcdef");
    make_directory("directory");
    make_kind("fifo", Kind::fifo);
    must(symlink("file", "link"));
    expect_error("negative", truncate("file", -1), EINVAL);
    expect_error("directory", truncate("directory", 0), EISDIR);
    expect_error("fifo", truncate("fifo", 0), EINVAL);
    expect_equal("kept_by_bad_calls", stat_of("file").st_size, 6);
    expect_ok("through_link", truncate("link", 3));
    expect_text("through_link_content", content_of("file"), "abc");
    const Fd fd = open_file("file", O_RDWR);
    expect_error("descriptor_negative", ftruncate(fd, -1), EINVAL);
    must(lseek(fd, 3, SEEK_SET));
    must(ftruncate(fd, 1));
    expect_equal("offset_kept", lseek(fd, 0, SEEK_CUR), 3);
    must(write(fd, "x", 1));
    expect_text("gap_is_zero", content_of("file"), std::string("a\0\0x", 4));
}

void check_truncate() {
    scenario("pair", check_truncate_pairs);
    scenario("rule", check_truncate_rules);
}

void check_reads() {
    make_file("file", pattern(10000));
    const Fd fd = open_file("file", O_RDONLY);
    std::string bytes(20000, '\0');
    for (const auto& [offset, count, want] : {std::tuple{0, 10000, 10000},
                                              {0, 20000, 10000},
                                              {9999, 10, 1},
                                              {10000, 10, 0},
                                              {10001, 10, 0},
                                              {1000000, 1, 0},
                                              {5000, 5000, 5000},
                                              {5000, 5001, 5000},
                                              {0, 0, 0},
                                              {4096, 4096, 4096},
                                              {8192, 4096, 1808}}) {
        const std::string name = std::to_string(count) + "_at_" + std::to_string(offset);
        const ssize_t got = pread(fd, bytes.data(), static_cast<size_t>(count), offset);
        expect_equal(name, got, want);
        const size_t at = std::min<size_t>(static_cast<size_t>(offset), 10000);
        expect_true(name + "_content", bytes.substr(0, static_cast<size_t>(want)) ==
                                           pattern(10000).substr(at, static_cast<size_t>(want)));
    }
    expect_error("negative_offset", pread(fd, bytes.data(), 1, -1), EINVAL);
    expect_error("bad_address", pread(fd, reinterpret_cast<void*>(-4096L), 10, 0), EFAULT);
    const Fd writer = open_file("file", O_WRONLY);
    expect_error("write_negative_offset", pwrite(writer, "x", 1, -1), EINVAL);
    expect_error("write_bad_address", pwrite(writer, reinterpret_cast<void*>(-4096L), 10, 0),
                 EFAULT);
    expect_equal("kept_by_bad_calls", stat_of("file").st_size, 10000);
    expect_equal("write_nothing", pwrite(writer, "x", 0, 50000), 0);
    expect_equal("write_nothing_keeps_size", stat_of("file").st_size, 10000);
}

void check_vectors() {
    make_file("file");
    const Fd fd = open_file("file", O_RDWR);
    for (const int count : {1, 2, 3, 7, 64, 1024}) {
        const std::string name = "buffers_" + std::to_string(count);
        std::string bytes = pattern(static_cast<size_t>(count) * 13, 5);
        std::string back(bytes.size(), '\0');
        std::vector<iovec> out;
        std::vector<iovec> in;
        for (size_t index = 0; index < static_cast<size_t>(count); ++index) {
            out.push_back({bytes.data() + index * 13, 13});
            in.push_back({back.data() + index * 13, 13});
        }
        must(ftruncate(fd, 0));
        const auto want = static_cast<long long>(bytes.size());
        expect_equal(name + "_pwritev", pwritev(fd, out.data(), count, 4090), want);
        expect_equal(name + "_preadv", preadv(fd, in.data(), count, 4090), want);
        expect_true(name + "_content", back == bytes);
        must(lseek(fd, 0, SEEK_SET));
        expect_equal(name + "_writev", writev(fd, out.data(), count), want);
        must(lseek(fd, 0, SEEK_SET));
        back.assign(back.size(), '\0');
        expect_equal(name + "_readv", readv(fd, in.data(), count), want);
        expect_true(name + "_stream_content", back == bytes);
    }
    char one[4] = {'a', 'b', 'c', 'd'};
    const iovec two[3] = {{one, 2}, {nullptr, 0}, {one + 2, 2}};
    must(ftruncate(fd, 0));
    expect_equal("empty_buffer_between", pwritev(fd, two, 3, 0), 4);
    expect_text("empty_buffer_content", content_of("file"), "abcd");
    expect_equal("no_buffers", pwritev(fd, two, 0, 0), 0);
    volatile int negative = -1;  // Or the compiler refuses it before the kernel can.
    expect_error("negative_count", pwritev(fd, two, negative, 0), EINVAL);
    const std::vector<iovec> many(1025, iovec{one, 1});
    expect_error("too_many", pwritev(fd, many.data(), 1025, 0), EINVAL);
    const iovec endless[2] = {{one, 1}, {one, SIZE_MAX}};
    expect_error("lengths_overflow", pwritev(fd, endless, 2, 0), EINVAL);
    const iovec half_bad[2] = {{one, 4}, {reinterpret_cast<void*>(-4096L), 4}};
    expect_true("bad_second_buffer", preadv(fd, half_bad, 2, 0) <= 4);
    expect_equal("at_end", preadv(fd, two, 3, 4), 0);
    expect_equal("append_flag", pwritev2(fd, two, 3, 0, RWF_APPEND), 4);
    expect_text("append_flag_content", content_of("file"), "abcdabcd");
    expect_equal("sync_flag", pwritev2(fd, two, 3, 0, RWF_DSYNC), 4);
    expect_error("unknown_flag", pwritev2(fd, two, 3, 0, 1 << 30), EOPNOTSUPP);
}

// Several processes append records; each record must be there once and whole.
void check_appenders() {
    constexpr int kWriters = 4;
    constexpr int kRecords = 200;
    for (const size_t size : {13U, 100U, 4096U, 5000U}) {
        const std::string name = "records_of_" + std::to_string(size);
        make_file(name);
        std::vector<int> children;
        for (int writer = 0; writer < kWriters; ++writer) {
            children.push_back(start_child([&] {
                const Fd fd = open_file(name, O_WRONLY | O_APPEND);
                const std::string record(size, static_cast<char>('a' + writer));
                for (int round = 0; round < kRecords; ++round) {
                    must(write(fd, record.data(), size));
                }
            }));
        }
        for (const int child : children) finish_child(child);
        const std::string bytes = content_of(name);
        expect_equal(name + "_size", static_cast<long long>(bytes.size()),
                     static_cast<long long>(size) * kWriters * kRecords);
        long long whole = 0;
        for (size_t at = 0; at + size <= bytes.size(); at += size) {
            whole += bytes.substr(at, size) == std::string(size, bytes[at]);
        }
        expect_equal(name + "_whole", whole, kWriters * kRecords);
        for (int writer = 0; writer < kWriters; ++writer) {
            const auto letter = static_cast<char>('a' + writer);
            expect_equal(name + "_by_" + letter, std::count(bytes.begin(), bytes.end(), letter),
                         static_cast<long long>(size) * kRecords);
        }
    }
}

void check_copy_ranges() {
    const std::string source = pattern(300000);
    make_file("source", source);
    const Fd from = open_file("source", O_RDONLY);
    for (const size_t in : {0U, 1U, 4096U, 299999U, 300000U, 300001U}) {
        for (const size_t out : {0U, 5U, 4096U, 100000U}) {
            for (const size_t length : {0U, 1U, 4096U, 70000U, 400000U}) {
                const std::string name = std::to_string(length) + "_from_" + std::to_string(in) +
                                         "_to_" + std::to_string(out);
                make_file("target", "0123456789");
                const Fd to = open_file("target", O_RDWR);
                auto in_at = static_cast<off_t>(in);
                auto out_at = static_cast<off_t>(out);
                const size_t there = in < source.size() ? source.size() - in : 0;
                const size_t want = std::min(length, there);
                size_t copied = 0;
                while (copied < want) {
                    const long got =
                        must(copy_file_range(from, &in_at, to, &out_at, length - copied, 0));
                    if (got == 0) break;
                    copied += static_cast<size_t>(got);
                }
                std::string content = "0123456789";
                if (want > 0) content.resize(std::max(content.size(), out + want), '\0');
                if (want > 0) content.replace(out, want, source, in, want);
                expect_true(name, copied == want && content_of("target") == content);
                must(unlink("target"));
            }
        }
    }
}

void check_copy_rules() {
    make_file("file", "0123456789");
    make_file("target");
    const Fd fd = open_file("file", O_RDWR);
    const Fd to = open_file("target", O_RDWR);
    off_t zero = 0;
    off_t five = 5;
    expect_error("overlap", copy_file_range(fd, &zero, fd, &five, 6, 0), EINVAL);
    expect_error("onto_itself", copy_file_range(fd, &zero, fd, &zero, 1, 0), EINVAL);
    expect_equal("same_file_apart", copy_file_range(fd, &zero, fd, &five, 5, 0), 5);
    expect_text("same_file_content", content_of("file"), "0123401234");
    expect_equal("offsets_moved", zero * 100 + five, 510);
    expect_error("unknown_flag", copy_file_range(fd, &zero, to, nullptr, 1, 1), EINVAL);
    off_t negative = -1;
    expect_error("negative_source", copy_file_range(fd, &negative, to, nullptr, 1, 0), EOVERFLOW);
    expect_error("negative_target", copy_file_range(fd, &zero, to, &negative, 1, 0), EOVERFLOW);
    must(lseek(fd, 2, SEEK_SET));
    expect_equal("from_the_offset", copy_file_range(fd, nullptr, to, nullptr, 3, 0), 3);
    expect_equal("source_offset_moved", lseek(fd, 0, SEEK_CUR), 5);
    expect_equal("target_offset_moved", lseek(to, 0, SEEK_CUR), 3);
    expect_text("content", content_of("target"), "234");
    const Fd append = open_file("target", O_WRONLY | O_APPEND);
    expect_error("to_append_only", copy_file_range(fd, nullptr, append, nullptr, 1, 0), EBADF);
    expect_equal("at_the_end",
                 (must(lseek(fd, 0, SEEK_END)), copy_file_range(fd, nullptr, to, nullptr, 10, 0)),
                 0);
    off_t start = 0;
    must(ftruncate(to, 0));
    expect_equal("sendfile", sendfile(to, fd, &start, 10), 10);
    expect_equal("sendfile_moved", start, 10);
}

void check_copy() {
    scenario("range", check_copy_ranges);
    scenario("rule", check_copy_rules);
}

// A long random history against a string that is the file: reads must always agree.
void check_history() {
    for (unsigned seed = 1; seed <= 12; ++seed) {
        const std::string name = "seed_" + std::to_string(seed);
        make_file(name);
        const Fd fd = open_file(name, O_RDWR);
        std::string model;
        unsigned state = seed * 2654435761U;
        const auto next = [&](unsigned bound) {
            state = state * 1664525U + 1013904223U;
            return static_cast<size_t>((state >> 8) % bound);
        };
        bool agrees = true;
        for (int step = 0; step < 120; ++step) {
            const size_t at = next(400000);
            const size_t length = next(step % 10 == 0 ? 150000 : 9000) + 1;
            const size_t what = next(4);
            if (what == 0) {
                must(ftruncate(fd, static_cast<off_t>(at)));
                model.resize(at, '\0');
            } else if (what == 1) {
                const std::string got = read_at(fd, length, static_cast<off_t>(at));
                agrees = agrees && got == (at < model.size() ? model.substr(at, length) : "");
            } else {
                const std::string bytes = pattern(length, static_cast<unsigned>(step));
                write_at(fd, bytes, static_cast<off_t>(at));
                model.resize(std::max(model.size(), at + length), '\0');
                model.replace(at, length, bytes);
            }
        }
        expect_true(name + "_reads", agrees);
        expect_true(name + "_end", content_of(name) == model);
    }
}

}  // namespace

void add_data(Sections& sections) {
    sections.push_back({"write", check_write_ranges});
    sections.push_back({"overwrite", check_overwrite_ranges});
    sections.push_back({"truncate", check_truncate});
    sections.push_back({"read", check_reads});
    sections.push_back({"vector", check_vectors});
    sections.push_back({"append", check_appenders});
    sections.push_back({"copy_file_range", check_copy});
    sections.push_back({"history", check_history});
}

}  // namespace posix_suite
