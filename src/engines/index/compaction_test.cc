#include "engines/index/compaction_internal.h"

#include <gtest/gtest.h>

namespace weft::index {
namespace {

RunPtr make_run(std::string first, std::string last, std::uint32_t blocks,
                std::uint64_t erases = 0) {
    RunRecord record;
    record.first_key = std::move(first);
    record.last_key = std::move(last);
    record.body_blocks = blocks;
    record.entries = std::max<std::uint64_t>(100, erases);
    record.erases = erases;
    RunHead head;
    head.places = {BlockRun{{SegmentId{1}, 0, 0}, blocks}};
    head.partitions = {Partition{record.first_key, 0, {1}, 1}};
    return std::make_shared<Run>(1, std::move(record), std::move(head));
}

const IndexSettings kSettings{100 * kBlockBytes, 2, kMiB};  // Level 1 holds 400 blocks.

TEST(CompactionPlan, WaitsUntilLevelZeroHasEnoughRuns) {
    Version version;
    EXPECT_FALSE(plan_compaction(version, kSettings).has_value());
    EXPECT_FALSE(needs_compaction(version, kSettings));
    version.levels[0] = {make_run("a", "c", 10)};
    EXPECT_FALSE(plan_compaction(version, kSettings).has_value());
    EXPECT_FALSE(needs_compaction(version, kSettings));
    version.levels[0].push_back(make_run("b", "d", 10));
    version.levels[1] = {make_run("a", "aa", 10), make_run("e", "f", 10)};
    auto plan = plan_compaction(version, kSettings);
    ASSERT_TRUE(plan.has_value());
    EXPECT_TRUE(needs_compaction(version, kSettings));
    EXPECT_EQ(plan->level, 1);
    ASSERT_EQ(plan->sources.size(), 3U);  // Newest first, then what they touch below.
    EXPECT_EQ(plan->sources[0][0], version.levels[0][0]);
    EXPECT_EQ(plan->sources[2], std::vector<RunPtr>{version.levels[1][0]});
    EXPECT_EQ(plan->inputs().size(), 3U);
}

TEST(CompactionPlan, TakesFromAFullLevelTheRunThatTouchesLeast) {
    Version version;
    version.levels[1] = {make_run("a", "c", 200), make_run("d", "f", 200), make_run("g", "i", 200)};
    version.levels[2] = {make_run("a", "d", 400), make_run("e", "f", 10), make_run("h", "z", 100)};
    auto plan = plan_compaction(version, kSettings);
    ASSERT_TRUE(plan.has_value());
    EXPECT_TRUE(needs_compaction(version, kSettings));
    EXPECT_EQ(plan->level, 2);
    EXPECT_EQ(plan->sources[0][0], version.levels[1][2]);
}

// A tombstone of a run that is only touched may hide a key outside of the run that touches it.
TEST(CompactionPlan, LooksForOlderRunsUnderAllThatIsMerged) {
    Version version;
    version.levels[1] = {make_run("c", "d", 500)};
    version.levels[2] = {make_run("a", "z", 10, 5)};
    version.levels[3] = {make_run("a", "b", 10), make_run("x", "y", 10)};
    version.levels[5] = {make_run("zz", "zzz", 10)};
    auto plan = plan_compaction(version, kSettings);
    ASSERT_TRUE(plan.has_value());
    EXPECT_TRUE(needs_compaction(version, kSettings));
    EXPECT_EQ(plan->older, version.levels[3]);
}

TEST(CompactionPlan, SendsDownARunOfTombstones) {
    Version version;
    version.levels[2] = {make_run("a", "b", 1), make_run("c", "d", 1, 999)};
    version.levels[4] = {make_run("a", "z", 10)};
    EXPECT_FALSE(plan_compaction(version, kSettings).has_value());
    EXPECT_FALSE(needs_compaction(version, kSettings));
    version.levels[2].push_back(make_run("e", "f", 1, 1000));
    auto plan = plan_compaction(version, kSettings);
    ASSERT_TRUE(plan.has_value());
    EXPECT_TRUE(needs_compaction(version, kSettings));
    EXPECT_EQ(plan->level, 3);
    EXPECT_EQ(plan->inputs(), std::vector<RunPtr>{version.levels[2][2]});
    EXPECT_TRUE(plan->is_move());
    version.levels[3] = {make_run("a", "z", 10)};
    EXPECT_EQ(plan_compaction(version, kSettings)->inputs().size(), 2U);
}

TEST(CompactionPlan, MovesARunThatTouchesNothing) {
    Version version;
    version.levels[1] = {make_run("c", "d", 500)};
    EXPECT_TRUE(plan_compaction(version, kSettings)->is_move());
    version.levels[1] = {make_run("c", "d", 500, 1)};  // Its tombstones can go.
    EXPECT_FALSE(plan_compaction(version, kSettings)->is_move());
    version.levels[3] = {make_run("a", "z", 10)};
    EXPECT_TRUE(plan_compaction(version, kSettings)->is_move());
}

}  // namespace
}  // namespace weft::index
