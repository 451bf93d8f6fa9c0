#pragma once

#include "model/services/drive_service.h"
#include "platform/disk/disk.h"
#include "sim/world/network.h"

#include <map>
#include <memory>
#include <string>

namespace weft::sim {

// The drives' processes: one for all of them, in which compute is as well, or one each, with a door
// on the network, which goes on when compute's ends. Calls reach the role in the drive's process.
class DriveProcesses final : public DriveService {
public:
    // `network`: where each has a process of its own; else nullptr. What comes in over it goes to
    // `entrance`, which calls this.
    DriveProcesses(SimulatedReactor& reactor, ClientNetwork* network, DriveService& entrance);
    ~DriveProcesses() override;

    // What the drive's disk and process run on.
    Reactor& clock_of(DriveId drive);
    // Serves the drive on this disk. Its process begins, or goes on if there is one; then what ends
    // well changes nothing. Goes on if the waiter goes. Errors: those of DriveRole::attach;
    // cancelled (the process has ended).
    Task<Done> attach(DriveId drive, std::shared_ptr<Disk> disk);
    // As management does where a drive is not used any more.
    Task<Done> detach(DriveId drive);
    // The process ends anywhere, with the drives that it serves.
    void end(DriveId drive);
    void end_all();
    // The process does nothing for so long. Where each has one of its own.
    void pause(DriveId drive, Nanos duration);

    Task<DriveStatus> status(DriveId drive) override { return role(drive).status(drive); }
    Task<SegmentSlot> allocate(DriveId drive, Fence fence, SegmentId segment,
                               std::uint16_t chunk) override {
        return role(drive).allocate(drive, fence, segment, chunk);
    }
    Task<Done> free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) override {
        return role(drive).free(drive, fence, slot, generation);
    }
    Task<Done> write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) override {
        return role(slot.drive).write(slot, fence, block, from);
    }
    Task<Done> read(SegmentSlot slot, std::uint32_t block, Bytes into) override {
        return role(slot.drive).read(slot, block, into);
    }
    Task<Done> flush(DriveId drive) override { return role(drive).flush(drive); }
    Task<Done> fence(DriveId drive, Fence fence) override {
        return role(drive).fence(drive, fence);
    }
    Task<std::vector<SlotInfo>> list(DriveId drive, OwnerId owner) override {
        return role(drive).list(drive, owner);
    }
    Task<Done> store_map(DriveId drive, std::string map) override {
        return role(drive).store_map(drive, std::move(map));
    }
    Task<std::string> load_map(DriveId drive) override { return role(drive).load_map(drive); }
    Task<std::uint64_t> verify(DriveId drive) override { return role(drive).verify(drive); }

private:
    class Process;
    // By number, or the one of all.
    DriveId key(DriveId drive) const { return network_ != nullptr ? drive : DriveId{}; }
    DriveService& role(DriveId drive);

    SimulatedReactor& reactor_;
    ClientNetwork* network_;
    DriveService& entrance_;
    std::map<DriveId, std::unique_ptr<Process>> processes_;
};

}  // namespace weft::sim
