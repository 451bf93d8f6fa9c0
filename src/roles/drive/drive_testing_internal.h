#pragma once

#include "platform/simulated/simulated_disk.h"
#include "platform/simulated/simulated_reactor.h"
#include "roles/drive/drive_format.h"
#include "roles/drive/drive_role.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace weft::drive {

inline constexpr std::uint64_t kCluster = 77;
inline constexpr DriveId kDrive{4};
inline constexpr OwnerId kShard = OwnerId::of(ShardId{1});
inline constexpr OwnerId kOther = OwnerId::of(ShardId{2});

// A drive on a simulated disk. Its process can die and come back, and the power can fail.
struct World {
    explicit World(std::uint64_t seed = 1, std::uint64_t size = 32 * kMiB)
        : reactor(seed), disk(std::make_shared<SimulatedDisk>(reactor, size)) {
        EXPECT_TRUE(format().ok());
        start();
    }
    Result<Done> format(bool overwrite = false, DriveId id = kDrive) {
        NewDrive made{kCluster, id, FailureDomainId{9}, kMiB, overwrite};
        return reactor.run(format_drive(&reactor, disk.get(), made));
    }
    void start() {
        role = std::make_unique<DriveRole>(reactor);
        auto attached = reactor.run(role->attach(disk, kCluster));
        ASSERT_TRUE(attached.ok()) << attached.error().what;
        EXPECT_EQ(attached.value().id, kDrive);
        EXPECT_EQ(attached.value().domain, FailureDomainId{9});
    }
    void lose_power() {
        role.reset();
        disk->lose_power();
        start();
    }
    void run_for(Nanos duration) { (void)reactor.run(pause(duration)); }
    Task<Done> pause(Nanos duration) {
        co_await sleep(reactor, duration);
        co_return Done{};
    }

    Result<SegmentSlot> allocate(OwnerId owner, Epoch epoch = Epoch{1},
                                 SegmentId segment = SegmentId{1}, std::uint16_t chunk = 0) {
        return reactor.run(role->allocate(kDrive, {owner, epoch}, segment, chunk));
    }
    Code write(SegmentSlot slot, OwnerId owner, Epoch epoch, char fill, std::uint32_t block = 0) {
        std::vector<std::byte> bytes(kBlockBytes, static_cast<std::byte>(fill));
        return reactor.run(role->write(slot, {owner, epoch}, block, bytes)).code();
    }
    // The byte that fills the block.
    Result<char> read(SegmentSlot slot, std::uint32_t block = 0) {
        std::vector<std::byte> bytes(kBlockBytes);
        auto outcome = reactor.run(role->read(slot, block, bytes));
        if (!outcome.ok()) return outcome.error();
        EXPECT_EQ(std::count(bytes.begin(), bytes.end(), bytes[0]),
                  static_cast<std::ptrdiff_t>(bytes.size()));
        return static_cast<char>(bytes[0]);
    }
    DriveStatus status() { return reactor.run(role->status(kDrive)).value(); }
    std::vector<SlotInfo> list(OwnerId owner) {
        return reactor.run(role->list(kDrive, owner)).value();
    }

    SimulatedReactor reactor;
    std::shared_ptr<SimulatedDisk> disk;
    std::unique_ptr<DriveRole> role;
};

}  // namespace weft::drive
