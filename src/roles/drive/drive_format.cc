#include "roles/drive/drive_format.h"

#include "platform/base/bytes.h"
#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "platform/isal/crc32c.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

namespace weft::drive {
namespace {

constexpr std::array<char, 8> kMagic = {'W', 'E', 'F', 'T', 'D', 'R', 'I', 'V'};
constexpr std::uint64_t kTableCopies = 2;
constexpr std::uint64_t kMapAreas = 2;
constexpr std::uint64_t kSlotsAlignment = 1 * kMiB;

enum class BlockKind : std::uint32_t { fences = 1, slots = 2, map = 3 };

// The images below are the bytes as they lie on the drive: docs/formats/drive.md.
struct SuperblockImage {
    std::array<char, 8> magic = kMagic;
    std::uint32_t version = kFormatVersion;
    std::uint32_t checksum = 0;  // crc32c of the whole block with this field zero.
    std::uint64_t cluster = 0;
    std::uint64_t incarnation = 0;
    std::uint64_t first_generation = 0;
    std::uint64_t size_bytes = 0;
    std::uint64_t map_offset = 0;
    std::uint64_t slot_table_offset = 0;
    std::uint64_t slots_offset = 0;
    std::uint32_t drive = 0;
    std::uint32_t domain = 0;
    std::uint32_t slot_bytes = 0;
    std::uint32_t slot_count = 0;
};
static_assert(sizeof(SuperblockImage) == 88);
static_assert(std::has_unique_object_representations_v<SuperblockImage>);

struct HeadImage {
    std::uint32_t checksum = 0;  // crc32c of everything after this field.
    std::uint32_t kind = 0;
    std::uint32_t index = 0;  // Of a map: its length in bytes.
    std::uint32_t count = 0;  // Entries that follow. Of a map: 0.
    std::uint64_t incarnation = 0;
    std::uint64_t sequence = 0;
};
static_assert(sizeof(HeadImage) == kTableHeadBytes);
static_assert(std::has_unique_object_representations_v<HeadImage>);

struct SlotImage {
    std::uint64_t segment = 0;
    std::uint64_t generation = 0;
    std::uint64_t epoch = 0;
    std::uint32_t owner_kind = 0;
    std::uint32_t owner_number = 0;
    std::uint16_t chunk = 0;
    std::uint8_t state = 0;
    std::array<std::uint8_t, 5> reserved{};
};
static_assert(sizeof(SlotImage) == 40);
static_assert(std::has_unique_object_representations_v<SlotImage>);
static_assert(sizeof(HeadImage) + kSlotsPerBlock * sizeof(SlotImage) <= kBlockBytes);

struct FenceImage {
    std::uint32_t owner_kind = 0;
    std::uint32_t owner_number = 0;
    std::uint64_t epoch = 0;
};
static_assert(sizeof(FenceImage) == 16);
static_assert(std::has_unique_object_representations_v<FenceImage>);
static_assert(sizeof(HeadImage) + kFencesPerBlock * sizeof(FenceImage) <= kBlockBytes);

template <class Image>
void put_image(const Image& image, Bytes at) {
    std::memcpy(at.data(), &image, sizeof(Image));
}

template <class Image>
Image get_image(ConstBytes at) {
    Image image;
    std::memcpy(&image, at.data(), sizeof(Image));
    return image;
}

void zero(Bytes bytes) {
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
}

// What a version leaves unused must be zero, so that a later one may give it a meaning.
bool unused(ConstBytes bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

std::uint32_t checksum_after_first_field(ConstBytes bytes) {
    return crc32c(bytes.subspan(sizeof(std::uint32_t)));
}

std::uint32_t superblock_checksum(ConstBytes block) {
    auto image = get_image<SuperblockImage>(block);
    image.checksum = 0;
    return crc32c(block.subspan(sizeof(image)), crc32c(image_of(image)));
}

bool known_owner(std::uint32_t kind) {
    return kind <= static_cast<std::uint32_t>(OwnerId::Kind::journal);
}

SlotImage to_image(const SlotEntry& entry) {
    SlotImage image;
    image.segment = entry.segment.value;
    image.generation = entry.generation.value;
    image.epoch = entry.epoch.value;
    image.owner_kind = static_cast<std::uint32_t>(entry.owner.kind);
    image.owner_number = entry.owner.number;
    image.chunk = entry.chunk;
    image.state = static_cast<std::uint8_t>(entry.state);
    return image;
}

FenceImage to_image(const FenceEntry& entry) {
    return {static_cast<std::uint32_t>(entry.owner.kind), entry.owner.number, entry.epoch.value};
}

bool from_image(const SlotImage& image, SlotEntry& entry) {
    entry.segment = SegmentId{image.segment};
    entry.generation = Generation{image.generation};
    entry.epoch = Epoch{image.epoch};
    entry.owner = {static_cast<OwnerId::Kind>(image.owner_kind), image.owner_number};
    entry.chunk = image.chunk;
    entry.state = static_cast<SlotState>(image.state);
    return known_owner(image.owner_kind) && unused(std::as_bytes(std::span(image.reserved))) &&
           image.state <= static_cast<std::uint8_t>(SlotState::used);
}

bool from_image(const FenceImage& image, FenceEntry& entry) {
    entry.owner = {static_cast<OwnerId::Kind>(image.owner_kind), image.owner_number};
    entry.epoch = Epoch{image.epoch};
    return known_owner(image.owner_kind);
}

template <class Image, class Entry>
void encode_table(const TableBlock<Entry>& table, BlockKind kind, std::size_t most, Bytes block) {
    CHECK(block.size() == kBlockBytes && table.entries.size() <= most);
    zero(block);
    HeadImage head;
    head.kind = static_cast<std::uint32_t>(kind);
    head.index = table.head.index;
    head.count = static_cast<std::uint32_t>(table.entries.size());
    head.incarnation = table.head.incarnation;
    head.sequence = table.head.sequence;
    put_image(head, block);
    std::size_t at = sizeof(head);
    for (const Entry& entry : table.entries) {
        put_image<Image>(to_image(entry), block.subspan(at));
        at += sizeof(Image);
    }
    head.checksum = checksum_after_first_field(block);
    put_image(head, block);
}

template <class Image, class Entry>
Result<TableBlock<Entry>> decode_table(ConstBytes block, BlockKind kind, std::size_t most) {
    constexpr Error kCorrupt{Code::corrupt, "drive.table"};
    if (block.size() != kBlockBytes) return kCorrupt;
    auto head = get_image<HeadImage>(block);
    bool right = head.checksum == checksum_after_first_field(block);
    if (!right && !planted(Bug::drive_takes_torn_tables)) return kCorrupt;
    if (head.kind != static_cast<std::uint32_t>(kind) || head.count > most) return kCorrupt;
    TableBlock<Entry> table;
    table.head = {head.incarnation, head.sequence, head.index};
    table.entries.resize(head.count);
    std::size_t at = sizeof(head);
    for (Entry& entry : table.entries) {
        if (!from_image(get_image<Image>(block.subspan(at)), entry)) return kCorrupt;
        at += sizeof(Image);
    }
    if (!unused(block.subspan(at))) return kCorrupt;
    return table;
}

// The parts follow one another within the drive, and the arithmetic cannot overflow.
bool consistent(const Superblock& superblock) {
    std::uint64_t map_end = superblock.map_offset + kMapAreas * kMapAreaBytes;
    std::uint64_t table_end =
        superblock.slot_table_offset + superblock.slot_table_blocks() * kTableCopies * kBlockBytes;
    std::uint64_t limit = std::uint64_t{1} << 62;
    if (superblock.map_offset > limit || superblock.slot_table_offset > limit ||
        superblock.slots_offset > limit || superblock.size_bytes > limit) {
        return false;
    }
    if (superblock.slot_bytes < kSlotBytesLeast || superblock.slot_bytes > kSlotBytesMost ||
        !std::has_single_bit(superblock.slot_bytes) || superblock.slot_count == 0) {
        return false;
    }
    for (std::uint64_t offset :
         {superblock.map_offset, superblock.slot_table_offset, superblock.slots_offset}) {
        if (offset % kBlockBytes != 0) return false;
    }
    std::uint64_t fence_end = kFenceTableOffset + kFenceTableBlocks * kTableCopies * kBlockBytes;
    std::uint64_t slots_bytes = std::uint64_t{superblock.slot_count} * superblock.slot_bytes;
    return superblock.map_offset >= fence_end && superblock.slot_table_offset >= map_end &&
           superblock.slots_offset >= table_end &&
           superblock.slots_offset + slots_bytes <= superblock.size_bytes;
}

}  // namespace

Result<Superblock> lay_out(std::uint64_t size_bytes, std::uint32_t slot_bytes) {
    if (slot_bytes < kSlotBytesLeast || slot_bytes > kSlotBytesMost ||
        !std::has_single_bit(slot_bytes)) {
        return Error{Code::invalid, "drive.format: slot size"};
    }
    Superblock superblock;
    superblock.size_bytes = round_down(size_bytes, kBlockBytes);
    superblock.slot_bytes = slot_bytes;
    superblock.map_offset = kFenceTableOffset + kFenceTableBlocks * kTableCopies * kBlockBytes;
    superblock.slot_table_offset = superblock.map_offset + kMapAreas * kMapAreaBytes;

    std::uint64_t before = superblock.slot_table_offset;
    std::uint64_t count = size_bytes > before ? (size_bytes - before) / slot_bytes : 0;
    std::uint64_t table_bytes = divide_up(count, kSlotsPerBlock) * kTableCopies * kBlockBytes;
    superblock.slots_offset = round_up(before + table_bytes, kSlotsAlignment);
    if (superblock.slots_offset >= superblock.size_bytes) count = 0;
    if (count > 0) count = (superblock.size_bytes - superblock.slots_offset) / slot_bytes;
    if (count == 0) return Error{Code::invalid, "drive.format: too small"};
    superblock.slot_count =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(count, UINT32_MAX - 1));
    return superblock;
}

void encode(const Superblock& superblock, Bytes block) {
    CHECK(block.size() == kBlockBytes);
    zero(block);
    SuperblockImage image;
    image.cluster = superblock.cluster;
    image.incarnation = superblock.incarnation;
    image.first_generation = superblock.first_generation.value;
    image.size_bytes = superblock.size_bytes;
    image.map_offset = superblock.map_offset;
    image.slot_table_offset = superblock.slot_table_offset;
    image.slots_offset = superblock.slots_offset;
    image.drive = superblock.drive.value;
    image.domain = superblock.domain.value;
    image.slot_bytes = superblock.slot_bytes;
    image.slot_count = superblock.slot_count;
    put_image(image, block);
    image.checksum = superblock_checksum(block);
    put_image(image, block);
}

Result<Superblock> decode_superblock(ConstBytes block) {
    if (block.size() != kBlockBytes) return Error{Code::invalid, "drive.superblock: size"};
    auto image = get_image<SuperblockImage>(block);
    if (image.magic != kMagic) return Error{Code::invalid, "drive.superblock: not a Weft drive"};
    // First the version: another may have its checksum elsewhere.
    if (image.version != kFormatVersion) {
        return Error{Code::not_supported, "drive.superblock: another format version"};
    }
    if (image.checksum != superblock_checksum(block)) {
        return Error{Code::corrupt, "drive.superblock: damaged"};
    }
    Superblock superblock;
    superblock.cluster = image.cluster;
    superblock.incarnation = image.incarnation;
    superblock.first_generation = Generation{image.first_generation};
    superblock.size_bytes = image.size_bytes;
    superblock.map_offset = image.map_offset;
    superblock.slot_table_offset = image.slot_table_offset;
    superblock.slots_offset = image.slots_offset;
    superblock.drive = DriveId{image.drive};
    superblock.domain = FailureDomainId{image.domain};
    superblock.slot_bytes = image.slot_bytes;
    superblock.slot_count = image.slot_count;
    bool fits = unused(block.subspan(sizeof(image))) && consistent(superblock);
    if (!fits) return Error{Code::corrupt, "drive.superblock: inconsistent"};
    return superblock;
}

void encode(const SlotBlock& table, Bytes block) {
    encode_table<SlotImage>(table, BlockKind::slots, kSlotsPerBlock, block);
}

void encode(const FenceBlock& table, Bytes block) {
    encode_table<FenceImage>(table, BlockKind::fences, kFencesPerBlock, block);
}

Result<SlotBlock> decode_slot_block(ConstBytes block) {
    return decode_table<SlotImage, SlotEntry>(block, BlockKind::slots, kSlotsPerBlock);
}

Result<FenceBlock> decode_fence_block(ConstBytes block) {
    return decode_table<FenceImage, FenceEntry>(block, BlockKind::fences, kFencesPerBlock);
}

std::uint64_t encoded_bytes(const StoredMap& stored) {
    return kBlockBytes + round_up(stored.map.size(), kBlockBytes);
}

void encode(const StoredMap& stored, Bytes area) {
    CHECK(stored.map.size() <= kMapBytesMost && area.size() == encoded_bytes(stored));
    zero(area);
    HeadImage head;
    head.kind = static_cast<std::uint32_t>(BlockKind::map);
    head.index = static_cast<std::uint32_t>(stored.map.size());
    head.incarnation = stored.incarnation;
    head.sequence = stored.sequence;
    put_image(head, area);
    ConstBytes map = bytes_of(stored.map);
    std::copy(map.begin(), map.end(), area.begin() + kBlockBytes);
    head.checksum = checksum_after_first_field(area);
    put_image(head, area);
}

Result<StoredMap> decode_map_area(ConstBytes area) {
    constexpr Error kCorrupt{Code::corrupt, "drive.map"};
    if (area.size() < kBlockBytes) return kCorrupt;
    auto head = get_image<HeadImage>(area);
    std::uint64_t bytes = kBlockBytes + round_up(head.index, kBlockBytes);
    if (head.kind != static_cast<std::uint32_t>(BlockKind::map) || bytes > area.size()) {
        return kCorrupt;
    }
    if (head.checksum != checksum_after_first_field(area.first(bytes))) return kCorrupt;
    StoredMap stored;
    stored.incarnation = head.incarnation;
    stored.sequence = head.sequence;
    stored.map = text_of(area.subspan(kBlockBytes, head.index));
    return stored;
}

}  // namespace weft::drive
