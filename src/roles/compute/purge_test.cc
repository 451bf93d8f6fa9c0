#include "engines/namespace/attributes.h"
#include "model/layout/keys.h"
#include "roles/compute/compute_testing_internal.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

Task<Done> note_purge(Task<Lsn> purge) {
    auto purged = co_await purge;
    if (!purged.ok()) co_return purged.error();
    co_return Done{};
}

class Purging : public ComputeTest {
protected:
    static constexpr std::uint64_t kExtents = 1024;  // More than a step of a purge frees.

    // One whose extents are in the index on the drives.
    FileId make_scattered(std::string name) {
        FileId file = make_file(root(), std::move(name));
        for (std::uint64_t block = 0; block < kExtents; ++block) {
            EXPECT_EQ(write(file, 2 * block * kBlockBytes, "x"), Code::ok);
        }
        restart();
        return file;
    }
    std::uint64_t records() {
        const ComputeReport report = run(role->report()).value();
        for (const auto& [name, value] : report.counters) {
            if (name == "journal.records") return value;
        }
        return 0;
    }
};

TEST_F(Purging, AnUnlinkedFileWhoseTruncationWasCutShortIsFoundAfterACrash) {
    FileId file = make_scattered("a");
    ASSERT_TRUE(run(role->open(next(), file, LeaseMode::none)).ok());
    {
        Gate gate(reactor);
        std::optional<Code> ended;
        AttributeChange change;
        change.size = 0;
        std::uint64_t before = records();
        gate.spawn(note_code(role->setattr(next(), file, change), &ended));
        while (records() == before) ASSERT_TRUE(reactor.step());
        ASSERT_FALSE(ended.has_value());
    }
    ASSERT_TRUE(run(role->unlink(next(), root(), "a")).ok());
    ASSERT_EQ(write(file, 0, "y"), Code::ok);  // What the truncation left goes first.
    ASSERT_EQ(attributes(file).blocks, 1U);
    crash();
    wait(kSecond);
    EXPECT_EQ(usage().inodes, 1U);
    EXPECT_EQ(usage().used_blocks, 0U);
}

class PurgingCore : public Purging {
protected:
    void open_core(std::optional<Core>* core) {
        role.reset();
        ++map.epoch.value;
        core->emplace(reactor, drives, settings);
        ASSERT_TRUE(run((*core)->open(map, map.epoch)).ok());
    }
    void close_core(std::optional<Core>* core) {
        core->reset();
        start();
    }
};

TEST_F(PurgingCore, WaitsWhileTheJournalHasMuchToWrite) {
    FileId file = make_scattered("a");
    std::optional<Core> core;
    open_core(&core);
    InodePin inode = run(core->pin(file)).value();
    for (auto& [number, shard] : core->shards) {  // From now on in memory.
        ASSERT_TRUE(run(shard->data.prepare_purge(file, 0, 2 * kExtents)).ok());
    }
    drives.set_latency(10 * kSecond);
    for (int i = 0; i < 32; ++i) {
        Transaction transaction;
        transaction.on(ShardId{0}).put(keys::reply(1, 1), std::string(kMiB, 'r'));
        (void)core->commit(std::move(transaction));
    }
    Lsn before = core->journal.last_appended();
    Gate gate(reactor);
    std::vector<ShardId> all = core->shards_of(file, 0, UINT64_MAX);
    gate.spawn(note_purge(core->purge_blocks(inode, 0, all)));
    wait(kSecond);
    EXPECT_EQ(core->journal.last_appended(), before);
    drives.set_latency(50 * kMicrosecond);
    EXPECT_TRUE(run(gate.close()).ok());
    EXPECT_EQ(inode->record.blocks, 0U);
    inode = InodePin();
    close_core(&core);
}

TEST_F(PurgingCore, LooksForOrphansAgainIfTheyCouldNotBeRead) {
    settings.index_cache_bytes = kBlockBytes;
    std::optional<Core> core;
    open_core(&core);
    InodePin directory = run(core->pin(root())).value();
    FileId file;
    {
        Change change(*core);
        file = id(core->shard(ShardId{0}).take_inode(change.on(ShardId{0})));
        NewNode what;
        what.mode = 0100644;
        InodeRecord record =
            posix::make_node(directory->record, kRootInode, what, 0644, core->timestamp());
        record.nlink = 0;
        (void)change.create(file, std::move(record));
        change.at(file).put(keys::orphan(file), std::string());
        change.charge(kFilesystem, ShardId{0}, 0, 1);
        ASSERT_TRUE(run(core->flushed(change.commit())).ok());
    }
    for (auto& [number, shard] : core->shards) {
        ASSERT_TRUE(run(core->checkpoint(shard.get())).ok());
    }
    for (std::uint32_t i = 0; i < 5; ++i) drives.set_gone(DriveId{i}, true);
    core->orphans_left_behind = true;
    core->purging.notify_all();
    wait(3 * kSecond);
    EXPECT_TRUE(run(core->load(file)).value()->exists);
    for (std::uint32_t i = 0; i < 5; ++i) drives.set_gone(DriveId{i}, false);
    wait(20 * kSecond);
    EXPECT_FALSE(run(core->load(file)).value()->exists);
    directory = InodePin();
    close_core(&core);
}

TEST_F(PurgingCore, LeavesNothingToSaveOfAnInodeThatIsGone) {
    std::optional<Core> core;
    open_core(&core);
    {
        InodePin gone = run(core->load(id(InodeId{999}))).value();
        ASSERT_FALSE(gone->exists);
        wait(kSecond);
        core->note_access(*gone);
        EXPECT_FALSE(gone->atime_unsaved);
        EXPECT_EQ(core->atimes_unsaved, 0U);
    }
    close_core(&core);
}

}  // namespace
}  // namespace weft::compute
