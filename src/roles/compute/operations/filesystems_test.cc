#include "model/layout/keys.h"
#include "roles/compute/compute_testing_internal.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

class Filesystems : public ComputeTest {
protected:
    void make_files() {
        for (int i = 0; i < 20; ++i) {
            FileId file = make_file(root(), "f" + std::to_string(i));
            ASSERT_EQ(write(file, 0, std::string(300000, 'r')), Code::ok);
        }
    }
    // A crash, and then a start with a map that does not have the filesystem.
    void crash_and_open_without() {
        role.reset();
        ++map.epoch.value;
        ClusterMap without = map;
        without.filesystems.clear();
        role = std::make_unique<ComputeRole>(reactor, drives, settings);
        ASSERT_TRUE(reactor.run(role->open(without, map.epoch)).ok());
    }
};

// Management stores the map first: a crash comes before compute is told.
TEST_F(Filesystems, ThatAreGoneFromTheMapAreRemovedAtOpening) {
    make_files();
    wait(kSecond);
    std::uint64_t room = run(role->report()).value().physical_free_blocks;
    map.filesystems_made = 1;
    crash_and_open_without();
    EXPECT_LE(run(role->report()).value().physical_free_blocks, room + 100);
    wait(10 * kSecond);
    auto report = run(role->report());
    EXPECT_LT(report.value().live_blocks, 100U);  // The indexes' own.
    EXPECT_GT(report.value().physical_free_blocks, room + 1000);
    crash_and_open_without();
    crash();
    EXPECT_EQ(names(root()).size(), 2U);
}

TEST_F(Filesystems, ThatAnOldMapDoesNotHaveYetStay) {
    make_files();
    crash_and_open_without();
    wait(10 * kSecond);
    crash();
    EXPECT_EQ(names(root()).size(), 22U);
    EXPECT_EQ(usage().inodes, 21U);
}

TEST_F(Filesystems, OfMoreOrphansThanOneRecordHoldsAreRemoved) {
    role.reset();
    ++map.epoch.value;
    {
        Core core(reactor, drives, settings);
        ASSERT_TRUE(run(core.open(map, map.epoch)).ok());
        InodeId inode{1000};
        for (int i = 0; i < 400; ++i) {
            Transaction transaction;
            for (int j = 0; j < 1000; ++j) {
                ++inode.value;
                transaction.on(ShardId{0}).put(keys::orphan(id(inode)), std::string());
            }
            ASSERT_TRUE(run(core.admit_request(Caller())).ok());
            (void)core.commit(std::move(transaction));
        }
        ASSERT_TRUE(run(core.mark_removed(kFilesystem)).ok());
        ASSERT_TRUE(run(core.remove_filesystem_now(kFilesystem)).ok());
        std::string from = keys::orphan_prefix();
        auto left = run(core.shard(ShardId{0}).index.scan(from, keys::after_prefix(from), 1));
        ASSERT_TRUE(left.ok());
        EXPECT_TRUE(left.value().empty());
    }
    start();
}

}  // namespace
}  // namespace weft::compute
