#pragma once

#include "model/ids/ids.h"

namespace weft {

// Where a block lies: in the shard's segment `segment`, on the slot of chunk `chunk` (0 to k-1
// hold data, k to k+m-1 parity), at block `block` of that slot. Parity is bytewise over the
// same block number of all slots, so no stripe boundary is needed to decode.
struct BlockAddress {
    SegmentId segment;
    std::uint32_t block = 0;
    std::uint16_t chunk = 0;
    friend constexpr auto operator<=>(const BlockAddress&, const BlockAddress&) = default;
};

// `count` blocks that follow one another in one slot.
struct BlockRun {
    BlockAddress first;
    std::uint32_t count = 0;
    friend constexpr auto operator<=>(const BlockRun&, const BlockRun&) = default;
};

// Where a segment's slots are. Chunk i lies in slots[i]; a slot whose drive is kNoDrive was
// never written (the segment was born narrow) or is lost and waits for rebuild.
inline constexpr DriveId kNoDrive{0xffffffff};

struct SegmentSlot {
    DriveId drive = kNoDrive;
    SlotIndex slot;
    Generation generation;
    friend constexpr bool operator==(const SegmentSlot&, const SegmentSlot&) = default;
};

// Streams keep apart what dies at different times.
enum class StreamKind : std::uint8_t { hot = 0, cold = 1, cleaner = 2, index = 3 };
inline constexpr std::size_t kStreamCount = 4;

// Which blocks a summary entry stands for: `count` blocks of `file` from block `file_block`.
struct BlockOwner {
    FileId file;
    std::uint64_t file_block = 0;
    friend constexpr bool operator==(const BlockOwner&, const BlockOwner&) = default;
};

}  // namespace weft
