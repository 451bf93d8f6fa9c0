#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "roles/drive/drive_internal.h"

#include <algorithm>
#include <utility>

namespace weft::drive {

class Drive::Change {
public:
    Change(Drive& drive, Owner& owner, Epoch epoch) : drive_(drive), owner_(owner), epoch_(epoch) {
        ++owner_.writes[epoch_];
    }
    Change(Drive& drive, Owner& owner, Epoch epoch, SlotIndex slot) : Change(drive, owner, epoch) {
        slot_ = slot;
        writes_slot_ = true;
        ++drive_.slots_[slot_.value].writes;
    }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    ~Change() {
        auto under_way = owner_.writes.find(epoch_);
        if (--under_way->second == 0) owner_.writes.erase(under_way);
        drive_.changes_ended_.notify_all();
        if (!writes_slot_) return;
        Slot& slot = drive_.slots_[slot_.value];
        --slot.writes;
        if (slot.standing == Standing::emptying) drive_.give_out_again(slot_);
    }

private:
    Drive& drive_;
    Owner& owner_;
    Epoch epoch_;
    SlotIndex slot_;
    bool writes_slot_ = false;
};

Result<Drive::Owner*> Drive::owner_of(OwnerId id) {
    if (id.kind == OwnerId::Kind::none) return Error{Code::invalid, "drive.owner"};
    auto found = owners_.find(id);
    if (found != owners_.end()) return &found->second;
    if (owners_by_position_.size() >= std::size_t{kFenceTableBlocks} * kFencesPerBlock) {
        return Error{Code::limit_reached, "drive.owner"};
    }
    Owner& owner = owners_[id];
    owner.position = static_cast<std::uint32_t>(owners_by_position_.size());
    owners_by_position_.push_back(id);
    return &owner;
}

Task<Done> Drive::fence(Fence fence) {
    Owner* owner = co_await or_return(owner_of(fence.owner));
    if (fence.epoch < owner->highest) co_return Error{Code::fenced, "drive.fence"};
    owner->highest = fence.epoch;
    // What was let in before may still be on its way to the medium: whoever fences reads what
    // the old owner wrote, and it must not change any more.
    while (!owner->writes.empty() && owner->writes.begin()->first < fence.epoch) {
        co_await changes_ended_.wait();
    }
    // What it was asked for before may still come to be, though nobody waits for it any more.
    if (disk_->gone()) co_return Error{Code::unavailable, "drive.fence"};
    if (owner->durable >= fence.epoch) co_return Done{};
    Epoch highest = owner->highest;
    auto written = co_await fence_table_.write(owner->position / kFencesPerBlock);
    settle_later();
    co_await or_return(noted(written));
    owner->durable = std::max(owner->durable, highest);
    co_return Done{};
}

Task<Drive::Owner*> Drive::admit(Fence by) {
    Owner* owner = co_await or_return(owner_of(by.owner));
    if (by.epoch > owner->durable) co_await or_return(co_await fence(by));
    bool old = by.epoch < owner->highest && !planted(Bug::drive_lets_old_epoch_write);
    if (old) co_return Error{Code::fenced, "drive.admit"};
    co_return owner;
}

bool Drive::serves(const SegmentSlot& slot) const {
    if (slot.slot.value >= slots_.size()) return false;
    const Slot& at = slots_[slot.slot.value];
    return at.standing == Standing::used && at.entry.generation == slot.generation;
}

void Drive::give_out_again(SlotIndex slot) {
    Slot& at = slots_[slot.value];
    at.standing = at.writes > 0 ? Standing::emptying : Standing::free;
    if (at.standing == Standing::free) free_.push(slot);
}

Task<Done> Drive::write_slot_entry(SlotIndex slot) {
    auto written = co_await slot_table_.write(slot.value / kSlotsPerBlock);
    settle_later();
    co_return noted(written);
}

Task<SegmentSlot> Drive::allocate(Fence fence, SegmentId segment, std::uint16_t chunk) {
    Owner* owner = co_await or_return(co_await admit(fence));
    if (free_.empty()) co_return Error{Code::out_of_space, "drive.allocate"};
    SlotIndex slot = free_.top();
    free_.pop();
    Slot& at = slots_[slot.value];
    CHECK(at.standing == Standing::free && at.writes == 0);
    at.standing = Standing::used;
    at.entry.state = SlotState::used;
    at.entry.owner = fence.owner;
    at.entry.segment = segment;
    at.entry.chunk = chunk;
    at.entry.epoch = fence.epoch;
    at.entry.generation = std::max(at.entry.generation, given_before_);
    if (!planted(Bug::drive_reuses_generation)) ++at.entry.generation.value;
    SegmentSlot taken{superblock_.drive, slot, at.entry.generation};

    Change change(*this, *owner, fence.epoch);
    auto written = co_await write_slot_entry(slot);
    if (written.ok()) co_return taken;
    // The table may say so or not: the generation stays risen, so that it does not matter.
    if (serves(taken)) {
        at.entry.state = SlotState::free;
        give_out_again(slot);
    }
    co_return written.error();
}

Task<Done> Drive::free(Fence fence, SlotIndex slot, Generation generation) {
    Owner* owner = co_await or_return(co_await admit(fence));
    SegmentSlot named{superblock_.drive, slot, generation};
    if (!serves(named)) co_return Done{};
    Slot& at = slots_[slot.value];
    if (at.entry.owner != fence.owner) co_return Error{Code::stale, "drive.free"};
    at.entry.state = SlotState::free;
    give_out_again(slot);
    Change change(*this, *owner, fence.epoch);
    co_return co_await write_slot_entry(slot);
}

std::uint64_t Drive::offset_of(SlotIndex slot, std::uint32_t block) const {
    return superblock_.slots_offset + std::uint64_t{slot.value} * superblock_.slot_bytes +
           block * kBlockBytes;
}

namespace {

bool within_slot(const Superblock& superblock, std::uint32_t block, std::size_t bytes) {
    return bytes > 0 && bytes % kBlockBytes == 0 &&
           block + bytes / kBlockBytes <= superblock.slot_blocks();
}

}  // namespace

Task<Done> Drive::write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) {
    if (!within_slot(superblock_, block, from.size())) {
        co_return Error{Code::invalid, "drive.write"};
    }
    Owner* owner = co_await or_return(co_await admit(fence));
    bool ours = serves(slot) && slots_[slot.slot.value].entry.owner == fence.owner;
    if (!ours && !planted(Bug::drive_writes_stale_slots)) {
        co_return Error{Code::stale, "drive.write"};
    }
    Change change(*this, *owner, fence.epoch, slot.slot);
    Buffer bounce(block_aligned(from.data()) ? 0 : from.size());
    if (bounce) {
        std::copy(from.begin(), from.end(), bounce.bytes().begin());
        from = bounce.bytes();
    }
    co_await or_return(noted(co_await disk_->write(offset_of(slot.slot, block), from)));
    blocks_written_ += from.size() / kBlockBytes;
    co_return Done{};
}

Task<Done> Drive::read(SegmentSlot slot, std::uint32_t block, Bytes into) {
    if (!within_slot(superblock_, block, into.size())) {
        co_return Error{Code::invalid, "drive.read"};
    }
    if (!serves(slot)) co_return Error{Code::stale, "drive.read"};
    Buffer bounce(block_aligned(into.data()) ? 0 : into.size());
    Bytes place = bounce ? bounce.bytes() : into;
    co_await or_return(noted(co_await disk_->read(offset_of(slot.slot, block), place)));
    // The slot may have been freed and written by somebody else meanwhile.
    if (!serves(slot)) co_return Error{Code::stale, "drive.read"};
    if (bounce) std::copy(place.begin(), place.end(), into.begin());
    blocks_read_ += into.size() / kBlockBytes;
    co_return Done{};
}

Task<std::vector<SlotInfo>> Drive::list(OwnerId owner) {
    std::vector<SlotInfo> found;
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
        const Slot& slot = slots_[i];
        if (slot.standing != Standing::used || slot.entry.owner != owner) continue;
        found.push_back(
            {SlotIndex{i}, slot.entry.generation, slot.entry.segment, slot.entry.chunk});
    }
    co_return found;
}

}  // namespace weft::drive
