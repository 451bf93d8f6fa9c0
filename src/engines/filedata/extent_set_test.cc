#include "engines/filedata/extent_set_internal.h"
#include "model/layout/keys.h"

#include <optional>
#include <random>

#include <gtest/gtest.h>

namespace weft::filedata {
namespace {

constexpr FileId kFile{FilesystemId{1}, InodeId{7}};
using Kind = ExtentRecord::Kind;

ExtentRecord data_at(BlockAddress first, std::uint32_t count) {
    ExtentRecord record{Kind::data, first, count, {}};
    for (std::uint32_t i = 0; i < count; ++i) record.crcs.push_back(first.block + i);
    return record;
}

TEST(ExtentSet, RefusesOverlapsAndWhatCrossesARegion) {
    ExtentSet set;
    EXPECT_TRUE(set.insert(10, data_at({SegmentId{1}, 0, 0}, 10)));
    EXPECT_FALSE(set.insert(19, data_at({SegmentId{1}, 0, 0}, 1)));
    EXPECT_FALSE(set.insert(5, data_at({SegmentId{1}, 0, 0}, 6)));
    EXPECT_FALSE(set.insert(12, data_at({SegmentId{1}, 0, 0}, 2)));
    EXPECT_FALSE(set.insert(kRegionBlocks - 1, data_at({SegmentId{1}, 0, 0}, 2)));
    EXPECT_TRUE(set.insert(20, data_at({SegmentId{1}, 0, 0}, 1)));
    EXPECT_TRUE(set.insert(9, data_at({SegmentId{1}, 0, 0}, 1)));
    EXPECT_EQ(set.map().size(), 3U);
}

TEST(ExtentSet, CutKeepsBothEndsWithTheirPlacesAndChecksums) {
    ExtentSet set;
    ASSERT_TRUE(set.insert(100, data_at({SegmentId{1}, 50, 2}, 10)));
    set.cut({103, 106});
    ASSERT_EQ(set.map().size(), 2U);
    EXPECT_EQ(set.map().at(100), data_at({SegmentId{1}, 50, 2}, 3));
    EXPECT_EQ(set.map().at(106), data_at({SegmentId{1}, 56, 2}, 4));
}

TEST(ExtentSet, LaysOneExtentWherePlacesFollowOneAnother) {
    ExtentSet set;
    std::vector<BlockAddress> places = {
        {SegmentId{1}, 4, 0}, {SegmentId{1}, 5, 0}, {SegmentId{1}, 5, 1}, {SegmentId{2}, 6, 1}};
    std::vector<std::uint32_t> crcs = {1, 2, 3, 4};
    set.lay(8, places, crcs);
    ASSERT_EQ(set.map().size(), 3U);
    EXPECT_EQ(set.map().at(8).count, 2U);
    EXPECT_EQ(set.map().at(10).first, places[2]);
    EXPECT_EQ(set.map().at(11).crcs, std::vector<std::uint32_t>{4});
}

TEST(ExtentSet, SplitsLongRuns) {
    ExtentSet set;
    std::vector<BlockAddress> places;
    for (std::uint32_t i = 0; i < 130; ++i) places.push_back({SegmentId{1}, i, 0});
    std::vector<std::uint32_t> crcs(130);
    set.lay(0, places, crcs);
    EXPECT_EQ(set.map().size(), 3U);
    EXPECT_EQ(set.blocks().count(), 130U);
    set.reserve({0, kRegionBlocks});
    EXPECT_TRUE(set.blocks().all());
    EXPECT_EQ(set.data_blocks().count(), 130U);
}

// The dumbest store that can be right: applies batches to a map.
struct Store {
    std::map<std::string, std::string> entries;
    std::map<std::string, std::int64_t> counters;
    void apply(const Batch& batch) {
        for (const Mutation& mutation : batch.mutations()) {
            if (mutation.kind == Mutation::Kind::put) entries[mutation.key] = mutation.value;
            if (mutation.kind == Mutation::Kind::erase) entries.erase(mutation.key);
            if (mutation.kind == Mutation::Kind::add) counters[mutation.key] += mutation.delta;
        }
    }
};

using Blocks = std::map<std::uint64_t, std::optional<BlockAddress>>;  // Empty: reserved.

void expect_store_matches(const Store& store, const Blocks& blocks) {
    Blocks stored;
    std::size_t data_extents = 0;
    std::size_t summaries = 0;
    std::map<SegmentId, std::int64_t> live;
    for (const auto& [key, value] : store.entries) {
        if (keys::parse_summary(key).has_value()) {
            ++summaries;
            continue;
        }
        auto extent = keys::parse_extent(key);
        auto record = decode_extent(value);
        ASSERT_TRUE(extent.has_value() && record.has_value());
        std::uint64_t first = extent->end_block - record->count;
        for (std::uint32_t i = 0; i < record->count; ++i) {
            std::optional<BlockAddress> place;
            if (record->kind == Kind::data) {
                place = record->first;
                place->block += i;
                EXPECT_EQ(record->crcs[i], place->block);
            }
            EXPECT_TRUE(stored.emplace(first + i, place).second);
        }
        if (record->kind != Kind::data) continue;
        ++data_extents;
        live[record->first.segment] += record->count;
        auto summary = store.entries.find(keys::summary(record->first, {kFile, first}));
        ASSERT_NE(summary, store.entries.end());
        EXPECT_EQ(decode_summary(summary->second), record->count);
    }
    EXPECT_EQ(stored, blocks);
    EXPECT_EQ(summaries, data_extents);
    for (const auto& [key, sum] : store.counters) {
        EXPECT_EQ(sum, live[*keys::parse_live(key)]);
    }
}

// Goal: extents, summary entries and live counters never drift apart. Method: random edits of
// one region, recorded as differences, against one place a block.
void run_edits(std::uint64_t seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ExtentSet set;
    Store store;
    Blocks model;
    std::uint32_t next = 0;
    for (int step = 0; step < 60; ++step) {
        std::uint64_t first = 512 + random() % 200;
        BlockSpan span{first, first + 1 + random() % 40};
        ExtentSet before = set;
        switch (random() % 3) {
            case 0: {
                std::vector<BlockAddress> places;
                std::vector<std::uint32_t> crcs;
                for (std::uint64_t block = span.first; block < span.end; ++block) {
                    if (random() % 8 == 0) next += 10;
                    places.push_back({SegmentId{1 + next / 500}, next, 3});
                    crcs.push_back(next++);
                    model[block] = places.back();
                }
                set.lay(span.first, places, crcs);
                break;
            }
            case 1:
                set.cut(span);
                for (std::uint64_t block = span.first; block < span.end; ++block) {
                    model.erase(block);
                }
                break;
            default:
                set.reserve(span);
                for (std::uint64_t block = span.first; block < span.end; ++block) {
                    model.emplace(block, std::nullopt);
                }
        }
        Batch batch;
        record_difference(kFile, before, set, batch);
        store.apply(batch);
        expect_store_matches(store, model);
    }
}

TEST(ExtentSet, RecordsExtentsSummariesAndLiveCountsTogether) {
    for (std::uint64_t seed = 1; seed <= 50 && !::testing::Test::HasFailure(); ++seed) {
        run_edits(seed);
    }
}

TEST(ExtentSet, RecordsNothingWhereNothingChanged) {
    ExtentSet set;
    ASSERT_TRUE(set.insert(10, data_at({SegmentId{1}, 0, 0}, 10)));
    Batch batch;
    record_difference(kFile, set, set, batch);
    EXPECT_TRUE(batch.empty());
}

// docs/formats/index-values.md has these bytes.
TEST(Summary, HasTheBytesOfTheFormat) {
    EXPECT_EQ(encode_summary(5), std::string("\5\0\0\0", 4));
    EXPECT_EQ(decode_summary(encode_summary(64)), 64U);
    EXPECT_EQ(decode_summary(encode_summary(65)), 0U);
    EXPECT_EQ(decode_summary("\1\0\0"), 0U);
}

}  // namespace
}  // namespace weft::filedata
