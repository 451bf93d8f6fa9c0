#include "engines/namespace/attributes.h"

#include "platform/base/check.h"

namespace weft::posix {
namespace {

constexpr std::int64_t kDayNs = std::int64_t{24} * 3600 * kSecond;

std::int64_t time_of(std::int64_t asked, std::int64_t now_ns) {
    return asked == kTimeNow ? now_ns : asked;
}

}  // namespace

bool known_type(std::uint32_t mode) {
    switch (mode & kTypeMask) {
        case kSocket:
        case kSymlink:
        case kRegular:
        case kBlockDevice:
        case kDirectory:
        case kCharacterDevice:
        case kFifo:
            return true;
        default:
            return false;
    }
}

InodeRecord make_node(const InodeRecord& directory, InodeId directory_inode, const NewNode& what,
                      std::uint32_t permissions, std::int64_t now_ns) {
    CHECK(known_type(what.mode));
    InodeRecord made;
    made.mode = (what.mode & kTypeMask) | (permissions & kPermissionMask);
    made.uid = what.uid;
    made.gid = what.gid;
    made.nlink = 1;
    made.atime_ns = made.mtime_ns = made.ctime_ns = made.btime_ns = now_ns;
    made.generation = 1;
    made.version = 1;
    std::uint32_t type = what.mode & kTypeMask;
    if (type == kBlockDevice || type == kCharacterDevice) made.rdev = what.rdev;
    if (type == kSymlink) {
        made.symlink = what.symlink;
        made.size = what.symlink.size();
    }
    if (type == kDirectory) {
        made.nlink = 2;
        made.parent = directory_inode;
    }
    if ((directory.mode & kSetgid) != 0) {
        made.gid = directory.gid;
        if (type == kDirectory) made.mode |= kSetgid;
    }
    return made;
}

InodeRecord make_root(std::int64_t now_ns) {
    NewNode what;
    what.mode = kDirectory;
    return make_node({}, kRootInode, what, 0755, now_ns);
}

void note_content_change(InodeRecord& inode, std::int64_t now_ns) {
    inode.mtime_ns = inode.ctime_ns = now_ns;
    ++inode.version;
}

void note_attribute_change(InodeRecord& inode, std::int64_t now_ns) {
    inode.ctime_ns = now_ns;
    ++inode.version;
}

void note_entry_change(InodeRecord& directory, int entries, int subdirectories,
                       std::int64_t now_ns) {
    CHECK(is_directory(directory));
    CHECK(entries >= 0 || directory.size >= static_cast<std::uint64_t>(-entries));
    CHECK(subdirectories >= 0 || directory.nlink >= 2U + static_cast<unsigned>(-subdirectories));
    directory.size += static_cast<std::uint64_t>(std::int64_t{entries});
    directory.nlink += static_cast<std::uint32_t>(subdirectories);
    note_content_change(directory, now_ns);
}

bool clear_setid(InodeRecord& inode) {
    std::uint32_t cleared = inode.mode & ~kSetuid;
    if ((inode.mode & kGroupExecute) != 0) cleared &= ~kSetgid;
    bool had = cleared != inode.mode;
    inode.mode = cleared;
    return had;
}

bool atime_is_due(const InodeRecord& inode, std::int64_t now_ns) {
    return inode.atime_ns <= inode.mtime_ns || inode.atime_ns <= inode.ctime_ns ||
           now_ns - inode.atime_ns >= kDayNs;
}

Result<Done> check_change(const InodeRecord& inode, const AttributeChange& change) {
    if (!change.size.has_value()) return Done{};
    if (is_directory(inode)) return Error{Code::is_a_directory, "attributes.size"};
    if (!is_regular(inode)) return Error{Code::invalid, "attributes.size"};
    if (*change.size > kFileBytesMost) return Error{Code::file_too_large, "attributes.size"};
    return Done{};
}

void apply_change(InodeRecord& inode, const AttributeChange& change, std::int64_t now_ns) {
    CHECK(check_change(inode, change).ok());
    bool owner_changes = change.uid.has_value() || change.gid.has_value();
    // As chown(2) does to files, whoever calls; explicit bits of the same call win.
    bool drops_setid = change.clear_setid || (owner_changes && !is_directory(inode));
    if (drops_setid) (void)clear_setid(inode);
    if (change.mode.has_value()) {
        inode.mode = (inode.mode & kTypeMask) | (*change.mode & kPermissionMask);
    }
    inode.uid = change.uid.value_or(inode.uid);
    inode.gid = change.gid.value_or(inode.gid);
    note_attribute_change(inode, now_ns);
    if (change.size.has_value()) {
        inode.size = *change.size;
        inode.mtime_ns = now_ns;
    }
    if (change.atime_ns.has_value()) inode.atime_ns = time_of(*change.atime_ns, now_ns);
    if (change.mtime_ns.has_value()) inode.mtime_ns = time_of(*change.mtime_ns, now_ns);
    if (change.ctime_ns.has_value()) inode.ctime_ns = time_of(*change.ctime_ns, now_ns);
}

Result<std::uint64_t> range_end(std::uint64_t offset, std::uint64_t length) {
    if (offset > kFileBytesMost || length > kFileBytesMost - offset) {
        return Error{Code::file_too_large, "attributes.range"};
    }
    return offset + length;
}

}  // namespace weft::posix
