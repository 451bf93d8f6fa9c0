#include "model/services/lease_term.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(LeaseTerms, TheUsualOnesFitAndOthersMayNot) {
    EXPECT_TRUE(LeaseTerms().valid());
    EXPECT_TRUE((LeaseTerms{1400 * kMillisecond, 2 * kSecond}.valid()));
    EXPECT_FALSE((LeaseTerms{1500 * kMillisecond, 2 * kSecond}.valid()));
    EXPECT_FALSE((LeaseTerms{3 * kSecond, 2 * kSecond}.valid()));
    EXPECT_FALSE((LeaseTerms{0, 2 * kSecond}.valid()));
}

// Whoever is renewed while a recall has waited for as long as it may, has no right left when
// compute stops to wait.
TEST(LeaseTerms, ATermIsOverBeforeARecallIs) {
    LeaseTerms terms;
    Nanos recall_began = 10 * kSecond;
    Nanos renewed = recall_began + terms.recall_patience();
    EXPECT_LE(terms.over_after(renewed), recall_began + terms.recall_deadline);
    EXPECT_LT(renewed + terms.term, terms.over_after(renewed));
}

TEST(LeaseTerm, ItIsOverATermAfterTheLastAnsweredPingWasSent) {
    LeaseTerm term;
    EXPECT_FALSE(term.covers(0));
    term.begin(100, 10);
    EXPECT_TRUE(term.covers(109));
    EXPECT_FALSE(term.covers(110));
    term.renew(105);
    EXPECT_TRUE(term.covers(114));
    term.renew(103);  // Answered late.
    EXPECT_TRUE(term.covers(114));
    EXPECT_FALSE(term.covers(115));
}

}  // namespace
}  // namespace weft
