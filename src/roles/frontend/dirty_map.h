#pragma once

#include "platform/base/types.h"
#include "roles/frontend/request_memory.h"

#include <cstdint>
#include <map>
#include <vector>

namespace weft::frontend {

// The unit in which a file is spread over shards: no piece crosses its boundary.
inline constexpr std::uint64_t kRegionBytes = 1 * kMiB;

// A run of a file's bytes that compute does not have yet.
struct Piece {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    Memory memory;
    std::size_t at = 0;  // Where the first byte lies in `memory`; as `offset`, modulo 4 KiB.
    Nanos since = 0;     // When its oldest byte was written.

    std::uint64_t end() const { return offset + length; }
    ConstBytes bytes() const { return memory.bytes().subspan(at, length); }
};

// The buffered writes of one file. Free of I/O; tested against a plain array of bytes.
//
// Invariant: pieces are sorted, not empty, never overlap, never touch within a region, and
// never cross a region's boundary. The newest byte written at an offset is the one kept.
class DirtyMap {
public:
    explicit DirtyMap(MemoryPool& pool) : pool_(&pool) {}

    // Copies `data` in.
    void write(std::uint64_t offset, ConstBytes data, Nanos now);
    // The same without copying, where the data can stay where it lies: in `memory`, a whole one
    // of the pool, from `at` on. Takes the memory then and returns true; else changes nothing.
    bool adopt(std::uint64_t offset, Memory& memory, std::size_t at, std::size_t length, Nanos now);

    // Pieces that touch [from, to), whole; oldest first is not promised.
    std::vector<Piece> take(std::uint64_t from, std::uint64_t to);
    std::vector<Piece> take_all() { return take(0, UINT64_MAX); }
    // Of those that touch [from, to) the ones that end a region: nothing more is expected of a
    // sequential writer there.
    std::vector<Piece> take_complete(std::uint64_t from, std::uint64_t to);

    bool empty() const { return pieces_.empty(); }
    bool touches(std::uint64_t from, std::uint64_t to) const;
    std::uint64_t data_bytes() const { return data_bytes_; }
    // What its memory weighs; more than the data.
    std::uint64_t memory_bytes() const { return memory_bytes_; }
    // Of the oldest piece; only if not empty.
    Nanos oldest() const;

private:
    using Pieces = std::map<std::uint64_t, Piece>;
    void write_in_region(std::uint64_t offset, ConstBytes data, Nanos now);
    // The first piece of the region of `from` that overlaps or touches [from, to].
    Pieces::iterator first_touching(std::uint64_t from, std::uint64_t to);
    bool touching(const Piece& piece, std::uint64_t from, std::uint64_t to) const;
    Pieces::iterator first_overlapping(std::uint64_t from);
    Piece remove(Pieces::iterator at);
    void insert(Piece piece);
    // An unfilled piece [offset, end) with room to grow.
    Piece make(std::uint64_t offset, std::uint64_t end, Nanos since);

    MemoryPool* pool_;
    Pieces pieces_;
    std::uint64_t data_bytes_ = 0;
    std::uint64_t memory_bytes_ = 0;
};

}  // namespace weft::frontend
