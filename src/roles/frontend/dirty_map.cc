#include "roles/frontend/dirty_map.h"

#include "platform/base/check.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weft::frontend {
namespace {

// Smaller writes are copied: a whole memory for them would waste the bound on memory.
constexpr std::uint64_t kAdoptLeast = 64 * kKiB;

std::uint64_t region_end(std::uint64_t offset) {
    return round_down(offset, kRegionBytes) + kRegionBytes;
}

std::uint64_t room(const Piece& piece) {
    return piece.memory.size() - piece.at;
}

void put(Piece& piece, std::uint64_t offset, ConstBytes data) {
    CHECK(offset >= piece.offset && offset + data.size() <= piece.offset + room(piece));
    std::byte* target = piece.memory.bytes().data() + piece.at + (offset - piece.offset);
    std::memcpy(target, data.data(), data.size());
}

}  // namespace

Piece DirtyMap::make(std::uint64_t offset, std::uint64_t end, Nanos since) {
    Piece piece;
    piece.offset = offset;
    piece.length = end - offset;
    piece.since = since;
    piece.at = offset % kBlockBytes;
    std::uint64_t need = piece.at + piece.length;
    // Growing by four keeps the copying below a third of the data.
    for (std::uint64_t size : {4 * kKiB, 16 * kKiB, 64 * kKiB}) {
        if (need > size) continue;
        piece.memory = Memory(size);
        return piece;
    }
    piece.memory = pool_->take();
    return piece;
}

bool DirtyMap::touching(const Piece& piece, std::uint64_t from, std::uint64_t to) const {
    return piece.offset <= to && piece.end() >= from &&
           region_end(piece.offset) == region_end(from);
}

DirtyMap::Pieces::iterator DirtyMap::first_touching(std::uint64_t from, std::uint64_t to) {
    auto next = pieces_.upper_bound(from);
    if (next != pieces_.begin()) {
        auto before = std::prev(next);
        if (touching(before->second, from, to)) return before;
    }
    if (next != pieces_.end() && touching(next->second, from, to)) return next;
    return pieces_.end();
}

Piece DirtyMap::remove(Pieces::iterator at) {
    Piece piece = std::move(at->second);
    pieces_.erase(at);
    CHECK(data_bytes_ >= piece.length && memory_bytes_ >= piece.memory.size());
    data_bytes_ -= piece.length;
    memory_bytes_ -= piece.memory.size();
    return piece;
}

void DirtyMap::insert(Piece piece) {
    CHECK(piece.length > 0 && piece.length <= room(piece));
    CHECK(piece.end() <= region_end(piece.offset));
    data_bytes_ += piece.length;
    memory_bytes_ += piece.memory.size();
    std::uint64_t offset = piece.offset;
    CHECK(pieces_.emplace(offset, std::move(piece)).second);
}

void DirtyMap::write(std::uint64_t offset, ConstBytes data, Nanos now) {
    while (!data.empty()) {
        std::size_t count = std::min<std::size_t>(data.size(), region_end(offset) - offset);
        write_in_region(offset, data.first(count), now);
        offset += count;
        data = data.subspan(count);
    }
}

void DirtyMap::write_in_region(std::uint64_t offset, ConstBytes data, Nanos now) {
    std::uint64_t end = offset + data.size();
    std::vector<Piece> old;
    for (auto at = first_touching(offset, end); at != pieces_.end();
         at = first_touching(offset, end)) {
        old.push_back(remove(at));
    }
    std::uint64_t from = offset;
    std::uint64_t to = end;
    Nanos since = now;
    for (const Piece& piece : old) {
        from = std::min(from, piece.offset);
        to = std::max(to, piece.end());
        since = std::min(since, piece.since);
    }

    // The front piece grows in place if it can; it is the one that a sequential writer extends.
    Piece merged;
    if (!old.empty() && old.front().offset == from && to - from <= room(old.front())) {
        merged = std::move(old.front());
        old.erase(old.begin());
        merged.length = to - from;
        merged.since = since;
    } else {
        merged = make(from, to, since);
    }
    for (const Piece& piece : old) put(merged, piece.offset, piece.bytes());
    put(merged, offset, data);
    insert(std::move(merged));
}

bool DirtyMap::adopt(std::uint64_t offset, Memory& memory, std::size_t at, std::size_t length,
                     Nanos now) {
    if (length < kAdoptLeast || offset % kBlockBytes != at % kBlockBytes) return false;
    if (offset + length > region_end(offset)) return false;
    if (first_touching(offset, offset + length) != pieces_.end()) return false;
    Piece piece;
    piece.offset = offset;
    piece.length = length;
    piece.memory = std::move(memory);
    piece.at = at;
    piece.since = now;
    insert(std::move(piece));
    return true;
}

DirtyMap::Pieces::iterator DirtyMap::first_overlapping(std::uint64_t from) {
    auto at = pieces_.upper_bound(from);
    if (at != pieces_.begin() && std::prev(at)->second.end() > from) --at;
    return at;
}

std::vector<Piece> DirtyMap::take(std::uint64_t from, std::uint64_t to) {
    std::vector<Piece> taken;
    auto at = first_overlapping(from);
    while (at != pieces_.end() && at->second.offset < to) taken.push_back(remove(at++));
    return taken;
}

std::vector<Piece> DirtyMap::take_complete(std::uint64_t from, std::uint64_t to) {
    std::vector<Piece> taken;
    auto at = first_overlapping(from);
    while (at != pieces_.end() && at->second.offset < to) {
        auto here = at++;
        const Piece& piece = here->second;
        if (piece.end() == region_end(piece.offset)) taken.push_back(remove(here));
    }
    return taken;
}

bool DirtyMap::touches(std::uint64_t from, std::uint64_t to) const {
    auto at = pieces_.lower_bound(to);
    if (at == pieces_.begin()) return false;
    return std::prev(at)->second.end() > from;
}

Nanos DirtyMap::oldest() const {
    CHECK(!pieces_.empty());
    Nanos oldest = pieces_.begin()->second.since;
    for (const auto& [offset, piece] : pieces_) oldest = std::min(oldest, piece.since);
    return oldest;
}

}  // namespace weft::frontend
