#include "engines/erasure/codec.h"

#include "platform/base/check.h"

#include <bit>
#include <utility>

namespace weft::erasure {
namespace {

using galois::Matrix;

Matrix generator_of(unsigned data_width, unsigned parity_width) {
    CHECK(data_width >= 1 && data_width <= kDataWidthMost);
    CHECK(parity_width >= kParityWidthLeast && parity_width <= kParityWidthMost);
    Matrix generator(data_width + parity_width, data_width);
    for (unsigned i = 0; i < data_width; ++i) generator.at(i, i) = 1;
    for (unsigned row = data_width; row < data_width + parity_width; ++row) {
        for (unsigned column = 0; column < data_width; ++column) {
            generator.at(row, column) = galois::inverse(static_cast<std::uint8_t>(row ^ column));
        }
    }
    return generator;
}

Matrix rows_of(const Matrix& matrix, std::uint32_t chosen) {
    Matrix rows(static_cast<std::size_t>(std::popcount(chosen)), matrix.columns);
    std::size_t at = 0;
    for (std::size_t row = 0; row < matrix.rows; ++row) {
        if ((chosen >> row & 1) == 0) continue;
        for (std::size_t column = 0; column < matrix.columns; ++column) {
            rows.at(at, column) = matrix.at(row, column);
        }
        ++at;
    }
    return rows;
}

std::uint32_t parity_rows(unsigned data_width, unsigned parity_width) {
    return ((1U << parity_width) - 1) << data_width;
}

// The chunks by number, as the products want them; `set` says which are there.
template <class Chunk, class Span>
std::uint32_t sort_by_number(std::span<const Chunk> chunks, unsigned width,
                             std::array<Span, kWidthMost>& sorted) {
    std::array<Span, kWidthMost> by_number;
    std::uint32_t set = 0;
    for (const Chunk& chunk : chunks) {
        CHECK(chunk.number < width && (set >> chunk.number & 1) == 0);
        set |= 1U << chunk.number;
        by_number[chunk.number] = chunk.bytes;
    }
    std::size_t count = 0;
    for (unsigned number = 0; number < width; ++number) {
        if ((set >> number & 1) != 0) sorted[count++] = by_number[number];
    }
    return set;
}

}  // namespace

Codec::Codec(unsigned data_width, unsigned parity_width)
    : data_width_(data_width),
      parity_width_(parity_width),
      generator_(generator_of(data_width, parity_width)),
      encoder_(rows_of(generator_, parity_rows(data_width, parity_width))) {}

void Codec::encode(std::span<const ConstBytes> data, std::span<const Bytes> parity) const {
    encoder_(data, parity);
}

Matrix Codec::decoding_matrix(std::uint32_t survivors, std::uint32_t wanted) const {
    // survivors = rows * data, so data = inverse * survivors, and any chunk is its generator
    // row times that.
    auto inverse = galois::invert(rows_of(generator_, survivors));
    CHECK(inverse.has_value());  // Cauchy: no choice of k rows is singular.
    return galois::multiply(rows_of(generator_, wanted), *inverse);
}

const galois::Product& Codec::product_for(std::uint32_t survivors, std::uint32_t wanted) {
    for (const Pattern& pattern : patterns_) {
        if (pattern.survivors == survivors && pattern.wanted == wanted) return pattern.product;
    }
    Pattern made{survivors, wanted, galois::Product(decoding_matrix(survivors, wanted))};
    if (patterns_.size() < kPatternsMost) return patterns_.emplace_back(std::move(made)).product;
    Pattern& place = patterns_[oldest_pattern_];
    oldest_pattern_ = (oldest_pattern_ + 1) % kPatternsMost;
    place = std::move(made);
    return place.product;
}

void Codec::reconstruct(std::span<const SourceChunk> survivors,
                        std::span<const TargetChunk> wanted) {
    if (wanted.empty()) return;
    CHECK(survivors.size() == data_width_ && wanted.size() <= parity_width_);
    std::array<ConstBytes, kWidthMost> from;
    std::array<Bytes, kWidthMost> into;
    std::uint32_t survivor_set = sort_by_number(survivors, width(), from);
    std::uint32_t wanted_set = sort_by_number(wanted, width(), into);
    CHECK((survivor_set & wanted_set) == 0);
    const galois::Product& product = product_for(survivor_set, wanted_set);
    product(std::span(from).first(survivors.size()), std::span(into).first(wanted.size()));
}

}  // namespace weft::erasure
