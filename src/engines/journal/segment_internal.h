#pragma once

#include "engines/journal/commit_format.h"
#include "model/layout/block_address.h"

#include <cstdint>
#include <vector>

namespace weft::journal {

struct SegmentPart {
    SegmentSlot slot;
    std::uint16_t chunk = 0;  // What the drive's slot table says of it; rises along the parts.
};

// Slots on distinct failure domains, written at the same block numbers, front to back, each
// block once.
struct Segment {
    SegmentName name;
    SegmentName previous;
    Epoch epoch;
    bool of_copies = false;
    std::uint32_t chunks = 0;        // Bit i: a slot with chunk number i belongs to it.
    std::vector<SegmentPart> parts;  // When read: those that are there.
    std::uint32_t block_count = 0;
    std::uint32_t next_block = 0;
    std::uint64_t commit_count = 0;
    Lsn last_lsn;  // Of the last entry, whole or not.
    // Where commits since the last flush went. Bit i: mirrored from part i on; kRowBit: to all.
    std::uint32_t unflushed = 0;
    static constexpr std::uint32_t kRowBit = 1U << 31;
};

}  // namespace weft::journal
