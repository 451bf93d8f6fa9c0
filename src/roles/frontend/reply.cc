#include "roles/frontend/reply.h"

#include "platform/base/bytes.h"
#include "platform/base/check.h"

#include <cstddef>
#include <cstring>

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace weft::frontend {
namespace {

constexpr std::uint32_t kStatBlocksPerBlock = kBlockBytes / 512;

StatxTime statx_time_of(Timestamp time) {
    StatxTime out;
    out.seconds = time.seconds;
    out.nanoseconds = time.nanoseconds;
    return out;
}

std::uint64_t whole_seconds(Nanos nanos) {
    return static_cast<std::uint64_t>(nanos / kSecond);
}
std::uint32_t rest_of_second(Nanos nanos) {
    return static_cast<std::uint32_t>(nanos % kSecond);
}

// dev_t as the kernel's new_encode_dev has it, which is also what it sends in MKNOD.
std::uint32_t device_of(const InodeRecord& record) {
    return static_cast<std::uint32_t>(record.rdev);
}

std::string notification(std::int32_t code, ConstBytes fixed, std::string_view text) {
    fuse_out_header header{};
    header.len = static_cast<std::uint32_t>(sizeof(header) + fixed.size() + text.size());
    header.error = code;
    std::string message(text_of(image_of(header)));
    message.append(text_of(fixed));
    message.append(text);
    return message;
}

}  // namespace

fuse_attr attributes_of(const Node& node) {
    const InodeRecord& record = node.attributes;
    fuse_attr out{};
    out.ino = node.inode.value;
    out.size = record.size;
    out.blocks = record.blocks * kStatBlocksPerBlock;
    out.atime = static_cast<std::uint64_t>(record.atime.seconds);
    out.mtime = static_cast<std::uint64_t>(record.mtime.seconds);
    out.ctime = static_cast<std::uint64_t>(record.ctime.seconds);
    out.atimensec = record.atime.nanoseconds;
    out.mtimensec = record.mtime.nanoseconds;
    out.ctimensec = record.ctime.nanoseconds;
    out.mode = record.mode;
    out.nlink = record.nlink;
    out.uid = record.uid;
    out.gid = record.gid;
    out.rdev = device_of(record);
    out.blksize = kBlockBytes;
    return out;
}

fuse_entry_out entry_of(const Node& node, Validity validity) {
    fuse_entry_out out{};
    out.nodeid = node.inode.value;
    out.generation = node.attributes.generation;
    out.entry_valid = whole_seconds(validity.entry);
    out.entry_valid_nsec = rest_of_second(validity.entry);
    out.attr_valid = whole_seconds(validity.attributes);
    out.attr_valid_nsec = rest_of_second(validity.attributes);
    out.attr = attributes_of(node);
    return out;
}

fuse_entry_out absent_entry(Nanos validity) {
    fuse_entry_out out{};
    out.entry_valid = whole_seconds(validity);
    out.entry_valid_nsec = rest_of_second(validity);
    return out;
}

fuse_attr_out attributes_reply(const Node& node, Nanos validity) {
    fuse_attr_out out{};
    out.attr_valid = whole_seconds(validity);
    out.attr_valid_nsec = rest_of_second(validity);
    out.attr = attributes_of(node);
    return out;
}

StatxOut statx_reply(const Node& node, Nanos validity) {
    constexpr std::uint32_t kBasicAndBirthTime = 0xfff;
    const InodeRecord& record = node.attributes;
    StatxOut out;
    out.attr_valid = whole_seconds(validity);
    out.attr_valid_nsec = rest_of_second(validity);
    out.mask = kBasicAndBirthTime;
    out.blksize = kBlockBytes;
    out.nlink = record.nlink;
    out.uid = record.uid;
    out.gid = record.gid;
    out.mode = static_cast<std::uint16_t>(record.mode);
    out.ino = node.inode.value;
    out.size = record.size;
    out.blocks = record.blocks * kStatBlocksPerBlock;
    out.atime = statx_time_of(record.atime);
    out.btime = statx_time_of(record.btime);
    out.ctime = statx_time_of(record.ctime);
    out.mtime = statx_time_of(record.mtime);
    std::uint32_t device = device_of(record);
    out.rdev_major = (device & 0xfff00) >> 8;
    out.rdev_minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    return out;
}

bool DirectoryWriter::add(const DirectoryItem& item, Validity validity, bool link) {
    fuse_dirent dirent{};
    dirent.ino = item.node.inode.value;
    dirent.off = item.cookie;
    dirent.namelen = static_cast<std::uint32_t>(item.name.size());
    dirent.type = (item.node.attributes.mode & S_IFMT) >> 12;

    std::size_t entry_bytes = plus_ ? sizeof(fuse_entry_out) : 0;
    std::size_t whole = entry_bytes + FUSE_NAME_OFFSET + item.name.size();
    std::size_t padded = FUSE_DIRENT_ALIGN(whole);
    if (padded > space_.size() - used_) return false;

    std::byte* at = space_.data() + used_;
    if (plus_) {
        // No lookup is counted for "." and "..": the kernel never links them.
        bool dots = item.name == "." || item.name == "..";
        fuse_entry_out entry{};
        if (link && !dots) entry = entry_of(item.node, validity);
        std::memcpy(at, &entry, sizeof(entry));
    }
    std::memcpy(at + entry_bytes, &dirent, FUSE_NAME_OFFSET);
    std::memcpy(at + entry_bytes + FUSE_NAME_OFFSET, item.name.data(), item.name.size());
    std::memset(at + whole, 0, padded - whole);
    used_ += padded;
    return true;
}

std::string invalidate_inode_message(InodeId inode, std::int64_t offset, std::int64_t length) {
    fuse_notify_inval_inode_out out{};
    out.ino = inode.value;
    out.off = offset;
    out.len = length;
    return notification(FUSE_NOTIFY_INVAL_INODE, image_of(out), {});
}

std::string invalidate_entry_message(InodeId directory, std::string_view name) {
    fuse_notify_inval_entry_out out{};
    out.parent = directory.value;
    out.namelen = static_cast<std::uint32_t>(name.size());
    std::string terminated(name);
    terminated.push_back('\0');
    return notification(FUSE_NOTIFY_INVAL_ENTRY, image_of(out), terminated);
}

std::string increase_epoch_message() {
    return notification(kNotifyIncEpoch, {}, {});
}

}  // namespace weft::frontend
