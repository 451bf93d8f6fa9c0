#pragma once

#include "model/layout/block_address.h"
#include "model/services/drive_service.h"
#include "platform/disk/disk.h"
#include "roles/drive/drive_format.h"
#include "roles/drive/paired_table.h"
#include "roles/drive/patient_disk.h"
#include "roles/drive/shared_rounds.h"

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <unordered_map>

namespace weft::drive {

// Reads one block as a superblock, wherever it stands.
Task<Superblock> read_superblock(Disk* disk, std::uint64_t offset);

// The superblock of the drive on this disk, from whichever copy is good. Errors: those of
// decode_superblock and of the disk.
Task<Superblock> find_superblock(Disk* disk);

// Generations of slots begin, at each formatting and at each opening, at the time since 2020, in
// units of 2^-20 seconds: more than were ever given out before. So whoever remembers a slot of an
// earlier formatting, or one that the table does not tell of although it should, is told that it
// is stale, unless the clock went back.
Generation first_generation_at(std::int64_t wall_now);

// One drive that is served: its slots, fences and map in memory, as they are on its disk.
//
// Whoever calls holds it by a shared pointer until the call has ended: a drive that is detached
// meanwhile goes when the last call has.
class Drive {
public:
    // Reads the tables. Errors: those of decode_superblock, and of the disk; invalid if the
    // drive is of another cluster than `cluster` (0: any).
    static Task<std::shared_ptr<Drive>> open(Reactor* reactor, std::shared_ptr<PatientDisk> disk,
                                             std::uint64_t cluster);
    Drive(Reactor& reactor, std::shared_ptr<PatientDisk> disk, Superblock superblock);
    Drive(const Drive&) = delete;
    Drive& operator=(const Drive&) = delete;

    const Superblock& superblock() const { return superblock_; }

    Task<DriveStatus> status();
    Task<SegmentSlot> allocate(Fence fence, SegmentId segment, std::uint16_t chunk);
    Task<Done> free(Fence fence, SlotIndex slot, Generation generation);
    Task<Done> write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from);
    Task<Done> read(SegmentSlot slot, std::uint32_t block, Bytes into);
    Task<Done> flush();
    Task<Done> fence(Fence fence);
    Task<std::vector<SlotInfo>> list(OwnerId owner);
    Task<Done> store_map(std::string map);
    Task<std::string> load_map();
    Task<std::uint64_t> verify();
    // Whether the superblock is still there.
    Task<Done> probe();
    // Ends when both copies of what it keeps beside its slots have the same, if its disk serves,
    // and background work has ended; calls after this may end cancelled.
    Task<Done> close();

private:
    enum class Standing : std::uint8_t {
        free,
        used,
        emptying,  // Freed, but a write into it is still under way.
        unknown,   // Its table block is lost: out of use.
    };
    struct Slot {
        SlotEntry entry;
        Standing standing = Standing::free;
        std::uint32_t writes = 0;  // Under way.
    };
    struct Owner {
        Epoch highest;
        Epoch durable;                          // Up to here the fence table says so.
        std::uint32_t position = 0;             // In the fence table.
        std::map<Epoch, std::uint32_t> writes;  // Under way, by the epoch they came with.
    };
    // A change under way: fence() waits for those with lower epochs, and a slot is not given
    // out again while one writes into it.
    class Change;

    Task<Done> load();
    Task<Done> load_map_areas();
    Task<bool> find_map(std::uint64_t copy, StoredMap* stored);
    Task<Done> write_map(std::string map);
    void take_slot_block(std::uint32_t index, const SlotBlock& block);
    void take_fence_block(std::uint32_t index, const FenceBlock& block);
    void encode_slots(const TableBlockHead& head, Bytes block) const;
    void encode_fences(const TableBlockHead& head, Bytes block) const;

    Result<Owner*> owner_of(OwnerId id);
    // Ends when the owner may change something with this epoch: it is not below the highest
    // seen, and that it was seen is durable.
    Task<Owner*> admit(Fence fence);
    bool serves(const SegmentSlot& slot) const;
    void give_out_again(SlotIndex slot);
    Task<Done> write_slot_entry(SlotIndex slot);
    // What a change left on one copy only follows into the other a while after, so that one
    // writing does for many changes.
    void settle_later();
    Task<Done> settle_in_time();
    Task<Done> settle();
    Task<Done> settle_map();
    bool settled() const;
    Task<std::uint64_t> verify_superblock();
    Task<std::uint64_t> verify_map();
    Task<std::uint64_t> verify_all();
    std::uint64_t offset_of(SlotIndex slot, std::uint32_t block) const;
    // Counts the outcome of something the disk did.
    Result<Done> noted(Result<Done> outcome);

    Reactor& reactor_;
    std::shared_ptr<PatientDisk> disk_;
    Superblock superblock_;

    Generation given_before_;  // No generation that was given out before this opening is above.
    std::vector<Slot> slots_;
    // The lowest goes out first, so that what is written stays together: the journal keeps coming
    // back to the same few slots, and first writes, which cost a drive file an extent split and a
    // conversion each, end soon.
    std::priority_queue<SlotIndex, std::vector<SlotIndex>, std::greater<>> free_;
    std::map<OwnerId, Owner> owners_;
    std::vector<OwnerId> owners_by_position_;

    std::string map_;
    std::uint64_t map_sequence_ = 0;
    std::array<bool, 2> map_copies_{};  // Known to have map_.
    SharedMutex storing_map_;

    std::uint64_t blocks_read_ = 0;
    std::uint64_t blocks_written_ = 0;
    std::uint64_t flushes_ = 0;
    std::uint64_t errors_ = 0;
    bool last_failed_ = false;

    Signal changes_ended_;
    bool settling_ = false;
    bool closing_ = false;
    Signal closes_;
    Gate gate_;
    PairedTable slot_table_;
    PairedTable fence_table_;
    SharedRounds flush_rounds_;
};

}  // namespace weft::drive
