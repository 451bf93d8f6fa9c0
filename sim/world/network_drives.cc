#include "sim/world/network_drives.h"

#include <utility>

namespace weft::sim {

std::string host_of(DriveId drive) {
    return "drive" + std::to_string(drive.value);
}

struct FarDrives::Line {
    Line(Reactor& reactor, std::unique_ptr<Stream> stream, Nanos deadline_after)
        : peer(reactor, std::move(stream), nullptr), drives(reactor, peer, deadline_after) {}
    rpc::Peer peer;
    remote::RemoteDrives drives;
};

FarDrives::FarDrives(Reactor& reactor, SimulatedNetwork& network, std::string host,
                     Nanos deadline_after)
    : reactor_(reactor),
      network_(network),
      host_(std::move(host)),
      deadline_after_(deadline_after),
      gate_(reactor) {}

FarDrives::~FarDrives() = default;

Task<Done> FarDrives::run(std::shared_ptr<Line> line) {
    co_return co_await line->peer.run();
}

Task<std::shared_ptr<FarDrives::Line>> FarDrives::line(DriveId drive) {
    std::shared_ptr<Line> there = lines_[drive];
    if (there != nullptr && !there->peer.closed()) co_return there;
    std::string address = host_of(drive) + ":1";
    Nanos deadline = reactor_.now() + deadline_after_;
    auto stream = co_await or_return(co_await network_.at(host_).connect(address, deadline));
    there = lines_[drive];
    if (there != nullptr && !there->peer.closed()) co_return there;  // Somebody was faster.
    there = std::make_shared<Line>(reactor_, std::move(stream), deadline_after_);
    lines_[drive] = there;
    gate_.spawn(run(there));
    co_return there;
}

Task<DriveStatus> FarDrives::status(DriveId drive) {
    auto at = co_await or_return(co_await line(drive));
    co_return co_await at->drives.status(drive);
}

Task<SegmentSlot> FarDrives::allocate(DriveId drive, Fence fence, SegmentId segment,
                                      std::uint16_t chunk) {
    auto at = co_await or_return(co_await line(drive));
    co_return co_await at->drives.allocate(drive, fence, segment, chunk);
}

Task<Done> FarDrives::free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) {
    auto at = co_await or_return(co_await line(drive));
    co_return co_await at->drives.free(drive, fence, slot, generation);
}

Task<Done> FarDrives::write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) {
    auto at = co_await or_return(co_await line(slot.drive));
    co_return co_await at->drives.write(slot, fence, block, from);
}

Task<Done> FarDrives::read(SegmentSlot slot, std::uint32_t block, Bytes into) {
    auto at = co_await or_return(co_await line(slot.drive));
    co_return co_await at->drives.read(slot, block, into);
}

Task<Done> FarDrives::flush(DriveId drive) {
    auto at = co_await or_return(co_await line(drive));
    co_return co_await at->drives.flush(drive);
}

Task<Done> FarDrives::fence(DriveId drive, Fence fence) {
    auto at = co_await or_return(co_await line(drive));
    co_return co_await at->drives.fence(drive, fence);
}

Task<std::vector<SlotInfo>> FarDrives::list(DriveId drive, OwnerId owner) {
    auto at = co_await or_return(co_await line(drive));
    co_return co_await at->drives.list(drive, owner);
}

Task<Done> FarDrives::store_map(DriveId drive, std::string map) {
    auto at = co_await or_return(co_await line(drive));
    co_return co_await at->drives.store_map(drive, std::move(map));
}

Task<std::string> FarDrives::load_map(DriveId drive) {
    auto at = co_await or_return(co_await line(drive));
    co_return co_await at->drives.load_map(drive);
}

Task<std::uint64_t> FarDrives::verify(DriveId drive) {
    auto at = co_await or_return(co_await line(drive));
    co_return co_await at->drives.verify(drive);
}

}  // namespace weft::sim
