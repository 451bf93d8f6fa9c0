#include "engines/filedata/regions_internal.h"
#include "platform/simulated/simulated_reactor.h"

#include <gtest/gtest.h>

namespace weft::filedata {
namespace {

constexpr RegionId kId{{FilesystemId{1}, InodeId{2}}, 3};
constexpr Lsn kEvery{UINT64_MAX};

TEST(RegionTable, ForgetsWhatNobodyUses) {
    SimulatedReactor reactor;
    RegionTable table(reactor);
    {
        RegionTable::Pin first = table.pin(kId);
        RegionTable::Pin second = table.pin(kId);
        EXPECT_EQ(first.get(), second.get());
        EXPECT_EQ(table.size(), 1U);
    }
    EXPECT_EQ(table.size(), 0U);
}

TEST(RegionTable, KeepsStagedBytesUntilTheyAreUnstaged) {
    SimulatedReactor reactor;
    RegionTable table(reactor);
    table.stage(kId, kId.first_byte() + 5, "abc", Lsn{1});
    {
        RegionTable::Pin pin = table.pin(kId);
    }
    EXPECT_EQ(table.size(), 1U);
    table.unstage(kId, kId.first_byte(), kId.first_byte() + 6, kEvery);
    EXPECT_EQ(table.size(), 1U);
    table.unstage(kId, kId.first_byte(), kId.first_byte() + 100, kEvery);
    EXPECT_EQ(table.size(), 0U);
    EXPECT_EQ(table.totals().bytes(), 0U);
}

Task<SharedMutex::Lock> locked(RegionTable* table, RegionId id) {
    RegionTable::Pin pin = table->pin(id);
    co_return co_await pin->mutex.lock();
}

TEST(RegionTable, KeepsARegionWhoseLockIsHeldAndForgetsItLater) {
    SimulatedReactor reactor;
    RegionTable table(reactor);
    {
        auto lock = reactor.run(locked(&table, kId));
        EXPECT_EQ(table.size(), 1U);
        EXPECT_NE(table.find(kId), nullptr);
        {
            RegionTable::Pin other = table.pin({kId.file, 9});
        }
        EXPECT_NE(table.find(kId), nullptr);
    }
    {
        RegionTable::Pin other = table.pin({kId.file, 9});
    }
    EXPECT_EQ(table.size(), 0U);
}

TEST(RegionTable, StaysSmallWhateverManyLocksComeAndGo) {
    SimulatedReactor reactor;
    RegionTable table(reactor);
    for (std::uint64_t i = 0; i < 1000; ++i) {
        auto lock = reactor.run(locked(&table, {kId.file, i}));
        EXPECT_LE(table.size(), 3U);
    }
}

}  // namespace
}  // namespace weft::filedata
