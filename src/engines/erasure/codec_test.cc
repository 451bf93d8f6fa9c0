#include "engines/erasure/codec.h"

#include "platform/base/bytes.h"
#include "platform/isal/crc32c.h"

#include <bit>
#include <random>

#include <gtest/gtest.h>

namespace weft::erasure {
namespace {

using Chunk = std::vector<std::byte>;

// Chunks of one row: random data, then parity by the codec.
std::vector<Chunk> make_row(Codec& codec, std::size_t size, std::mt19937_64& random) {
    std::vector<Chunk> row(codec.width(), Chunk(size));
    std::vector<ConstBytes> data;
    std::vector<Bytes> parity;
    for (unsigned i = 0; i < codec.width(); ++i) {
        if (i < codec.data_width()) {
            for (std::byte& byte : row[i]) byte = static_cast<std::byte>(random());
            data.emplace_back(row[i]);
        } else {
            parity.emplace_back(row[i]);
        }
    }
    codec.encode(data, parity);
    return row;
}

// Takes away the chunks of `lost`, and has them made again from the first or last k others.
void expect_survives(Codec& codec, const std::vector<Chunk>& row, std::uint32_t lost,
                     bool from_last) {
    std::vector<SourceChunk> survivors;
    std::vector<Chunk> made;
    std::vector<TargetChunk> wanted;
    made.reserve(codec.width());
    for (unsigned i = 0; i < codec.width(); ++i) {
        unsigned number = from_last ? codec.width() - 1 - i : i;
        if ((lost >> number & 1) != 0) {
            made.emplace_back(row[number].size());
            wanted.push_back({number, made.back()});
        } else if (survivors.size() < codec.data_width()) {
            survivors.push_back({number, row[number]});
        }
    }
    codec.reconstruct(survivors, wanted);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        ASSERT_EQ(made[i], row[wanted[i].number])
            << "k=" << codec.data_width() << " m=" << codec.parity_width() << " lost=" << lost
            << " chunk " << wanted[i].number;
    }
}

// Multiplication by shift and reduce, for an oracle that shares nothing with ISA-L.
std::uint8_t slow_multiply(std::uint8_t a, std::uint8_t b) {
    unsigned product = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
        if ((b >> bit & 1) != 0) product ^= static_cast<unsigned>(a) << bit;
    }
    for (unsigned bit = 15; bit >= 8; --bit) {
        if ((product >> bit & 1) != 0) product ^= 0x11dU << (bit - 8);
    }
    return static_cast<std::uint8_t>(product);
}

std::uint8_t slow_inverse(std::uint8_t a) {
    for (unsigned b = 1; b < 256; ++b) {
        if (slow_multiply(a, static_cast<std::uint8_t>(b)) == 1)
            return static_cast<std::uint8_t>(b);
    }
    return 0;
}

TEST(Codec, SurvivesEveryLossOfSmallSchemes) {
    std::mt19937_64 random(1);
    for (unsigned k = 1; k <= 6; ++k) {
        for (unsigned m = kParityWidthLeast; m <= kParityWidthMost; ++m) {
            Codec codec(k, m);
            auto row = make_row(codec, 192, random);
            for (std::uint32_t lost = 1; lost < 1U << (k + m); ++lost) {
                if (static_cast<unsigned>(std::popcount(lost)) > m) continue;
                expect_survives(codec, row, lost, false);
                expect_survives(codec, row, lost, true);
            }
        }
    }
}

TEST(Codec, SurvivesRandomLossesOfEveryScheme) {
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937_64 random(seed);
        for (unsigned k = 1; k <= kDataWidthMost; ++k) {
            for (unsigned m = kParityWidthLeast; m <= kParityWidthMost; ++m) {
                Codec codec(k, m);
                auto row = make_row(codec, 64 * (1 + random() % 20), random);
                for (int round = 0; round < 100; ++round) {
                    std::uint32_t lost = 0;
                    for (unsigned i = 0; i < m; ++i) lost |= 1U << (random() % (k + m));
                    expect_survives(codec, row, lost, random() % 2 == 0);
                }
            }
        }
    }
}

// Goal: the parity is the sum that the format page writes down. Method: the same, byte by byte.
TEST(Codec, ParityIsTheCauchySum) {
    std::mt19937_64 random(7);
    for (unsigned k : {1U, 2U, 4U, 8U, 16U}) {
        for (unsigned m = kParityWidthLeast; m <= kParityWidthMost; ++m) {
            Codec codec(k, m);
            auto row = make_row(codec, 64, random);
            for (unsigned p = k; p < k + m; ++p) {
                for (std::size_t at = 0; at < 64; ++at) {
                    std::uint8_t sum = 0;
                    for (unsigned j = 0; j < k; ++j) {
                        auto coefficient = slow_inverse(static_cast<std::uint8_t>(p ^ j));
                        sum ^= slow_multiply(coefficient, static_cast<std::uint8_t>(row[j][at]));
                    }
                    ASSERT_EQ(sum, static_cast<std::uint8_t>(row[p][at]));
                }
            }
        }
    }
}

// Golden bytes of docs/formats/segments.md: parity on drives must decode for ever.
TEST(Codec, ParityBytesNeverChange) {
    Codec codec(4, 2);
    std::vector<Chunk> data(4, Chunk(64));
    std::vector<Chunk> parity(2, Chunk(64));
    for (unsigned chunk = 0; chunk < 4; ++chunk) {
        for (unsigned i = 0; i < 64; ++i) data[chunk][i] = static_cast<std::byte>(64 * chunk + i);
    }
    std::vector<ConstBytes> from(data.begin(), data.end());
    std::vector<Bytes> into(parity.begin(), parity.end());
    codec.encode(from, into);
    EXPECT_EQ(crc32c(parity[0]), 2936983259U);
    EXPECT_EQ(crc32c(parity[1]), 3730545881U);
    std::vector<unsigned> first;
    for (const Chunk& chunk : parity) {
        for (std::size_t i = 0; i < 4; ++i) first.push_back(static_cast<unsigned>(chunk[i]));
    }
    EXPECT_EQ(first, (std::vector<unsigned>{135, 167, 199, 231, 111, 79, 47, 15}));
}

TEST(Codec, ForgetsOldPatternsAndStillDecodes) {
    std::mt19937_64 random(3);
    Codec codec(10, 4);
    auto row = make_row(codec, 64, random);
    for (int round = 0; round < 2; ++round) {
        for (unsigned a = 0; a < 14; ++a) {
            for (unsigned b = 0; b < a; ++b) {
                expect_survives(codec, row, 1U << a | 1U << b, round == 0);
            }
        }
    }
}

}  // namespace
}  // namespace weft::erasure
