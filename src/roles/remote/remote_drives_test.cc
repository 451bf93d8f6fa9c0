#include "roles/remote/remote_drives.h"

#include "platform/memory/buffer.h"
#include "platform/simulated/simulated_network.h"
#include "platform/simulated/simulated_reactor.h"
#include "platform/simulated/simulated_stream.h"
#include "testing/memory_drives.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace weft::remote {
namespace {

constexpr Fence kFence{OwnerId::of(ShardId{3}), Epoch{7}};

struct Connected {
    Connected() : drives(reactor, 2, 4, 16), server(drives), gate(reactor) {
        auto [left, right] = make_simulated_streams(reactor, kMillisecond);
        near = std::make_unique<rpc::Peer>(reactor, std::move(left), nullptr);
        far = std::make_unique<rpc::Peer>(reactor, std::move(right), &server);
        gate.spawn(near->run());
        gate.spawn(far->run());
        remote = std::make_unique<RemoteDrives>(reactor, *near, kSecond);
    }
    ~Connected() {
        near->close();
        EXPECT_TRUE(reactor.run(gate.close()).ok());
    }

    SimulatedReactor reactor;
    testing::MemoryDrives drives;
    DriveServer server;
    Gate gate;
    std::unique_ptr<rpc::Peer> near;
    std::unique_ptr<rpc::Peer> far;
    std::unique_ptr<RemoteDrives> remote;
};

TEST(RemoteDrives, WritesAndReadsBlocksAsTheDriveItselfWould) {
    Connected at;
    auto slot = at.reactor.run(at.remote->allocate(DriveId{1}, kFence, SegmentId{5}, 2));
    ASSERT_TRUE(slot.ok());
    Buffer out(2 * kBlockBytes);
    std::ranges::fill(out.bytes(), std::byte{42});
    ASSERT_TRUE(at.reactor.run(at.remote->write(slot.value(), kFence, 3, out.bytes())).ok());
    ASSERT_TRUE(at.reactor.run(at.remote->flush(DriveId{1})).ok());
    Buffer in(2 * kBlockBytes);
    ASSERT_TRUE(at.reactor.run(at.drives.read(slot.value(), 3, in.bytes())).ok());
    EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
    Buffer again(2 * kBlockBytes);
    ASSERT_TRUE(at.reactor.run(at.remote->read(slot.value(), 3, again.bytes())).ok());
    EXPECT_TRUE(std::ranges::equal(again.bytes(), out.bytes()));
    auto listed = at.reactor.run(at.remote->list(DriveId{1}, kFence.owner));
    ASSERT_TRUE(listed.ok());
    ASSERT_EQ(listed.value().size(), 1U);
    EXPECT_EQ(listed.value()[0].segment, SegmentId{5});
    EXPECT_EQ(listed.value()[0].chunk, 2);
}

TEST(RemoteDrives, CarriesTheDrivesRefusals) {
    Connected at;
    ASSERT_TRUE(at.reactor.run(at.remote->fence(DriveId{0}, Fence{kFence.owner, Epoch{9}})).ok());
    auto refused = at.reactor.run(at.remote->allocate(DriveId{0}, kFence, SegmentId{1}, 0));
    EXPECT_EQ(refused.code(), Code::fenced);
    EXPECT_EQ(at.reactor.run(at.remote->status(DriveId{9})).code(), Code::unavailable);
    EXPECT_EQ(at.reactor.run(at.remote->load_map(DriveId{0})).code(), Code::not_found);
}

TEST(RemoteDrives, SaysHowMuchOfADrivesTablesWasRepaired) {
    Connected at;
    at.drives.rot_tables(DriveId{1}, 3);
    EXPECT_EQ(at.reactor.run(at.remote->verify(DriveId{0})).value(), 0U);
    EXPECT_EQ(at.reactor.run(at.remote->verify(DriveId{1})).value(), 3U);
    EXPECT_EQ(at.reactor.run(at.remote->verify(DriveId{1})).value(), 0U);
    EXPECT_EQ(at.reactor.run(at.remote->verify(DriveId{9})).code(), Code::unavailable);
}

TEST(RemoteDrives, EndsWithUnavailableOnceTheConnectionIsGone) {
    Connected at;
    at.far->close();
    EXPECT_EQ(at.reactor.run(at.remote->status(DriveId{0})).code(), Code::unavailable);
}

TEST(RemoteDrives, EndsInTimeWhereNobodyTakesWhatIsSent) {
    SimulatedReactor reactor;
    SimulatedNetwork network(reactor, 1);
    SimulatedLink link;
    link.window_bytes = 4 * kBlockBytes;
    network.set_link(link);
    auto listener = network.at("drive").listen("drive:1");
    auto connected = reactor.run(network.at("compute").connect("drive:1", kSecond));
    ASSERT_TRUE(connected.ok());
    rpc::Peer peer(reactor, std::move(connected).value(), nullptr);
    Gate gate(reactor);
    gate.spawn(peer.run());
    RemoteDrives drives(reactor, peer, kSecond);
    Buffer out(16 * kBlockBytes);
    Nanos begun = reactor.now();
    EXPECT_FALSE(reactor.run(drives.write(SegmentSlot(), kFence, 0, out.bytes())).ok());
    EXPECT_LE(reactor.now() - begun, 2 * kSecond);
    EXPECT_TRUE(peer.closed());
    EXPECT_EQ(reactor.run(drives.status(DriveId{0})).code(), Code::unavailable);
    ASSERT_TRUE(reactor.run(gate.close()).ok());
}

TEST(DriveServer, RefusesArgumentsThatAreNoneAndMethodsItDoesNotKnow) {
    Connected at;
    for (std::uint32_t method = 0; method < 20; ++method) {
        auto answer = at.reactor.run(
            at.near->call(method, "nonsense", ConstBytes(), Bytes(), at.reactor.now() + kSecond));
        EXPECT_TRUE(answer.code() == Code::invalid || answer.code() == Code::not_supported)
            << "method " << method;
    }
}

}  // namespace
}  // namespace weft::remote
