#pragma once

#include "model/services/drive_service.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_network.h"
#include "roles/remote/remote_drives.h"

#include <map>
#include <memory>
#include <string>

namespace weft::sim {

// The host of a drive; each drive is a process of its own on the network.
std::string host_of(DriveId drive);

// Drives as compute's process reaches them: a connection each, made anew when it is lost. A call
// meanwhile ends with unavailable.
class FarDrives final : public DriveService {
public:
    FarDrives(Reactor& reactor, SimulatedNetwork& network, std::string host, Nanos deadline_after);
    ~FarDrives() override;

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
    struct Line;
    // The drive's connection, once there is one; never null.
    Task<std::shared_ptr<Line>> line(DriveId drive);
    static Task<Done> run(std::shared_ptr<Line> line);

    Reactor& reactor_;
    SimulatedNetwork& network_;
    std::string host_;
    Nanos deadline_after_;
    std::map<DriveId, std::shared_ptr<Line>> lines_;
    Gate gate_;
};

}  // namespace weft::sim
