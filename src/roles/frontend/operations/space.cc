#include "roles/frontend/mount_internal.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace weft::frontend {
namespace {

// FALLOC_FL_* of <linux/falloc.h>.
constexpr std::uint32_t kKeepSize = 0x01;
constexpr std::uint32_t kPunchHole = 0x02;
constexpr std::uint32_t kZeroRange = 0x10;

// SEEK_DATA and SEEK_HOLE; the kernel handles the others itself.
constexpr std::uint32_t kSeekData = 3;
constexpr std::uint32_t kSeekHole = 4;

}  // namespace

Task<Done> Mount::flush_inode(InodeId inode) {
    FilePtr file = files_.find(inode);
    if (file == nullptr || !file->ahead()) co_return Done{};
    co_return co_await write_behind_.flush(file);
}

Task<Done> Mount::on(Exchange* x, Fallocate op) {
    if ((op.mode & ~(kKeepSize | kPunchHole | kZeroRange)) != 0) {
        co_return Error{Code::not_supported, "frontend.fallocate"};
    }
    FallocateFlags flags;
    flags.keep_size = (op.mode & kKeepSize) != 0;
    flags.punch_hole = (op.mode & kPunchHole) != 0;
    flags.zero_range = (op.mode & kZeroRange) != 0;
    (void)co_await flush_inode(x->inode());

    Caller caller = writer(*x);
    FileId id = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::uint64_t offset = op.offset;
    std::uint64_t length = op.length;
    auto call = [=] {
        return service->fallocate(caller, id, offset, length, flags);
    };
    Node node = co_await or_return(co_await ask<Node>(x, call));
    (void)co_await or_return(co_await settle(x, std::move(node)));
    FilePtr file = files_.find(x->inode());
    if (file != nullptr && !flags.keep_size && !flags.punch_hole) {
        file->size = std::max(file->size, offset + length);
    }
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, Seek op) {
    if (op.whence != kSeekData && op.whence != kSeekHole) {
        co_return Error{Code::invalid, "frontend.seek"};
    }
    (void)co_await flush_inode(x->inode());
    Caller caller = reader(*x);
    FileId id = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::uint64_t offset = op.offset;
    bool data = op.whence == kSeekData;
    auto call = [=] {
        return service->seek(caller, id, offset, data);
    };
    fuse_lseek_out out{};
    out.offset = co_await or_return(co_await ask<std::uint64_t>(x, call));
    x->put(out);
    co_return Done{};
}

// The kernel takes a copy for no access. Only attributes go, which takes no lock of its: so it
// can be told at once.
void Mount::forget_access_time(InodeId inode) {
    FilePtr file = files_.find(inode);
    if (file == nullptr) return;
    const InodeRecord& known = file->attributes;
    bool due = known.atime <= known.mtime || known.atime <= known.ctime;
    if (file->attributes_valid && !due) return;
    file->attributes_valid = false;
    std::string message = invalidate_inode_message(inode, -1, 0);
    std::array<ConstBytes, 1> parts = {bytes_of(message)};
    (void)channel_.send(parts);
}

Task<Done> Mount::on(Exchange* x, CopyRange op) {
    if (op.in.flags != 0) co_return Error{Code::invalid, "frontend.copy_range"};
    InodeId target{op.in.nodeid_out};
    (void)co_await flush_inode(x->inode());
    (void)co_await flush_inode(target);

    Caller caller = writer(*x);
    FileId from = compute_.file(x->inode());
    FileId to = compute_.file(target);
    ComputeService* service = compute_.service();
    std::uint64_t from_offset = op.in.off_in;
    std::uint64_t to_offset = op.in.off_out;
    // The short reply cannot say more than 4 GiB; the kernel asks for the rest again.
    std::uint64_t most = op.wide_reply ? INT64_MAX : UINT32_MAX & ~(kBlockBytes - 1);
    std::uint64_t length = std::min(op.in.len, most);
    auto call = [=] {
        return service->copy_range(caller, from, from_offset, to, to_offset, length);
    };
    std::uint64_t copied = co_await or_return(co_await ask<std::uint64_t>(x, call));

    forget_access_time(x->inode());
    FilePtr file = files_.find(target);
    if (file != nullptr) {
        file->attributes_valid = false;
        file->size = std::max(file->size, to_offset + copied);
    }
    if (op.wide_reply) {
        CopyFileRangeOut out;
        out.bytes_copied = copied;
        x->put(out);
    } else {
        fuse_write_out out{};
        out.size = static_cast<std::uint32_t>(copied);
        x->put(out);
    }
    co_return Done{};
}

}  // namespace weft::frontend
