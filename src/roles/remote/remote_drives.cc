#include "roles/remote/remote_drives.h"

#include "platform/base/planted.h"
#include "roles/remote/invoke_internal.h"

#include <utility>

namespace weft::remote {
namespace {

enum class Method : std::uint32_t {
    status = 1,
    allocate = 2,
    free = 3,
    write = 4,
    read = 5,
    flush = 6,
    fence = 7,
    list = 8,
    store_map = 9,
    load_map = 10,
    verify = 11,
};

constexpr std::uint32_t number_of(Method method) {
    return static_cast<std::uint32_t>(method);
}

}  // namespace

class RemoteDrives::UnderWay {
public:
    explicit UnderWay(RemoteDrives& drives)
        : drives_(drives), at_(drives.since_.insert(drives.since_.end(), drives.reactor_.now())) {
        if (!std::exchange(drives_.watched_, true)) drives_.watching_.spawn(drives_.watch());
    }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;
    ~UnderWay() { drives_.since_.erase(at_); }

private:
    RemoteDrives& drives_;
    std::list<Nanos>::iterator at_;
};

// The peer ends each that was sent within deadline_after_ by half of that more.
Task<Done> RemoteDrives::watch() {
    Nanos most = deadline_after_ + deadline_after_ / 2;
    while (!since_.empty() && !peer_.closed()) {
        Nanos left = since_.front() + most - reactor_.now();
        if (left < 0) {
            peer_.close();
        } else {
            co_await sleep(reactor_, left + 1);
        }
    }
    watched_ = false;
    co_return Done{};
}

template <class T>
Task<T> RemoteDrives::in_time(Task<T> asked) {
    UnderWay under_way(*this);
    co_return co_await asked;
}

Task<DriveStatus> RemoteDrives::status(DriveId drive) {
    return in_time(
        call<DriveStatus>(&peer_, number_of(Method::status), wire::pack(drive), deadline()));
}

Task<SegmentSlot> RemoteDrives::allocate(DriveId drive, Fence fence, SegmentId segment,
                                         std::uint16_t chunk) {
    return in_time(call<SegmentSlot>(&peer_, number_of(Method::allocate),
                                     wire::pack(drive, fence, segment, chunk), deadline()));
}

Task<Done> RemoteDrives::free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) {
    return in_time(call<Done>(&peer_, number_of(Method::free),
                              wire::pack(drive, fence, slot, generation), deadline()));
}

Task<Done> RemoteDrives::write(SegmentSlot slot, Fence fence, std::uint32_t block,
                               ConstBytes from) {
    std::string arguments = wire::pack(slot, fence, block);
    UnderWay under_way(*this);
    auto answered = co_await peer_.call(number_of(Method::write), std::move(arguments), from,
                                        Bytes(), deadline());
    bool late = answered.code() == Code::retry_later;
    if (late && planted(Bug::late_write_counts_as_done)) co_return Done{};
    if (!answered.ok()) co_return answered.error();
    co_return Done{};
}

Task<Done> RemoteDrives::read(SegmentSlot slot, std::uint32_t block, Bytes into) {
    std::string arguments = wire::pack(slot, block, static_cast<std::uint64_t>(into.size()));
    UnderWay under_way(*this);
    auto answered = co_await peer_.call(number_of(Method::read), std::move(arguments), ConstBytes(),
                                        into, deadline());
    if (!answered.ok()) co_return answered.error();
    if (answered.value().payload_bytes != into.size()) {
        co_return Error{Code::corrupt, "drive.read"};
    }
    co_return Done{};
}

Task<Done> RemoteDrives::flush(DriveId drive) {
    return in_time(call<Done>(&peer_, number_of(Method::flush), wire::pack(drive), deadline()));
}

Task<Done> RemoteDrives::fence(DriveId drive, Fence fence) {
    return in_time(
        call<Done>(&peer_, number_of(Method::fence), wire::pack(drive, fence), deadline()));
}

Task<std::vector<SlotInfo>> RemoteDrives::list(DriveId drive, OwnerId owner) {
    return in_time(call<std::vector<SlotInfo>>(&peer_, number_of(Method::list),
                                               wire::pack(drive, owner), deadline()));
}

Task<Done> RemoteDrives::store_map(DriveId drive, std::string map) {
    return in_time(
        call<Done>(&peer_, number_of(Method::store_map), wire::pack(drive, map), deadline()));
}

Task<std::string> RemoteDrives::load_map(DriveId drive) {
    return in_time(
        call<std::string>(&peer_, number_of(Method::load_map), wire::pack(drive), deadline()));
}

Task<std::uint64_t> RemoteDrives::verify(DriveId drive) {
    return in_time(
        call<std::uint64_t>(&peer_, number_of(Method::verify), wire::pack(drive), deadline()));
}

namespace {

Task<rpc::Reply> serve_write(DriveService* drives, rpc::Request request) {
    SegmentSlot slot;
    Fence fence;
    std::uint32_t block = 0;
    if (!wire::unpack(request.meta, slot, fence, block) ||
        request.payload.size() % kBlockBytes != 0) {
        co_return Error{Code::invalid, "drive.write"};
    }
    co_await or_return(co_await drives->write(slot, fence, block, request.payload.bytes()));
    co_return rpc::Reply();
}

Task<rpc::Reply> serve_read(DriveService* drives, rpc::Request request) {
    SegmentSlot slot;
    std::uint32_t block = 0;
    std::uint64_t size = 0;
    if (!wire::unpack(request.meta, slot, block, size) || size % kBlockBytes != 0 ||
        size > rpc::kPayloadBytesMost) {
        co_return Error{Code::invalid, "drive.read"};
    }
    rpc::Reply reply;
    reply.payload = Buffer(size);
    co_await or_return(co_await drives->read(slot, block, reply.payload.bytes()));
    reply.payload_bytes = size;
    co_return reply;
}

}  // namespace

Task<rpc::Reply> DriveServer::handle(rpc::Request request) {
    DriveService* drives = &drives_;
    switch (static_cast<Method>(request.method)) {
        case Method::status:
            return serve(drives, &DriveService::status, request.meta);
        case Method::allocate:
            return serve(drives, &DriveService::allocate, request.meta);
        case Method::free:
            return serve(drives, &DriveService::free, request.meta);
        case Method::write:
            return serve_write(drives, std::move(request));
        case Method::read:
            return serve_read(drives, std::move(request));
        case Method::flush:
            return serve(drives, &DriveService::flush, request.meta);
        case Method::fence:
            return serve(drives, &DriveService::fence, request.meta);
        case Method::list:
            return serve(drives, &DriveService::list, request.meta);
        case Method::store_map:
            return serve(drives, &DriveService::store_map, request.meta);
        case Method::load_map:
            return serve(drives, &DriveService::load_map, request.meta);
        case Method::verify:
            return serve(drives, &DriveService::verify, request.meta);
    }
    return refuse();
}

}  // namespace weft::remote
