#include "engines/journal/commit_format.h"

#include "platform/base/bytes.h"
#include "platform/isal/crc32c.h"

#include <bit>
#include <cstddef>

namespace weft::journal {
namespace {

constexpr std::uint32_t kGoesOn = 0x80000000;

bool shape_fits(const CommitHeader& header) {
    if (header.mirrored()) {
        return header.copies > 0 && header.parity_width == 0 && header.piece == 0 &&
               header.piece_bytes == header.payload_bytes &&
               header.copies <= std::popcount(header.chunks);
    }
    std::uint64_t room = std::uint64_t{header.data_width} * header.piece_bytes;
    return header.copies == 0 && header.data_width <= 16 && header.parity_width >= 2 &&
           header.parity_width <= 4 && header.piece < header.pieces() &&
           header.pieces() == static_cast<std::uint32_t>(std::popcount(header.chunks)) &&
           header.piece_bytes <= kPayloadBytesMost && room >= header.payload_bytes &&
           (sizeof(CommitHeader) + header.piece_bytes) % kBlockBytes == 0;
}

}  // namespace

std::uint32_t CommitHeader::blocks() const {
    return static_cast<std::uint32_t>(divide_up(sizeof(CommitHeader) + piece_bytes, kBlockBytes));
}

std::optional<CommitHeader> decode_commit_header(ConstBytes block) {
    CommitHeader header;
    if (block.size() < sizeof(header)) return std::nullopt;
    std::memcpy(&header, block.data(), sizeof(header));
    if (header.magic != kCommitMagic || header.format != kCommitFormat) return std::nullopt;

    constexpr std::size_t kCovered = offsetof(CommitHeader, piece_crc);
    ConstBytes covered = block.subspan(kCovered, sizeof(header) - kCovered);
    if (header.header_crc != crc32c(covered)) return std::nullopt;

    constexpr std::uint16_t kKnownFlags = kCommitContinues | kSegmentOfCopies;
    bool plain =
        (header.flags & ~kKnownFlags) == 0 && header.reserved[0] == 0 && header.reserved[1] == 0;
    bool named = header.segment.id.value != 0 && header.number != 0 && header.first_lsn.value != 0;
    bool sized = header.payload_bytes <= kPayloadBytesMost &&
                 std::uint64_t{header.entry_count} * kEntryHeadBytes <= header.payload_bytes;
    if (!plain || !named || !sized || !shape_fits(header)) return std::nullopt;
    return header;
}

std::optional<std::vector<Entry>> decode_records(ConstBytes payload, std::uint32_t count) {
    if (std::uint64_t{count} * kEntryHeadBytes > payload.size()) return std::nullopt;
    std::vector<Entry> entries;
    entries.reserve(count);
    ByteReader reader(payload);
    for (std::uint32_t i = 0; i < count; ++i) {
        auto head = reader.number<std::uint32_t>();
        Entry entry;
        entry.goes_on = (head & kGoesOn) != 0;
        entry.bytes = reader.take(head & ~kGoesOn);
        if (!reader.ok() || (entry.goes_on && i + 1 < count)) return std::nullopt;
        entries.push_back(entry);
    }
    if (!reader.done()) return std::nullopt;
    return entries;
}

}  // namespace weft::journal
