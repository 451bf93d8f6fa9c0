#pragma once

#include "model/layout/records.h"
#include "model/services/compute_service.h"
#include "platform/base/result.h"

#include <cstdint>
#include <optional>

namespace weft::posix {

// The bits of st_mode, as Linux has them on every machine.
inline constexpr std::uint32_t kTypeMask = 0170000;
inline constexpr std::uint32_t kSocket = 0140000;
inline constexpr std::uint32_t kSymlink = 0120000;
inline constexpr std::uint32_t kRegular = 0100000;
inline constexpr std::uint32_t kBlockDevice = 0060000;
inline constexpr std::uint32_t kDirectory = 0040000;
inline constexpr std::uint32_t kCharacterDevice = 0020000;
inline constexpr std::uint32_t kFifo = 0010000;
inline constexpr std::uint32_t kSetuid = 04000;
inline constexpr std::uint32_t kSetgid = 02000;
inline constexpr std::uint32_t kPermissionMask = 07777;
inline constexpr std::uint32_t kGroupExecute = 0010;

// As ext4 on most machines is far below: no program needs more, and nlink is 32 bits.
inline constexpr std::uint32_t kLinksMost = 0x7fffffff;
// Offsets stay positive in every program's signed type, and below what an index key holds.
inline constexpr std::uint64_t kFileBytesMost = (std::uint64_t{1} << 62);

inline bool is_directory(const InodeRecord& inode) {
    return (inode.mode & kTypeMask) == kDirectory;
}
inline bool is_regular(const InodeRecord& inode) {
    return (inode.mode & kTypeMask) == kRegular;
}
bool known_type(std::uint32_t mode);

// The inode of a new node. `permissions` are final: umask and default ACL are done with.
// A setgid directory gives its group, and to a directory its setgid bit.
InodeRecord make_node(const InodeRecord& directory, InodeId directory_inode, const NewNode& what,
                      std::uint32_t permissions, Timestamp now);
InodeRecord make_root(Timestamp now);

// Content changed: mtime and ctime. Attributes changed: ctime. Both make a new version.
void note_content_change(InodeRecord& inode, Timestamp now);
void note_attribute_change(InodeRecord& inode, Timestamp now);
// An entry came (+1), went (-1) or was replaced (0); `subdirectories` is how many of the
// directory's children that are directories came.
void note_entry_change(InodeRecord& directory, int entries, int subdirectories, Timestamp now);

// What a write by somebody without privilege does: no setuid, and no setgid if the group may
// execute (else the bit means mandatory locking of old, and stays). True if it had any.
bool clear_setid(InodeRecord& inode);

// The rule of relatime: atime is worth writing if it is not newer than mtime or ctime, or is a
// day old.
bool atime_is_due(const InodeRecord& inode, Timestamp now);

// invalid, is_a_directory, file_too_large: whether the change can be made to this inode.
Result<Done> check_change(const InodeRecord& inode, const AttributeChange& change);
// Everything of `change` but the blocks that a smaller size frees. check_change() said yes.
void apply_change(InodeRecord& inode, const AttributeChange& change, Timestamp now);

// The end of a range of file bytes; file_too_large beyond kFileBytesMost.
Result<std::uint64_t> range_end(std::uint64_t offset, std::uint64_t length);

}  // namespace weft::posix
