#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "roles/drive/drive_internal.h"

#include <algorithm>
#include <utility>

namespace weft::drive {

Task<Superblock> read_superblock(Disk* disk, std::uint64_t offset) {
    Buffer block(kBlockBytes);
    co_await or_return(co_await disk->read(offset, block.bytes()));
    co_return decode_superblock(block.bytes());
}

Task<Superblock> find_superblock(Disk* disk) {
    Result<Superblock> best = Error{Code::invalid, "drive.superblock: not a Weft drive"};
    for (std::uint64_t offset : kSuperblockOffsets) {
        if (offset + kBlockBytes > disk->size_bytes()) continue;
        auto found = co_await read_superblock(disk, offset);
        if (found.ok()) co_return found;
        // The reason that says more wins: damaged over not ours.
        if (best.code() == Code::invalid) best = found;
    }
    co_return best;
}

static Result<TableBlockHead> slot_head(ConstBytes bytes) {
    auto block = decode_slot_block(bytes);
    if (!block.ok()) return block.error();
    return block.value().head;
}

static Result<TableBlockHead> fence_head(ConstBytes bytes) {
    auto block = decode_fence_block(bytes);
    if (!block.ok()) return block.error();
    return block.value().head;
}

Drive::Drive(Reactor& reactor, std::shared_ptr<PatientDisk> disk, Superblock superblock)
    : reactor_(reactor),
      disk_(std::move(disk)),
      superblock_(superblock),
      slots_(superblock.slot_count),
      storing_map_(reactor),
      changes_ended_(reactor),
      closes_(reactor),
      gate_(reactor),
      slot_table_(
          reactor, gate_, *disk_, superblock.slot_table_offset, superblock.slot_table_blocks(),
          superblock.incarnation,
          [this](const TableBlockHead& head, Bytes block) { encode_slots(head, block); },
          slot_head),
      fence_table_(
          reactor, gate_, *disk_, kFenceTableOffset, kFenceTableBlocks, superblock.incarnation,
          [this](const TableBlockHead& head, Bytes block) { encode_fences(head, block); },
          fence_head),
      flush_rounds_(reactor, gate_, [this] { return disk_->flush(); }) {}

Task<std::shared_ptr<Drive>> Drive::open(Reactor* reactor, std::shared_ptr<PatientDisk> disk,
                                         std::uint64_t cluster) {
    auto superblock = co_await or_return(co_await find_superblock(disk.get()));
    if (cluster != 0 && superblock.cluster != cluster) {
        co_return Error{Code::invalid, "drive.open: of another cluster"};
    }
    if (disk->size_bytes() < superblock.size_bytes) {
        co_return Error{Code::invalid, "drive.open: smaller than when it was formatted"};
    }
    auto drive = std::make_shared<Drive>(*reactor, disk, superblock);
    co_await or_return(co_await drive->load());
    drive->settle_later();
    co_return drive;
}

void Drive::take_slot_block(std::uint32_t index, const SlotBlock& block) {
    for (std::uint32_t i = 0; i < block.entries.size(); ++i) {
        std::uint32_t number = index * kSlotsPerBlock + i;
        if (number >= slots_.size()) break;
        slots_[number].entry = block.entries[i];
    }
}

void Drive::take_fence_block(std::uint32_t index, const FenceBlock& block) {
    for (std::uint32_t i = 0; i < block.entries.size(); ++i) {
        const FenceEntry& entry = block.entries[i];
        std::uint32_t position = index * kFencesPerBlock + i;
        CHECK(position >= owners_by_position_.size());
        owners_by_position_.resize(position + 1);
        owners_by_position_[position] = entry.owner;
        if (entry.owner.kind == OwnerId::Kind::none) continue;
        Owner& owner = owners_[entry.owner];
        owner.position = position;
        owner.durable = std::max(owner.durable, entry.epoch);
        owner.highest = std::max(owner.highest, entry.epoch);
    }
}

Task<Done> Drive::load() {
    PairedTable::Take take_slots = [this](std::uint32_t index, ConstBytes bytes) {
        take_slot_block(index, decode_slot_block(bytes).value());
    };
    PairedTable::Take take_fences = [this](std::uint32_t index, ConstBytes bytes) {
        take_fence_block(index, decode_fence_block(bytes).value());
    };
    auto lost_fences = co_await or_return(co_await fence_table_.load(std::move(take_fences)));
    // Without its fences a drive would let the dead write.
    if (!lost_fences.empty()) co_return Error{Code::corrupt, "drive.open: fence table"};
    auto lost_slots = co_await or_return(co_await slot_table_.load(std::move(take_slots)));
    errors_ += lost_slots.size();
    for (std::uint32_t index : lost_slots) {
        std::uint32_t begin = index * kSlotsPerBlock;
        std::uint32_t end = std::min(begin + kSlotsPerBlock, superblock_.slot_count);
        for (std::uint32_t i = begin; i < end; ++i) slots_[i].standing = Standing::unknown;
    }
    given_before_ =
        std::max(superblock_.first_generation, first_generation_at(reactor_.wall_now()));
    if (planted(Bug::drive_forgets_generations)) given_before_ = superblock_.first_generation;
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
        Slot& slot = slots_[i];
        if (slot.standing == Standing::unknown) continue;
        if (slot.entry.state == SlotState::free) {
            free_.push(SlotIndex{i});
            continue;
        }
        slot.standing = Standing::used;
        auto owner = owners_.find(slot.entry.owner);
        if (owner == owners_.end()) continue;
        owner->second.highest = std::max(owner->second.highest, slot.entry.epoch);
    }
    co_return co_await load_map_areas();
}

void Drive::encode_slots(const TableBlockHead& head, Bytes block) const {
    SlotBlock table;
    table.head = head;
    std::uint32_t begin = head.index * kSlotsPerBlock;
    std::uint32_t end = std::min(begin + kSlotsPerBlock, superblock_.slot_count);
    for (std::uint32_t i = begin; i < end; ++i) table.entries.push_back(slots_[i].entry);
    encode(table, block);
}

void Drive::encode_fences(const TableBlockHead& head, Bytes block) const {
    FenceBlock table;
    table.head = head;
    std::size_t begin = std::size_t{head.index} * kFencesPerBlock;
    std::size_t end = std::min(begin + kFencesPerBlock, owners_by_position_.size());
    for (std::size_t i = begin; i < end; ++i) {
        FenceEntry entry;
        entry.owner = owners_by_position_[i];
        auto owner = owners_.find(entry.owner);
        if (owner != owners_.end()) entry.epoch = owner->second.highest;
        table.entries.push_back(entry);
    }
    encode(table, block);
}

Result<Done> Drive::noted(Result<Done> outcome) {
    last_failed_ = !outcome.ok();
    if (last_failed_) ++errors_;
    return outcome;
}

Task<DriveStatus> Drive::status() {
    // A drive that failed last time may be dead: then it is not said to have free slots.
    if (last_failed_) co_await or_return(co_await probe());
    DriveStatus status;
    status.slot_count = superblock_.slot_count;
    status.free_slots = static_cast<std::uint32_t>(free_.size());
    status.slot_blocks = superblock_.slot_blocks();
    status.power_safe = disk_->power_safe();
    status.blocks_read = blocks_read_;
    status.blocks_written = blocks_written_;
    status.flushes = flushes_;
    status.errors = errors_;
    co_return status;
}

Task<Done> Drive::probe() {
    auto found = co_await find_superblock(disk_.get());
    Result<Done> outcome = Done{};
    if (!found.ok()) outcome = found.error();
    if (found.ok() && found.value() != superblock_) {
        outcome = Error{Code::unavailable, "drive.probe: another drive is in its place"};
    }
    co_return noted(outcome);
}

Task<Done> Drive::flush() {
    if (disk_->power_safe()) co_return Done{};
    ++flushes_;
    co_return noted(co_await flush_rounds_.join());
}

}  // namespace weft::drive
