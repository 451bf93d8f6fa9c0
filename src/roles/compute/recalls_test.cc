#include "roles/compute/compute_testing_internal.h"

namespace weft::compute {
namespace {

// Answers a recall once a write of its own is in, as a frontend does that buffers writes.
class WritingHolder : public LeaseHolder {
public:
    Task<Done> recall(Recall recall) override {
        ++recalls;
        for (int i = 0; i < writes; ++i) {
            std::string text = "new";
            ConstBytes bytes = bytes_of(text);
            ++caller.seq;
            auto written = co_await role->write(caller, recall.file, 0, bytes, false, false);
            last = written.code();
        }
        co_return Done{};
    }
    void session_ended() override { ended = true; }

    ComputeRole* role = nullptr;
    Caller caller;
    int writes = 1;
    int recalls = 0;
    Code last = Code::would_block;
    bool ended = false;
};

// One client has the write lease, and another looks at what it writes.
class Recalls : public ComputeTest {
protected:
    void SetUp() override {
        map.filesystems[0].capacity_bytes = 4 * kGiB;  // More than there is.
        settings.journal_bytes_most = 2 * kMiB;
        ComputeTest::SetUp();
        file = make_file(root(), "a");
        ASSERT_EQ(write(file, 0, "old, and longer"), Code::ok);
        full = make_file(root(), "full");
        writer.role = role.get();
        writer.caller.session = role->open_session(&writer).value();
        writer.caller.seq = 1;
    }
    void TearDown() override {
        drives.set_latency(50 * kMicrosecond);
        ComputeTest::TearDown();
    }
    void lease_to_writer() {
        auto opened = run(role->open(writer.caller, file, LeaseMode::write));
        ASSERT_TRUE(opened.ok()) << name_of(opened.code());
        ASSERT_EQ(opened.value().node.lease, LeaseMode::write);
    }
    // Looks at the file; how long that took.
    Nanos look() {
        Nanos begun = reactor.now();
        auto seen = run(role->getattr(caller, file));
        EXPECT_TRUE(seen.ok()) << name_of(seen.code());
        return reactor.now() - begun;
    }

    WritingHolder writer;
    FileId file;
    FileId full;
};

TEST_F(Recalls, WaitWhileSlowDrivesKeepTheWritesOfTheHolder) {
    lease_to_writer();
    drives.set_latency(3 * kSecond);
    EXPECT_GT(look(), settings.recall_deadline);
    EXPECT_EQ(writer.recalls, 1);
    EXPECT_FALSE(writer.ended);
    EXPECT_EQ(writer.last, Code::ok);
    drives.set_latency(50 * kMicrosecond);
    EXPECT_EQ(read(file, 0, 100), "new, and longer");
}

// Drives fail that were full, so a write waits for a cleaner that finds nothing.
TEST_F(Recalls, WaitWhileTheWritesOfTheHolderWaitForRoom) {
    std::string bytes(kMiB, 'f');
    for (std::uint64_t at = 0;; at += kMiB) {
        Code code = write(full, at, bytes);
        if (code != Code::ok) break;
    }
    lease_to_writer();
    drives.set_gone(DriveId{1}, true);
    drives.set_gone(DriveId{4}, true);
    map.drives[1].state = map.drives[4].state = DriveState::failed;
    ++map.epoch.value;
    ASSERT_TRUE(run(role->set_map(map)).ok());
    wait(10 * kSecond);
    EXPECT_GT(look(), settings.recall_deadline);
    EXPECT_EQ(writer.recalls, 1);
    EXPECT_FALSE(writer.ended);
    EXPECT_EQ(writer.last, Code::out_of_space);
    AttributeChange change;
    change.size = 0;
    EXPECT_TRUE(run(role->setattr(next(), full, change)).ok());
}

// Nobody can tell whether it writes what was recalled: in the end it does not matter.
TEST_F(Recalls, DoNotWaitForEverForAHolderThatGoesOnWriting) {
    lease_to_writer();
    writer.writes = 1000;
    drives.set_latency(3 * kSecond);
    Nanos took = look();
    EXPECT_TRUE(writer.ended);
    EXPECT_GE(took, settings.lease_terms().recall_most());
    EXPECT_LT(took, settings.lease_terms().recall_most() + 10 * kSecond);
    EXPECT_EQ(writer.last, Code::fenced);
}

}  // namespace
}  // namespace weft::compute
