#pragma once

#include "model/cluster/cluster_map.h"
#include "model/services/drive_service.h"
#include "platform/disk/disk.h"
#include "platform/runtime/gate.h"
#include "platform/runtime/reactor.h"

#include <map>
#include <memory>

namespace weft::drive {

class Drive;

// What a disk is made into a drive of.
struct NewDrive {
    std::uint64_t cluster = 0;
    DriveId drive;
    FailureDomainId domain;
    std::uint32_t slot_bytes = 0;  // 1 to 16 MiB, a power of two.
    bool overwrite = false;        // Whatever is there already: a drive, or anything else.
};

// Makes the disk an empty drive, durably. already_exists: it is a drive already, or was and is
// damaged, or its first or last MiB is not all zeros. invalid: too small, or a bad slot size.
Task<Done> format_drive(Reactor* reactor, Disk* disk, NewDrive drive);

// Serves drives, each on a disk of its own: slots and the blocks in them, fences, the map.
//
// Drives come and go at run time. A drive whose disk fails goes on answering, with errors.
// Format: docs/formats/drive.md.
//
// Laws it keeps, whatever happens between: what carries an epoch below the highest seen of its
// owner is refused, after a restart too; once fence() has ended, nothing of lower epochs is
// under way; a slot that is given out again has a new generation, and nothing of its earlier
// user can reach it.
class DriveRole : public DriveService {
public:
    // A disk that gives no answer for so long is gone: its drive answers with unavailable until it
    // is attached anew. Longer than a loaded disk needs.
    static constexpr Nanos kPatience = 20 * kSecond;

    explicit DriveRole(Reactor& reactor) : reactor_(reactor), operations_(reactor) {}
    ~DriveRole() override;

    // Serves the drive on this disk and says which it is (all but the path). `cluster` 0 takes
    // one of any cluster. invalid: not a drive, or of another cluster, or the disk has shrunk;
    // not_supported: of another format version; corrupt: damaged; already_exists: a drive of
    // this number is served already.
    Task<DriveEntry> attach(std::shared_ptr<Disk> disk, std::uint64_t cluster);
    // Ends when its background work has. Not an error if it is not served.
    Task<Done> detach(DriveId drive);
    // What disks have been asked for and have not answered, those too that are gone. While there
    // is any on the real machine, this may not be destroyed (platform/disk/disk.h).
    std::size_t operations_under_way() const { return operations_.running(); }
    // Whether its superblock still reads as it did.
    Task<Done> probe(DriveId drive);

    Task<DriveStatus> status(DriveId drive) override;
    Task<SegmentSlot> allocate(DriveId drive, Fence fence, SegmentId segment,
                               std::uint16_t chunk) override;
    Task<Done> free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) override;
    Task<Done> write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) override;
    Task<Done> read(SegmentSlot slot, std::uint32_t block, Bytes into) override;
    Task<Done> flush(DriveId drive) override;
    Task<Done> fence(DriveId drive, Fence fence) override;
    Task<std::vector<SlotInfo>> list(DriveId drive, OwnerId owner) override;
    Task<Done> store_map(DriveId drive, std::string map) override;
    Task<std::string> load_map(DriveId drive) override;
    Task<std::uint64_t> verify(DriveId drive) override;

private:
    // unavailable: not served here.
    Result<std::shared_ptr<Drive>> serving(DriveId drive) const;

    Reactor& reactor_;
    Gate operations_;
    std::map<DriveId, std::shared_ptr<Drive>> drives_;
};

}  // namespace weft::drive
