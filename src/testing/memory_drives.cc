#include "testing/memory_drives.h"

#include <algorithm>
#include <utility>

namespace weft::testing {
namespace {

constexpr Error kGone{Code::unavailable, "drive.gone"};

}  // namespace

MemoryDrives::MemoryDrives(Reactor& reactor, std::uint32_t drive_count, std::uint32_t slot_count,
                           std::uint32_t slot_blocks)
    : reactor_(reactor), slot_count_(slot_count), slot_blocks_(slot_blocks) {
    for (std::uint32_t i = 0; i < drive_count; ++i) (void)add_drive();
}

DriveId MemoryDrives::add_drive() {
    DriveId id{static_cast<std::uint32_t>(drives_.size())};
    drives_[id].slots.resize(slot_count_);
    return id;
}

MemoryDrives::Drive* MemoryDrives::serving(DriveId drive) {
    auto found = drives_.find(drive);
    return found == drives_.end() || found->second.gone ? nullptr : &found->second;
}

bool MemoryDrives::fenced(const Drive& drive, Fence fence) {
    auto seen = drive.fences.find(fence.owner);
    return seen != drive.fences.end() && fence.epoch < seen->second;
}

std::uint32_t MemoryDrives::free_slots(DriveId drive) const {
    const auto& slots = drives_.at(drive).slots;
    return static_cast<std::uint32_t>(
        std::count_if(slots.begin(), slots.end(), [](const Slot& slot) { return !slot.used; }));
}

Task<DriveStatus> MemoryDrives::status(DriveId drive) {
    co_await sleep(reactor_, latency_);
    if (serving(drive) == nullptr) co_return kGone;
    DriveStatus status;
    status.slot_count = slot_count_;
    status.free_slots = free_slots(drive);
    status.slot_blocks = slot_blocks_;
    co_return status;
}

Task<SegmentSlot> MemoryDrives::allocate(DriveId drive, Fence fence, SegmentId segment,
                                         std::uint16_t chunk) {
    co_await sleep(reactor_, latency_);
    Drive* at = serving(drive);
    if (at == nullptr) co_return kGone;
    if (fenced(*at, fence)) co_return Error{Code::fenced, "drive.allocate"};
    for (std::uint32_t i = 0; i < at->slots.size(); ++i) {
        Slot& slot = at->slots[i];
        if (slot.used) continue;
        slot.used = true;
        slot.owner = fence.owner;
        slot.segment = segment;
        slot.chunk = chunk;
        ++slot.generation.value;
        co_return SegmentSlot{drive, SlotIndex{i}, slot.generation};
    }
    co_return Error{Code::out_of_space, "drive.allocate"};
}

Task<Done> MemoryDrives::free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) {
    co_await sleep(reactor_, latency_);
    Drive* at = serving(drive);
    if (at == nullptr) co_return kGone;
    if (fenced(*at, fence)) co_return Error{Code::fenced, "drive.free"};
    CHECK(slot.value < at->slots.size());
    Slot& freed = at->slots[slot.value];
    if (freed.generation == generation) freed.used = false;
    co_return Done{};
}

Task<Done> MemoryDrives::write(SegmentSlot slot, Fence fence, std::uint32_t block,
                               ConstBytes from) {
    CHECK(from.size() % kBlockBytes == 0 && block + from.size() / kBlockBytes <= slot_blocks_);
    ++writes_;
    co_await sleep(reactor_, latency_);
    Drive* at = serving(slot.drive);
    if (at == nullptr) co_return kGone;
    if (fail_write_after_ >= 0 && fail_write_after_-- == 0) {
        co_return Error{Code::io_failed, "drive.write"};
    }
    if (fenced(*at, fence)) co_return Error{Code::fenced, "drive.write"};
    Slot& target = at->slots.at(slot.slot.value);
    if (!target.used || target.generation != slot.generation) {
        co_return Error{Code::stale, "drive.write"};
    }
    if (at->refuses_writes) co_return Error{Code::out_of_space, "drive.write"};
    if (at->loses_writes) co_return Done{};
    for (std::size_t done = 0; done < from.size(); done += kBlockBytes) {
        ConstBytes part = from.subspan(done, kBlockBytes);
        target.unreadable.erase(block);
        target.unflushed[block++].assign(part.begin(), part.end());
    }
    co_return Done{};
}

Task<Done> MemoryDrives::read(SegmentSlot slot, std::uint32_t block, Bytes into) {
    CHECK(into.size() % kBlockBytes == 0 && block + into.size() / kBlockBytes <= slot_blocks_);
    ++reads_;
    co_await sleep(reactor_, latency_);
    Drive* at = serving(slot.drive);
    if (at == nullptr) co_return kGone;
    const Slot& source = at->slots.at(slot.slot.value);
    if (!source.used || source.generation != slot.generation) {
        co_return Error{Code::stale, "drive.read"};
    }
    for (std::size_t done = 0; done < into.size(); done += kBlockBytes, ++block) {
        if (source.unreadable.contains(block)) co_return Error{Code::io_failed, "drive.read"};
        Bytes part = into.subspan(done, kBlockBytes);
        std::fill(part.begin(), part.end(), std::byte{0});
        for (const auto* store : {&source.durable, &source.unflushed}) {
            auto found = store->find(block);
            if (found != store->end()) {
                std::copy(found->second.begin(), found->second.end(), part.begin());
            }
        }
    }
    co_return Done{};
}

Task<Done> MemoryDrives::flush(DriveId drive) {
    ++flushes_;
    Drive* at = serving(drive);
    if (at == nullptr) co_return kGone;
    for (Slot& slot : at->slots) {
        for (auto& [block, content] : slot.unflushed) slot.durable[block] = std::move(content);
        slot.unflushed.clear();
    }
    co_await sleep(reactor_, latency_);
    co_return Done{};
}

Task<Done> MemoryDrives::fence(DriveId drive, Fence fence) {
    co_await sleep(reactor_, latency_);
    Drive* at = serving(drive);
    if (at == nullptr) co_return kGone;
    if (fenced(*at, fence)) co_return Error{Code::fenced, "drive.fence"};
    at->fences[fence.owner] = fence.epoch;
    co_return Done{};
}

Task<std::vector<SlotInfo>> MemoryDrives::list(DriveId drive, OwnerId owner) {
    co_await sleep(reactor_, latency_);
    Drive* at = serving(drive);
    if (at == nullptr) co_return kGone;
    std::vector<SlotInfo> found;
    for (std::uint32_t i = 0; i < at->slots.size(); ++i) {
        const Slot& slot = at->slots[i];
        if (!slot.used || slot.owner != owner) continue;
        found.push_back({SlotIndex{i}, slot.generation, slot.segment, slot.chunk});
    }
    co_return found;
}

Task<Done> MemoryDrives::store_map(DriveId drive, std::string map) {
    co_await sleep(reactor_, latency_);
    Drive* at = serving(drive);
    if (at == nullptr) co_return kGone;
    at->map = std::move(map);
    co_return Done{};
}

Task<std::string> MemoryDrives::load_map(DriveId drive) {
    co_await sleep(reactor_, latency_);
    Drive* at = serving(drive);
    if (at == nullptr) co_return kGone;
    if (at->map.empty()) co_return Error{Code::not_found, "drive.load_map"};
    co_return at->map;
}

Task<std::uint64_t> MemoryDrives::verify(DriveId drive) {
    co_await sleep(reactor_, latency_);
    Drive* at = serving(drive);
    if (at == nullptr) co_return kGone;
    co_return std::exchange(at->rotten, 0);
}

void MemoryDrives::lose_power() {
    for (auto& [id, drive] : drives_) {
        for (Slot& slot : drive.slots) {
            for (auto& [block, content] : slot.unflushed) {
                if (reactor_.random() % 2 == 0) slot.durable[block] = std::move(content);
            }
            slot.unflushed.clear();
        }
    }
}

void MemoryDrives::corrupt(SegmentSlot slot, std::uint32_t block) {
    Slot& at = drives_.at(slot.drive).slots.at(slot.slot.value);
    std::vector<std::byte> noise(kBlockBytes);
    for (std::byte& byte : noise) byte = static_cast<std::byte>(reactor_.random());
    at.unflushed.erase(block);
    at.durable[block] = std::move(noise);
}

void MemoryDrives::make_unreadable(SegmentSlot slot, std::uint32_t block) {
    drives_.at(slot.drive).slots.at(slot.slot.value).unreadable.insert(block);
}

}  // namespace weft::testing
