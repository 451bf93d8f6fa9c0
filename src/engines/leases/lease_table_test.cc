#include "engines/leases/lease_table.h"

#include <random>
#include <set>

#include <gtest/gtest.h>

namespace weft::leases {
namespace {

constexpr SessionId kAnn{1};
constexpr SessionId kBob{2};
constexpr SessionId kEve{3};

FileId file(std::uint64_t number) {
    return {FilesystemId{1}, InodeId{number}};
}

LeaseTable table_for_all() {
    LeaseTable table;
    for (SessionId session : {kAnn, kBob, kEve}) EXPECT_TRUE(table.open_session(session));
    return table;
}

TEST(LeaseTable, ASoleSessionRecallsNobody) {
    LeaseTable table;
    ASSERT_TRUE(table.open_session(kAnn));
    for (std::uint64_t i = 0; i < 1000; ++i) table.grant_read(kAnn, file(i));
    for (std::uint64_t i = 0; i < 1000; ++i) {
        EXPECT_TRUE(table.recalls_for_change(kAnn, file(i)).empty());
    }
}

TEST(LeaseTable, AChangeRecallsEveryOtherHolder) {
    LeaseTable table = table_for_all();
    table.grant_read(kAnn, file(1));
    table.grant_read(kBob, file(1));
    EXPECT_EQ(table.recalls_for_change(kAnn, file(1)), (std::vector<Recalled>{{kBob, Mode::none}}));
    EXPECT_EQ(table.recalls_for_change(kEve, file(1)).size(), 2U);
    EXPECT_TRUE(table.recalls_for_look(kEve, file(1)).empty());
}

TEST(LeaseTable, WhatWasRecalledIsNotRecalledAgain) {
    LeaseTable table = table_for_all();
    table.grant_read(kBob, file(1));
    table.release(kBob, file(1), Mode::none);
    EXPECT_EQ(table.held(kBob, file(1)), Mode::none);
    EXPECT_TRUE(table.recalls_for_change(kAnn, file(1)).empty());
    table.grant_read(kBob, file(1));
    EXPECT_EQ(table.recalls_for_change(kAnn, file(1)).size(), 1U);
}

TEST(LeaseTable, AWriterIsAloneAndKeepsReadingWhenOthersLook) {
    LeaseTable table = table_for_all();
    table.grant_read(kBob, file(1));
    EXPECT_FALSE(table.grant_write(kAnn, file(1)));
    table.release(kBob, file(1), Mode::none);
    ASSERT_TRUE(table.grant_write(kAnn, file(1)));
    EXPECT_EQ(table.held(kAnn, file(1)), Mode::write);
    EXPECT_EQ(table.recalls_for_look(kBob, file(1)), (std::vector<Recalled>{{kAnn, Mode::read}}));
    table.release(kAnn, file(1), Mode::read);
    EXPECT_EQ(table.held(kAnn, file(1)), Mode::read);
    EXPECT_TRUE(table.recalls_for_look(kBob, file(1)).empty());
    EXPECT_EQ(table.recalls_for_change(kBob, file(1)).size(), 1U);
}

TEST(LeaseTable, AnEndedSessionHoldsNothing) {
    LeaseTable table = table_for_all();
    table.grant_read(kAnn, file(1));
    ASSERT_TRUE(table.grant_write(kAnn, file(2)));
    table.end_session(kAnn);
    EXPECT_TRUE(table.recalls_for_change(kBob, file(1)).empty());
    EXPECT_TRUE(table.recalls_for_look(kBob, file(2)).empty());
    EXPECT_EQ(table.held(kAnn, file(2)), Mode::none);
}

TEST(LeaseTable, HasABoundOnSessions) {
    LeaseTable table({.sessions_most = 2});
    EXPECT_TRUE(table.open_session(kAnn));
    EXPECT_TRUE(table.open_session(kBob));
    EXPECT_FALSE(table.open_session(kEve));
}

// Goal: nobody who holds a lease is ever left out of a recall, however small the table and
// however many sessions share a bit. Method: random calls against exact sets.
void expect_never_misses_a_holder(std::uint64_t seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    LeaseTable table({.cells = 8, .absent_most = 6, .writers_most = 4});
    std::uint64_t session_count = 2 + seed % 90;
    std::set<std::pair<std::uint64_t, std::uint64_t>> readers;
    std::map<std::uint64_t, std::uint64_t> writers;
    for (std::uint64_t i = 0; i < session_count; ++i) {
        ASSERT_TRUE(table.open_session(SessionId{i}));
    }
    for (int step = 0; step < 400; ++step) {
        std::uint64_t who = random() % session_count;
        std::uint64_t what = random() % 20;
        SessionId session{who};
        switch (random() % 4) {
            case 0:
                if (table.recalls_for_look(session, file(what)).empty()) {
                    table.grant_read(session, file(what));
                    readers.emplace(who, what);
                }
                break;
            case 1:
                if (table.grant_write(session, file(what))) {
                    for (const auto& [other, number] : readers) {
                        EXPECT_TRUE(number != what || other == who);
                    }
                    readers.emplace(who, what);
                    writers[what] = who;
                }
                break;
            case 2:
                table.release(session, file(what), Mode::none);
                readers.erase({who, what});
                if (writers.contains(what) && writers[what] == who) writers.erase(what);
                break;
            default:
                table.end_session(session);
                std::erase_if(readers, [who](const auto& lease) { return lease.first == who; });
                std::erase_if(writers, [who](const auto& lease) { return lease.second == who; });
                ASSERT_TRUE(table.open_session(session));
        }
        std::set<std::uint64_t> recalled;
        for (const Recalled& one : table.recalls_for_change(session, file(what))) {
            recalled.insert(one.session.value);
        }
        EXPECT_FALSE(recalled.contains(who));
        for (const auto& [other, number] : readers) {
            if (number != what || other == who) continue;
            EXPECT_TRUE(recalled.contains(other));
            EXPECT_NE(table.held(SessionId{other}, file(what)), Mode::none);
        }
    }
}

TEST(LeaseTable, NeverMissesAHolder) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) expect_never_misses_a_holder(seed);
}

}  // namespace
}  // namespace weft::leases
