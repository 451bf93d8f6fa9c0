#include "sim/world/format.h"

#include "roles/drive/drive_role.h"

namespace weft::sim {

Task<DriveEntry> format_disk(Reactor* reactor, SimulatedDisk* disk, DriveId id) {
    drive::NewDrive made;
    made.cluster = kClusterNumber;
    made.drive = id;
    made.domain = FailureDomainId{id.value};
    made.slot_bytes = kSlotBytes;
    made.overwrite = true;  // The disk is new: there is nothing to look for.
    co_await or_return(co_await drive::format_drive(reactor, disk, made));
    DriveEntry entry;
    entry.id = id;
    entry.domain = made.domain;
    entry.size_bytes = disk->size_bytes();
    co_return entry;
}

}  // namespace weft::sim
