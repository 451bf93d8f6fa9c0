#include "platform/runtime/gate.h"
#include "roles/compute/compute_testing_internal.h"

namespace weft::compute {
namespace {

// Two sessions on one filesystem.
class Sharing : public ComputeTest {
protected:
    void SetUp() override {
        ComputeTest::SetUp();
        other.session = role->open_session(&other_holder).value();
    }
    Caller next_other() {
        ++other.seq;
        return other;
    }
    NotingHolder other_holder;
    Caller other;
};

TEST_F(Sharing, AChangeIsToldToWhoeverMayCacheIt) {
    FileId file = make_file(root(), "a");
    ASSERT_TRUE(run(role->getattr(other, file)).ok());
    EXPECT_EQ(write(file, 0, "x"), Code::ok);
    ASSERT_EQ(other_holder.recalls.size(), 1U);
    EXPECT_EQ(other_holder.recalls[0].file, file);
    EXPECT_TRUE(other_holder.recalls[0].data);
    EXPECT_EQ(write(file, 0, "y"), Code::ok);
    EXPECT_EQ(other_holder.recalls.size(), 1U);
    EXPECT_TRUE(holder.recalls.empty());
}

Task<Done> read_into(ComputeRole* role, Caller caller, FileId file, Bytes into,
                     std::optional<LeaseMode>* lease) {
    auto reply = co_await or_return(co_await role->read(caller, file, 0, into));
    lease->emplace(reply.node.lease);
    co_return Done{};
}

// The write finds no lease to recall, and the read comes back with what was there before it.
TEST_F(Sharing, WhatWasReadBesideAWriteIsNotCached) {
    FileId file = make_file(root(), "a");
    std::string large(512 * kKiB, 'o');
    ASSERT_EQ(write(file, 0, large), Code::ok);
    std::string found(16, '?');
    std::optional<LeaseMode> lease;
    drives.set_latency(20 * kMillisecond);
    std::uint64_t reads = drives.reads();
    Gate gate(reactor);
    gate.spawn(read_into(role.get(), other, file,
                         std::as_writable_bytes(std::span(found.data(), found.size())), &lease));
    while (drives.reads() == reads) ASSERT_TRUE(reactor.step());
    drives.set_latency(kMicrosecond);
    ASSERT_EQ(write(file, 0, "new"), Code::ok);
    ASSERT_FALSE(lease.has_value());
    ASSERT_TRUE(run(gate.close()).ok());
    EXPECT_EQ(found, std::string(16, 'o'));
    EXPECT_EQ(lease, LeaseMode::none);
    EXPECT_EQ(read(file, 0, 3), "new");
}

TEST_F(Sharing, ANewEntryIsToldByName) {
    ASSERT_TRUE(run(role->getattr(other, root())).ok());
    make_file(root(), "a");
    ASSERT_EQ(other_holder.recalls.size(), 1U);
    EXPECT_EQ(other_holder.recalls[0].name, "a");
}

TEST_F(Sharing, AWriteLeaseIsForOneWhoHasTheFileAlone) {
    FileId file = make_file(root(), "a");
    auto mine = run(role->open(next(), file, LeaseMode::write));
    EXPECT_EQ(mine.value().node.lease, LeaseMode::write);
    auto theirs = run(role->open(next_other(), file, LeaseMode::write));
    EXPECT_EQ(theirs.value().node.lease, LeaseMode::read);
    ASSERT_EQ(holder.recalls.size(), 1U);
    EXPECT_EQ(holder.recalls[0].keep, LeaseMode::read);
}

TEST_F(Sharing, WhoDoesNotAnswerARecallLosesTheSession) {
    FileId file = make_file(root(), "a");
    ASSERT_TRUE(run(role->open(next_other(), file, LeaseMode::read)).ok());
    Signal never(reactor);
    other_holder.stuck = &never;
    Nanos before = reactor.now();
    EXPECT_EQ(write(file, 0, "x"), Code::ok);
    EXPECT_GE(reactor.now() - before, settings.recall_deadline);
    EXPECT_LT(reactor.now() - before, 2 * settings.recall_deadline);
    EXPECT_EQ(run(role->getattr(other, file)).code(), Code::fenced);
    other_holder.stuck = nullptr;
    never.notify_all();
    EXPECT_TRUE(run(role->close_session(other.session)).ok());
}

Task<Done> open_into(Task<Opened> opening, std::optional<Result<Opened>>* opened) {
    auto ended = co_await opening;
    opened->emplace(std::move(ended));
    co_return Done{};
}

TEST_F(Sharing, WhatIsUnlinkedWhileItIsBeingOpenedIsMadeAnew) {
    FileId file = make_file(root(), "a");
    auto theirs = run(role->open(next_other(), file, LeaseMode::write));
    ASSERT_TRUE(theirs.ok());
    ASSERT_EQ(theirs.value().node.lease, LeaseMode::write);
    Signal never(reactor);
    other_holder.stuck = &never;
    NewNode what;
    what.mode = 0100644;
    std::optional<Result<Opened>> opened;
    Gate gate(reactor);
    gate.spawn(open_into(role->create_open(next(), root(), "a", what, false), &opened));
    wait(100 * kMillisecond);
    ASSERT_FALSE(opened.has_value());  // They are asked for what they have written.
    ASSERT_TRUE(run(role->unlink(next_other(), root(), "a")).ok());
    ASSERT_TRUE(run(role->release(next_other(), file, theirs.value().handle)).ok());
    wait(100 * kMillisecond);
    other_holder.stuck = nullptr;
    never.notify_all();
    ASSERT_TRUE(run(gate.close()).ok());
    ASSERT_TRUE(opened.has_value() && opened->ok());
    FileId made = id(opened->value().node.inode);
    EXPECT_NE(made, file);
    EXPECT_EQ(write(made, 0, "x"), Code::ok);
    EXPECT_TRUE(look_up(root(), "a").ok());
}

Task<Done> take_lock(ComputeRole* role, Caller caller, FileId file, LockRequest request,
                     std::optional<Code>* outcome) {
    auto done = co_await role->lock(caller, file, request);
    outcome->emplace(done.code());
    co_return Done{};
}

TEST_F(Sharing, LocksWaitTheirTurnAndCanBeCalledOff) {
    FileId file = make_file(root(), "a");
    LockRequest request;
    request.kind = LockRequest::Kind::exclusive;
    request.owner = 1;
    EXPECT_TRUE(run(role->lock(next(), file, request)).ok());
    EXPECT_EQ(run(role->lock(next_other(), file, request)).code(), Code::would_block);
    EXPECT_EQ(run(role->test_lock(other, file, request)).value().kind,
              LockRequest::Kind::exclusive);
    request.wait = true;
    std::optional<Code> first;
    std::optional<Code> second;
    Gate gate(reactor);
    gate.spawn(take_lock(role.get(), next_other(), file, request, &first));
    LockRequest elsewhere = request;
    elsewhere.owner = 2;
    gate.spawn(take_lock(role.get(), next_other(), file, elsewhere, &second));
    wait(kSecond);
    EXPECT_FALSE(first.has_value());
    EXPECT_TRUE(run(role->cancel_lock(other, file, elsewhere)).ok());
    wait(kSecond);
    EXPECT_EQ(second, Code::interrupted);
    LockRequest unlock = request;
    unlock.kind = LockRequest::Kind::unlock;
    EXPECT_TRUE(run(role->lock(next(), file, unlock)).ok());
    wait(kSecond);
    EXPECT_EQ(first, Code::ok);
    EXPECT_TRUE(run(role->close_session(other.session)).ok());
    EXPECT_EQ(run(role->test_lock(caller, file, request)).value().kind, LockRequest::Kind::unlock);
}

TEST_F(Sharing, AClosedSessionLeavesNoOrphans) {
    FileId file = make_file(root(), "a");
    ASSERT_TRUE(run(role->open(next_other(), file, LeaseMode::read)).ok());
    EXPECT_TRUE(run(role->unlink(next(), root(), "a")).ok());
    EXPECT_TRUE(run(role->getattr(caller, file)).ok());
    EXPECT_TRUE(run(role->close_session(other.session)).ok());
    wait(kSecond);
    EXPECT_EQ(run(role->getattr(caller, file)).code(), Code::stale);
}

}  // namespace
}  // namespace weft::compute
