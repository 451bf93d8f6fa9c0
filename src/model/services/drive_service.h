#pragma once

#include "model/ids/ids.h"
#include "model/layout/block_address.h"
#include "platform/runtime/task.h"

#include <string>
#include <vector>

namespace weft {

// Who writes, under which map. A drive refuses an epoch lower than the highest it has seen
// for that owner.
struct Fence {
    OwnerId owner;
    Epoch epoch;
    friend constexpr bool operator==(const Fence&, const Fence&) = default;
};

struct SlotInfo {
    SlotIndex slot;
    Generation generation;
    SegmentId segment;
    std::uint16_t chunk = 0;
    friend constexpr bool operator==(const SlotInfo&, const SlotInfo&) = default;
};

struct DriveStatus {
    std::uint32_t slot_count = 0;
    std::uint32_t free_slots = 0;
    std::uint32_t slot_blocks = 0;
    bool power_safe = false;
    std::uint64_t blocks_read = 0;  // Since its process began.
    std::uint64_t blocks_written = 0;
    std::uint64_t flushes = 0;
    std::uint64_t errors = 0;
};

// What the drive role does for compute: slots, and blocks in and out of them.
// Errors of every call: unavailable (the drive is gone, failed or unknown), io_failed,
// retry_later (deadline passed). Writing calls also: fenced (somebody with a higher epoch has
// been here), stale (the slot has another generation).
// Buffers are multiples of 4 KiB, aligned to 4 KiB, and stay valid until the task ends.
class DriveService {
public:
    virtual ~DriveService() = default;

    virtual Task<DriveStatus> status(DriveId drive) = 0;
    // The slot is recorded as the owner's before this ends. Its content is undefined.
    // Errors: out_of_space.
    virtual Task<SegmentSlot> allocate(DriveId drive, Fence fence, SegmentId segment,
                                       std::uint16_t chunk) = 0;
    // Freeing a slot that has another generation already is not an error.
    virtual Task<Done> free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) = 0;
    virtual Task<Done> write(SegmentSlot slot, Fence fence, std::uint32_t block,
                             ConstBytes from) = 0;
    // Errors: stale.
    virtual Task<Done> read(SegmentSlot slot, std::uint32_t block, Bytes into) = 0;
    // Every write to this drive that ended before survives loss of power.
    virtual Task<Done> flush(DriveId drive) = 0;
    // From now on, also after a restart, lower epochs of this owner are refused.
    virtual Task<Done> fence(DriveId drive, Fence fence) = 0;
    virtual Task<std::vector<SlotInfo>> list(DriveId drive, OwnerId owner) = 0;
    // The cluster map as management last stored it on this drive: each drive carries one, so
    // that a cluster starts from its drives alone. At most 256 KiB. Survives loss of power.
    virtual Task<Done> store_map(DriveId drive, std::string map) = 0;
    virtual Task<std::string> load_map(DriveId drive) = 0;
    // Reads back what the drive keeps beside its slots (each thing twice: superblock, tables, map),
    // and writes anew what is not as it was written; how many copies that were. Others are served
    // meanwhile. Errors: corrupt (nothing of the drive is to be found on its disk any more).
    virtual Task<std::uint64_t> verify(DriveId drive) = 0;
};

}  // namespace weft
