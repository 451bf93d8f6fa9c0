#pragma once

#include "model/services/admin_services.h"
#include "model/services/compute_service.h"
#include "model/services/drive_service.h"
#include "platform/base/bytes.h"

#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace weft::wire {

// The arguments and results of the role interfaces, as bytes: fields in the order in which they
// are declared, numbers little-endian, lists and texts with a 32-bit count in front, an optional
// with a byte of presence. Format: docs/formats/services.md.
//
// Reading takes hostile bytes: whatever is wrong turns reader.ok() false for good, and counts
// are held against the bytes that are left before anything is made for them.

// What a struct is made of. One line a struct: writing and reading both follow it.
inline auto fields(auto& value)
    requires std::is_same_v<std::remove_const_t<std::remove_reference_t<decltype(value)>>, Caller>
{
    return std::tie(value.session.value, value.seq, value.uid, value.gid, value.pid);
}
template <class T, class U>
concept Is = std::is_same_v<std::remove_const_t<T>, U>;

template <Is<OwnerId> T>
auto fields(T& v) {
    return std::tie(v.kind, v.number);
}
template <Is<Fence> T>
auto fields(T& v) {
    return std::tie(v.owner, v.epoch);
}
template <Is<FileId> T>
auto fields(T& v) {
    return std::tie(v.filesystem, v.inode);
}
template <Is<Timestamp> T>
auto fields(T& v) {
    return std::tie(v.seconds, v.nanoseconds);
}
template <Is<NewNode> T>
auto fields(T& v) {
    return std::tie(v.mode, v.umask, v.uid, v.gid, v.rdev, v.symlink);
}
template <Is<Node> T>
auto fields(T& v) {
    return std::tie(v.inode, v.attributes, v.lease);
}
template <Is<Opened> T>
auto fields(T& v) {
    return std::tie(v.node, v.handle);
}
template <Is<AttributeChange> T>
auto fields(T& v) {
    return std::tie(v.mode, v.uid, v.gid, v.size, v.atime, v.mtime, v.ctime, v.clear_setid);
}
template <Is<DirectoryItem> T>
auto fields(T& v) {
    return std::tie(v.name, v.cookie, v.node);
}
template <Is<DirectoryPage> T>
auto fields(T& v) {
    return std::tie(v.items, v.end);
}
template <Is<ReadReply> T>
auto fields(T& v) {
    return std::tie(v.count, v.node);
}
template <Is<FilesystemUsage> T>
auto fields(T& v) {
    return std::tie(v.capacity_blocks, v.used_blocks, v.free_blocks, v.inodes);
}
template <Is<RenameFlags> T>
auto fields(T& v) {
    return std::tie(v.no_replace, v.exchange);
}
template <Is<FallocateFlags> T>
auto fields(T& v) {
    return std::tie(v.keep_size, v.punch_hole, v.zero_range);
}
template <Is<LockRequest> T>
auto fields(T& v) {
    return std::tie(v.owner, v.from, v.to, v.pid, v.kind, v.flock, v.wait, v.reclaim);
}
template <Is<Client> T>
auto fields(T& v) {
    return std::tie(v.number, v.last_seq, v.locks_held);
}
template <Is<MountHello> T>
auto fields(T& v) {
    return std::tie(v.client, v.filesystem, v.host, v.path, v.pid);
}
template <Is<MountWelcome> T>
auto fields(T& v) {
    return std::tie(v.session, v.filesystem, v.lease_term);
}
template <Is<Recall> T>
auto fields(T& v) {
    return std::tie(v.file, v.keep, v.name, v.data);
}
template <Is<SegmentSlot> T>
auto fields(T& v) {
    return std::tie(v.drive, v.slot, v.generation);
}
template <Is<SlotInfo> T>
auto fields(T& v) {
    return std::tie(v.slot, v.generation, v.segment, v.chunk);
}
template <Is<DriveStatus> T>
auto fields(T& v) {
    return std::tie(v.slot_count, v.free_slots, v.slot_blocks, v.power_safe, v.blocks_read,
                    v.blocks_written, v.flushes, v.errors);
}
template <Is<Done> T>
auto fields(T&) {
    return std::tuple<>();
}

void put(ByteWriter& writer, const InodeRecord& value);
void get(ByteReader& reader, InodeRecord& value);

inline void put(ByteWriter& writer, const std::string& value) {
    writer.text(value);
}
inline void get(ByteReader& reader, std::string& value) {
    value = reader.text();
}
inline void put(ByteWriter& writer, bool value) {
    writer.number(static_cast<std::uint8_t>(value ? 1 : 0));
}
inline void get(ByteReader& reader, bool& value) {
    value = reader.number<std::uint8_t>() != 0;
}

template <std::integral T>
void put(ByteWriter& writer, T value) {
    writer.number(value);
}
template <std::integral T>
void get(ByteReader& reader, T& value) {
    value = reader.number<T>();
}

// An enumeration travels as its number; what it is not is the reader's to refuse.
template <class T>
    requires std::is_enum_v<T>
void put(ByteWriter& writer, T value) {
    writer.number(static_cast<std::underlying_type_t<T>>(value));
}
template <class T>
    requires std::is_enum_v<T>
void get(ByteReader& reader, T& value) {
    value = static_cast<T>(reader.number<std::underlying_type_t<T>>());
}

template <class Tag, class N>
void put(ByteWriter& writer, Id<Tag, N> id) {
    writer.number(id.value);
}
template <class Tag, class N>
void get(ByteReader& reader, Id<Tag, N>& id) {
    id.value = reader.number<N>();
}

template <class T>
void put(ByteWriter& writer, const std::optional<T>& value);
template <class T>
void get(ByteReader& reader, std::optional<T>& value);
template <class T>
void put(ByteWriter& writer, const std::vector<T>& list);
template <class T>
void get(ByteReader& reader, std::vector<T>& list);

template <class T>
    requires requires(T& v) { fields(v); }
void put(ByteWriter& writer, const T& value) {
    std::apply([&writer](const auto&... field) { (put(writer, field), ...); }, fields(value));
}
template <class T>
    requires requires(T& v) { fields(v); }
void get(ByteReader& reader, T& value) {
    std::apply([&reader](auto&... field) { (get(reader, field), ...); }, fields(value));
}

template <class T>
void put(ByteWriter& writer, const std::optional<T>& value) {
    put(writer, value.has_value());
    if (value.has_value()) put(writer, *value);
}
template <class T>
void get(ByteReader& reader, std::optional<T>& value) {
    bool present = false;
    get(reader, present);
    if (present) get(reader, value.emplace());
}
template <class T>
void put(ByteWriter& writer, const std::vector<T>& list) {
    writer.number(static_cast<std::uint32_t>(list.size()));
    for (const T& item : list) put(writer, item);
}
template <class T>
void get(ByteReader& reader, std::vector<T>& list) {
    auto count = reader.number<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) get(reader, list.emplace_back());
}

template <class... A>
std::string pack(const A&... values) {
    std::string out;
    ByteWriter writer(out);
    (put(writer, values), ...);
    return out;
}
// False unless the bytes are exactly these values.
template <class... A>
bool unpack(std::string_view in, A&... values) {
    ByteReader reader(in);
    (get(reader, values), ...);
    return reader.done();
}

}  // namespace weft::wire
