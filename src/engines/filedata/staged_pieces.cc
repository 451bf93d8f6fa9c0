#include "engines/filedata/staged_pieces_internal.h"
#include "platform/base/bytes.h"
#include "platform/base/check.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace weft::filedata {
namespace {

constexpr std::uint64_t kPieceCostBytes = 128;
constexpr Lsn kEveryLsn{std::numeric_limits<std::uint64_t>::max()};

}  // namespace

ConstBytes StagedPiece::bytes() const {
    return bytes_of(*store).subspan(skip, length);
}

StagedPiece StagedPiece::part(std::uint64_t from, std::uint64_t to) const {
    std::uint64_t begin = std::max(from, offset);
    std::uint64_t stop = std::min(to, end());
    CHECK(begin < stop);
    return {begin, stop - begin, lsn, store, skip + (begin - offset)};
}

void StagedTotals::add(const StagedPiece& piece) {
    bytes_ += piece.length + kPieceCostBytes;
    ++pieces_[piece.lsn];
}

void StagedTotals::remove(const StagedPiece& piece) {
    CHECK(bytes_ >= piece.length + kPieceCostBytes);
    bytes_ -= piece.length + kPieceCostBytes;
    auto found = pieces_.find(piece.lsn);
    CHECK(found != pieces_.end());
    if (--found->second == 0) pieces_.erase(found);
}

StagedPieces::~StagedPieces() {
    for (const auto& [offset, piece] : pieces_) totals_.remove(piece);
}

void StagedPieces::put(std::uint64_t offset, std::string bytes, Lsn lsn) {
    if (bytes.empty()) return;
    std::uint64_t length = bytes.size();
    drop(offset, offset + length, kEveryLsn);
    insert({offset, length, lsn, std::make_shared<const std::string>(std::move(bytes)), 0});
}

void StagedPieces::insert(StagedPiece piece) {
    // A small rest of something large must not keep all of it in memory.
    if (piece.length < piece.store->size() / 2) {
        std::string own = piece.store->substr(piece.skip, piece.length);
        piece.store = std::make_shared<const std::string>(std::move(own));
        piece.skip = 0;
    }
    totals_.add(piece);
    CHECK(pieces_.emplace(piece.offset, std::move(piece)).second);
}

void StagedPieces::drop(std::uint64_t from, std::uint64_t to, Lsn through) {
    auto at = first_behind(from);
    while (at != pieces_.end() && at->first < to) {
        if (at->second.lsn > through) {
            ++at;
            continue;
        }
        StagedPiece piece = at->second;
        totals_.remove(piece);
        at = pieces_.erase(at);
        if (piece.offset < from) insert(piece.part(piece.offset, from));
        if (piece.end() > to) insert(piece.part(to, piece.end()));
    }
}

StagedPieces::Map::const_iterator StagedPieces::first_behind(std::uint64_t from) const {
    auto at = pieces_.lower_bound(from);
    if (at != pieces_.begin() && std::prev(at)->second.end() > from) --at;
    return at;
}

std::vector<StagedPiece> StagedPieces::within(std::uint64_t from, std::uint64_t to) const {
    std::vector<StagedPiece> found;
    for (auto at = first_behind(from); at != pieces_.end() && at->first < to; ++at) {
        found.push_back(at->second.part(from, to));
    }
    return found;
}

bool StagedPieces::any(std::uint64_t from, std::uint64_t to) const {
    auto at = first_behind(from);
    return at != pieces_.end() && at->first < to;
}

BlockSet StagedPieces::blocks(BlockSpan span) const {
    BlockSet set;
    std::uint64_t to = span.end * kBlockBytes;
    for (auto at = first_behind(span.first * kBlockBytes); at != pieces_.end(); ++at) {
        if (at->first >= to) break;
        set |= block_set(touched_blocks(at->first, at->second.end()));
    }
    return set & block_set(span);
}

BlockSet StagedPieces::blocks(Lsn through) const {
    BlockSet set;
    for (const auto& [offset, piece] : pieces_) {
        if (piece.lsn <= through) set |= block_set(touched_blocks(offset, piece.end()));
    }
    return set;
}

}  // namespace weft::filedata
