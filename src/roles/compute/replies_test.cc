#include "model/layout/keys.h"
#include "roles/compute/compute_testing_internal.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

constexpr std::uint64_t kClient = 77;

Task<Done> note_copy(Task<std::uint64_t> copy, std::optional<Code>* code) {
    auto ended = co_await copy;
    code->emplace(ended.code());
    co_return Done{};
}

// A client that comes back after its session was lost, and sends again what it has no answer to.
class Replies : public ComputeTest {
protected:
    void SetUp() override {
        ComputeTest::SetUp();
        come_back();
    }
    void come_back() {
        Client client{kClient, caller.seq};
        caller.session = role->open_session(&holder, client).value();
        caller.client = kClient;
    }
    void crash_and_come_back() {
        crash();
        come_back();
    }
    NewNode file_node() const {
        NewNode what;
        what.mode = 0100644;
        return what;
    }
};

TEST_F(Replies, ACreateIsDoneOnceAcrossACrash) {
    Caller once = next();
    auto made = run(role->create_open(once, root(), "a", file_node(), true));
    ASSERT_TRUE(made.ok());
    crash_and_come_back();
    once.session = caller.session;
    auto again = run(role->create_open(once, root(), "a", file_node(), true));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.value().node.inode, made.value().node.inode);
    // The handle is of this session.
    EXPECT_TRUE(run(role->release(next(), id(made.value().node.inode), again.value().handle)).ok());
    // Another request of the same kind is another matter.
    EXPECT_EQ(run(role->create_open(next(), root(), "a", file_node(), true)).code(),
              Code::already_exists);
}

TEST_F(Replies, NamesAreRemovedMovedAndLinkedOnce) {
    FileId file = make_file(root(), "a");
    Caller link = next();
    ASSERT_TRUE(run(role->link(link, file, root(), "b")).ok());
    Caller rename = next();
    ASSERT_TRUE(run(role->rename(rename, root(), "a", root(), "c", {})).ok());
    Caller unlink = next();
    ASSERT_TRUE(run(role->unlink(unlink, root(), "b")).ok());
    crash_and_come_back();
    link.session = rename.session = unlink.session = caller.session;
    EXPECT_TRUE(run(role->link(link, file, root(), "b")).ok());
    EXPECT_TRUE(run(role->rename(rename, root(), "a", root(), "c", {})).ok());
    EXPECT_TRUE(run(role->unlink(unlink, root(), "b")).ok());
    EXPECT_EQ(run(role->lookup(caller, root(), "b")).code(), Code::not_found);
    EXPECT_EQ(run(role->getattr(caller, file)).value().attributes.nlink, 1U);
}

TEST_F(Replies, AnAppendIsMadeOnce) {
    FileId file = make_file(root(), "a");
    std::string text = "line";
    ConstBytes bytes = bytes_of(text);
    Caller append = next();
    ASSERT_TRUE(run(role->write(append, file, 0, bytes, true, false)).ok());
    crash_and_come_back();
    append.session = caller.session;
    auto again = run(role->write(append, file, 0, bytes, true, false));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.value().attributes.size, 4U);
}

TEST_F(Replies, WhatWasNotDoneIsDoneWhenItComesAgain) {
    Caller lost = next();  // It never arrived.
    crash_and_come_back();
    lost.session = caller.session;
    EXPECT_TRUE(run(role->create(lost, root(), "a", file_node())).ok());
    crash_and_come_back();
    lost.session = caller.session;
    EXPECT_TRUE(run(role->create(lost, root(), "a", file_node())).ok());
}

TEST_F(Replies, ASlotIsTakenByALaterRequest) {
    Caller first = next();
    ASSERT_TRUE(run(role->create(first, root(), "a", file_node())).ok());
    caller.seq = first.seq + kReplySlots - 1;
    ASSERT_TRUE(run(role->create(next(), root(), "b", file_node())).ok());
    crash_and_come_back();
    first.session = caller.session;
    EXPECT_EQ(run(role->create(first, root(), "a", file_node())).code(), Code::already_exists);
}

TEST_F(Replies, AnotherClientsRequestsAreItsOwn) {
    Caller mine = next();
    ASSERT_TRUE(run(role->create(mine, root(), "a", file_node())).ok());
    crash();
    Client stranger{kClient + map.shard_count, mine.seq};
    mine.session = role->open_session(&holder, stranger).value();
    mine.client = stranger.number;
    EXPECT_EQ(run(role->create(mine, root(), "a", file_node())).code(), Code::already_exists);
}

TEST_F(Replies, AFallocateIsNotDoneOverWhatOthersWroteSince) {
    FileId file = make_file(root(), "a");
    ASSERT_EQ(write(file, 0, "old"), Code::ok);
    FallocateFlags punch{.keep_size = true, .punch_hole = true, .zero_range = false};
    Caller punching = next();
    ASSERT_TRUE(run(role->fallocate(punching, file, 0, 3, punch)).ok());
    ASSERT_EQ(write(file, 0, "new"), Code::ok);
    crash_and_come_back();
    punching.session = caller.session;
    EXPECT_TRUE(run(role->fallocate(punching, file, 0, 3, punch)).ok());
    EXPECT_EQ(read(file, 0, 3), "new");
}

TEST_F(Replies, ACopyIsNotMadeOverWhatOthersWroteSince) {
    FileId from = make_file(root(), "a");
    FileId to = make_file(root(), "b");
    std::string bytes(3 * kMiB + 100, 'a');
    ASSERT_EQ(write(from, 0, bytes), Code::ok);
    Caller copying = next();
    auto copied = run(role->copy_range(copying, from, 0, to, 0, 10 * kMiB));
    ASSERT_EQ(copied.value(), bytes.size());
    ASSERT_EQ(write(to, 5, "new"), Code::ok);
    crash_and_come_back();
    copying.session = caller.session;
    auto again = run(role->copy_range(copying, from, 0, to, 0, 10 * kMiB));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.value(), bytes.size());
    EXPECT_EQ(read(to, 0, 10), "aaaaanewaa");
}

TEST_F(Replies, OfACopyThatWasCutOffTellHowMuchIsCopied) {
    FileId from = make_file(root(), "a");
    FileId to = make_file(root(), "b");
    std::string bytes(8 * kMiB, 'a');
    for (std::uint64_t i = 0; i < 8; ++i) {
        ASSERT_EQ(write(from, i * kMiB, bytes.substr(0, kMiB)), Code::ok);
    }
    Caller copying = next();
    {
        Gate gate(reactor);
        std::optional<Code> ended;
        // Not aligned with it, so that each piece is written.
        gate.spawn(note_copy(role->copy_range(copying, from, 1, to, 0, 10 * kMiB), &ended));
        while (run(role->getattr(caller, to)).value().attributes.size < 3 * kMiB) reactor.step();
        ASSERT_FALSE(ended.has_value());
    }
    crash_and_come_back();
    copying.session = caller.session;
    std::uint64_t there = attributes(to).size;
    ASSERT_EQ(write(to, 5, "new"), Code::ok);
    auto again = run(role->copy_range(copying, from, 1, to, 0, 10 * kMiB));
    ASSERT_TRUE(again.ok());
    EXPECT_GE(again.value(), 2 * kMiB);
    EXPECT_EQ(again.value(), there);
    EXPECT_EQ(read(to, 0, 10), "aaaaanewaa");
}

TEST_F(Replies, OfAClientThatIsGoneAreForgotten) {
    constexpr Nanos kLong = 601 * kSecond;
    role.reset();
    ++map.epoch.value;
    {
        Core core(reactor, drives, settings);
        ASSERT_TRUE(run(core.open(map, map.epoch)).ok());
        std::string unknown = keys::reply(1, 1);
        std::string here = keys::reply(2, 1);
        std::string gone = keys::reply(3, 1);
        SessionId stays = core.open_session(&holder, Client{2, 0, 0}).value();
        core.end_session(core.open_session(&holder, Client{3, 0, 0}).value());
        EXPECT_FALSE(core.is_old_reply(unknown));
        EXPECT_FALSE(core.is_old_reply(gone));
        wait(kLong);
        EXPECT_TRUE(core.is_old_reply(unknown));
        EXPECT_FALSE(core.is_old_reply(here));
        EXPECT_TRUE(core.is_old_reply(gone));
        EXPECT_FALSE(core.is_old_reply(keys::orphan(root())));
        core.end_session(stays);
        EXPECT_FALSE(core.is_old_reply(here));
        (void)core.open_session(&holder, Client{4, 0, 0});
        EXPECT_FALSE(core.clients.contains(3));
        EXPECT_TRUE(core.clients.contains(2));
    }
    start();
}

}  // namespace
}  // namespace weft::compute
