#include "sim/model/content.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace weft::sim {

std::string Content::read(std::uint64_t offset, std::uint64_t length) const {
    if (offset >= size()) return std::string();
    std::string out(std::min(length, size() - offset), '\0');
    for (std::uint64_t at = 0; at < out.size();) {
        std::uint64_t within = (offset + at) % kPieceBytes;
        std::uint64_t count = std::min(kPieceBytes - within, out.size() - at);
        const Piece& piece = shared_->pieces[(offset + at) / kPieceBytes];
        if (piece != nullptr) out.replace(at, count, *piece, within, count);
        at += count;
    }
    return out;
}

void Content::write(std::uint64_t offset, std::string_view bytes) {
    if (size() < offset + bytes.size()) resize(offset + bytes.size());
    Shared& shared = edit();
    while (!bytes.empty()) {
        std::uint64_t within = offset % kPieceBytes;
        std::uint64_t count = std::min(kPieceBytes - within, bytes.size());
        piece_of(shared, offset / kPieceBytes).replace(within, count, bytes.substr(0, count));
        offset += count;
        bytes.remove_prefix(count);
    }
}

void Content::zero(std::uint64_t begin, std::uint64_t end) {
    Shared& shared = edit();
    end = std::min(end, shared.size);
    while (begin < end) {
        std::uint64_t within = begin % kPieceBytes;
        std::uint64_t count = std::min(kPieceBytes - within, end - begin);
        std::uint64_t index = begin / kPieceBytes;
        if (count == kPieceBytes) {
            shared.pieces[index] = nullptr;
        } else if (shared.pieces[index] != nullptr) {
            piece_of(shared, index).replace(within, count, count, '\0');
        }
        begin += count;
    }
}

void Content::resize(std::uint64_t size) {
    if (size < this->size()) zero(size, this->size());
    Shared& shared = edit();
    shared.size = size;
    shared.pieces.resize((size + kPieceBytes - 1) / kPieceBytes);
}

std::uint64_t Content::hash() const {
    if (!shared_->hash.has_value()) shared_->hash = content_hash(read(0, size()));
    return *shared_->hash;
}

Content::Shared& Content::edit() {
    if (shared_.use_count() > 1) shared_ = std::make_shared<Shared>(*shared_);
    shared_->hash.reset();
    return *shared_;
}

std::string& Content::piece_of(Shared& shared, std::uint64_t index) {
    Piece& piece = shared.pieces[index];
    if (piece == nullptr) {
        piece = std::make_shared<std::string>(kPieceBytes, '\0');
    } else if (piece.use_count() > 1) {
        piece = std::make_shared<std::string>(*piece);
    }
    return *piece;
}

// In four lanes, for every look at a tree hashes all of it. Nobody wishes it ill.
std::uint64_t content_hash(std::string_view bytes) {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL;
    std::array<std::uint64_t, 4> lanes = {1, 2, 3, 4};
    auto take = [&](std::size_t lane, std::size_t at, std::size_t count) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, count);
        lanes[lane] = std::rotl((lanes[lane] ^ word) * kOdd, 29);
    };
    std::size_t at = 0;
    for (; at + 32 <= bytes.size(); at += 32) {
        for (std::size_t lane = 0; lane < 4; ++lane) take(lane, at + 8 * lane, 8);
    }
    for (; at < bytes.size(); at += 8) take(0, at, std::min<std::size_t>(8, bytes.size() - at));
    std::uint64_t hash = bytes.size();
    for (std::uint64_t lane : lanes) hash = std::rotl((hash ^ lane) * kOdd, 31);
    return hash ^ (hash >> 32);
}

}  // namespace weft::sim
