#include "engines/locks/lock_table.h"

#include <algorithm>
#include <array>
#include <random>

#include <gtest/gtest.h>

namespace weft::locks {
namespace {

using Kind = Outcome::Kind;

constexpr FileId kFile{FilesystemId{1}, InodeId{7}};
constexpr FileId kOther{FilesystemId{1}, InodeId{8}};
constexpr Owner kAnn{SessionId{1}, 1};
constexpr Owner kBob{SessionId{1}, 2};
constexpr Owner kEve{SessionId{2}, 1};

Lock exclusive(Owner owner, std::uint64_t from, std::uint64_t to) {
    return {owner, {from, to}, Mode::exclusive, 10};
}
Lock shared(Owner owner, std::uint64_t from, std::uint64_t to) {
    return {owner, {from, to}, Mode::shared, 10};
}

TEST(LockTable, SharedLocksLiveTogetherAndHoldOffAnExclusiveOne) {
    LockTable table;
    EXPECT_EQ(table.lock(kFile, Family::byte_range, shared(kAnn, 0, 9), false).kind, Kind::granted);
    EXPECT_EQ(table.lock(kFile, Family::byte_range, shared(kBob, 5, 9), false).kind, Kind::granted);
    EXPECT_EQ(table.lock(kFile, Family::byte_range, exclusive(kEve, 9, 20), false).kind,
              Kind::would_block);
    EXPECT_EQ(table.lock(kFile, Family::byte_range, exclusive(kEve, 10, 20), false).kind,
              Kind::granted);
    EXPECT_EQ(table.test(kFile, Family::byte_range, exclusive(kEve, 0, 3))->owner, kAnn);
    EXPECT_FALSE(table.test(kFile, Family::whole_file, exclusive(kEve, 0, 3)).has_value());
}

TEST(LockTable, UnlockInTheMiddleSplitsAndRelockMerges) {
    LockTable table;
    (void)table.lock(kFile, Family::byte_range, exclusive(kAnn, 0, 99), false);
    (void)table.unlock(kFile, Family::byte_range, kAnn, {40, 59});
    ASSERT_EQ(table.held(kFile, Family::byte_range).size(), 2U);
    (void)table.lock(kFile, Family::byte_range, exclusive(kAnn, 40, 59), false);
    ASSERT_EQ(table.held(kFile, Family::byte_range).size(), 1U);
    EXPECT_EQ(table.held(kFile, Family::byte_range)[0].range, (Range{0, 99}));
}

TEST(LockTable, ADowngradeWakesWhoWaitsForIt) {
    LockTable table;
    (void)table.lock(kFile, Family::byte_range, exclusive(kAnn, 0, 9), false);
    Outcome waits = table.lock(kFile, Family::byte_range, shared(kBob, 3, 4), true);
    ASSERT_EQ(waits.kind, Kind::waiting);
    Outcome down = table.lock(kFile, Family::byte_range, shared(kAnn, 0, 9), false);
    EXPECT_EQ(down.woken, std::vector<Ticket>{waits.ticket});
}

TEST(LockTable, GrantsWaitersInOrder) {
    LockTable table;
    (void)table.lock(kFile, Family::byte_range, exclusive(kAnn, 0, 9), false);
    Outcome first = table.lock(kFile, Family::byte_range, exclusive(kBob, 0, 9), true);
    Outcome second = table.lock(kFile, Family::byte_range, exclusive(kEve, 0, 9), true);
    EXPECT_EQ(table.unlock(kFile, Family::byte_range, kAnn, {}).woken,
              std::vector<Ticket>{first.ticket});
    EXPECT_EQ(table.unlock(kFile, Family::byte_range, kBob, {}).woken,
              std::vector<Ticket>{second.ticket});
    EXPECT_EQ(table.waiting_count(), 0U);
}

TEST(LockTable, RefusesTheWaitThatClosesACircle) {
    LockTable table;
    (void)table.lock(kFile, Family::byte_range, exclusive(kAnn, 0, 0), false);
    (void)table.lock(kFile, Family::byte_range, exclusive(kBob, 1, 1), false);
    (void)table.lock(kOther, Family::byte_range, exclusive(kEve, 0, 0), false);
    EXPECT_EQ(table.lock(kFile, Family::byte_range, exclusive(kAnn, 1, 1), true).kind,
              Kind::waiting);
    EXPECT_EQ(table.lock(kOther, Family::byte_range, exclusive(kBob, 0, 0), true).kind,
              Kind::waiting);
    EXPECT_EQ(table.lock(kFile, Family::byte_range, exclusive(kEve, 0, 0), true).kind,
              Kind::deadlock);
}

TEST(LockTable, CancelTakesAWaitingRequestBack) {
    LockTable table;
    (void)table.lock(kFile, Family::byte_range, exclusive(kAnn, 0, 9), false);
    (void)table.lock(kFile, Family::byte_range, exclusive(kBob, 2, 9), true);
    EXPECT_FALSE(table.waiting(kFile, Family::byte_range, kBob, {0, 9}).has_value());
    auto ticket = table.waiting(kFile, Family::byte_range, kBob, {2, 9});
    ASSERT_TRUE(ticket.has_value());
    EXPECT_TRUE(table.cancel(*ticket));
    EXPECT_FALSE(table.cancel(*ticket));
    EXPECT_TRUE(table.unlock(kFile, Family::byte_range, kAnn, {}).woken.empty());
}

TEST(LockTable, FlockConversionGivesUpTheOldLockFirst) {
    LockTable table;
    (void)table.lock(kFile, Family::whole_file, shared(kAnn, 0, 0), false);
    (void)table.lock(kFile, Family::whole_file, shared(kBob, 0, 0), false);
    Outcome ann = table.lock(kFile, Family::whole_file, exclusive(kAnn, 0, 0), true);
    EXPECT_EQ(ann.kind, Kind::waiting);
    Outcome bob = table.lock(kFile, Family::whole_file, exclusive(kBob, 0, 0), true);
    EXPECT_EQ(bob.kind, Kind::granted);
    EXPECT_EQ(table.unlock(kFile, Family::whole_file, kBob, {}).woken,
              std::vector<Ticket>{ann.ticket});
}

TEST(LockTable, EndOfASessionFreesWhatItHeld) {
    LockTable table;
    (void)table.lock(kFile, Family::byte_range, exclusive(kEve, 0, 9), false);
    (void)table.lock(kOther, Family::whole_file, exclusive(kEve, 0, 9), false);
    Outcome bob = table.lock(kFile, Family::byte_range, exclusive(kBob, 0, 9), true);
    Outcome eve = table.lock(kFile, Family::byte_range, shared(kEve, 50, 60), false);
    ASSERT_EQ(eve.kind, Kind::granted);
    EXPECT_EQ(table.end_session(kEve.session), std::vector<Ticket>{bob.ticket});
    EXPECT_EQ(table.held_count(), 1U);
}

TEST(LockTable, HasABound) {
    LockTable table({.locks_most = 4, .waiting_most = 1});
    (void)table.lock(kFile, Family::byte_range, shared(kAnn, 0, 0), false);
    (void)table.lock(kFile, Family::byte_range, shared(kAnn, 2, 2), false);
    (void)table.lock(kFile, Family::byte_range, shared(kAnn, 4, 4), false);
    EXPECT_EQ(table.lock(kFile, Family::byte_range, shared(kAnn, 6, 6), false).kind,
              Kind::limit_reached);
    EXPECT_EQ(table.unlock(kFile, Family::byte_range, kAnn, {}).kind, Kind::granted);
}

TEST(LockTable, GivesBackWhatNeedsNoMoreRoomAlsoWhenItIsFull) {
    LockTable table({.locks_most = 4, .waiting_most = 1});
    (void)table.lock(kFile, Family::byte_range, shared(kAnn, 0, 9), false);
    (void)table.lock(kFile, Family::byte_range, shared(kAnn, 20, 20), false);
    (void)table.lock(kFile, Family::byte_range, shared(kAnn, 30, 30), false);
    EXPECT_EQ(table.unlock(kFile, Family::byte_range, kAnn, {4, 5}).kind, Kind::granted);
    EXPECT_EQ(table.held_count(), 4U);
    EXPECT_EQ(table.unlock(kFile, Family::byte_range, kAnn, {7, 8}).kind, Kind::limit_reached);
    EXPECT_EQ(table.unlock(kFile, Family::byte_range, kAnn, {20, 20}).kind, Kind::granted);
    EXPECT_EQ(table.held_count(), 3U);
}

// Goal: who holds which byte is always what fcntl says. Method: random calls against a map
// from each byte to its holders, the dumbest model that can be right.
class ByteMap {
public:
    static constexpr std::uint64_t kBytes = 24;
    static constexpr std::uint64_t kOwners = 4;

    bool free_for(const Lock& wanted) const {
        for (std::uint64_t at = wanted.range.from; at <= wanted.range.to; ++at) {
            for (std::uint64_t owner = 0; owner < kOwners; ++owner) {
                int mode = modes_[at][owner];
                bool clash = mode == 2 || (mode == 1 && wanted.mode == Mode::exclusive);
                if (owner != wanted.owner.number && clash) return false;
            }
        }
        return true;
    }
    void set(Owner owner, Range range, int mode) {
        for (std::uint64_t at = range.from; at <= range.to; ++at) modes_[at][owner.number] = mode;
    }
    void expect_same(const std::vector<Lock>& held) const {
        ByteMap other;
        for (const Lock& lock : held) {
            other.set(lock.owner, lock.range, static_cast<int>(lock.mode));
        }
        EXPECT_EQ(other.modes_, modes_);
    }

private:
    std::array<std::array<int, kOwners>, kBytes> modes_{};
};

void expect_matches_byte_map(std::uint64_t seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    LockTable table;
    ByteMap model;
    std::vector<std::pair<Ticket, Lock>> waiting;
    auto settle = [&](const std::vector<Ticket>& woken) {
        for (Ticket ticket : woken) {
            auto same = [ticket](const auto& entry) {
                return entry.first == ticket;
            };
            auto at = std::find_if(waiting.begin(), waiting.end(), same);
            ASSERT_NE(at, waiting.end());
            EXPECT_TRUE(model.free_for(at->second));
            model.set(at->second.owner, at->second.range, static_cast<int>(at->second.mode));
            waiting.erase(at);
        }
        for (const auto& [ticket, wanted] : waiting) EXPECT_FALSE(model.free_for(wanted));
    };
    for (int step = 0; step < 300; ++step) {
        std::uint64_t from = random() % ByteMap::kBytes;
        std::uint64_t to = from + random() % (ByteMap::kBytes - from);
        Lock wanted{{SessionId{1}, random() % ByteMap::kOwners}, {from, to}, Mode::shared, 1};
        if (random() % 2 == 0) wanted.mode = Mode::exclusive;
        if (random() % 3 == 0) {
            Outcome done = table.unlock(kFile, Family::byte_range, wanted.owner, wanted.range);
            model.set(wanted.owner, wanted.range, 0);
            settle(done.woken);
        } else {
            bool free = model.free_for(wanted);
            Outcome done = table.lock(kFile, Family::byte_range, wanted, random() % 4 == 0);
            EXPECT_EQ(done.kind == Kind::granted, free);
            if (free) model.set(wanted.owner, wanted.range, static_cast<int>(wanted.mode));
            if (done.kind == Kind::waiting) waiting.emplace_back(done.ticket, wanted);
            settle(done.woken);
        }
        model.expect_same(table.held(kFile, Family::byte_range));
        EXPECT_EQ(table.waiting_count(), waiting.size());
    }
}

TEST(LockTable, MatchesAMapOfBytes) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) expect_matches_byte_map(seed);
}

}  // namespace
}  // namespace weft::locks
