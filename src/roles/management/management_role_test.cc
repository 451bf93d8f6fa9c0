#include "roles/management/management_role.h"

#include "platform/simulated/simulated_reactor.h"
#include "testing/memory_drives.h"

#include <functional>
#include <map>
#include <set>

#include <gtest/gtest.h>

namespace weft::management {
namespace {

constexpr std::uint32_t kDrives = 10;

// Drives are those of MemoryDrives; a path "N" stands for drive N.
class FakeDriveAdmin : public DriveAdmin {
public:
    FakeDriveAdmin(Reactor& reactor, testing::MemoryDrives& drives)
        : released_(reactor), drives_(drives) {}

    Task<DriveEntry> format(DriveEntry entry, std::uint64_t cluster, std::uint32_t,
                            bool overwrite) override {
        if (formatted.contains(entry.path) && !overwrite) {
            co_return Error{Code::already_exists, "test"};
        }
        formatted[entry.path] = {cluster, entry};
        attached.insert(entry.id);
        if (while_formatting) while_formatting();
        co_return entry;
    }
    Task<DriveEntry> attach(std::string path, std::uint64_t cluster) override {
        auto found = formatted.find(path);
        if (found == formatted.end()) co_return Error{Code::corrupt, "test"};
        if (cluster != 0 && cluster != found->second.first) co_return Error{Code::invalid, "test"};
        DriveEntry entry = found->second.second;
        if (broken.contains(entry.id)) co_return Error{Code::corrupt, "test"};
        if (held.contains(entry.id)) co_return Error{Code::limit_reached, "test"};
        attached.insert(entry.id);
        co_return entry;
    }
    Task<Done> detach(DriveId drive) override {
        while (hanging.contains(drive)) co_await released_.wait();
        attached.erase(drive);
        drives_.set_gone(drive, true);
        co_return Done{};
    }
    Task<Done> probe(DriveId drive) override {
        while (hanging.contains(drive)) co_await released_.wait();
        if (broken.contains(drive)) co_return Error{Code::unavailable, "test"};
        co_return Done{};
    }

    std::map<std::string, std::pair<std::uint64_t, DriveEntry>> formatted;
    std::set<DriveId> attached;
    std::set<DriveId> broken;
    std::set<DriveId> held;     // By another process.
    std::set<DriveId> hanging;  // Give no answer until release().
    std::function<void()> while_formatting;
    void release() {
        hanging.clear();
        released_.notify_all();
    }

private:
    Signal released_;
    testing::MemoryDrives& drives_;
};

class FakeCompute : public ComputeAdmin {
public:
    Task<Done> set_map(ClusterMap map) override {
        maps.push_back(std::move(map));
        co_return Done{};
    }
    Task<Done> create_filesystem(FilesystemId id) override {
        filesystems.insert(id);
        co_return Done{};
    }
    Task<Done> remove_filesystem(FilesystemId id) override {
        filesystems.erase(id);
        co_return Done{};
    }
    Task<ComputeReport> report() override {
        ComputeReport report;
        report.missing_most = missing_most;
        co_return report;
    }
    Task<std::vector<Finding>> check(bool) override { co_return std::vector<Finding>(); }

    std::vector<ClusterMap> maps;
    std::set<FilesystemId> filesystems;
    std::uint32_t missing_most = 0;
};

ClusterSpec spec() {
    ClusterSpec made;
    made.name = "test";
    for (int i = 0; i < 6; ++i) made.drive_paths.push_back(std::to_string(i));
    made.drive_bytes = kGiB;
    return made;
}

struct World {
    World()
        : drives(reactor, kDrives, 4, 16), admin(reactor, drives), role(reactor, admin, drives) {
        role.set_compute(compute);
    }
    ~World() { EXPECT_TRUE(reactor.run(role.stop()).ok()); }
    void create() { ASSERT_TRUE(reactor.run(role.create(spec(), nullptr)).ok()); }

    SimulatedReactor reactor;
    testing::MemoryDrives drives;
    FakeDriveAdmin admin;
    FakeCompute compute;
    ManagementRole role;
};

TEST(Management, RefusesSchemesAndCountsThatCannotBe) {
    World world;
    auto refused = [&](auto change) {
        ClusterSpec bad = spec();
        change(bad);
        return world.reactor.run(world.role.create(bad, nullptr)).code() == Code::invalid;
    };
    EXPECT_TRUE(refused([](auto& s) { s.data_width = 2; }));
    EXPECT_TRUE(refused([](auto& s) { s.data_width = 17; }));
    EXPECT_TRUE(refused([](auto& s) { s.parity_width = 1; }));
    EXPECT_TRUE(refused([](auto& s) { s.parity_width = 4; }));
    EXPECT_TRUE(refused([](auto& s) { s.drive_paths.pop_back(); }));
    EXPECT_TRUE(refused([](auto& s) { s.slot_bytes = 3 * kMiB; }));
    EXPECT_TRUE(refused([](auto& s) { s.name = "no blanks"; }));
    EXPECT_TRUE(world.admin.formatted.empty());
}

TEST(Management, StartsAgainFromTheDrivesAloneAtAHigherEpoch) {
    World world;
    world.create();
    ASSERT_TRUE(world.reactor.run(world.role.create_filesystem("a", kGiB)).ok());
    Epoch before = world.role.map().epoch;
    ManagementRole again(world.reactor, world.admin, world.drives);
    ASSERT_TRUE(world.reactor.run(again.open(spec().drive_paths)).ok());
    EXPECT_GT(again.map().epoch, before);
    EXPECT_NE(again.map().filesystem("a"), nullptr);
    EXPECT_EQ(again.map().drives.size(), 6U);
}

TEST(Management, StartsWithMDrivesMissingAndNotWithMore) {
    World world;
    world.create();
    std::vector<std::string> paths = {"0", "1", "2", "3"};
    ManagementRole enough(world.reactor, world.admin, world.drives);
    EXPECT_TRUE(world.reactor.run(enough.open(paths)).ok());
    paths.pop_back();
    ManagementRole too_few(world.reactor, world.admin, world.drives);
    EXPECT_EQ(world.reactor.run(too_few.open(paths)).code(), Code::unavailable);
    ManagementRole none(world.reactor, world.admin, world.drives);
    EXPECT_EQ(world.reactor.run(none.open({"8"})).code(), Code::corrupt);
}

// Perhaps by our own last process, which the kernel has not quite ended: such a drive is well, and
// must not be declared failed.
TEST(Management, DoesNotStartWithoutADriveThatAnotherProcessServes) {
    World world;
    world.create();
    world.admin.held = {DriveId{3}};
    ManagementRole early(world.reactor, world.admin, world.drives);
    EXPECT_EQ(world.reactor.run(early.open(spec().drive_paths)).code(), Code::limit_reached);
    world.admin.held.clear();
    ManagementRole later(world.reactor, world.admin, world.drives);
    EXPECT_TRUE(world.reactor.run(later.open(spec().drive_paths)).ok());
}

TEST(Management, TellsOfPathsThatAreNotTheClustersAnyMore) {
    World world;
    world.create();
    ASSERT_TRUE(world.reactor.run(world.role.replace_drive(DriveId{4}, "6", 0, false)).ok());
    std::vector<std::string> paths = spec().drive_paths;
    paths.emplace_back("6");
    ManagementRole again(world.reactor, world.admin, world.drives);
    ASSERT_TRUE(world.reactor.run(again.open(paths)).ok());
    EXPECT_EQ(again.left_out(), std::vector<std::string>{"4"});
}

TEST(Management, NeverGivesAFilesystemsIdTwice) {
    World world;
    world.create();
    auto first = world.reactor.run(world.role.create_filesystem("a", kGiB));
    ASSERT_TRUE(first.ok());
    EXPECT_TRUE(world.compute.filesystems.contains(first.value().id));
    EXPECT_EQ(world.reactor.run(world.role.create_filesystem("a", kGiB)).code(),
              Code::already_exists);
    ASSERT_TRUE(world.reactor.run(world.role.remove_filesystem("a")).ok());
    EXPECT_TRUE(world.compute.filesystems.empty());
    auto second = world.reactor.run(world.role.create_filesystem("a", kGiB));
    ASSERT_TRUE(second.ok());
    EXPECT_GT(second.value().id, first.value().id);
    EXPECT_EQ(world.reactor.run(world.role.resize_filesystem("b", kGiB)).code(), Code::not_found);
    EXPECT_EQ(world.reactor.run(world.role.create_filesystem("-x", kGiB)).code(), Code::invalid);
}

TEST(Management, DeclaresADriveFailedThatIsNotItselfAnyMore) {
    World world;
    world.create();
    world.role.start();
    world.admin.broken.insert(DriveId{2});
    while (world.role.map().drive(DriveId{2})->state != DriveState::failed) {
        ASSERT_TRUE(world.reactor.step());
        ASSERT_LT(world.reactor.now(), 60 * kSecond);
    }
    while (world.compute.maps.empty()) ASSERT_TRUE(world.reactor.step());
    EXPECT_EQ(world.compute.maps.back().drive(DriveId{2})->state, DriveState::failed);
    EXPECT_FALSE(world.admin.attached.contains(DriveId{2}));
}

TEST(Management, ADriveThatHangsIsDeclaredFailedAndKeepsNobody) {
    World world;
    world.create();
    world.role.start();
    world.admin.hanging = {DriveId{1}};
    world.admin.broken.insert(DriveId{2});
    auto failed = [&](std::uint32_t id) {
        return world.role.map().drive(DriveId{id})->state == DriveState::failed;
    };
    while (!failed(2)) {
        ASSERT_TRUE(world.reactor.step());
        ASSERT_LT(world.reactor.now(), 10 * kSecond);
    }
    EXPECT_FALSE(failed(1));
    while (!failed(1)) {
        ASSERT_TRUE(world.reactor.step());
        ASSERT_LT(world.reactor.now(), 60 * kSecond);
    }
    EXPECT_TRUE(world.reactor.run(world.role.create_filesystem("a", kGiB)).ok());
    world.admin.release();
}

TEST(Management, RefusesToFailADriveWhereDataWouldBeLost) {
    World world;
    world.create();
    world.compute.missing_most = 2;
    EXPECT_EQ(world.reactor.run(world.role.fail_drive(DriveId{1}, false)).code(),
              Code::not_permitted);
    EXPECT_EQ(world.role.map().drive(DriveId{1})->state, DriveState::active);
    EXPECT_TRUE(world.reactor.run(world.role.fail_drive(DriveId{1}, true)).ok());
    EXPECT_EQ(world.reactor.run(world.role.fail_drive(DriveId{77}, true)).code(), Code::not_found);
}

// A path that is mistyped must not cost the drive that was to be replaced.
TEST(Management, KeepsTheOldDriveIfTheNewOneWillNotDo) {
    World world;
    world.create();
    auto replaced = world.reactor.run(world.role.replace_drive(DriveId{4}, "3", 0, false));
    EXPECT_EQ(replaced.code(), Code::already_exists);
    EXPECT_EQ(world.role.map().drive(DriveId{4})->state, DriveState::active);
    EXPECT_TRUE(world.admin.attached.contains(DriveId{4}));
    world.compute.missing_most = 2;
    replaced = world.reactor.run(world.role.replace_drive(DriveId{4}, "6", 0, false));
    EXPECT_EQ(replaced.code(), Code::not_permitted);
    EXPECT_FALSE(world.admin.formatted.contains("6"));
}

// Making a drive takes long: meanwhile another one may fail.
TEST(Management, LooksAgainBeforeItReplacesADrive) {
    World world;
    world.create();
    world.admin.while_formatting = [&] {
        world.compute.missing_most = 2;
    };
    auto replaced = world.reactor.run(world.role.replace_drive(DriveId{4}, "6", 0, false));
    EXPECT_EQ(replaced.code(), Code::not_permitted);
    EXPECT_EQ(world.role.map().drive(DriveId{4})->state, DriveState::active);
    EXPECT_TRUE(world.admin.attached.contains(DriveId{4}));
    EXPECT_FALSE(world.admin.attached.contains(DriveId{6}));
}

TEST(Management, DoesNotServeADriveThatTheMapCannotBeToldOf) {
    World world;
    world.create();
    for (std::uint32_t id : {0U, 1U, 3U, 4U}) world.drives.set_gone(DriveId{id}, true);
    EXPECT_EQ(world.reactor.run(world.role.add_drive("6", 0, false)).code(), Code::unavailable);
    EXPECT_FALSE(world.admin.attached.contains(DriveId{6}));
    for (std::uint32_t id : {0U, 1U, 3U, 4U}) world.drives.set_gone(DriveId{id}, false);
    auto added = world.reactor.run(world.role.add_drive("7", 0, false));
    ASSERT_TRUE(added.ok());
    EXPECT_EQ(added.value().id, DriveId{7});
}

TEST(Management, FailsADriveThatIsGoneEvenIfTheMapCannotBeStoredAtFirst) {
    World world;
    world.create();
    world.role.start();
    world.admin.broken.insert(DriveId{2});
    for (std::uint32_t id : {0U, 1U, 3U, 4U}) world.drives.set_gone(DriveId{id}, true);
    while (world.reactor.now() < 20 * kSecond) ASSERT_TRUE(world.reactor.step());
    EXPECT_EQ(world.role.map().drive(DriveId{2})->state, DriveState::active);
    for (std::uint32_t id : {0U, 1U, 3U, 4U}) world.drives.set_gone(DriveId{id}, false);
    while (world.reactor.now() < 40 * kSecond) ASSERT_TRUE(world.reactor.step());
    EXPECT_EQ(world.role.map().drive(DriveId{2})->state, DriveState::failed);
}

TEST(Management, PutsANewDriveIntoTheDomainOfTheOneItReplaces) {
    World world;
    world.create();
    auto replaced = world.reactor.run(world.role.replace_drive(DriveId{4}, "6", 0, false));
    ASSERT_TRUE(replaced.ok());
    EXPECT_EQ(replaced.value().id, DriveId{6});
    EXPECT_EQ(replaced.value().domain, FailureDomainId{4});
    EXPECT_EQ(replaced.value().size_bytes, kGiB);
    EXPECT_EQ(world.role.map().drive(DriveId{4}), nullptr);
    auto added = world.reactor.run(world.role.add_drive("7", kGiB, false));
    ASSERT_TRUE(added.ok());
    EXPECT_EQ(added.value().domain, FailureDomainId{7});
    EXPECT_EQ(world.reactor.run(world.role.add_drive("7", kGiB, false)).code(),
              Code::already_exists);
}

}  // namespace
}  // namespace weft::management
