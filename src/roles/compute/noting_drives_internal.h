#pragma once

#include "engines/journal/journal.h"
#include "model/services/drive_service.h"

#include <utility>

namespace weft::compute {

// The drives as the shards see them: the journal hears of every write, so that its next flush
// covers stripes too.
class NotingDrives : public DriveService {
public:
    NotingDrives(DriveService& drives, journal::Journal& journal)
        : drives_(drives), journal_(journal) {}

    Task<DriveStatus> status(DriveId drive) override { return drives_.status(drive); }
    Task<SegmentSlot> allocate(DriveId drive, Fence fence, SegmentId segment,
                               std::uint16_t chunk) override {
        return drives_.allocate(drive, fence, segment, chunk);
    }
    Task<Done> free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) override {
        return drives_.free(drive, fence, slot, generation);
    }
    Task<Done> write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) override {
        auto written = co_await drives_.write(slot, fence, block, from);
        // Behind the write: what is noted before could be flushed before, too.
        journal_.note_written(slot.drive);
        co_return written;
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

private:
    DriveService& drives_;
    journal::Journal& journal_;
};

}  // namespace weft::compute
