#include "sim/world/drive_watch.h"

#include "platform/memory/buffer.h"

namespace weft::sim {
namespace {

constexpr std::uint64_t kLateOneIn = 8;

std::string to_text(SegmentSlot slot) {
    return "slot " + std::to_string(slot.slot.value) + " of drive " +
           std::to_string(slot.drive.value) + ", generation " +
           std::to_string(slot.generation.value);
}

}  // namespace

bool DriveWatch::is_fenced(DriveId drive, Fence fence) const {
    if (liars_.contains(drive)) return false;
    auto highest = fences_.find({drive, fence.owner});
    return highest != fences_.end() && fence.epoch < highest->second;
}

bool DriveWatch::is_gone(SegmentSlot slot) const {
    if (liars_.contains(slot.drive)) return false;
    Place place{slot.drive, slot.slot};
    auto latest = given_.find(place);
    bool given_again = latest != given_.end() && slot.generation < latest->second;
    return given_again || freed_.contains({place, slot.generation});
}

void DriveWatch::check(bool refused, const Result<Done>& done, SegmentSlot slot, const char* what) {
    if (refused && done.ok()) broken_(std::string(what) + ": " + to_text(slot));
}

Task<SegmentSlot> DriveWatch::allocate(DriveId drive, Fence fence, SegmentId segment,
                                       std::uint16_t chunk) {
    count(Call::allocate);
    bool fenced = is_fenced(drive, fence);
    auto given = co_await drives_->allocate(drive, fence, segment, chunk);
    tally_->count(given.code());
    if (!given.ok()) co_return given;
    SegmentSlot slot = given.value();
    check(fenced, Done{}, slot, "given to who was fenced");
    auto [latest, fresh] = given_.try_emplace(Place{drive, slot.slot}, slot.generation);
    check(!fresh && slot.generation <= latest->second, Done{}, slot, "given out twice");
    latest->second = std::max(latest->second, slot.generation);
    co_return given;
}

Task<Done> DriveWatch::free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) {
    count(Call::free);
    SegmentSlot named{drive, slot, generation};
    bool fenced = is_fenced(drive, fence);
    auto done = co_await drives_->free(drive, fence, slot, generation);
    check(fenced, done, named, "freed by who was fenced");
    if (!done.ok()) co_return done;
    freed_.insert({Place{drive, slot}, generation});
    if (++frees_ % kLateOneIn == 0) co_await or_return(co_await arrive_late(named, fence));
    co_return done;
}

// As a write that its sender has given up, but the network has not.
Task<Done> DriveWatch::arrive_late(SegmentSlot slot, Fence fence) {
    Buffer zeros(kBlockBytes);
    ConstBytes from = zeros.bytes();
    auto done = co_await drives_->write(slot, fence, 0, from);
    check(is_gone(slot), done, slot, "written after it was freed");
    co_return Done{};
}

Task<Done> DriveWatch::write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) {
    bool fenced = is_fenced(slot.drive, fence);
    bool gone = is_gone(slot);
    auto done = co_await drives_->write(slot, fence, block, from);
    tally_->count(done.code());
    check(fenced, done, slot, "written by who was fenced");
    check(gone, done, slot, "written after it was freed");
    co_return done;
}

Task<Done> DriveWatch::read(SegmentSlot slot, std::uint32_t block, Bytes into) {
    bool gone = is_gone(slot);
    auto done = co_await drives_->read(slot, block, into);
    tally_->count(done.code());
    check(gone, done, slot, "read after it was freed");
    co_return done;
}

Task<Done> DriveWatch::fence(DriveId drive, Fence fence) {
    count(Call::fence);
    auto done = co_await drives_->fence(drive, fence);
    tally_->count(done.code());
    if (!done.ok()) co_return done;
    Epoch& highest = fences_[{drive, fence.owner}];
    highest = std::max(highest, fence.epoch);
    co_return done;
}

}  // namespace weft::sim
