#include "engines/journal/commit_internal.h"
#include "engines/journal/settings.h"
#include "platform/base/bytes.h"
#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "platform/isal/crc32c.h"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace weft::journal {
namespace {

constexpr std::uint32_t kGoesOn = 0x80000000;
constexpr std::size_t kHeaderBytes = sizeof(CommitHeader);

// Lays bytes one behind the other into pieces, past the place of each one's header.
class PieceFiller {
public:
    PieceFiller(Bytes all, std::size_t stride, std::size_t piece_bytes)
        : all_(all), stride_(stride), piece_bytes_(piece_bytes) {}

    void put(ConstBytes from) {
        while (!from.empty()) {
            if (within_ == piece_bytes_) next_piece();
            std::size_t count = std::min(from.size(), piece_bytes_ - within_);
            std::memcpy(at(within_), from.data(), count);
            within_ += count;
            from = from.subspan(count);
        }
    }
    // Zeros to the end of the piece at hand, and in all pieces up to `count`.
    void finish(std::size_t count) {
        for (;;) {
            std::size_t used = kHeaderBytes + within_;
            std::memset(at(within_), 0, stride_ - used);
            if (piece_ + 1 == count) return;
            next_piece();
        }
    }

private:
    void next_piece() {
        ++piece_;
        within_ = 0;
    }
    std::byte* at(std::size_t within) {
        return all_.data() + piece_ * stride_ + kHeaderBytes + within;
    }

    Bytes all_;
    std::size_t stride_;
    std::size_t piece_bytes_;
    std::size_t piece_ = 0;
    std::size_t within_ = 0;
};

void set_shape(CommitHeader& header, std::uint32_t payload_bytes, std::uint32_t slot_count,
               std::uint32_t parity_width) {
    CHECK(slot_count > 0 && payload_bytes <= kPayloadBytesMost);
    header.payload_bytes = payload_bytes;
    bool coded =
        parity_width >= erasure::kParityWidthLeast && parity_width <= erasure::kParityWidthMost;
    bool row = coded && payload_bytes > kMirrorBytesMost.usual && slot_count >= parity_width + 2;
    if (row) {
        header.data_width = static_cast<std::uint8_t>(slot_count - parity_width);
        header.parity_width = static_cast<std::uint8_t>(parity_width);
        std::uint64_t share = divide_up(payload_bytes, header.data_width);
        std::uint64_t piece = round_up(kHeaderBytes + share, kBlockBytes) - kHeaderBytes;
        header.piece_bytes = static_cast<std::uint32_t>(piece);
    } else {
        std::uint32_t copies =
            planted(Bug::journal_one_copy_less) ? parity_width : parity_width + 1;
        header.copies = static_cast<std::uint8_t>(std::min(copies, slot_count));
        header.piece_bytes = payload_bytes;
    }
}

void add_parity(const CommitHeader& header, Bytes all, std::size_t stride, RowCode& code) {
    std::vector<ConstBytes> data;
    std::vector<Bytes> parity;
    for (std::uint32_t i = 0; i < header.pieces(); ++i) {
        Bytes body = all.subspan(i * stride + kHeaderBytes, header.piece_bytes);
        if (i < header.data_width)
            data.push_back(body);
        else
            parity.push_back(body);
    }
    code.of(header.data_width, header.parity_width).encode(data, parity);
}

// Checksums come last: the piece's, then the header's, which covers it.
void seal(CommitHeader header, Bytes piece) {
    header.piece_crc = crc32c(piece.subspan(kHeaderBytes, header.piece_bytes));
    constexpr std::size_t kCovered = offsetof(CommitHeader, piece_crc);
    header.header_crc = crc32c(image_of(header).subspan(kCovered));
    std::memcpy(piece.data(), &header, kHeaderBytes);
}

}  // namespace

void Commit::clear() {
    continues = false;
    entries.clear();
    payload_bytes = 0;
}

void Commit::add(Entry entry) {
    CHECK(entries.empty() || !entries.back().goes_on);
    payload_bytes += kEntryHeadBytes + static_cast<std::uint32_t>(entry.bytes.size());
    entries.push_back(entry);
}

Lsn Commit::last_whole_lsn() const {
    bool open = !entries.empty() && entries.back().goes_on;
    return Lsn{last_lsn().value - (open ? 1 : 0)};
}

erasure::Codec& RowCode::of(unsigned data_width, unsigned parity_width) {
    bool same = codec_.has_value() && codec_->data_width() == data_width &&
                codec_->parity_width() == parity_width;
    if (!same) codec_.emplace(data_width, parity_width);
    return *codec_;
}

ConstBytes EncodedCommit::piece(std::uint32_t index) const {
    std::size_t stride = header.blocks() * kBlockBytes;
    return bytes.bytes().subspan(header.mirrored() ? 0 : index * stride, stride);
}

std::uint32_t blocks_of(std::uint32_t payload_bytes, std::uint32_t slot_count,
                        std::uint32_t parity_width) {
    CommitHeader header;
    set_shape(header, payload_bytes, slot_count, parity_width);
    return header.blocks();
}

EncodedCommit encode_commit(CommitHeader header, const Commit& commit, std::uint32_t parity_width,
                            RowCode& code) {
    auto slot_count = static_cast<std::uint32_t>(std::popcount(header.chunks));
    set_shape(header, commit.payload_bytes, slot_count, parity_width);
    header.number = commit.number;
    header.first_lsn = commit.first_lsn;
    header.entry_count = static_cast<std::uint32_t>(commit.entries.size());
    if (commit.continues) header.flags |= kCommitContinues;

    std::size_t stride = header.blocks() * kBlockBytes;
    std::uint32_t filled = header.pieces_needed();
    std::uint32_t kept = header.mirrored() ? 1 : header.pieces();
    EncodedCommit encoded{header, Buffer(kept * stride)};
    Bytes all = encoded.bytes.bytes();
    PieceFiller filler(all, stride, header.piece_bytes);
    for (const Entry& entry : commit.entries) {
        auto size = static_cast<std::uint32_t>(entry.bytes.size());
        std::uint32_t head = size | (entry.goes_on ? kGoesOn : 0);
        filler.put(std::as_bytes(std::span(&head, 1)));
        filler.put(bytes_of(entry.bytes));
    }
    filler.finish(filled);
    if (!header.mirrored()) add_parity(header, all, stride, code);
    for (std::uint32_t i = 0; i < kept; ++i) {
        header.piece = static_cast<std::uint8_t>(i);
        seal(header, all.subspan(i * stride, stride));
    }
    return encoded;
}

Payload join_row(const CommitHeader& header, const std::vector<ConstBytes>& pieces, RowCode& code) {
    CHECK(!header.mirrored() && pieces.size() == header.pieces());
    std::size_t piece_bytes = header.piece_bytes;
    Payload payload{Buffer(header.data_width * piece_bytes), {}};
    Bytes all = payload.bytes.bytes();
    std::vector<erasure::SourceChunk> survivors;
    std::vector<erasure::TargetChunk> wanted;
    for (unsigned i = 0; i < pieces.size(); ++i) {
        bool there = !pieces[i].empty();
        if (there && survivors.size() < header.data_width) survivors.push_back({i, pieces[i]});
        if (i >= header.data_width) continue;
        Bytes target = all.subspan(i * piece_bytes, piece_bytes);
        if (there)
            std::memcpy(target.data(), pieces[i].data(), piece_bytes);
        else
            wanted.push_back({i, target});
    }
    CHECK(survivors.size() == header.data_width);
    if (!wanted.empty()) {
        code.of(header.data_width, header.parity_width).reconstruct(survivors, wanted);
    }
    payload.used = ConstBytes(all).first(header.payload_bytes);
    return payload;
}

}  // namespace weft::journal
