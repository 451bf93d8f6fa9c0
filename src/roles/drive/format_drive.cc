#include "platform/memory/buffer.h"
#include "roles/drive/drive_internal.h"
#include "roles/drive/drive_role.h"

#include <algorithm>

namespace weft::drive {
namespace {

constexpr std::uint64_t kGenerationsPerSecond = 1 << 20;
constexpr std::int64_t kGenerationsBeganSecond = 1'577'836'800;
// At either end of a disk, to see whether it is blank.
constexpr std::uint64_t kLookedAtBytes = 1 * kMiB;

Task<Done> write_zeros(Disk* disk, std::uint64_t offset, std::uint64_t bytes) {
    Buffer zeros(bytes);
    std::fill(zeros.bytes().begin(), zeros.bytes().end(), std::byte{0});
    co_return co_await disk->write(offset, zeros.bytes());
}

Task<Done> expect_zeros(Disk* disk, std::uint64_t offset, std::uint64_t bytes) {
    Buffer found(bytes);
    co_await or_return(co_await disk->read(offset, found.bytes()));
    auto is_zero = [](std::byte byte) {
        return byte == std::byte{0};
    };
    if (std::all_of(found.bytes().begin(), found.bytes().end(), is_zero)) co_return Done{};
    co_return Error{Code::already_exists,
                    "it is not blank: it may hold somebody's data; --overwrite takes it anyway"};
}

// Filesystems, partition tables and arrays mark the beginning or the end of what they are on.
Task<Done> expect_blank(Disk* disk, Result<Superblock> old) {
    if (old.code() == Code::io_failed || old.code() == Code::unavailable) co_return old.error();
    if (old.code() != Code::invalid) {
        co_return Error{Code::already_exists,
                        "it holds a Weft drive, with its data; --overwrite takes it anyway"};
    }
    std::uint64_t looked_at = std::min(kLookedAtBytes, disk->size_bytes());
    co_await or_return(co_await expect_zeros(disk, 0, looked_at));
    co_return co_await expect_zeros(disk, disk->size_bytes() - looked_at, looked_at);
}

}  // namespace

Generation first_generation_at(std::int64_t wall_now) {
    std::int64_t since = std::max<std::int64_t>(wall_now - kGenerationsBeganSecond * kSecond, 0);
    auto seconds = static_cast<std::uint64_t>(since / kSecond);
    auto rest = static_cast<std::uint64_t>(since % kSecond);
    return Generation{seconds * kGenerationsPerSecond + rest * kGenerationsPerSecond / kSecond};
}

Task<Done> format_drive(Reactor* reactor, Disk* disk, NewDrive drive) {
    auto superblock = co_await or_return(lay_out(disk->size_bytes(), drive.slot_bytes));
    auto old = co_await find_superblock(disk);
    if (!drive.overwrite) co_await or_return(co_await expect_blank(disk, old));
    superblock.cluster = drive.cluster;
    superblock.drive = drive.drive;
    superblock.domain = drive.domain;
    superblock.incarnation = reactor->random();
    superblock.first_generation = first_generation_at(reactor->wall_now());

    // Until the last step it is no drive: the old superblocks go first, the new come last.
    for (std::uint64_t offset : kSuperblockOffsets) {
        co_await or_return(co_await write_zeros(disk, offset, kBlockBytes));
    }
    co_await or_return(co_await disk->flush());
    PairedTable::Encode fences = [](const TableBlockHead& head, Bytes block) {
        FenceBlock table;
        table.head = head;
        encode(table, block);
    };
    co_await or_return(co_await PairedTable::format(disk, kFenceTableOffset, kFenceTableBlocks,
                                                    superblock.incarnation, std::move(fences)));
    std::uint32_t slot_count = superblock.slot_count;
    PairedTable::Encode slots = [slot_count](const TableBlockHead& head, Bytes block) {
        SlotBlock table;
        table.head = head;
        table.entries.resize(std::min(kSlotsPerBlock, slot_count - head.index * kSlotsPerBlock));
        encode(table, block);
    };
    co_await or_return(co_await PairedTable::format(disk, superblock.slot_table_offset,
                                                    superblock.slot_table_blocks(),
                                                    superblock.incarnation, std::move(slots)));
    co_await or_return(co_await disk->flush());

    Buffer block(kBlockBytes);
    encode(superblock, block.bytes());
    for (std::uint64_t offset : kSuperblockOffsets) {
        co_await or_return(co_await disk->write(offset, block.bytes()));
    }
    co_return co_await disk->flush();
}

}  // namespace weft::drive
