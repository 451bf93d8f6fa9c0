#include "engines/journal/journal_testing_internal.h"
#include "platform/runtime/gate.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include <gtest/gtest.h>

namespace weft::journal {
namespace {

// What a journal must keep, whatever happens: the dumbest model that can be right.
struct Model {
    std::vector<std::string> records;  // Of the history that counts; lsn 1 first.
    std::uint64_t acked = 0;
    std::uint64_t flushed = 0;
    std::uint64_t trimmed = 0;  // Asked for.
};

// Random appends, flushes, trims and faults against the model, with a crash at a random step,
// and that again and again on the same drives.
//
// Faults stay within the promise: between two openings that found every drive there, only the
// drives in `flaky_` (m of them) go away, lose blocks or fail to flush.
class CrashRun {
public:
    explicit CrashRun(std::uint64_t seed)
        : seed_(seed),
          world_(seed, 3 + static_cast<std::uint32_t>(seed % 5), seed % 4 == 0 ? 25 : 300,
                 16U << (seed % 3)) {
        if (seed % 2 == 0) world_.service.set_unevenness(100 * kMicrosecond);
    }

    void run(int lives) {
        for (int life = 0; life < lives && !::testing::Test::HasFatalFailure(); ++life) {
            open();
            if (full_ || ::testing::Test::HasFatalFailure()) return;
            choose_flaky();
            live();
            crash();
        }
    }

private:
    std::uint64_t pick(std::uint64_t most) { return world_.reactor.random() % most; }

    void choose_flaky() {
        // Only after an opening that healed all, and with all drives back.
        if (!healed_) return;
        flaky_.clear();
        auto count = static_cast<std::uint32_t>(world_.map.drives.size());
        std::uint32_t most = std::min<std::uint32_t>(world_.map.parity_width, count - 1);
        for (std::uint32_t i = 0; i < most; ++i) {
            flaky_.push_back(DriveId{static_cast<std::uint32_t>(pick(count))});
        }
        healed_ = false;
    }
    void shake_drives() {
        for (DriveId drive : flaky_) world_.drives.set_gone(drive, pick(3) == 0);
    }
    void corrupt_some() {
        std::vector<SegmentSlot> slots = world_.slots();
        if (slots.empty()) return;
        for (std::uint64_t i = 0; i < 3 * slots.size(); ++i) {
            SegmentSlot slot = slots[pick(slots.size())];
            bool flaky = std::find(flaky_.begin(), flaky_.end(), slot.drive) != flaky_.end();
            std::uint64_t blocks = world_.map.slot_bytes / kBlockBytes;
            if (flaky) world_.drives.corrupt(slot, static_cast<std::uint32_t>(pick(blocks)));
        }
    }

    // Several tries, of which all but the last end in a crash at some step.
    void open() {
        for (;;) {
            bool all_there = pick(3) == 0;
            for (DriveId drive : flaky_) {
                world_.drives.set_gone(drive, !all_there && pick(2) == 0);
            }
            if (pick(4) == 0) corrupt_some();
            world_.restart();
            bool stripes_lost = power_lost_ && pick(3) == 0;
            world_.bad_from = Lsn{~std::uint64_t{0}};
            if (stripes_lost) world_.bad_from = Lsn{model_.flushed + 1 + pick(10)};
            if (pick(3) > 0) {
                auto opened = world_.reactor.run(world_.opening());
                // Each opening takes a segment, and here nobody trims because drives are full.
                if (seed_ % 4 == 0 && opened.code() == Code::out_of_space) {
                    full_ = true;
                    return;
                }
                ASSERT_TRUE(opened.ok()) << opened.error().what;
                healed_ = all_there && seed_ % 4 != 0;  // There may be no space to heal in.
                break;
            }
            Gate gate(world_.reactor);
            gate.spawn(world_.opening());
            for (std::uint64_t i = pick(seed_ % 2 == 0 ? 300 : 60); i > 0; --i)
                world_.reactor.step();
            lose_power_maybe();
        }
        compare();
    }

    void compare() {
        std::uint64_t first = model_.trimmed + 1;
        std::uint64_t last = world_.journal->last_appended().value;
        std::uint64_t must = power_lost_ ? model_.flushed : model_.acked;
        ASSERT_GE(last, must);
        ASSERT_LE(last, model_.records.size());
        if (!world_.replayed.empty()) {
            ASSERT_LE(world_.replayed.begin()->first.value, std::max<std::uint64_t>(first, 1));
            ASSERT_EQ(world_.replayed.rbegin()->first.value, last);
        } else {
            ASSERT_GE(first, last + 1);
        }
        for (const auto& [lsn, record] : world_.replayed) {
            ASSERT_TRUE(record == model_.records[lsn.value - 1]) << "lsn " << lsn.value;
        }
        model_.records.resize(last);
        model_.acked = model_.flushed = last;
        power_lost_ = false;
    }

    std::string make_record() {
        std::uint64_t kind = pick(20);
        std::size_t size = pick(300);
        if (kind < 4) size = pick(9'000);
        if (kind == 4) size = pick(60'000);
        if (kind == 5) size = pick(400'000);
        std::string record = std::to_string(world_.reactor.random());
        record.resize(size, static_cast<char>('a' + pick(26)));
        return record;
    }

    static Task<Done> watch(Journal* journal, Model* model, Lsn lsn, bool flush) {
        auto ended = co_await journal->committed(lsn);
        if (!ended.ok()) co_return ended;
        model->acked = std::max(model->acked, lsn.value);
        if (!flush) co_return Done{};
        ended = co_await journal->flushed(lsn);
        if (ended.ok()) model->flushed = std::max(model->flushed, lsn.value);
        co_return ended;
    }

    void act(Gate& gate) {
        std::uint64_t kind = pick(100);
        Journal& journal = *world_.journal;
        if (kind < 40) {
            std::string record = make_record();
            model_.records.push_back(record);
            Lsn lsn = journal.append(std::move(record));
            ASSERT_EQ(lsn.value, model_.records.size());
            gate.spawn(watch(&journal, &model_, lsn, pick(5) == 0));
        } else if (kind < 42 && model_.acked > model_.trimmed) {
            std::uint64_t to = model_.trimmed + 1 + pick(model_.acked - model_.trimmed);
            model_.trimmed = to;
            gate.spawn(journal.trim(Lsn{to}));
        } else if (kind < 44) {
            shake_drives();
        } else if (kind < 46) {
            world_.drives.fail_write_after(pick(20));
        } else {
            world_.reactor.step();
        }
    }

    void live() {
        Gate gate(world_.reactor);
        for (std::uint64_t i = 20 + pick(600); i > 0; --i) {
            act(gate);
            if (::testing::Test::HasFatalFailure()) return;
        }
        // Acks come in order and only for what was written.
        ASSERT_GE(world_.journal->last_committed().value, model_.acked);
    }

    void lose_power_maybe() {
        if (pick(2) != 0) return;
        world_.drives.lose_power();
        power_lost_ = true;
    }
    void crash() {
        world_.journal.reset();
        world_.drives.fail_write_after(~std::uint64_t{0} >> 1);
        lose_power_maybe();
    }

    std::uint64_t seed_;
    World world_;
    Model model_;
    bool full_ = false;
    std::vector<DriveId> flaky_;
    bool healed_ = true;  // Nothing is missing on any drive.
    bool power_lost_ = false;
};

std::uint64_t from_environment(const char* name, std::uint64_t usual) {
    const char* wanted = std::getenv(name);
    return wanted == nullptr ? usual : std::strtoull(wanted, nullptr, 10);
}

TEST(JournalCrash, KeepsThePrefixLawWhateverHappens) {
    std::uint64_t first = from_environment("JOURNAL_FIRST_SEED", 1);
    std::uint64_t count = from_environment("JOURNAL_SEEDS", 100);
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        CrashRun(seed).run(12);
        if (HasFatalFailure()) return;
    }
}

// A crash before the mark leaves the old chain, which then must be whole.
TEST(Journal, FreesNothingOfADriveThatComesBackWhileItIsOpened) {
    World world(1, kDrives, 64, 64);
    ASSERT_TRUE(world.reopen().ok());
    for (std::size_t i = 1; i <= 50; ++i) {
        ASSERT_TRUE(world.commit(std::string(i * 997, 'r')).ok());
    }
    for (std::uint32_t away = 0; away < kDrives; ++away) {
        std::uint32_t before = world.drives.free_slots(DriveId{away});
        world.drives.set_gone(DriveId{away}, true);
        world.restart();
        Gate gate(world.reactor);
        gate.spawn(world.opening());
        std::uint64_t reads = world.drives.reads();
        while (world.drives.reads() == reads) ASSERT_TRUE(world.reactor.step());
        world.drives.set_gone(DriveId{away}, false);  // Others have been taken over.
        std::uint64_t writes = world.drives.writes();
        while (world.drives.writes() == writes) ASSERT_TRUE(world.reactor.step());
        EXPECT_LE(world.drives.free_slots(DriveId{away}), before) << away;
        ASSERT_TRUE(world.reactor.run(gate.close()).ok());
        ASSERT_EQ(world.journal->last_appended(), Lsn{50});
        ASSERT_EQ(world.replayed.size(), 50U);
    }
}

}  // namespace
}  // namespace weft::journal
