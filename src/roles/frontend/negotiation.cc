#include "roles/frontend/negotiation.h"

#include "platform/base/types.h"
#include "platform/fuse/fuse_channel.h"

#include <algorithm>

namespace weft::frontend {
namespace {

constexpr std::uint16_t kMaxBackground = 512;
constexpr std::uint16_t kCongestionThreshold = 384;
constexpr std::uint32_t kPageBytes = 4096;

// Never FUSE_WRITEBACK_CACHE: the kernel would own size and mtime of files that other
// clients change. Never FUSE_AUTO_INVAL_DATA: pages are dropped on recalls, not on times.
constexpr std::uint64_t kWanted =
    FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
    FUSE_ATOMIC_O_TRUNC | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_EXPLICIT_INVAL_DATA |
    FUSE_HANDLE_KILLPRIV_V2 | FUSE_POSIX_ACL | FUSE_SETXATTR_EXT | FUSE_DONT_MASK |
    FUSE_CACHE_SYMLINKS | FUSE_EXPORT_SUPPORT | FUSE_ABORT_ERROR | FUSE_INIT_EXT |
    kInitDirectIoAllowMmap;
constexpr std::uint64_t kSharedLocks = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;

}  // namespace

Result<Agreement> negotiate(const fuse_init_in& in, bool shared_locks) {
    if (in.major < kMajorVersion) return Error{Code::not_supported, "fuse.init"};
    Agreement agreement;
    agreement.reply.major = kMajorVersion;
    if (in.major > kMajorVersion) {
        // It asks again with a version of ours.
        agreement.reply.minor = kMostMinorVersion;
        return agreement;
    }
    if (in.minor < kLeastMinorVersion) return Error{Code::not_supported, "fuse.init"};

    std::uint64_t offered = in.flags;
    if ((in.flags & FUSE_INIT_EXT) != 0) offered |= std::uint64_t{in.flags2} << 32;
    std::uint64_t taken = offered & (kWanted | (shared_locks ? kSharedLocks : 0));

    agreement.minor = std::min(in.minor, kMostMinorVersion);
    agreement.increase_epoch = agreement.minor >= kIncEpochMinorVersion;
    agreement.long_setxattr = (taken & FUSE_SETXATTR_EXT) != 0;
    agreement.kernel_locks = (taken & FUSE_POSIX_LOCKS) == 0;

    fuse_init_out& out = agreement.reply;
    out.minor = agreement.minor;
    out.max_readahead = UINT32_MAX / 2;  // The device's own limit is the one that counts.
    out.flags = static_cast<std::uint32_t>(taken);
    out.flags2 = static_cast<std::uint32_t>(taken >> 32);
    out.max_background = kMaxBackground;
    out.congestion_threshold = kCongestionThreshold;
    out.max_write = kFusePayloadMost;
    out.max_pages = kFusePayloadMost / kPageBytes;
    out.time_gran = 1;
    return agreement;
}

}  // namespace weft::frontend
