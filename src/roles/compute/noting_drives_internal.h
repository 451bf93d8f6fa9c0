#pragma once

#include "engines/journal/journal.h"
#include "engines/segments/drive_table.h"
#include "model/services/drive_service.h"

#include <utility>

namespace weft::compute {

// Drives as they are.
class PassedDrives : public DriveService {
public:
    explicit PassedDrives(DriveService& drives) : drives_(drives) {}

    Task<DriveStatus> status(DriveId drive) override { return drives_.status(drive); }
    Task<SegmentSlot> allocate(DriveId drive, Fence fence, SegmentId segment,
                               std::uint16_t chunk) override {
        return drives_.allocate(drive, fence, segment, chunk);
    }
    Task<Done> free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) override {
        return drives_.free(drive, fence, slot, generation);
    }
    Task<Done> write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) override {
        return drives_.write(slot, fence, block, from);
    }
    Task<Done> read(SegmentSlot slot, std::uint32_t block, Bytes into) override {
        return drives_.read(slot, block, into);
    }
    Task<Done> flush(DriveId drive) override { return drives_.flush(drive); }
    Task<Done> fence(DriveId drive, Fence fence) override { return drives_.fence(drive, fence); }
    Task<std::vector<SlotInfo>> list(DriveId drive, OwnerId owner) override {
        return drives_.list(drive, owner);
    }
    Task<Done> store_map(DriveId drive, std::string map) override {
        return drives_.store_map(drive, std::move(map));
    }
    Task<std::string> load_map(DriveId drive) override { return drives_.load_map(drive); }
    Task<std::uint64_t> verify(DriveId drive) override { return drives_.verify(drive); }

protected:
    DriveService& drives_;
};

// As the shards see them: the journal hears of every write, so that its next flush covers
// stripes too.
class NotingDrives final : public PassedDrives {
public:
    NotingDrives(DriveService& drives, journal::Journal& journal)
        : PassedDrives(drives), journal_(journal) {}

    Task<Done> write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) override {
        auto written = co_await drives_.write(slot, fence, block, from);
        // Behind the write: what is noted before could be flushed before, too.
        journal_.note_written(slot.drive);
        co_return written;
    }

private:
    journal::Journal& journal_;
};

// As the journal sees them: the shards' table of free slots hears of those it takes.
class CountedDrives final : public PassedDrives {
public:
    CountedDrives(DriveService& drives, segments::DriveTable& table)
        : PassedDrives(drives), table_(table) {}

    Task<SegmentSlot> allocate(DriveId drive, Fence fence, SegmentId segment,
                               std::uint16_t chunk) override {
        auto taken = co_await drives_.allocate(drive, fence, segment, chunk);
        if (taken.ok()) table_.took_slot(drive);
        co_return taken;
    }
    Task<Done> free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) override {
        auto freed = co_await drives_.free(drive, fence, slot, generation);
        if (freed.ok()) table_.gave_slot(drive);
        co_return freed;
    }

private:
    segments::DriveTable& table_;
};

}  // namespace weft::compute
