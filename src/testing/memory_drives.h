#pragma once

#include "model/services/drive_service.h"
#include "platform/runtime/reactor.h"

#include <map>
#include <set>
#include <utility>

namespace weft::testing {

// A DriveService in memory, for engines' tests: honest about generations, fences and flushes,
// with faults on demand. Loss of power drops each unflushed block by a coin.
class MemoryDrives : public DriveService {
public:
    MemoryDrives(Reactor& reactor, std::uint32_t drive_count, std::uint32_t slot_count,
                 std::uint32_t slot_blocks);

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

    // Adds an empty drive; returns its id.
    DriveId add_drive();
    void set_gone(DriveId drive, bool gone) { drives_[drive].gone = gone; }
    void lose_power();
    // Overwrites the block with noise; generations stay.
    void corrupt(SegmentSlot slot, std::uint32_t block);
    // Reads of the block end with io_failed until it is written.
    void make_unreadable(SegmentSlot slot, std::uint32_t block);
    // The n-th write from now (0: the next) on any drive ends with io_failed, once.
    void fail_write_after(std::uint64_t n) { fail_write_after_ = static_cast<std::int64_t>(n); }
    // Writes to the drive end well, and leave what was there.
    void lose_writes(DriveId drive, bool lose) { drives_[drive].loses_writes = lose; }
    // Writes to the drive end with out_of_space, as on a full filesystem; all else goes on.
    void refuse_writes(DriveId drive, bool refuse) { drives_[drive].refuses_writes = refuse; }
    // So many copies of what it keeps beside its slots are wrong until it is verified.
    void rot_tables(DriveId drive, std::uint64_t copies) { drives_[drive].rotten = copies; }
    void set_latency(Nanos latency) { latency_ = latency; }
    std::uint64_t reads() const { return reads_; }  // That have begun.
    std::uint64_t writes() const { return writes_; }
    std::uint64_t flushes() const { return flushes_; }
    std::uint32_t free_slots(DriveId drive) const;

private:
    struct Slot {
        Generation generation{1};
        bool used = false;
        OwnerId owner;
        SegmentId segment;
        std::uint16_t chunk = 0;
        std::map<std::uint32_t, std::vector<std::byte>> durable;
        std::map<std::uint32_t, std::vector<std::byte>> unflushed;
        std::set<std::uint32_t> unreadable;
    };
    struct Drive {
        bool gone = false;
        bool loses_writes = false;
        bool refuses_writes = false;
        std::map<OwnerId, Epoch> fences;
        std::vector<Slot> slots;
        std::string map;
        std::uint64_t rotten = 0;
    };
    // The drive, or nullptr if it is gone or unknown.
    Drive* serving(DriveId drive);
    static bool fenced(const Drive& drive, Fence fence);

    Reactor& reactor_;
    std::uint32_t slot_count_;
    std::uint32_t slot_blocks_;
    std::map<DriveId, Drive> drives_;
    Nanos latency_ = 50 * kMicrosecond;
    std::int64_t fail_write_after_ = -1;
    std::uint64_t reads_ = 0;
    std::uint64_t writes_ = 0;
    std::uint64_t flushes_ = 0;
};

}  // namespace weft::testing
