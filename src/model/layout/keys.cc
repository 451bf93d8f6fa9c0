#include "model/layout/keys.h"

#include "platform/base/bytes.h"
#include "platform/base/check.h"
#include "platform/base/siphash.h"

namespace weft {
namespace keys {
namespace {

// Of a file: filesystem, inode, kind. `expected` is how much will follow.
std::string file_key(FileId file, Kind kind, std::size_t expected) {
    CHECK(file.filesystem.value != 0);
    std::string key;
    key.reserve(13 + expected);
    ByteWriter writer(key);
    writer.sorted(file.filesystem.value);
    writer.sorted(file.inode.value);
    writer.number(static_cast<std::uint8_t>(kind));
    return key;
}

// Of the shard: filesystem 0, kind.
std::string shard_key(Kind kind) {
    std::string key;
    ByteWriter writer(key);
    writer.sorted(std::uint32_t{0});
    writer.number(static_cast<std::uint8_t>(kind));
    return key;
}

std::string segment_key(Kind kind, SegmentId segment) {
    std::string key = shard_key(kind);
    ByteWriter(key).sorted(segment.value);
    return key;
}

std::string usage(FilesystemId filesystem, char what) {
    std::string key = shard_key(Kind::usage);
    ByteWriter(key).sorted(filesystem.value);
    key.push_back(what);
    return key;
}

void write_file(ByteWriter& writer, FileId file) {
    writer.sorted(file.filesystem.value);
    writer.sorted(file.inode.value);
}

FileId read_file(ByteReader& reader) {
    FilesystemId filesystem{reader.sorted<std::uint32_t>()};
    InodeId inode{reader.sorted<std::uint64_t>()};
    return {filesystem, inode};
}

// The file, if the key begins as file_key() of this kind does.
std::optional<FileId> take_file(ByteReader& reader, Kind kind) {
    FileId file = read_file(reader);
    bool same_kind = reader.number<std::uint8_t>() == static_cast<std::uint8_t>(kind);
    if (!reader.ok() || !same_kind || file.filesystem.value == 0) return std::nullopt;
    return file;
}

bool take_shard(ByteReader& reader, Kind kind) {
    bool shard_wide = reader.sorted<std::uint32_t>() == 0;
    bool same_kind = reader.number<std::uint8_t>() == static_cast<std::uint8_t>(kind);
    return reader.ok() && shard_wide && same_kind;
}

std::optional<SegmentId> parse_segment_key(std::string_view key, Kind kind) {
    ByteReader reader(key);
    if (!take_shard(reader, kind)) return std::nullopt;
    SegmentId segment{reader.sorted<std::uint64_t>()};
    if (!reader.done()) return std::nullopt;
    return segment;
}

}  // namespace

std::string inode(FileId file) {
    return file_key(file, Kind::inode, 0);
}

std::string xattr(FileId file, std::string_view name) {
    std::string key = file_key(file, Kind::xattr, name.size());
    key.append(name);
    return key;
}

std::string xattr_prefix(FileId file) {
    return file_key(file, Kind::xattr, 0);
}

std::string extent(FileId file, std::uint64_t end_block) {
    std::string key = file_key(file, Kind::extent, 8);
    ByteWriter(key).sorted(end_block);
    return key;
}

std::string extent_prefix(FileId file) {
    return file_key(file, Kind::extent, 0);
}

std::string entry(FileId directory, std::uint64_t hash, std::string_view name) {
    std::string key = file_key(directory, Kind::entry, 8 + name.size());
    ByteWriter(key).sorted(hash);
    key.append(name);
    return key;
}

std::string entry_prefix(FileId directory) {
    return file_key(directory, Kind::entry, 0);
}

std::string orphan(FileId file) {
    std::string key = shard_key(Kind::orphan);
    ByteWriter writer(key);
    write_file(writer, file);
    return key;
}

std::string orphan_prefix() {
    return shard_key(Kind::orphan);
}

std::string usage_blocks(FilesystemId filesystem) {
    return usage(filesystem, 'b');
}

std::string usage_inodes(FilesystemId filesystem) {
    return usage(filesystem, 'i');
}

std::string usage_prefix() {
    return shard_key(Kind::usage);
}

std::string reply(std::uint64_t client, std::uint64_t slot) {
    std::string key = shard_key(Kind::reply);
    ByteWriter writer(key);
    writer.sorted(client);
    writer.sorted(slot);
    return key;
}

std::string client(Kind what_for, std::uint64_t client) {
    std::string key = shard_key(what_for);
    ByteWriter(key).sorted(client);
    return key;
}

std::string client_prefix(Kind what_for) {
    return shard_key(what_for);
}

std::string segment(SegmentId segment) {
    return segment_key(Kind::segment, segment);
}

std::string segment_prefix() {
    return shard_key(Kind::segment);
}

std::string live(SegmentId segment) {
    return segment_key(Kind::live, segment);
}

std::string live_prefix() {
    return shard_key(Kind::live);
}

std::string summary(BlockAddress first, const BlockOwner& owner) {
    std::string key = segment_key(Kind::summary, first.segment);
    ByteWriter writer(key);
    writer.sorted(first.chunk);
    writer.sorted(first.block);
    write_file(writer, owner.file);
    writer.sorted(owner.file_block);
    return key;
}

std::string summary_prefix(SegmentId segment) {
    return segment_key(Kind::summary, segment);
}

std::string staged(FileId file, std::uint64_t offset, std::uint64_t length) {
    std::string key = file_key(file, Kind::staged, 16);
    ByteWriter writer(key);
    writer.sorted(offset);
    writer.sorted(length);
    return key;
}

std::string next_inode() {
    return shard_key(Kind::next_inode);
}

std::string after_prefix(std::string prefix) {
    while (!prefix.empty()) {
        auto last = static_cast<unsigned char>(prefix.back());
        if (last < 0xff) {
            prefix.back() = static_cast<char>(last + 1);
            break;
        }
        prefix.pop_back();
    }
    return prefix;
}

std::optional<FileId> parse_inode(std::string_view key) {
    ByteReader reader(key);
    auto file = take_file(reader, Kind::inode);
    if (!file || !reader.done()) return std::nullopt;
    return file;
}

std::optional<Extent> parse_extent(std::string_view key) {
    ByteReader reader(key);
    auto file = take_file(reader, Kind::extent);
    auto end_block = reader.sorted<std::uint64_t>();
    if (!file.has_value() || !reader.done()) return std::nullopt;
    return Extent{*file, end_block};
}

std::optional<Entry> parse_entry(std::string_view key) {
    ByteReader reader(key);
    auto directory = take_file(reader, Kind::entry);
    auto hash = reader.sorted<std::uint64_t>();
    std::string_view name = reader.rest();
    if (!directory.has_value() || !reader.ok()) return std::nullopt;
    return Entry{*directory, hash, name};
}

std::optional<std::string_view> parse_xattr(std::string_view key) {
    ByteReader reader(key);
    if (!take_file(reader, Kind::xattr).has_value()) return std::nullopt;
    return reader.rest();
}

std::optional<SegmentId> parse_segment(std::string_view key) {
    return parse_segment_key(key, Kind::segment);
}

std::optional<SegmentId> parse_live(std::string_view key) {
    return parse_segment_key(key, Kind::live);
}

std::optional<Summary> parse_summary(std::string_view key) {
    ByteReader reader(key);
    if (!take_shard(reader, Kind::summary)) return std::nullopt;
    Summary summary;
    summary.first.segment.value = reader.sorted<std::uint64_t>();
    summary.first.chunk = reader.sorted<std::uint16_t>();
    summary.first.block = reader.sorted<std::uint32_t>();
    summary.owner.file = read_file(reader);
    summary.owner.file_block = reader.sorted<std::uint64_t>();
    if (!reader.done()) return std::nullopt;
    return summary;
}

std::optional<Staged> parse_staged(std::string_view key) {
    ByteReader reader(key);
    auto file = take_file(reader, Kind::staged);
    auto offset = reader.sorted<std::uint64_t>();
    auto length = reader.sorted<std::uint64_t>();
    if (!file.has_value() || !reader.done()) return std::nullopt;
    if (offset + length < offset) return std::nullopt;
    return Staged{*file, offset, length};
}

std::optional<std::uint64_t> parse_reply(std::string_view key) {
    ByteReader reader(key);
    if (!take_shard(reader, Kind::reply)) return std::nullopt;
    auto client = reader.sorted<std::uint64_t>();
    (void)reader.sorted<std::uint64_t>();
    if (!reader.done()) return std::nullopt;
    return client;
}

std::optional<std::uint64_t> parse_client(Kind what_for, std::string_view key) {
    ByteReader reader(key);
    if (!take_shard(reader, what_for)) return std::nullopt;
    auto client = reader.sorted<std::uint64_t>();
    if (!reader.done()) return std::nullopt;
    return client;
}

std::optional<FileId> parse_orphan(std::string_view key) {
    ByteReader reader(key);
    if (!take_shard(reader, Kind::orphan)) return std::nullopt;
    FileId file = read_file(reader);
    if (!reader.done()) return std::nullopt;
    return file;
}

}  // namespace keys

std::uint64_t name_hash(std::string_view name) {
    // Not a secret: it only has to be the same everywhere and for good.
    constexpr SipKey kNameKey{0x77656674206e616d, 0x6520686173682031};
    constexpr std::uint64_t kLeast = 3;  // "." and ".." have cookies 1 and 2.
    std::uint64_t hash = siphash(kNameKey, bytes_of(name)) >> 1;
    return hash < kLeast ? hash + kLeast : hash;
}

}  // namespace weft
