#include "model/layout/records.h"

#include "platform/base/bytes.h"
#include "platform/base/check.h"

namespace weft {
namespace {

// The first byte of every value but an extent's, whose kind stands for it.
constexpr std::uint8_t kFormat = 1;

bool take_flag(ByteReader& reader, bool& flag) {
    auto value = reader.number<std::uint8_t>();
    flag = value == 1;
    return value <= 1;
}

void put_time(ByteWriter& writer, Timestamp time) {
    CHECK(is_valid(time));
    writer.number(time.seconds);
    writer.number(time.nanoseconds);
}

bool take_time(ByteReader& reader, Timestamp& time) {
    time.seconds = reader.number<std::int64_t>();
    time.nanoseconds = reader.number<std::uint32_t>();
    return is_valid(time);
}

bool take_crcs(ByteReader& reader, ExtentRecord& record) {
    if (record.count > kExtentBlocksMost) return false;
    record.crcs.resize(record.count);
    for (std::uint32_t& crc : record.crcs) crc = reader.number<std::uint32_t>();
    return reader.ok();
}

}  // namespace

std::string encode(const InodeRecord& record) {
    std::string out;
    ByteWriter writer(out);
    writer.number(kFormat);
    writer.number(record.mode);
    writer.number(record.uid);
    writer.number(record.gid);
    writer.number(record.nlink);
    writer.number(record.size);
    writer.number(record.blocks);
    put_time(writer, record.atime);
    put_time(writer, record.mtime);
    put_time(writer, record.ctime);
    put_time(writer, record.btime);
    writer.number(record.rdev);
    writer.number(record.generation);
    writer.number(record.version);
    writer.number(record.parent.value);
    writer.text(record.symlink);
    return out;
}

std::optional<InodeRecord> decode_inode(std::string_view value) {
    ByteReader reader(value);
    if (reader.number<std::uint8_t>() != kFormat) return std::nullopt;
    InodeRecord record;
    record.mode = reader.number<std::uint32_t>();
    record.uid = reader.number<std::uint32_t>();
    record.gid = reader.number<std::uint32_t>();
    record.nlink = reader.number<std::uint32_t>();
    record.size = reader.number<std::uint64_t>();
    record.blocks = reader.number<std::uint64_t>();
    for (Timestamp* time : {&record.atime, &record.mtime, &record.ctime, &record.btime}) {
        if (!take_time(reader, *time)) return std::nullopt;
    }
    record.rdev = reader.number<std::uint64_t>();
    record.generation = reader.number<std::uint64_t>();
    record.version = reader.number<std::uint64_t>();
    record.parent.value = reader.number<std::uint64_t>();
    record.symlink = reader.text();
    if (!reader.done()) return std::nullopt;
    return record;
}

std::string encode(const EntryRecord& record) {
    std::string out;
    ByteWriter writer(out);
    writer.number(kFormat);
    writer.number(record.inode.value);
    writer.number(record.type);
    return out;
}

std::optional<EntryRecord> decode_entry(std::string_view value) {
    ByteReader reader(value);
    if (reader.number<std::uint8_t>() != kFormat) return std::nullopt;
    EntryRecord record;
    record.inode.value = reader.number<std::uint64_t>();
    record.type = reader.number<std::uint32_t>();
    if (!reader.done()) return std::nullopt;
    return record;
}

std::string encode(const ReplyRecord& record) {
    std::string out;
    ByteWriter writer(out);
    writer.number(kFormat);
    writer.number(record.seq);
    writer.number(record.filesystem.value);
    writer.number(record.inode.value);
    if (record.count != 0) writer.number(record.count);
    return out;
}

std::optional<ReplyRecord> decode_reply(std::string_view value) {
    ByteReader reader(value);
    if (reader.number<std::uint8_t>() != kFormat) return std::nullopt;
    ReplyRecord record;
    record.seq = reader.number<std::uint64_t>();
    record.filesystem.value = reader.number<std::uint32_t>();
    record.inode.value = reader.number<std::uint64_t>();
    bool counts = reader.ok() && !reader.done();
    if (counts) record.count = reader.number<std::uint64_t>();
    if (!reader.done() || (counts && record.count == 0)) return std::nullopt;
    return record;
}

std::string encode(const LeaseClientRecord& record) {
    CHECK(record.covers_for >= 0);
    std::string out;
    ByteWriter writer(out);
    writer.number(kFormat);
    writer.number(record.covers_for);
    return out;
}

std::optional<LeaseClientRecord> decode_lease_client(std::string_view value) {
    ByteReader reader(value);
    if (reader.number<std::uint8_t>() != kFormat) return std::nullopt;
    LeaseClientRecord record{reader.number<Nanos>()};
    if (!reader.done() || record.covers_for < 0) return std::nullopt;
    return record;
}

std::string encode(const ExtentRecord& record) {
    bool data = record.kind == ExtentRecord::Kind::data;
    CHECK(record.count >= 1 && record.count <= kExtentBlocksMost);
    CHECK(record.crcs.size() == (data ? record.count : 0));
    std::string out;
    ByteWriter writer(out);
    writer.number(static_cast<std::uint8_t>(record.kind));
    writer.number(record.count);
    if (!data) return out;
    writer.number(record.first.segment.value);
    writer.number(record.first.block);
    writer.number(record.first.chunk);
    for (std::uint32_t crc : record.crcs) writer.number(crc);
    return out;
}

std::optional<ExtentRecord> decode_extent(std::string_view value) {
    ByteReader reader(value);
    ExtentRecord record;
    auto kind = reader.number<std::uint8_t>();
    if (kind < 1 || kind > 2) return std::nullopt;
    record.kind = static_cast<ExtentRecord::Kind>(kind);
    record.count = reader.number<std::uint32_t>();
    if (record.count < 1 || record.count > kExtentBlocksMost) return std::nullopt;
    if (record.kind == ExtentRecord::Kind::data) {
        record.first.segment.value = reader.number<std::uint64_t>();
        record.first.block = reader.number<std::uint32_t>();
        record.first.chunk = reader.number<std::uint16_t>();
        if (record.first.block + record.count < record.count) return std::nullopt;
        if (!take_crcs(reader, record)) return std::nullopt;
    }
    if (!reader.done()) return std::nullopt;
    return record;
}

std::string encode(const SegmentRecord& record) {
    CHECK(record.slots.size() == static_cast<std::size_t>(record.data_width) + record.parity_width);
    std::string out;
    ByteWriter writer(out);
    writer.number(kFormat);
    writer.number(record.data_width);
    writer.number(record.parity_width);
    writer.number(static_cast<std::uint8_t>(record.stream));
    writer.number(static_cast<std::uint8_t>(record.closed));
    writer.number(record.slot_blocks);
    writer.number(record.used_blocks);
    writer.number(record.born_ns);
    for (const SegmentSlot& slot : record.slots) {
        writer.number(slot.drive.value);
        writer.number(slot.slot.value);
        writer.number(slot.generation.value);
    }
    return out;
}

std::optional<SegmentRecord> decode_segment(std::string_view value) {
    ByteReader reader(value);
    if (reader.number<std::uint8_t>() != kFormat) return std::nullopt;
    SegmentRecord record;
    record.data_width = reader.number<std::uint8_t>();
    record.parity_width = reader.number<std::uint8_t>();
    auto stream = reader.number<std::uint8_t>();
    if (record.data_width < 1 || stream >= kStreamCount) return std::nullopt;
    record.stream = static_cast<StreamKind>(stream);
    if (!take_flag(reader, record.closed)) return std::nullopt;
    record.slot_blocks = reader.number<std::uint32_t>();
    record.used_blocks = reader.number<std::uint32_t>();
    record.born_ns = reader.number<std::int64_t>();
    record.slots.resize(static_cast<std::size_t>(record.data_width) + record.parity_width);
    for (SegmentSlot& slot : record.slots) {
        slot.drive.value = reader.number<std::uint32_t>();
        slot.slot.value = reader.number<std::uint32_t>();
        slot.generation.value = reader.number<std::uint64_t>();
    }
    if (!reader.done() || record.used_blocks > record.slot_blocks) return std::nullopt;
    return record;
}

}  // namespace weft
