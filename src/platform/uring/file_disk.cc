#include "platform/memory/buffer.h"
#include "platform/uring/errors_internal.h"
#include "platform/uring/file_disk_internal.h"

#include <algorithm>

#include <unistd.h>

namespace weft {
namespace {

// Times in a row that the kernel may put an operation off for want of memory or workers.
constexpr int kAttemptsMax = 100;

bool put_off(int result) {
    return result == -EAGAIN || result == -EINTR || result == -ENOMEM;
}

Bytes writable(ConstBytes bytes) {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

// Beyond the end, as a device would.
Task<Done> refuse(std::string_view what) {
    co_return Error{Code::io_failed, what};
}

}  // namespace

Task<Done> transfer(MachineBase* machine, FileOperation::Kind kind, int fd, std::uint64_t offset,
                    Bytes bytes, std::string_view what) {
    int attempts = 0;
    while (!bytes.empty()) {
        FileWait operation(*machine, kind, fd);
        operation.data = bytes.data();
        operation.length = std::min(bytes.size(), FileOperation::kLengthMax);
        operation.offset = offset;
        int result = co_await operation;
        if (put_off(result) && ++attempts < kAttemptsMax) {
            co_await yield(*machine);
            continue;
        }
        if (result < 0) co_return Error{disk_code_of(-result), what};
        if (result == 0) co_return Error{Code::io_failed, what};  // The file was cut short.
        attempts = 0;
        auto moved = static_cast<std::size_t>(result);
        CHECK(moved <= operation.length);
        offset += moved;
        bytes = bytes.subspan(moved);
    }
    co_return Done{};
}

Task<Done> sync(MachineBase* machine, FileOperation::Kind kind, int fd, std::string_view what) {
    FileWait operation(*machine, kind, fd);
    int result = co_await operation;
    // Never again after a failure: the kernel may have dropped what it could not write.
    if (result < 0) co_return Error{disk_code_of(-result), what};
    co_return Done{};
}

bool FileDisk::holds(std::uint64_t offset, std::uint64_t length) const {
    return length <= size_bytes_ && offset <= size_bytes_ - length;
}

bool FileDisk::goes_to_cache(std::uint64_t length) {
    if (!cached_ || length > kCachedWriteMost) return false;
    return !flush_pattern_.expects_flush_after_write(machine_.now());
}

std::size_t FileDisk::write_in_place(std::uint64_t offset, ConstBytes from) {
    Nanos began = machine_.now();
    if (!in_place_.allowed(began)) return 0;
    ssize_t written = ::pwrite(cached_.get(), from.data(), from.size(), static_cast<off_t>(offset));
    in_place_.took(began, machine_.now());
    // An error will come again, to who handles it.
    return written < 0 ? 0 : static_cast<std::size_t>(written);
}

Task<Done> FileDisk::read(std::uint64_t offset, Bytes into) {
    CHECK(offset % kBlockBytes == 0 && into.size() % kBlockBytes == 0);
    CHECK(block_aligned(into.data()));
    if (!holds(offset, into.size())) return refuse("disk.read");
    return transfer(&machine_, FileOperation::Kind::read, file_.get(), offset, into, "disk.read");
}

Task<Done> FileDisk::write(std::uint64_t offset, ConstBytes from) {
    CHECK(offset % kBlockBytes == 0 && from.size() % kBlockBytes == 0);
    CHECK(block_aligned(from.data()));
    if (!holds(offset, from.size())) return refuse("disk.write");
    bool cache = goes_to_cache(from.size());
    std::size_t written = cache ? write_in_place(offset, from) : 0;
    return transfer(&machine_, FileOperation::Kind::write, cache ? cached_.get() : file_.get(),
                    offset + written, writable(from.subspan(written)), "disk.write");
}

Task<Done> FileDisk::flush() {
    flush_pattern_.flushed(machine_.now());
    return sync(&machine_, FileOperation::Kind::sync_data, file_.get(), "disk.flush");
}

}  // namespace weft
