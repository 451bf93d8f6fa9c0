#include "roles/compute/compute_testing_internal.h"

namespace weft::compute {
namespace {

// Somebody waits for what another's request holds, and not for longer than it was told to.
class Deadlines : public ComputeTest {
protected:
    void SetUp() override {
        settings.replies_kept = 16;
        ComputeTest::SetUp();
        other.session = role->open_session(&other_holder).value();
    }
    Caller next_by(Nanos duration) {
        Caller hurried = next();
        hurried.deadline = reactor.now() + duration;
        return hurried;
    }
    LockRequest exclusive(std::uint64_t owner, bool wait) const {
        LockRequest request;
        request.owner = owner;
        request.kind = LockRequest::Kind::exclusive;
        request.wait = wait;
        return request;
    }
    static constexpr Nanos kShort = 500 * kMillisecond;  // Less than a recall may take.

    NotingHolder other_holder;
    Caller other;
};

TEST_F(Deadlines, EndTheWaitForANameInUse) {
    FileId file = make_file(root(), "a");
    ASSERT_TRUE(run(role->getattr(other, file)).ok());
    Signal never(reactor);
    other_holder.stuck = &never;
    std::optional<Code> first;
    Gate gate(reactor);
    gate.spawn(note_code(role->unlink(next(), root(), "a"), &first));
    Caller hurried = next_by(kShort);
    EXPECT_EQ(run(role->unlink(hurried, root(), "a")).code(), Code::retry_later);
    EXPECT_FALSE(first.has_value());
    EXPECT_EQ(reactor.now(), hurried.deadline);
    // Tried again under the same seq, it is done as if it were new.
    hurried.deadline = reactor.now() + 10 * kSecond;
    EXPECT_EQ(run(role->unlink(hurried, root(), "a")).code(), Code::not_found);
    EXPECT_EQ(first, Code::ok);
    other_holder.stuck = nullptr;
    never.notify_all();
    EXPECT_TRUE(run(role->close_session(other.session)).ok());
}

TEST_F(Deadlines, EndTheWaitForAnAdvisoryLock) {
    FileId file = make_file(root(), "a");
    ASSERT_TRUE(run(role->lock(next(), file, exclusive(1, false))).ok());
    Caller hurried = next_by(kShort);
    EXPECT_EQ(run(role->lock(hurried, file, exclusive(2, true))).code(), Code::retry_later);
    EXPECT_EQ(reactor.now(), hurried.deadline);
    LockRequest unlock = exclusive(1, false);
    unlock.kind = LockRequest::Kind::unlock;
    ASSERT_TRUE(run(role->lock(next(), file, unlock)).ok());
    // It does not stand in the queue any more, and has nothing.
    EXPECT_EQ(run(role->test_lock(caller, file, exclusive(3, false))).value().kind,
              LockRequest::Kind::unlock);
    hurried.deadline = 0;
    EXPECT_TRUE(run(role->lock(hurried, file, exclusive(2, true))).ok());
}

TEST_F(Deadlines, EndTheWaitForTheReplyOfTheSameRequest) {
    FileId file = make_file(root(), "a");
    ASSERT_TRUE(run(role->lock(next(), file, exclusive(1, false))).ok());
    Caller waiting = next();
    std::optional<Code> first;
    Gate gate(reactor);
    gate.spawn(note_code(role->lock(waiting, file, exclusive(2, true)), &first));
    waiting.deadline = reactor.now() + kShort;
    EXPECT_EQ(run(role->lock(waiting, file, exclusive(2, true))).code(), Code::retry_later);
    EXPECT_FALSE(first.has_value());
    LockRequest unlock = exclusive(1, false);
    unlock.kind = LockRequest::Kind::unlock;
    ASSERT_TRUE(run(role->lock(next(), file, unlock)).ok());
    waiting.deadline = 0;
    EXPECT_TRUE(run(role->lock(waiting, file, exclusive(2, true))).ok());
    EXPECT_EQ(first, Code::ok);
}

TEST_F(Deadlines, ThatHavePassedChangeNothing) {
    Caller late = next_by(kShort);
    wait(kSecond);
    NewNode what;
    what.mode = 0100644;
    EXPECT_EQ(run(role->create(late, root(), "a", what)).code(), Code::retry_later);
    EXPECT_EQ(look_up(root(), "a").code(), Code::not_found);
    late.deadline = 0;
    EXPECT_TRUE(run(role->create(late, root(), "a", what)).ok());
}

TEST_F(Deadlines, LeaveARequestToBeDoneHoweverManyComeInBetween) {
    FileId file = make_file(root(), "a");
    NewNode what;
    what.mode = 0100644;
    ASSERT_TRUE(run(role->lock(next(), file, exclusive(1, false))).ok());
    Caller waiting = next_by(kShort);
    Caller late = next_by(kShort);
    EXPECT_EQ(run(role->lock(waiting, file, exclusive(2, true))).code(), Code::retry_later);
    wait(kSecond);
    EXPECT_EQ(run(role->create(late, root(), "b", what)).code(), Code::retry_later);
    for (std::size_t i = 0; i < 3 * settings.replies_kept; ++i) {
        ASSERT_EQ(write(file, 0, "x"), Code::ok);
    }
    Caller write_after = next();
    LockRequest unlock = exclusive(1, false);
    unlock.kind = LockRequest::Kind::unlock;
    ASSERT_TRUE(run(role->lock(next(), file, unlock)).ok());
    waiting.deadline = late.deadline = 0;
    EXPECT_EQ(run(role->lock(waiting, file, exclusive(2, true))).code(), Code::ok);
    EXPECT_EQ(run(role->create(late, root(), "b", what)).code(), Code::ok);
    // Done, they are told of and not done again.
    EXPECT_EQ(run(role->create(late, root(), "b", what)).code(), Code::ok);
    // What has been done and forgotten is not done again.
    Caller first{caller.session, 1};
    EXPECT_EQ(run(role->create(first, root(), "c", what)).code(), Code::invalid);
    EXPECT_EQ(run(role->create(write_after, root(), "c", what)).code(), Code::ok);
}

}  // namespace
}  // namespace weft::compute
