#pragma once

#include "engines/journal/commit_internal.h"
#include "engines/journal/segment_internal.h"
#include "model/services/drive_service.h"
#include "platform/runtime/reactor.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace weft::journal {

struct ReadCommit {
    CommitHeader header;
    std::vector<Entry> entries;
    std::uint32_t pieces = 0;  // That were there and whole; enough, but maybe not all.
    Payload payload;           // What the entries of a row point to.
};

// Reads one segment from its slots, whatever they hold: pieces that are torn, foreign or gone
// are told by their checksums and made up for by the others.
class SegmentReader {
public:
    SegmentReader(Reactor& reactor, DriveService& service, JournalId journal, Segment segment);

    // The commit that comes next, if that is `number` and enough of its pieces are there.
    // Entries are good until the next call. Errors: corrupt (whole, and still not decodable).
    Task<std::optional<ReadCommit>> read(std::uint64_t number);
    // Slots whose content at the place of the next commit could not be read.
    std::uint32_t unreadable() const;
    const Segment& segment() const { return segment_; }

    // Headers of this segment at any place, up to a long stretch without any.
    struct Claims {
        Lsn flushed;
        Lsn trimmed;
    };
    Task<Claims> claims();

private:
    struct Window {
        Buffer bytes;
        std::uint32_t first = 0;
        std::uint32_t count = 0;
        std::vector<bool> readable;
        bool holds(std::uint32_t block, std::uint32_t blocks) const {
            return block >= first && block + blocks <= first + count;
        }
    };
    struct Pieces {
        std::vector<ConstBytes> bodies;  // By position in the row.
        std::uint32_t good = 0;
    };

    Task<Done> fill(std::uint32_t block, std::uint32_t blocks);
    Task<Done> load(std::size_t part, std::uint32_t block, std::uint32_t blocks);
    Task<Done> try_read(std::size_t part, std::uint32_t block, Bytes into);
    ConstBytes bytes_at(std::size_t part, std::uint32_t block, std::uint32_t blocks) const;
    std::optional<CommitHeader> header_at(std::size_t part, std::uint32_t block) const;
    std::optional<CommitHeader> find_header(std::uint64_t number) const;
    Pieces gather(const CommitHeader& header) const;

    Reactor& reactor_;
    DriveService& service_;
    JournalId journal_;
    Segment segment_;
    RowCode code_;
    std::vector<Window> windows_;  // By part.
    std::uint32_t block_ = 0;
};

}  // namespace weft::journal
