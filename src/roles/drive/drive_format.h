#pragma once

#include "model/ids/ids.h"
#include "platform/base/result.h"
#include "platform/base/types.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

// What lies on a drive beside the slots themselves, in bytes. Pure functions: what they decode
// may be hostile. Format: docs/formats/drive.md, held by golden bytes in drive_format_test.cc.
namespace weft::drive {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint64_t kSlotBytesLeast = 1 * kMiB;
inline constexpr std::uint64_t kSlotBytesMost = 16 * kMiB;
inline constexpr std::uint64_t kMapBytesMost = 256 * kKiB;
inline constexpr std::uint32_t kSlotsPerBlock = 101;
inline constexpr std::uint32_t kFencesPerBlock = 254;

// Fixed places: both copies of the superblock, and the first of the tables.
inline constexpr std::uint64_t kSuperblockOffsets[] = {0, 64 * kKiB};
inline constexpr std::uint64_t kFenceTableOffset = 128 * kKiB;
inline constexpr std::uint32_t kFenceTableBlocks = 128;

// Says whose the drive is and where its parts lie. Written once, when it is formatted.
struct Superblock {
    std::uint64_t cluster = 0;
    DriveId drive;
    FailureDomainId domain;
    // Random: of this formatting. Blocks of an earlier one are told by it.
    std::uint64_t incarnation = 0;
    Generation first_generation;  // Every generation given out is above it.
    std::uint64_t size_bytes = 0;
    std::uint32_t slot_bytes = 0;
    std::uint32_t slot_count = 0;
    std::uint64_t map_offset = 0;         // Two map areas.
    std::uint64_t slot_table_offset = 0;  // Two copies of each table block, side by side.
    std::uint64_t slots_offset = 0;
    friend bool operator==(const Superblock&, const Superblock&) = default;

    std::uint32_t slot_blocks() const {
        return static_cast<std::uint32_t>(slot_bytes / kBlockBytes);
    }
    std::uint32_t slot_table_blocks() const {
        return static_cast<std::uint32_t>(divide_up(slot_count, kSlotsPerBlock));
    }
};

// Where things go on a drive of this size. invalid: too small for a single slot, or a slot size
// that is not a power of two from 1 to 16 MiB.
Result<Superblock> lay_out(std::uint64_t size_bytes, std::uint32_t slot_bytes);

// One block each.
void encode(const Superblock& superblock, Bytes block);
// invalid: not a drive of ours. corrupt: damaged. not_supported: of a newer version.
Result<Superblock> decode_superblock(ConstBytes block);

enum class SlotState : std::uint8_t { free = 0, used = 1 };

struct SlotEntry {
    SlotState state = SlotState::free;
    OwnerId owner;
    SegmentId segment;
    std::uint16_t chunk = 0;
    Generation generation;  // 0: never used.
    Epoch epoch;            // Of the owner when it took the slot.
    friend bool operator==(const SlotEntry&, const SlotEntry&) = default;
};

struct FenceEntry {
    OwnerId owner;
    Epoch epoch;
    friend bool operator==(const FenceEntry&, const FenceEntry&) = default;
};

// The head of a table block: which block of which table of which formatting it is, and how
// often it was written.
struct TableBlockHead {
    std::uint64_t incarnation = 0;
    std::uint64_t sequence = 0;
    std::uint32_t index = 0;
    friend bool operator==(const TableBlockHead&, const TableBlockHead&) = default;
};

inline constexpr std::size_t kTableHeadBytes = 32;

template <class Entry>
struct TableBlock {
    TableBlockHead head;
    std::vector<Entry> entries;  // At most what a block holds; those after are zero.
    friend bool operator==(const TableBlock&, const TableBlock&) = default;
};
using SlotBlock = TableBlock<SlotEntry>;
using FenceBlock = TableBlock<FenceEntry>;

void encode(const SlotBlock& table, Bytes block);
void encode(const FenceBlock& table, Bytes block);
// corrupt.
Result<SlotBlock> decode_slot_block(ConstBytes block);
Result<FenceBlock> decode_fence_block(ConstBytes block);

// The stored cluster map, in an area of kMapAreaBytes: one block of head, then the map.
inline constexpr std::uint64_t kMapAreaBytes = kBlockBytes + kMapBytesMost;
struct StoredMap {
    std::uint64_t incarnation = 0;
    std::uint64_t sequence = 0;
    std::string map;
    friend bool operator==(const StoredMap&, const StoredMap&) = default;
};
std::uint64_t encoded_bytes(const StoredMap& stored);  // A multiple of 4 KiB.
void encode(const StoredMap& stored, Bytes area);
// corrupt.
Result<StoredMap> decode_map_area(ConstBytes area);

}  // namespace weft::drive
