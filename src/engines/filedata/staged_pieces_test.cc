#include "engines/filedata/staged_pieces_internal.h"
#include "platform/base/bytes.h"

#include <random>

#include <gtest/gtest.h>

namespace weft::filedata {
namespace {

constexpr Lsn kEvery{UINT64_MAX};

struct ModelByte {
    char byte = 0;
    std::uint64_t lsn = 0;  // 0: nothing staged.
};

void expect_same(const StagedPieces& pieces, const std::vector<ModelByte>& model,
                 const StagedTotals& totals) {
    std::vector<ModelByte> got(model.size());
    std::uint64_t previous_end = 0;
    for (const StagedPiece& piece : pieces.within(0, model.size())) {
        EXPECT_GE(piece.offset, previous_end);
        previous_end = piece.end();
        ConstBytes bytes = piece.bytes();
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            got[piece.offset + i] = {static_cast<char>(bytes[i]), piece.lsn.value};
        }
    }
    std::uint64_t oldest = 0;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < model.size(); ++i) {
        ASSERT_EQ(got[i].lsn, model[i].lsn) << i;
        ASSERT_EQ(got[i].byte, model[i].byte) << i;
        if (model[i].lsn == 0) continue;
        ++bytes;
        if (oldest == 0 || model[i].lsn < oldest) oldest = model[i].lsn;
    }
    EXPECT_EQ(totals.oldest(), Lsn{oldest});
    EXPECT_GE(totals.bytes(), bytes);
    EXPECT_EQ(totals.bytes() == 0, bytes == 0);
}

// Goal: newer bytes win, and dropping takes exactly what it should. Method: random puts and
// drops against one lsn a byte.
void run_against_model(std::uint64_t seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    StagedTotals totals;
    StagedPieces pieces(totals);
    std::vector<ModelByte> model(500);
    for (std::uint64_t lsn = 1; lsn < 200; ++lsn) {
        std::uint64_t from = random() % model.size();
        std::uint64_t to = from + 1 + random() % (model.size() - from);
        bool put = random() % 3 != 0;
        Lsn through{random() % 4 == 0 ? UINT64_MAX : random() % lsn};
        char byte = static_cast<char>(random());
        if (put) pieces.put(from, std::string(to - from, byte), Lsn{lsn});
        if (!put) pieces.drop(from, to, through);
        for (std::uint64_t i = from; i < to; ++i) {
            if (put) model[i] = {byte, lsn};
            if (!put && model[i].lsn <= through.value) model[i] = {};
        }
        expect_same(pieces, model, totals);
        EXPECT_EQ(pieces.any(from, to), !pieces.within(from, to).empty());
    }
    pieces.drop(0, model.size(), kEvery);
    EXPECT_TRUE(pieces.empty());
    EXPECT_EQ(totals.bytes(), 0U);
    EXPECT_EQ(totals.oldest(), Lsn{});
}

TEST(StagedPieces, KeepTheNewestOfEachByte) {
    for (std::uint64_t seed = 1; seed <= 50 && !::testing::Test::HasFailure(); ++seed) {
        run_against_model(seed);
    }
}

TEST(StagedPieces, ClipWhatTheyGive) {
    StagedTotals totals;
    StagedPieces pieces(totals);
    pieces.put(10, "abcdef", Lsn{1});
    auto found = pieces.within(12, 14);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(text_of(found[0].bytes()), "cd");
    EXPECT_TRUE(pieces.within(16, 20).empty());
    EXPECT_TRUE(pieces.within(0, 10).empty());
}

TEST(StagedPieces, DoNotKeepAllForASmallRest) {
    StagedTotals totals;
    StagedPieces pieces(totals);
    pieces.put(0, std::string(100000, 'a'), Lsn{1});
    pieces.drop(10, 99990, kEvery);
    for (const StagedPiece& piece : pieces.within(0, 100000)) {
        EXPECT_LE(piece.store->size(), 2 * piece.length);
    }
    EXPECT_LT(totals.bytes(), 1000U);
}

TEST(StagedPieces, BoundsCountSmallOnesToo) {
    StagedTotals totals;
    StagedPieces pieces(totals);
    for (std::uint64_t i = 0; i < 100; ++i) pieces.put(2 * i, "a", Lsn{i + 1});
    EXPECT_GT(totals.bytes(), 100U * 50);
}

TEST(StagedPieces, NameTheBlocksOfOldRecords) {
    StagedTotals totals;
    StagedPieces pieces(totals);
    pieces.put(4095, "ab", Lsn{1});
    pieces.put(5 * kBlockBytes, "c", Lsn{2});
    EXPECT_EQ(pieces.blocks(Lsn{1}).count(), 2U);
    EXPECT_EQ(pieces.blocks(Lsn{2}).count(), 3U);
    EXPECT_EQ(pieces.blocks(Lsn{0}).count(), 0U);
    EXPECT_EQ(pieces.blocks(BlockSpan{1, 6}).count(), 2U);
    EXPECT_EQ(pieces.blocks(BlockSpan{2, 5}).count(), 0U);
}

}  // namespace
}  // namespace weft::filedata
