#include "roles/drive/patient_disk.h"

#include "roles/drive/drive_testing_internal.h"

#include <optional>

namespace weft::drive {
namespace {

class Patience : public ::testing::Test {
protected:
    static constexpr Nanos kLimit = 2 * kSecond;

    Patience()
        : disk(std::make_shared<SimulatedDisk>(reactor, kMiB)),
          operations(reactor),
          patient(std::make_unique<PatientDisk>(reactor, operations, disk, kLimit)),
          callers(reactor) {}

    Task<Done> note(Task<Done> work, std::optional<Code>* code) {
        auto ended = co_await work;
        *code = ended.code();
        co_return Done{};
    }
    void begin(Task<Done> work, std::optional<Code>* code) {
        callers.spawn(note(std::move(work), code));
    }
    void wait(Nanos duration) {
        Nanos until = reactor.now() + duration;
        auto pause = [](Reactor* at, Nanos how_long) -> Task<Done> {
            co_await sleep(*at, how_long);
            co_return Done{};
        };
        (void)reactor.run(pause(&reactor, until - reactor.now()));
    }
    static std::vector<std::byte> filled(char with) {
        return std::vector<std::byte>(kBlockBytes, static_cast<std::byte>(with));
    }

    SimulatedReactor reactor;
    std::shared_ptr<SimulatedDisk> disk;
    Gate operations;
    std::unique_ptr<PatientDisk> patient;
    Gate callers;
};

TEST_F(Patience, ADiskThatAnswersInTimeDoesWhatItDoes) {
    auto written = filled('a');
    ASSERT_TRUE(reactor.run(patient->write(8192, written)).ok());
    ASSERT_TRUE(reactor.run(patient->flush()).ok());
    auto read = filled('-');
    disk->set_hung(true);
    std::optional<Code> code;
    begin(patient->read(8192, read), &code);
    wait(kLimit - kMillisecond);
    EXPECT_FALSE(code.has_value());
    disk->set_hung(false);
    wait(kMillisecond / 2);
    EXPECT_EQ(code, Code::ok);
    EXPECT_EQ(read, written);
    EXPECT_FALSE(patient->gone());
    EXPECT_EQ(operations.running(), 0U);
    EXPECT_EQ(reactor.run(patient->write(kMiB, written)).code(), Code::io_failed);
}

TEST_F(Patience, AllThatWaitEndWhenTheFirstHasWaitedForTooLong) {
    disk->set_hung(true);
    auto bytes = filled('a');
    auto into = filled('-');
    std::optional<Code> first, second, third;
    begin(patient->write(0, bytes), &first);
    wait(kLimit / 2);
    begin(patient->read(0, into), &second);
    begin(patient->flush(), &third);
    wait(kLimit / 2 + kMillisecond);
    EXPECT_EQ(first, Code::unavailable);
    EXPECT_EQ(second, Code::unavailable);
    EXPECT_EQ(third, Code::unavailable);
    EXPECT_TRUE(patient->gone());
    Nanos before = reactor.now();
    EXPECT_EQ(reactor.run(patient->read(0, into)).code(), Code::unavailable);
    EXPECT_EQ(reactor.run(patient->write(0, bytes)).code(), Code::unavailable);
    EXPECT_EQ(reactor.run(patient->flush()).code(), Code::unavailable);
    EXPECT_EQ(reactor.now(), before);
}

TEST_F(Patience, WhatComesTooLateGoesNowhere) {
    ASSERT_TRUE(reactor.run(patient->write(0, filled('a'))).ok());
    disk->set_hung(true);
    std::optional<Code> code;
    {
        auto into = filled('-');
        begin(patient->read(0, into), &code);
        wait(kLimit + kMillisecond);
        EXPECT_EQ(code, Code::unavailable);
        EXPECT_EQ(into, filled('-'));
    }
    EXPECT_EQ(operations.running(), 1U);
    patient.reset();
    disk->set_hung(false);
    wait(kMillisecond);
    EXPECT_EQ(operations.running(), 0U);
}

// What the disk has answered meanwhile is read only after the clocks have been.
TEST_F(Patience, AProcessThatWasStoppedForLongAsksItselfFirst) {
    SkewedReactor process(reactor, {});
    auto slow = std::make_shared<SimulatedDisk>(process, kMiB);
    PatientDisk held_up(process, operations, slow, kLimit);
    auto into = filled('-');
    std::optional<Code> code;
    slow->set_hung(true);
    begin(held_up.read(0, into), &code);
    process.pause_until(reactor.now() + 10 * kLimit);
    wait(10 * kLimit);
    slow->set_hung(false);
    wait(kMillisecond);
    EXPECT_EQ(code, Code::ok);
    EXPECT_FALSE(held_up.gone());
}

TEST(HungDrive, IsUnavailableAndCanBeLetGo) {
    World w;
    auto slot = w.allocate(kShard);
    ASSERT_TRUE(slot.ok());
    ASSERT_EQ(w.write(slot.value(), kShard, Epoch{1}, 'a'), Code::ok);
    w.disk->set_hung(true);
    Nanos began = w.reactor.now();
    EXPECT_EQ(w.read(slot.value()).code(), Code::unavailable);
    EXPECT_EQ(w.reactor.now() - began, DriveRole::kPatience);
    EXPECT_EQ(w.write(slot.value(), kShard, Epoch{1}, 'b'), Code::unavailable);
    EXPECT_EQ(w.allocate(kShard).code(), Code::unavailable);
    EXPECT_EQ(w.reactor.run(w.role->flush(kDrive)).code(), Code::unavailable);
    EXPECT_EQ(w.reactor.run(w.role->probe(kDrive)).code(), Code::unavailable);
    EXPECT_EQ(w.reactor.run(w.role->status(kDrive)).code(), Code::unavailable);
    EXPECT_GT(w.role->operations_under_way(), 0U);
    EXPECT_TRUE(w.reactor.run(w.role->detach(kDrive)).ok());
    EXPECT_LT(w.reactor.now() - began, DriveRole::kPatience + kSecond);
    EXPECT_GT(w.role->operations_under_way(), 0U);  // And never end: who asked is gone.
}

// What the earlier epoch wrote last may yet be written.
TEST(HungDrive, IsNotFenced) {
    World w;
    auto slot = w.allocate(kShard, Epoch{3});
    ASSERT_TRUE(slot.ok());
    ASSERT_TRUE(w.reactor.run(w.role->fence(kDrive, {kShard, Epoch{3}})).ok());
    w.disk->set_hung(true);
    EXPECT_EQ(w.write(slot.value(), kShard, Epoch{3}, 'a'), Code::unavailable);
    EXPECT_EQ(w.reactor.run(w.role->fence(kDrive, {kShard, Epoch{3}})).code(), Code::unavailable);
    EXPECT_EQ(w.reactor.run(w.role->fence(kDrive, {kShard, Epoch{4}})).code(), Code::unavailable);
}

TEST(HungDrive, ServesAgainOnceItIsAttachedAnew) {
    World w;
    auto slot = w.allocate(kShard);
    ASSERT_TRUE(slot.ok());
    ASSERT_EQ(w.write(slot.value(), kShard, Epoch{1}, 'a'), Code::ok);
    w.disk->set_hung(true);
    EXPECT_EQ(w.read(slot.value()).code(), Code::unavailable);
    EXPECT_EQ(w.read(slot.value()).code(), Code::unavailable);
    w.role.reset();
    w.disk->set_hung(false);
    w.start();
    EXPECT_EQ(w.read(slot.value()).value(), 'a');
}

}  // namespace
}  // namespace weft::drive
