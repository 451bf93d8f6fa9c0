#include "engines/namespace/attributes.h"

#include "platform/base/check.h"

namespace weft::posix {
namespace {

constexpr std::int64_t kDaySeconds = std::int64_t{24} * 3600;

Timestamp time_of(Timestamp asked, Timestamp now) {
    return asked == kTimeNow ? now : asked;
}

bool can_be_set(const std::optional<Timestamp>& asked) {
    return !asked.has_value() || *asked == kTimeNow || is_valid(*asked);
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
                      std::uint32_t permissions, Timestamp now) {
    CHECK(known_type(what.mode));
    InodeRecord made;
    made.mode = (what.mode & kTypeMask) | (permissions & kPermissionMask);
    made.uid = what.uid;
    made.gid = what.gid;
    made.nlink = 1;
    made.atime = made.mtime = made.ctime = made.btime = now;
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

InodeRecord make_root(Timestamp now) {
    NewNode what;
    what.mode = kDirectory;
    return make_node({}, kRootInode, what, 0755, now);
}

void note_content_change(InodeRecord& inode, Timestamp now) {
    inode.mtime = inode.ctime = now;
    ++inode.version;
}

void note_attribute_change(InodeRecord& inode, Timestamp now) {
    inode.ctime = now;
    ++inode.version;
}

void note_entry_change(InodeRecord& directory, int entries, int subdirectories, Timestamp now) {
    CHECK(is_directory(directory));
    CHECK(entries >= 0 || directory.size >= static_cast<std::uint64_t>(-entries));
    CHECK(subdirectories >= 0 || directory.nlink >= 2U + static_cast<unsigned>(-subdirectories));
    directory.size += static_cast<std::uint64_t>(std::int64_t{entries});
    directory.nlink += static_cast<std::uint32_t>(subdirectories);
    note_content_change(directory, now);
}

bool clear_setid(InodeRecord& inode) {
    std::uint32_t cleared = inode.mode & ~kSetuid;
    if ((inode.mode & kGroupExecute) != 0) cleared &= ~kSetgid;
    bool had = cleared != inode.mode;
    inode.mode = cleared;
    return had;
}

bool atime_is_due(const InodeRecord& inode, Timestamp now) {
    return inode.atime <= inode.mtime || inode.atime <= inode.ctime ||
           inode.atime <= Timestamp{now.seconds - kDaySeconds, now.nanoseconds};
}

Result<Done> check_change(const InodeRecord& inode, const AttributeChange& change) {
    bool times = can_be_set(change.atime) && can_be_set(change.mtime) && can_be_set(change.ctime);
    if (!times) return Error{Code::invalid, "attributes.times"};
    if (!change.size.has_value()) return Done{};
    if (is_directory(inode)) return Error{Code::is_a_directory, "attributes.size"};
    if (!is_regular(inode)) return Error{Code::invalid, "attributes.size"};
    if (*change.size > kFileBytesMost) return Error{Code::file_too_large, "attributes.size"};
    return Done{};
}

void apply_change(InodeRecord& inode, const AttributeChange& change, Timestamp now) {
    CHECK(check_change(inode, change).ok());
    bool owner_changes = change.uid.has_value() || change.gid.has_value();
    // As chown(2) does to files, whoever calls; explicit bits of the same call win.
    bool drops_setid = (change.clear_setid || owner_changes) && !is_directory(inode);
    if (drops_setid) (void)clear_setid(inode);
    if (change.mode.has_value()) {
        inode.mode = (inode.mode & kTypeMask) | (*change.mode & kPermissionMask);
    }
    inode.uid = change.uid.value_or(inode.uid);
    inode.gid = change.gid.value_or(inode.gid);
    note_attribute_change(inode, now);
    if (change.size.has_value()) {
        inode.size = *change.size;
        inode.mtime = now;
    }
    if (change.atime.has_value()) inode.atime = time_of(*change.atime, now);
    if (change.mtime.has_value()) inode.mtime = time_of(*change.mtime, now);
    if (change.ctime.has_value()) inode.ctime = time_of(*change.ctime, now);
}

Result<std::uint64_t> range_end(std::uint64_t offset, std::uint64_t length) {
    if (offset > kFileBytesMost || length > kFileBytesMost - offset) {
        return Error{Code::file_too_large, "attributes.range"};
    }
    return offset + length;
}

}  // namespace weft::posix
