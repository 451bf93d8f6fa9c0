#include "model/layout/keys.h"
#include "roles/compute/compute_testing_internal.h"
#include "roles/compute/core_internal.h"

#include <set>

namespace weft::compute {
namespace {

// A tree of a few hundred inodes, and a core that checks it.
class CheckTest : public ComputeTest {
protected:
    void SetUp() override {
        settings.index_cache_bytes = kMiB;
        ComputeTest::SetUp();
        directory = make_directory(root(), "d");
        for (int i = 0; i < 300; ++i) {
            FileId at = i % 3 == 0 ? root() : directory;
            std::string name = "f" + std::to_string(i);
            files.push_back(make_file(at, name));
            ASSERT_EQ(write(files.back(), 0, std::string(5000, 'c')), Code::ok);
        }
        for (int i = 0; i < 50; ++i) {
            std::string name = "link" + std::to_string(i);
            FileId file = files[static_cast<std::size_t>(i)];
            ASSERT_TRUE(run(role->link(next(), file, root(), name)).ok());
        }
        ASSERT_TRUE(run(role->close()).ok());
        role.reset();
        core = std::make_unique<Core>(reactor, drives, settings);
        ++map.epoch.value;
        ASSERT_TRUE(run(core->open(map, map.epoch)).ok());
    }
    void TearDown() override { EXPECT_TRUE(run(core->close()).ok()); }

    // Each finding as one line.
    std::set<std::string> findings(bool full = false) {
        std::set<std::string> lines;
        auto found = run(core->check(full));
        EXPECT_TRUE(found.ok()) << name_of(found.code());
        if (!found.ok()) return lines;
        for (const Finding& finding : found.value()) {
            lines.insert(finding.where + ": " + finding.what);
        }
        return lines;
    }
    static std::string name(FileId file) {
        return "filesystem 1 inode " + std::to_string(file.inode.value) + ": ";
    }
    // Past all rules.
    void put_record(FileId file, const InodeRecord& record) {
        Transaction transaction;
        transaction.on(shard_of(file.inode)).put(keys::inode(file), encode(record));
        (void)core->commit(std::move(transaction));
    }
    void erase(FileId file, std::string key) {
        Transaction transaction;
        transaction.on(shard_of(file.inode)).erase(std::move(key));
        (void)core->commit(std::move(transaction));
    }
    InodeRecord record_of(FileId file) {
        auto value = run(core->home(file).index.get(keys::inode(file)));
        EXPECT_TRUE(value.ok());
        return decode_inode(value.value()).value();
    }

    std::unique_ptr<Core> core;
    FileId directory;
    std::vector<FileId> files;
};

TEST_F(CheckTest, FindsNothingInASoundTree) {
    EXPECT_EQ(findings(true), std::set<std::string>());
}

TEST_F(CheckTest, HasDrivesRepairWhatTheyKeepBesideTheirSlots) {
    drives.rot_tables(DriveId{1}, 2);
    drives.rot_tables(DriveId{3}, 1);
    EXPECT_EQ(findings(false), std::set<std::string>());
    EXPECT_EQ(core->table_blocks_repaired, 0U);
    EXPECT_EQ(findings(true), std::set<std::string>());
    EXPECT_EQ(core->table_blocks_repaired, 3U);
}

TEST_F(CheckTest, NamesEachInodeWhoseLinksAreWrong) {
    InodeRecord more = record_of(files[100]);
    ++more.nlink;
    put_record(files[100], more);
    InodeRecord fewer = record_of(files[0]);
    --fewer.nlink;
    put_record(files[0], fewer);
    InodeRecord gone = record_of(files[200]);
    gone.nlink = 0;
    put_record(files[200], gone);
    EXPECT_EQ(findings(), (std::set<std::string>{
                              name(files[100]) + "nlink is 2, counted 1",
                              name(files[0]) + "nlink is 1, counted 2",
                              name(files[200]) + "nlink is 0, counted 1",
                          }));
}

TEST_F(CheckTest, NamesDirectoriesThatDoNotCountTheirEntries) {
    InodeRecord record = record_of(directory);
    std::uint64_t size = record.size++;
    ++record.nlink;
    put_record(directory, record);
    EXPECT_EQ(findings(), (std::set<std::string>{
                              name(directory) + "entry count is " + std::to_string(size + 1) +
                                  ", counted " + std::to_string(size),
                              name(directory) + "nlink is 3, counted 2",
                          }));
}

TEST_F(CheckTest, NamesWhatHasNamesButNoRecord) {
    erase(files[7], keys::inode(files[7]));
    std::set<std::string> found = findings();
    EXPECT_TRUE(found.contains(name(files[7]) + "has 2 names but no record"));
    EXPECT_EQ(found.size(), 3U);  // And the filesystem counts an inode and its blocks too many.
    erase(directory, keys::inode(directory));
    found = findings();
    EXPECT_TRUE(found.contains(name(directory) + "has entries but no record"));
    EXPECT_TRUE(found.contains(name(directory) + "has 1 names but no record"));
}

Task<Done> note_findings(Core* core, std::optional<std::size_t>* count) {
    auto found = co_await or_return(co_await core->check(false));
    count->emplace(found.size());
    co_return Done{};
}

// Else changes would wait for the count of everything, as soon as indexes are to be merged.
TEST_F(CheckTest, KeepsMaintenanceOfOneShardWaitingAtATime) {
    drives.set_latency(kSecond);
    std::optional<std::size_t> found;
    Gate gate(reactor);
    gate.spawn(note_findings(core.get(), &found));
    for (int step = 0; step < 10; ++step) ASSERT_TRUE(reactor.step());
    std::size_t while_counting = 0;
    for (auto at = core->shards.rbegin(); at != core->shards.rend(); ++at) {
        auto lock = run(at->second->maintenance.lock());
        ASSERT_TRUE(lock.ok());
        if (!found.has_value()) ++while_counting;
    }
    drives.set_latency(50 * kMicrosecond);
    EXPECT_TRUE(run(gate.close()).ok());
    EXPECT_EQ(found, 0U);
    EXPECT_EQ(while_counting, core->shards.size());
}

}  // namespace
}  // namespace weft::compute
