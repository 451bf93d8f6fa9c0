#include "platform/memory/buffer.h"
#include "platform/uring/errors_internal.h"
#include "platform/uring/file_disk_internal.h"

#include <algorithm>
#include <fstream>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace weft {
namespace {

// Linux 6.17; the headers of older systems lack it.
constexpr int kWriteZeroes = 0x80;

constexpr std::uint64_t kZeroBytesAtOnce = 1 * kMiB;

// The whole write cache of the device, as the kernel sees it: "write through" is either none,
// or one that outlives loss of power.
bool is_power_safe(dev_t device) {
    std::string folder =
        "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
    // A partition's queue is its parent's.
    for (const char* queue : {"/queue/write_cache", "/../queue/write_cache"}) {
        std::string line;
        if (std::getline(std::ifstream(folder + queue), line)) return line == "write through";
    }
    return false;
}

struct Opened {
    Descriptor file;
    bool direct = true;
};

// O_DIRECT comes second: with it, open(2) fails on filesystems without it, and O_CREAT has
// made the file by then.
Result<Opened> open_direct(const std::string& path, int flags) {
    Opened opened;
    opened.file = Descriptor(::open(path.c_str(), flags | O_RDWR | O_CLOEXEC, 0600));
    if (!opened.file) return Error{code_of(errno), "disk.open"};
    int now = ::fcntl(opened.file.get(), F_GETFL);
    opened.direct = now >= 0 && ::fcntl(opened.file.get(), F_SETFL, now | O_DIRECT) == 0;
    return opened;
}

// Another opening of the same file, whatever lies at its path by now. Empty where there is no
// /proc: all goes past the page cache then.
Descriptor open_cached(int fd) {
    std::string path = "/proc/self/fd/" + std::to_string(fd);
    return Descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
}

Result<std::uint64_t> device_bytes(int fd) {
    int sector = 0;
    std::uint64_t bytes = 0;
    if (::ioctl(fd, BLKSSZGET, &sector) < 0 || ::ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
        return Error{code_of(errno), "disk.size"};
    }
    if (static_cast<std::uint64_t>(sector) > kBlockBytes) {
        return Error{Code::not_supported, "disk.sector_size"};
    }
    return bytes;
}

std::string parent_folder(const std::string& path) {
    std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Task<Done> allocate(MachineBase* machine, int fd, std::uint64_t size, int mode) {
    FileWait operation(*machine, FileOperation::Kind::allocate, fd);
    operation.length = size;
    operation.allocate_mode = mode;
    int result = co_await operation;
    if (result < 0) co_return Error{code_of(-result), "disk.allocate"};
    co_return Done{};
}

Task<Done> write_zeros(MachineBase* machine, int fd, std::uint64_t size) {
    Buffer zeros(kZeroBytesAtOnce);
    std::fill(zeros.bytes().begin(), zeros.bytes().end(), std::byte{0});
    for (std::uint64_t at = 0; at < size; at += zeros.size()) {
        Bytes part = zeros.bytes().first(std::min<std::uint64_t>(zeros.size(), size - at));
        co_await or_return(
            co_await transfer(machine, FileOperation::Kind::write, fd, at, part, "disk.zero"));
    }
    co_return Done{};
}

// Gives the new file its space; `path` is for its folder only.
Task<Done> fill(MachineBase* machine, int fd, std::string path, std::uint64_t size,
                Preallocation preallocation) {
    Result<Done> by_device = Error{Code::not_supported, "disk.allocate"};
    if (preallocation == Preallocation::written) {
        by_device = co_await allocate(machine, fd, size, kWriteZeroes);
    }
    if (!by_device.ok()) {
        co_await or_return(co_await allocate(machine, fd, size, 0));
        if (preallocation == Preallocation::written) {
            co_await or_return(co_await write_zeros(machine, fd, size));
        }
    }
    co_await or_return(co_await sync(machine, FileOperation::Kind::sync_all, fd, "disk.create"));
    Descriptor folder(::open(parent_folder(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) co_return Error{code_of(errno), "disk.create"};
    co_return co_await sync(machine, FileOperation::Kind::sync_all, folder.get(), "disk.create");
}

}  // namespace

Result<OpenedDisk> MachineBase::open_disk(std::string path) {
    struct stat about;
    if (::stat(path.c_str(), &about) < 0) return Error{code_of(errno), "disk.open"};
    bool device = S_ISBLK(about.st_mode);
    if (!device && !S_ISREG(about.st_mode)) return Error{Code::not_supported, "disk.open"};
    // On a block device O_EXCL refuses one that is mounted or part of another.
    Result<Opened> opened = open_direct(path, device ? O_EXCL : 0);
    if (!opened.ok()) return opened.error();
    auto [file, direct] = std::move(opened).value();
    // What lies at the path may have changed since: only what is open counts.
    if (::fstat(file.get(), &about) < 0) return Error{code_of(errno), "disk.open"};
    if (S_ISBLK(about.st_mode) != device) return Error{Code::not_supported, "disk.open"};
    if (::flock(file.get(), LOCK_EX | LOCK_NB) < 0) return Error{code_of(errno), "disk.lock"};
    auto size = static_cast<std::uint64_t>(about.st_size);
    if (device) {
        Result<std::uint64_t> bytes = device_bytes(file.get());
        if (!bytes.ok()) return bytes.error();
        size = bytes.value();
    }
    OpenedDisk disk;
    if (!direct) {
        disk.warning = path +
                       ": its filesystem does not offer O_DIRECT, so its data passes "
                       "through the page cache";
    } else if (!device && static_cast<std::uint64_t>(about.st_blocks) * 512 < size) {
        disk.warning = path + ": the file has holes, so its filesystem may run out of space";
    }
    Descriptor cached = device || !direct ? Descriptor() : open_cached(file.get());
    disk.disk = std::make_unique<FileDisk>(*this, std::move(file), std::move(cached),
                                           round_down(size, kBlockBytes),
                                           device && is_power_safe(about.st_rdev));
    return disk;
}

Task<Done> MachineBase::create_disk_file(std::string path, std::uint64_t size_bytes,
                                         Preallocation preallocation) {
    if (size_bytes == 0 || size_bytes % kBlockBytes != 0 || size_bytes > INT64_MAX) {
        co_return Error{Code::invalid, "disk.create"};
    }
    Opened opened = co_await or_return(open_direct(path, O_CREAT | O_EXCL));
    Result<Done> filled = co_await fill(this, opened.file.get(), path, size_bytes, preallocation);
    if (!filled.ok()) ::unlink(path.c_str());
    co_return filled;
}

}  // namespace weft
