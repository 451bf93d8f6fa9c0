#pragma once

#include "engines/erasure/codec.h"
#include "engines/journal/commit_format.h"
#include "platform/memory/buffer.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace weft::journal {

// What one commit carries. The entries point to bytes that outlive it.
struct Commit {
    std::uint64_t number = 0;
    Lsn first_lsn;
    bool continues = false;
    std::vector<Entry> entries;
    std::uint32_t payload_bytes = 0;

    void clear();
    void add(Entry entry);
    // Of the last entry, whole or not; first_lsn - 1 without entries.
    Lsn last_lsn() const { return Lsn{first_lsn.value + entries.size() - 1}; }
    // The last record that ends in this commit or before it.
    Lsn last_whole_lsn() const;
};

// The code of the rows at hand: segments of one width follow one another, so one is kept.
class RowCode {
public:
    erasure::Codec& of(unsigned data_width, unsigned parity_width);

private:
    std::optional<erasure::Codec> codec_;
};

// The bytes of all different pieces behind one another, each of header.blocks() blocks: one if
// mirrored, else data and parity. Every byte is defined.
//
// `header` has everything but shape, sizes and checksums, which come from how many slots the
// segment has: small commits are mirrored on parity_width + 1 slots, larger ones go as a row
// over all of them.
struct EncodedCommit {
    CommitHeader header;
    Buffer bytes;
    ConstBytes piece(std::uint32_t index) const;
};
EncodedCommit encode_commit(CommitHeader header, const Commit& commit, std::uint32_t parity_width,
                            RowCode& code);

// Blocks of one piece of such a commit.
std::uint32_t blocks_of(std::uint32_t payload_bytes, std::uint32_t slot_count,
                        std::uint32_t parity_width);

// The payload from the pieces that are there, by position in the row (others have no bytes).
// At least header.pieces_needed() must be there.
struct Payload {
    Buffer bytes;
    ConstBytes used;
};
Payload join_row(const CommitHeader& header, const std::vector<ConstBytes>& pieces, RowCode& code);

}  // namespace weft::journal
