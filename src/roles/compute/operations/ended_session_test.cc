#include "roles/compute/compute_testing_internal.h"

#include <functional>

namespace weft::compute {
namespace {

// A session that ends while a request of it waits: whoever has got its leases and locks since must
// not be overwritten by it.
class EndedSession : public ComputeTest {
protected:
    using Start = std::function<Task<Done>(Caller, std::optional<Code>*)>;

    void SetUp() override {
        ComputeTest::SetUp();
        a = make_file(root(), "a");
        b = make_file(root(), "b");
        ASSERT_EQ(write(a, 0, "old"), Code::ok);
        ASSERT_EQ(write(b, 0, "other"), Code::ok);
        ASSERT_TRUE(run(role->setxattr(next(), a, "user.a", "1", SetXattr::any)).ok());
    }
    // Another one caches everything, and does not answer: so the request waits for it.
    Code code_of(Start start) {
        Caller other;
        other.session = role->open_session(&other_holder).value();
        for (FileId file : {root(), a, b}) EXPECT_TRUE(run(role->getattr(other, file)).ok());
        Signal never(reactor);
        other_holder.stuck = &never;
        std::optional<Code> code;
        Gate gate(reactor);
        gate.spawn(start(next(), &code));
        wait(100 * kMillisecond);
        EXPECT_FALSE(code.has_value());
        EXPECT_TRUE(run(role->close_session(caller.session)).ok());
        other_holder.stuck = nullptr;
        never.notify_all();
        EXPECT_TRUE(run(gate.close()).ok());
        EXPECT_TRUE(run(role->close_session(other.session)).ok());
        caller.session = role->open_session(&holder).value();
        return code.value_or(Code::ok);
    }

    NotingHolder other_holder;
    FileId a;
    FileId b;
};

TEST_F(EndedSession, ChangesNoBytesAnyMore) {
    std::string text = "new";
    ConstBytes bytes = bytes_of(text);
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->write(by, a, 0, bytes, false, false), code);
              }),
              Code::fenced);
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->write(by, a, 0, bytes, true, false), code);
              }),
              Code::fenced);
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->copy_range(by, b, 0, a, 0, 5), code);
              }),
              Code::fenced);
    FallocateFlags punch{.keep_size = true, .punch_hole = true, .zero_range = false};
    for (FallocateFlags flags : {FallocateFlags{}, punch}) {
        EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                      return note_code(role->fallocate(by, a, 0, kMiB, flags), code);
                  }),
                  Code::fenced);
    }
    for (std::uint64_t size : {1U, 100U}) {
        AttributeChange change;
        change.size = size;
        EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                      return note_code(role->setattr(by, a, change), code);
                  }),
                  Code::fenced);
    }
    EXPECT_EQ(read(a, 0, 100), "old");
    EXPECT_EQ(attributes(a).size, 3U);
    EXPECT_EQ(usage().used_blocks, 2U);
}

TEST_F(EndedSession, ChangesNoNamesAnyMore) {
    NewNode what;
    what.mode = 0100644;
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->create(by, root(), "c", what), code);
              }),
              Code::fenced);
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->link(by, a, root(), "c"), code);
              }),
              Code::fenced);
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->unlink(by, root(), "a"), code);
              }),
              Code::fenced);
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->rename(by, root(), "a", root(), "b", {}), code);
              }),
              Code::fenced);
    EXPECT_EQ(names(root()).size(), 4U);
    EXPECT_EQ(usage().inodes, 3U);
}

TEST_F(EndedSession, ChangesNoAttributesAnyMore) {
    AttributeChange change;
    change.mode = 0600;
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->setattr(by, a, change), code);
              }),
              Code::fenced);
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->setxattr(by, a, "user.a", "2", SetXattr::any), code);
              }),
              Code::fenced);
    EXPECT_EQ(code_of([&](Caller by, std::optional<Code>* code) {
                  return note_code(role->removexattr(by, a, "user.a"), code);
              }),
              Code::fenced);
    EXPECT_EQ(attributes(a).mode, 0100644U);
    EXPECT_EQ(run(role->getxattr(caller, a, "user.a")).value(), "1");
}

}  // namespace
}  // namespace weft::compute
