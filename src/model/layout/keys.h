#pragma once

#include "model/layout/block_address.h"

#include <optional>
#include <string>
#include <string_view>

namespace weft {

// Keys of a shard's index. They sort as bytes: first by (filesystem, inode), so that an inode,
// its xattrs and its extents lie together, then by kind. What belongs to the shard as a whole
// has filesystem 0 and there sorts by kind first, so that each kind is one scan. A file's
// filesystem is therefore never 0: whoever takes a FileId from outside refuses it there.
// Format: docs/formats/index-keys.md.
namespace keys {

enum class Kind : std::uint8_t {
    inode = 'I',         // -> InodeRecord
    xattr = 'X',         // name -> value
    extent = 'T',        // end block (exclusive) -> ExtentRecord
    entry = 'D',         // hash, name -> EntryRecord
    orphan = 'O',        // unlinked, not yet purged -> empty
    usage = 'U',         // of a filesystem in this shard: counter of blocks ('b') or inodes ('i')
    reply = 'R',         // client, slot -> ReplyRecord
    lock_client = 'K',   // client that may hold locks -> empty
    lease_client = 'C',  // client that may cache something -> LeaseClientRecord
    segment = 'S',       // -> SegmentRecord
    live = 'L',          // counter: live blocks of the segment
    summary = 'M',       // chunk, block, owner -> count of blocks
    staged = 'G',        // offset, length: only in stage and unstage mutations, never stored
    next_inode = 'N',    // counter of inode numbers given out by this shard
};

std::string inode(FileId file);
std::string xattr(FileId file, std::string_view name);
std::string xattr_prefix(FileId file);
// Keyed by the end, so that the first key after extent(file, b) is the extent that holds
// block b or the first one behind it.
std::string extent(FileId file, std::uint64_t end_block);
std::string extent_prefix(FileId file);
std::string entry(FileId directory, std::uint64_t hash, std::string_view name);
std::string entry_prefix(FileId directory);
std::string orphan(FileId file);
std::string orphan_prefix();
std::string usage_blocks(FilesystemId filesystem);
std::string usage_inodes(FilesystemId filesystem);
std::string usage_prefix();
// The last request that changed something of those whose seq leads to this slot.
std::string reply(std::uint64_t client, std::uint64_t slot);
// What a client is on record for: kind lock_client or lease_client.
std::string client(Kind what_for, std::uint64_t client);
std::string client_prefix(Kind what_for);
std::string segment(SegmentId segment);
std::string segment_prefix();
std::string live(SegmentId segment);
std::string live_prefix();
std::string summary(BlockAddress first, const BlockOwner& owner);
std::string summary_prefix(SegmentId segment);
// Bytes [offset, offset + length); of a `stage` mutation the length is that of its value.
std::string staged(FileId file, std::uint64_t offset, std::uint64_t length);
std::string next_inode();

// The first key after every key that begins with `prefix`; empty if there is none such.
std::string after_prefix(std::string prefix);

std::optional<FileId> parse_inode(std::string_view key);
struct Extent {
    FileId file;
    std::uint64_t end_block = 0;
};
std::optional<Extent> parse_extent(std::string_view key);
struct Entry {
    FileId directory;
    std::uint64_t hash = 0;
    std::string_view name;
};
std::optional<Entry> parse_entry(std::string_view key);
std::optional<std::string_view> parse_xattr(std::string_view key);  // The name.
std::optional<SegmentId> parse_segment(std::string_view key);
std::optional<SegmentId> parse_live(std::string_view key);
struct Summary {
    BlockAddress first;
    BlockOwner owner;
};
std::optional<Summary> parse_summary(std::string_view key);
struct Staged {
    FileId file;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
};
std::optional<Staged> parse_staged(std::string_view key);
std::optional<FileId> parse_orphan(std::string_view key);
std::optional<std::uint64_t> parse_reply(std::string_view key);  // The client.
std::optional<std::uint64_t> parse_client(Kind what_for, std::string_view key);

}  // namespace keys

// Order of names in a directory, and the cookie of readdir: 63 bits, above the cookies of
// "." (1) and ".." (2), the same on every machine. Names with the same hash sort by name.
std::uint64_t name_hash(std::string_view name);

}  // namespace weft
