#pragma once

#include "model/services/drive_service.h"
#include "platform/rpc/peer.h"
#include "platform/runtime/gate.h"

#include <list>

namespace weft::remote {

// A drive role in another process, over a connection. Calls end by `deadline_after`, or if they
// were sent late by half of it more (retry_later), and with unavailable once the connection is
// gone. It is closed where one has not ended by then, because it could not be sent in time: nobody
// takes anything at the other end, or too slowly.
class RemoteDrives : public DriveService {
public:
    // The peer outlives this.
    RemoteDrives(Reactor& reactor, rpc::Peer& peer, Nanos deadline_after)
        : reactor_(reactor), peer_(peer), deadline_after_(deadline_after), watching_(reactor) {}

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
    // A call that waits.
    class UnderWay;
    template <class T>
    Task<T> in_time(Task<T> asked);
    Task<Done> watch();
    Nanos deadline() const { return reactor_.now() + deadline_after_; }

    Reactor& reactor_;
    rpc::Peer& peer_;
    Nanos deadline_after_;
    std::list<Nanos> since_;  // When those that wait began.
    bool watched_ = false;
    Gate watching_;
};

// The other end: a drive role's door.
class DriveServer : public rpc::Handler {
public:
    explicit DriveServer(DriveService& drives) : drives_(drives) {}
    Task<rpc::Reply> handle(rpc::Request request) override;

private:
    DriveService& drives_;
};

}  // namespace weft::remote
