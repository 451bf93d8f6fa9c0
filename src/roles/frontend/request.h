#pragma once

#include "model/ids/ids.h"
#include "platform/base/result.h"
#include "platform/base/types.h"
#include "roles/frontend/fuse_wire.h"

#include <cstdint>
#include <string_view>
#include <variant>

// Requests of the kernel, decoded. Everything that parses its bytes is here, pure, and fuzzed
// (fuzz/fuse_request.cc): a malformed one gives an Error, never more.
namespace weft::frontend {

// Names and data are views into the request's bytes.
struct Init {
    fuse_init_in in;
};
struct Destroy {};
struct Forget {};  // Also BATCH_FORGET. Never answered; mount.cc counts what it gives back.
struct Interrupt {
    std::uint64_t unique;
};
struct Lookup {
    std::string_view name;
};
struct GetAttributes {};
struct GetStatx {};
struct SetAttributes {
    fuse_setattr_in in;
};
struct ReadLink {};
struct MakeSymlink {
    std::string_view name;
    std::string_view target;
};
struct MakeNode {  // MKNOD and MKDIR: the type is in `mode`.
    std::uint32_t mode;
    std::uint32_t umask;
    std::uint32_t rdev;
    std::string_view name;
};
struct Unlink {
    std::string_view name;
};
struct RemoveDirectory {
    std::string_view name;
};
struct Rename {
    InodeId to;
    std::uint32_t flags;  // RENAME_*
    std::string_view from_name;
    std::string_view to_name;
};
struct Link {
    InodeId inode;
    std::string_view name;
};
struct Open {
    std::uint32_t flags;  // O_*
    bool clear_setid;
};
struct Create {  // CREATE and TMPFILE.
    std::uint32_t flags;
    std::uint32_t mode;
    std::uint32_t umask;
    bool clear_setid;
    bool unnamed;
    std::string_view name;  // Empty if unnamed.
};
struct Read {
    std::uint64_t handle;
    std::uint64_t offset;
    std::uint32_t size;  // At most kFusePayloadMost.
};
struct Write {
    std::uint64_t handle;
    std::uint64_t offset;  // offset + data.size() <= INT64_MAX.
    std::uint32_t flags;   // O_* of the open file.
    bool clear_setid;
    bool from_page_cache;  // Written back from a mapping: O_APPEND means nothing.
    ConstBytes data;
};
struct Flush {
    std::uint64_t handle;
    std::uint64_t lock_owner;
};
struct Release {
    std::uint64_t handle;
    std::uint64_t lock_owner;
    bool unlock_flock;
};
struct Fsync {
    std::uint64_t handle;
};
struct OpenDirectory {};
struct ReadDirectory {
    std::uint64_t offset;
    std::uint32_t size;  // At most kFusePayloadMost.
    bool plus;
};
struct ReleaseDirectory {
    std::uint64_t handle;
};
struct SyncDirectory {};
struct StatFilesystem {};
struct SyncFilesystem {};
struct StoreXattr {
    std::string_view name;
    std::string_view value;
    std::uint32_t flags;  // XATTR_*
    bool clear_setgid;    // With an ACL, by somebody who may not keep it.
};
struct GetXattr {
    std::string_view name;
    std::uint32_t size;  // 0: only the value's size is wanted.
};
struct ListXattr {
    std::uint32_t size;
};
struct RemoveXattr {
    std::string_view name;
};
struct GetLock {
    fuse_lk_in in;
};
struct SetLock {
    fuse_lk_in in;
    bool wait;
};
struct Access {};
struct Fallocate {
    std::uint64_t handle;
    std::uint64_t offset;
    std::uint64_t length;
    std::uint32_t mode;  // FALLOC_FL_*
};
struct Seek {
    std::uint64_t handle;
    std::uint64_t offset;
    std::uint32_t whence;
};
struct CopyRange {
    fuse_copy_file_range_in in;
    bool wide_reply;
};
struct NotATerminal {};  // IOCTL
struct Unknown {};       // Any opcode that we do not offer.

using Operation =
    std::variant<Unknown, Init, Destroy, Forget, Interrupt, Lookup, GetAttributes, GetStatx,
                 SetAttributes, ReadLink, MakeSymlink, MakeNode, Unlink, RemoveDirectory, Rename,
                 Link, Open, Create, Read, Write, Flush, Release, Fsync, OpenDirectory,
                 ReadDirectory, ReleaseDirectory, SyncDirectory, StatFilesystem, SyncFilesystem,
                 StoreXattr, GetXattr, ListXattr, RemoveXattr, GetLock, SetLock, Access, Fallocate,
                 Seek, CopyRange, NotATerminal>;

// The header alone. Errors: invalid (shorter than a header, or its length is another).
Result<fuse_in_header> decode_header(ConstBytes message);

// The whole request. `long_setxattr`: FUSE_SETXATTR_EXT is agreed. Errors: invalid (short,
// impossible sizes or offsets, bad names), name_too_long.
Result<Operation> decode_operation(const fuse_in_header& header, ConstBytes message,
                                   bool long_setxattr);

}  // namespace weft::frontend
