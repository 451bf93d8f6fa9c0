#pragma once

#include "platform/base/types.h"
#include "platform/isal/galois.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace weft::erasure {

inline constexpr unsigned kDataWidthMost = 16;
inline constexpr unsigned kParityWidthLeast = 2;
inline constexpr unsigned kParityWidthMost = 4;
inline constexpr unsigned kWidthMost = kDataWidthMost + kParityWidthMost;

// A chunk that is there, and one that is wanted. Numbers: 0 to k-1 data, k to k+m-1 parity.
struct SourceChunk {
    unsigned number = 0;
    ConstBytes bytes;
};
struct TargetChunk {
    unsigned number = 0;
    Bytes bytes;
};

// The erasure code of k data and m parity chunks: any k of the k+m give back all others.
//
// Parity chunk k+i is the sum over the data chunks j of 1/((k+i) ^ j) times chunk j in
// GF(2^8)/0x11d: a Cauchy matrix. Every square part of a Cauchy matrix can be inverted, so the
// code loses nothing to any m erasures, whatever k and m. A Vandermonde matrix below an identity
// (ISA-L's gf_gen_rs_matrix) promises that only for some k and m, and would have to be proved
// anew whenever widths grow.
//
// Bytewise: byte i of a chunk depends only on byte i of the others, so that any range of a
// chunk decodes alone, and rows of any length share one code. Format: docs/formats/segments.md.
//
// All chunks of a call have one size, a multiple of 64. Used from one core.
class Codec {
public:
    // k from 1 to 16, m from 2 to 4.
    Codec(unsigned data_width, unsigned parity_width);

    unsigned data_width() const { return data_width_; }
    unsigned parity_width() const { return parity_width_; }
    unsigned width() const { return data_width_ + parity_width_; }

    // k spans in, m spans out.
    void encode(std::span<const ConstBytes> data, std::span<const Bytes> parity) const;

    // Makes the wanted chunks from exactly k others, in any order.
    void reconstruct(std::span<const SourceChunk> survivors, std::span<const TargetChunk> wanted);

private:
    // Making tables costs as much as decoding some tens of KiB. A loss has few patterns at a
    // time (one set of drives is gone), so a handful is enough.
    static constexpr std::size_t kPatternsMost = 64;
    struct Pattern {
        std::uint32_t survivors = 0;  // Bit i: chunk i.
        std::uint32_t wanted = 0;
        galois::Product product;
    };
    const galois::Product& product_for(std::uint32_t survivors, std::uint32_t wanted);
    galois::Matrix decoding_matrix(std::uint32_t survivors, std::uint32_t wanted) const;

    unsigned data_width_;
    unsigned parity_width_;
    galois::Matrix generator_;  // (k+m) x k, the identity above the Cauchy rows.
    galois::Product encoder_;
    std::vector<Pattern> patterns_;
    std::size_t oldest_pattern_ = 0;  // Replaced next once all places are taken.
};

}  // namespace weft::erasure
