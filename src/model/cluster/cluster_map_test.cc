#include "model/cluster/cluster_map.h"

#include <random>

#include <gtest/gtest.h>

namespace weft {
namespace {

ClusterMap some_map() {
    ClusterMap map;
    map.cluster = 0x0102030405060708;
    map.epoch = Epoch{9};
    map.name = "c";
    map.data_width = 4;
    map.parity_width = 2;
    map.slot_bytes = 1 << 20;
    map.shard_count = 16;
    map.routing_key = {3, 4};
    map.drives_made = 6;
    map.filesystems_made = 7;
    map.drives = {{DriveId{1}, FailureDomainId{2}, DriveState::failed, "/d", 5}};
    map.filesystems = {{FilesystemId{1}, "fs", 6, 7}};
    return map;
}

void expect_same(const ClusterMap& a, const ClusterMap& b) {
    EXPECT_EQ(a.cluster, b.cluster);
    EXPECT_EQ(a.epoch, b.epoch);
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.data_width, b.data_width);
    EXPECT_EQ(a.parity_width, b.parity_width);
    EXPECT_EQ(a.slot_bytes, b.slot_bytes);
    EXPECT_EQ(a.shard_count, b.shard_count);
    EXPECT_EQ(a.routing_key, b.routing_key);
    EXPECT_EQ(a.drives_made, b.drives_made);
    EXPECT_EQ(a.filesystems_made, b.filesystems_made);
    EXPECT_EQ(a.drives, b.drives);
    EXPECT_EQ(a.filesystems, b.filesystems);
}

// docs/formats/cluster-map.md has these bytes: they lie on drives.
TEST(ClusterMap, HasTheBytesOfTheFormat) {
    std::string expected(
        "wmap\1\0"
        "\x08\x07\x06\x05\x04\x03\x02\x01"
        "\x09\0\0\0\0\0\0\0"
        "\1\0\0\0c"
        "\4\2\0\0\x10\0\x10\0\0\0"
        "\3\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0"
        "\6\0\0\0\7\0\0\0"
        "\1\0\0\0"
        "\1\0\0\0\2\0\0\0\2\2\0\0\0/d\5\0\0\0\0\0\0\0"
        "\1\0\0\0"
        "\1\0\0\0\2\0\0\0fs\6\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0",
        118);
    EXPECT_EQ(encode(some_map()), expected);
}

TEST(ClusterMap, ComesBackAsItWas) {
    auto back = decode_cluster_map(encode(some_map()));
    ASSERT_TRUE(back.has_value());
    expect_same(*back, some_map());
}

TEST(ClusterMap, FindsByIdAndByName) {
    ClusterMap map = some_map();
    EXPECT_EQ(map.drive(DriveId{1}), &map.drives[0]);
    EXPECT_EQ(map.drive(DriveId{2}), nullptr);
    EXPECT_EQ(map.filesystem(FilesystemId{1}), &map.filesystems[0]);
    EXPECT_EQ(map.filesystem(FilesystemId{2}), nullptr);
    EXPECT_EQ(map.filesystem("fs"), &map.filesystems[0]);
    EXPECT_EQ(map.filesystem("other"), nullptr);
}

TEST(ClusterMap, RefusesWhatIsCutOrTooLong) {
    std::string whole = encode(some_map());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(decode_cluster_map(whole.substr(0, size)).has_value()) << size;
    }
    EXPECT_FALSE(decode_cluster_map(whole + "x").has_value());
}

void expect_refused(void (*change)(ClusterMap&)) {
    ClusterMap map = some_map();
    change(map);
    EXPECT_FALSE(decode_cluster_map(encode(map)).has_value());
}

TEST(ClusterMap, RefusesValuesOutOfRange) {
    expect_refused([](ClusterMap& map) { map.data_width = 0; });
    expect_refused([](ClusterMap& map) { map.data_width = 17; });
    expect_refused([](ClusterMap& map) { map.parity_width = 5; });
    expect_refused([](ClusterMap& map) { map.slot_bytes = 0; });
    expect_refused([](ClusterMap& map) { map.slot_bytes = 3 << 20; });
    expect_refused([](ClusterMap& map) { map.slot_bytes = 32 << 20; });
    expect_refused([](ClusterMap& map) { map.shard_count = 0; });
    expect_refused([](ClusterMap& map) { map.shard_count = 16385; });
    expect_refused([](ClusterMap& map) { map.drives[0].state = DriveState{0}; });
    expect_refused([](ClusterMap& map) { map.drives.push_back(map.drives[0]); });
    expect_refused([](ClusterMap& map) { map.filesystems.push_back(map.filesystems[0]); });
    expect_refused([](ClusterMap& map) { map.filesystems[0].id = FilesystemId{0}; });
}

TEST(ClusterMap, SurvivesNoise) {
    std::mt19937_64 random(5);
    for (int i = 0; i < 20000; ++i) {
        std::string bytes = encode(some_map());
        for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
            bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        auto back = decode_cluster_map(bytes);
        if (back.has_value()) EXPECT_EQ(encode(*back), bytes);
    }
}

}  // namespace
}  // namespace weft
