#pragma once

#include <cstdint>
#include <type_traits>

#include <linux/fuse.h>

// What newer kernels speak than the <linux/fuse.h> (7.38) that we build with: numbers and
// layouts of the documented protocol. docs/protocols/fuse.md says what is used for what.
namespace weft::frontend {

inline constexpr std::uint32_t kMajorVersion = 7;
inline constexpr std::uint32_t kLeastMinorVersion = 31;  // Linux 5.4; older layouts differ.
inline constexpr std::uint32_t kMostMinorVersion = 45;   // Linux 6.18; newer ones step down.
inline constexpr std::uint32_t kIncEpochMinorVersion = 44;

inline constexpr std::uint32_t kOpcodeStatx = 52;            // 7.39
inline constexpr std::uint32_t kOpcodeCopyFileRange64 = 53;  // 7.45
inline constexpr std::int32_t kNotifyIncEpoch = 8;           // 7.44

inline constexpr std::uint64_t kInitDirectIoAllowMmap = 1ULL << 36;  // 7.39

struct StatxIn {
    std::uint32_t getattr_flags = 0;
    std::uint32_t reserved = 0;
    std::uint64_t fh = 0;
    std::uint32_t flags = 0;
    std::uint32_t mask = 0;
};
static_assert(sizeof(StatxIn) == 24);

struct StatxTime {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    std::int32_t reserved = 0;
};

struct StatxOut {
    std::uint64_t attr_valid = 0;
    std::uint32_t attr_valid_nsec = 0;
    std::uint32_t flags = 0;
    std::uint64_t spare[2] = {};
    std::uint32_t mask = 0;
    std::uint32_t blksize = 0;
    std::uint64_t attributes = 0;
    std::uint32_t nlink = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint16_t mode = 0;
    std::uint16_t spare0 = 0;
    std::uint64_t ino = 0;
    std::uint64_t size = 0;
    std::uint64_t blocks = 0;
    std::uint64_t attributes_mask = 0;
    StatxTime atime;
    StatxTime btime;
    StatxTime ctime;
    StatxTime mtime;
    std::uint32_t rdev_major = 0;
    std::uint32_t rdev_minor = 0;
    std::uint32_t dev_major = 0;
    std::uint32_t dev_minor = 0;
    std::uint64_t spare2[14] = {};
};
static_assert(sizeof(StatxOut) == 288);
static_assert(std::has_unique_object_representations_v<StatxOut>);

struct CopyFileRangeOut {
    std::uint64_t bytes_copied = 0;
};

}  // namespace weft::frontend
