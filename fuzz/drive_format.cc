#include "roles/drive/drive_format.h"

#include "input.h"
#include "platform/base/check.h"
#include "platform/isal/crc32c.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

using weft::Bytes;
using weft::ConstBytes;

constexpr std::size_t kSuperblockChecksum = 12;

void put_checksum(Bytes block, std::size_t at, std::uint32_t crc) {
    std::memcpy(block.data() + at, &crc, sizeof(crc));
}

template <class Table>
void check_table(const weft::Result<Table>& table, ConstBytes block) {
    if (!table.ok()) return;
    std::vector<std::byte> again(block.size());
    encode(table.value(), Bytes(again));
    CHECK(std::equal(again.begin(), again.end(), block.begin()));
}

void check_superblock(std::vector<std::byte> block) {
    block.resize(weft::kBlockBytes);
    std::memcpy(block.data(), "WEFTDRIV\1\0\0\0", kSuperblockChecksum);
    put_checksum(block, kSuperblockChecksum, 0);
    put_checksum(block, kSuperblockChecksum, weft::crc32c(block));
    auto superblock = weft::drive::decode_superblock(block);
    if (!superblock.ok()) return;
    CHECK(superblock.value().slot_count > 0 && superblock.value().slot_blocks() > 0);
    check_table(superblock, block);
}

void check_tables(std::vector<std::byte> block) {
    block.resize(weft::kBlockBytes);
    put_checksum(block, 0, weft::crc32c(ConstBytes(block).subspan(4)));
    check_table(weft::drive::decode_slot_block(block), block);
    check_table(weft::drive::decode_fence_block(block), block);
}

void check_map(std::vector<std::byte> area) {
    area.resize(weft::round_up(area.size() + 1, weft::kBlockBytes));
    // Its length says how much the checksum covers; each that could be meant gets its turn.
    for (std::size_t covered = weft::kBlockBytes; covered <= area.size();
         covered += weft::kBlockBytes) {
        put_checksum(area, 0, weft::crc32c(ConstBytes(area).subspan(4, covered - 4)));
        auto map = weft::drive::decode_map_area(area);
        if (map.ok()) CHECK(encoded_bytes(map.value()) == covered);
    }
}

}  // namespace

// A checksum is no lock: each gets the right one, so that what lies behind it is reached.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ConstBytes given = weft::fuzz::input(data, std::min<std::size_t>(size, 5 * weft::kBlockBytes));
    std::vector<std::byte> block(given.begin(), given.end());
    check_superblock(block);
    check_tables(block);
    check_map(block);
    return 0;
}
