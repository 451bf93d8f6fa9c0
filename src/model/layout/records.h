#pragma once

#include "model/layout/block_address.h"
#include "model/layout/timestamp.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

// Values of a shard's index. Format: docs/formats/index-values.md.

// All that stat shows, and what the namespace needs beside it.
struct InodeRecord {
    std::uint32_t mode = 0;  // Type and permission bits, as in st_mode.
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t nlink = 0;
    std::uint64_t size = 0;    // Of a directory: its number of entries.
    std::uint64_t blocks = 0;  // 4 KiB blocks that hold data or are reserved.
    Timestamp atime;
    Timestamp mtime;
    Timestamp ctime;
    Timestamp btime;
    std::uint64_t rdev = 0;
    std::uint64_t generation = 0;
    std::uint64_t version = 0;  // Rises with every change of the inode or its content.
    InodeId parent;             // Of a directory.
    std::string symlink;        // Target of a symbolic link.
    friend bool operator==(const InodeRecord&, const InodeRecord&) = default;
};

struct EntryRecord {
    InodeId inode;
    std::uint32_t type = 0;  // The S_IFMT bits of the inode's mode.
    friend bool operator==(const EntryRecord&, const EntryRecord&) = default;
};

// What a client was told of a request that changed something, if it should ask again.
struct ReplyRecord {
    std::uint64_t seq = 0;
    FilesystemId filesystem;  // Of the inode it was told of, if any.
    InodeId inode;
    std::uint64_t count = 0;  // Of bytes that a copy has copied.
    friend bool operator==(const ReplyRecord&, const ReplyRecord&) = default;
};
// Of each client so many replies are kept, each in the slot that its seq leads to (modulo).
inline constexpr std::uint64_t kReplySlots = 4096;

// A client that may cache something.
struct LeaseClientRecord {
    Nanos covers_for = 0;  // How long it may use that after compute has ended, by compute's clock.
    friend bool operator==(const LeaseClientRecord&, const LeaseClientRecord&) = default;
};

// Blocks [end - count, end) of a file, end from the key. data: they lie at `first` and on, with
// one crc32c a block. reserved: promised by fallocate, read as zeros.
struct ExtentRecord {
    enum class Kind : std::uint8_t { data = 1, reserved = 2 };
    Kind kind = Kind::data;
    BlockAddress first;
    std::uint32_t count = 0;
    std::vector<std::uint32_t> crcs;
    friend bool operator==(const ExtentRecord&, const ExtentRecord&) = default;
};
// Longer runs are split, so that a value stays small.
inline constexpr std::uint32_t kExtentBlocksMost = 64;

struct SegmentRecord {
    std::uint8_t data_width = 0;    // k
    std::uint8_t parity_width = 0;  // m
    StreamKind stream = StreamKind::hot;
    bool closed = false;
    std::uint32_t slot_blocks = 0;
    std::uint32_t used_blocks = 0;   // Of each slot; known once closed.
    std::int64_t born_ns = 0;        // Wall clock; age for the cleaner.
    std::vector<SegmentSlot> slots;  // k + m
    friend bool operator==(const SegmentRecord&, const SegmentRecord&) = default;
};

std::string encode(const InodeRecord& record);
std::string encode(const EntryRecord& record);
std::string encode(const ReplyRecord& record);
std::string encode(const LeaseClientRecord& record);
std::string encode(const ExtentRecord& record);
std::string encode(const SegmentRecord& record);
// Empty on anything malformed.
std::optional<InodeRecord> decode_inode(std::string_view value);
std::optional<EntryRecord> decode_entry(std::string_view value);
std::optional<ReplyRecord> decode_reply(std::string_view value);
std::optional<LeaseClientRecord> decode_lease_client(std::string_view value);
std::optional<ExtentRecord> decode_extent(std::string_view value);
std::optional<SegmentRecord> decode_segment(std::string_view value);

}  // namespace weft
