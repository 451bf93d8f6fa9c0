#pragma once

#include "model/ids/ids.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

namespace weft::journal {

inline constexpr std::uint32_t kCommitMagic = 0x314a5457;  // "WTJ1"
inline constexpr std::uint16_t kCommitFormat = 1;

// The commit begins inside a record: its first entry goes on where the previous commit ended.
inline constexpr std::uint16_t kCommitContinues = 1;
// The segment holds copies of commits. It counts only if a later segment links to it.
inline constexpr std::uint16_t kSegmentOfCopies = 2;

// The payload of a commit. One piece of any segment can hold it, since a slot has 1 MiB or
// more: so a commit can be written again into a segment of any other width.
inline constexpr std::uint32_t kPayloadBytesMost = 1024 * 1024 - 4096;

// A segment of the journal. The nonce is random: what an earlier life of a slot left there, or
// what somebody put into a record, can't be taken for a piece of this segment.
struct SegmentName {
    SegmentId id;  // 0: no segment.
    std::uint64_t nonce = 0;
    friend constexpr bool operator==(const SegmentName&, const SegmentName&) = default;
};

// The head of every piece of a commit, as it lies on a drive. The piece's bytes follow it, and
// zeros up to a multiple of 4 KiB.
// Format: docs/formats/journal.md. Changing a field means a new kCommitFormat.
struct CommitHeader {
    std::uint32_t magic = kCommitMagic;
    std::uint32_t header_crc = 0;  // crc32c of the header's bytes from piece_crc on.
    std::uint32_t piece_crc = 0;   // crc32c of the piece_bytes bytes behind the header.
    std::uint16_t format = kCommitFormat;
    std::uint16_t flags = 0;
    Epoch epoch;               // Under which the journal was opened.
    SegmentName segment;       // Where it was written to.
    SegmentName previous;      // The segment that holds the commits before this segment's first.
    std::uint64_t number = 0;  // Of the commit; rises by one.
    Lsn first_lsn;             // Of the first entry; without entries, of the record to come.
    Lsn flushed_lsn;           // Records up to here survived loss of power when this was written.
    Lsn trimmed_lsn;           // Records up to here are not needed any more.
    JournalId journal;
    std::uint32_t chunks = 0;  // Bit i: the segment has a slot with chunk number i.
    std::uint32_t entry_count = 0;
    std::uint32_t payload_bytes = 0;
    std::uint32_t piece_bytes = 0;
    std::uint8_t data_width = 0;     // Of the row; 0: mirrored.
    std::uint8_t parity_width = 0;   // Of the row.
    std::uint8_t copies = 0;         // Of a mirrored commit.
    std::uint8_t piece = 0;          // Position in the row; 0 if mirrored.
    std::uint64_t reserved[2] = {};  // Zero.

    bool mirrored() const { return data_width == 0; }
    bool continues() const { return (flags & kCommitContinues) != 0; }
    bool of_copies() const { return (flags & kSegmentOfCopies) != 0; }
    // Pieces when complete, pieces that are enough to read it, and blocks of one piece.
    std::uint32_t pieces() const { return mirrored() ? copies : data_width + parity_width; }
    std::uint32_t pieces_needed() const { return mirrored() ? 1 : data_width; }
    std::uint32_t blocks() const;
};
static_assert(sizeof(CommitHeader) == 128);
static_assert(std::has_unique_object_representations_v<CommitHeader>);

// From the first 128 bytes of a piece. Empty unless checksum and all fields fit together; says
// nothing about the bytes behind it.
std::optional<CommitHeader> decode_commit_header(ConstBytes block);

// A record in a commit, or the part of it that is in this commit.
struct Entry {
    std::string_view bytes;
    bool goes_on = false;  // In the next commit. Only the last entry may.
};
inline constexpr std::uint32_t kEntryHeadBytes = 4;

// Empty unless the payload holds exactly `count` entries. They point into it.
std::optional<std::vector<Entry>> decode_records(ConstBytes payload, std::uint32_t count);

}  // namespace weft::journal
