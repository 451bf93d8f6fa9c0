#include "engines/segments/placement.h"

#include "platform/simulated/simulated_reactor.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

namespace weft::segments {
namespace {

std::vector<Candidate> cluster(std::initializer_list<std::vector<std::uint32_t>> domains) {
    std::vector<Candidate> candidates;
    std::uint32_t domain = 0;
    std::uint32_t drive = 0;
    for (const auto& drives : domains) {
        for (std::uint32_t free : drives) {
            candidates.push_back({DriveId{drive++}, FailureDomainId{domain}, free});
        }
        ++domain;
    }
    return candidates;
}

TEST(Placement, CountsWhatFits) {
    EXPECT_EQ(segments_that_fit(cluster({{5}, {5}, {5}}), 3), 5U);
    EXPECT_EQ(segments_that_fit(cluster({{5}, {5}, {0}}), 3), 0U);
    EXPECT_EQ(segments_that_fit(cluster({{100}, {2}, {2}, {2}}), 3), 3U);
    EXPECT_EQ(segments_that_fit(cluster({{3, 4}, {5, 1}, {9}}), 3), 6U);
    EXPECT_EQ(segments_that_fit({}, 3), 0U);
}

// Goal: as many segments can really be placed, one by one, as were counted.
TEST(Placement, PlacesAsManyAsFit) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        SimulatedReactor reactor(seed);
        std::vector<Candidate> candidates;
        auto domains = static_cast<std::uint32_t>(3 + reactor.random() % 6);
        for (std::uint32_t i = 0; i < domains * 2; ++i) {
            auto free = static_cast<std::uint32_t>(reactor.random() % 8);
            candidates.push_back({DriveId{i}, FailureDomainId{i / 2}, free});
        }
        unsigned width = 3 + static_cast<unsigned>(reactor.random() % 3);
        std::uint64_t expected = segments_that_fit(candidates, width);
        std::uint64_t placed = 0;
        while (auto chosen = choose_drives(candidates, width, {}, reactor)) {
            std::set<FailureDomainId> used;
            for (DriveId drive : *chosen) {
                Candidate& candidate = candidates[drive.value];
                ASSERT_GT(candidate.free_slots, 0U);
                --candidate.free_slots;
                ASSERT_TRUE(used.insert(candidate.domain).second);
            }
            ++placed;
        }
        EXPECT_EQ(placed, expected);
    }
}

TEST(Placement, KeepsAwayFromTakenDomains) {
    SimulatedReactor reactor;
    auto candidates = cluster({{9}, {1}, {1}, {1}});
    auto chosen = choose_drives(candidates, 3, {FailureDomainId{0}}, reactor);
    ASSERT_TRUE(chosen.has_value());
    EXPECT_EQ(std::count(chosen->begin(), chosen->end(), DriveId{0}), 0);
    EXPECT_FALSE(choose_drives(candidates, 4, {FailureDomainId{0}}, reactor).has_value());
}

TEST(Placement, SpreadsOverTheDrivesOfADomainByFreeSpace) {
    SimulatedReactor reactor;
    auto candidates = cluster({{300, 100, 200}, {600}});
    std::map<DriveId, int> times;
    for (int i = 0; i < 550; ++i) {
        auto chosen = choose_drives(candidates, 2, {}, reactor);
        ASSERT_TRUE(chosen.has_value());
        for (DriveId drive : *chosen) --candidates[drive.value].free_slots;
    }
    EXPECT_LT(candidates[0].free_slots, 60U);
    EXPECT_LT(candidates[2].free_slots, 60U);
}

}  // namespace
}  // namespace weft::segments
