#include "roles/drive/drive_role.h"

#include "roles/drive/drive_internal.h"

#include <utility>

namespace weft::drive {

DriveRole::~DriveRole() = default;

Result<std::shared_ptr<Drive>> DriveRole::serving(DriveId drive) const {
    auto found = drives_.find(drive);
    if (found == drives_.end()) return Error{Code::unavailable, "drive.unknown"};
    return found->second;
}

Task<DriveEntry> DriveRole::attach(std::shared_ptr<Disk> disk, std::uint64_t cluster) {
    auto patient = std::make_shared<PatientDisk>(reactor_, operations_, std::move(disk), kPatience);
    auto drive = co_await or_return(co_await Drive::open(&reactor_, std::move(patient), cluster));
    const Superblock& superblock = drive->superblock();
    if (!drives_.try_emplace(superblock.drive, drive).second) {
        co_return Error{Code::already_exists, "drive.attach"};
    }
    DriveEntry entry;
    entry.id = superblock.drive;
    entry.domain = superblock.domain;
    entry.size_bytes = superblock.size_bytes;
    co_return entry;
}

Task<Done> DriveRole::detach(DriveId id) {
    auto found = drives_.find(id);
    if (found == drives_.end()) co_return Done{};
    std::shared_ptr<Drive> drive = std::move(found->second);
    drives_.erase(found);
    co_return co_await drive->close();
}

Task<Done> DriveRole::probe(DriveId id) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->probe();
}

Task<DriveStatus> DriveRole::status(DriveId id) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->status();
}

Task<SegmentSlot> DriveRole::allocate(DriveId id, Fence fence, SegmentId segment,
                                      std::uint16_t chunk) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->allocate(fence, segment, chunk);
}

Task<Done> DriveRole::free(DriveId id, Fence fence, SlotIndex slot, Generation generation) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->free(fence, slot, generation);
}

Task<Done> DriveRole::write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) {
    auto drive = co_await or_return(serving(slot.drive));
    co_return co_await drive->write(slot, fence, block, from);
}

Task<Done> DriveRole::read(SegmentSlot slot, std::uint32_t block, Bytes into) {
    auto drive = co_await or_return(serving(slot.drive));
    co_return co_await drive->read(slot, block, into);
}

Task<Done> DriveRole::flush(DriveId id) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->flush();
}

Task<Done> DriveRole::fence(DriveId id, Fence fence) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->fence(fence);
}

Task<std::vector<SlotInfo>> DriveRole::list(DriveId id, OwnerId owner) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->list(owner);
}

Task<Done> DriveRole::store_map(DriveId id, std::string map) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->store_map(std::move(map));
}

Task<std::string> DriveRole::load_map(DriveId id) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->load_map();
}

Task<std::uint64_t> DriveRole::verify(DriveId id) {
    auto drive = co_await or_return(serving(id));
    co_return co_await drive->verify();
}

}  // namespace weft::drive
