#pragma once

#include "engines/filedata/block_set_internal.h"
#include "model/ids/ids.h"
#include "platform/base/types.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace weft::filedata {

// Bytes of a file from `offset` on that came with record `lsn`.
struct StagedPiece {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    Lsn lsn;
    std::shared_ptr<const std::string> store;  // `length` bytes of it, from `skip` on.
    std::size_t skip = 0;

    std::uint64_t end() const { return offset + length; }
    ConstBytes bytes() const;
    // What lies in [from, to), which must be some of it.
    StagedPiece part(std::uint64_t from, std::uint64_t to) const;
};

// What all regions of a shard have staged.
class StagedTotals {
public:
    void add(const StagedPiece& piece);
    void remove(const StagedPiece& piece);
    // Counts what a piece costs beside its bytes, so that many small ones are bounded too.
    std::uint64_t bytes() const { return bytes_; }
    Lsn oldest() const { return pieces_.empty() ? Lsn{} : pieces_.begin()->first; }

private:
    std::uint64_t bytes_ = 0;
    std::map<Lsn, std::uint64_t> pieces_;  // Their number, by record.
};

// The staged bytes of one region. Pieces are ordered and never overlap: where two records
// wrote the same byte, the newer one's is kept.
class StagedPieces {
public:
    explicit StagedPieces(StagedTotals& totals) : totals_(totals) {}
    StagedPieces(const StagedPieces&) = delete;
    StagedPieces& operator=(const StagedPieces&) = delete;
    ~StagedPieces();

    // Records come in lsn order.
    void put(std::uint64_t offset, std::string bytes, Lsn lsn);
    // Lets go of the bytes in [from, to) that came with records up to `through`.
    void drop(std::uint64_t from, std::uint64_t to, Lsn through);

    bool empty() const { return pieces_.empty(); }
    // What lies in [from, to), clipped to it, in order.
    std::vector<StagedPiece> within(std::uint64_t from, std::uint64_t to) const;
    bool any(std::uint64_t from, std::uint64_t to) const;
    // Blocks with at least one staged byte: those of the span; those of records up to `through`.
    BlockSet blocks(BlockSpan span) const;
    BlockSet blocks(Lsn through) const;

private:
    using Map = std::map<std::uint64_t, StagedPiece>;
    // The first piece that ends behind `from`.
    Map::const_iterator first_behind(std::uint64_t from) const;
    void insert(StagedPiece piece);

    StagedTotals& totals_;
    Map pieces_;  // By offset.
};

}  // namespace weft::filedata
