#include "engines/journal/segment_reader_internal.h"
#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "platform/isal/crc32c.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace weft::journal {
namespace {

constexpr std::uint32_t kWindowBlocks = 64;
// A commit has at most 256 blocks a piece: so several would be missing in such a stretch.
constexpr std::uint32_t kQuietBlocks = 1024;
constexpr int kTriesMost = 3;  // Of a read that ends with retry_later.
constexpr Nanos kPause = 20 * kMillisecond;

bool same_commit(const CommitHeader& a, const CommitHeader& b) {
    return a.number == b.number && a.first_lsn == b.first_lsn && a.flags == b.flags &&
           a.entry_count == b.entry_count && a.payload_bytes == b.payload_bytes &&
           a.piece_bytes == b.piece_bytes && a.data_width == b.data_width &&
           a.parity_width == b.parity_width && a.copies == b.copies && a.chunks == b.chunks;
}

}  // namespace

SegmentReader::SegmentReader(Reactor& reactor, DriveService& service, JournalId journal,
                             Segment segment)
    : reactor_(reactor),
      service_(service),
      journal_(journal),
      segment_(std::move(segment)),
      windows_(segment_.parts.size()) {}

Task<Done> SegmentReader::try_read(std::size_t part, std::uint32_t block, Bytes into) {
    for (int tries = 1;; ++tries) {
        auto read = co_await service_.read(segment_.parts[part].slot, block, into);
        if (read.code() != Code::retry_later || tries == kTriesMost) co_return read;
        co_await sleep(reactor_, kPause);
    }
}

// Never fails: blocks that can't be read are marked so.
Task<Done> SegmentReader::load(std::size_t part, std::uint32_t block, std::uint32_t blocks) {
    Window& window = windows_[part];
    if (window.bytes.size() < blocks * kBlockBytes) window.bytes = Buffer(blocks * kBlockBytes);
    window.first = block;
    window.count = blocks;
    Bytes all = window.bytes.bytes().first(blocks * kBlockBytes);
    auto whole = co_await try_read(part, block, all);
    window.readable.assign(blocks, whole.ok());
    bool bad_block = whole.code() == Code::io_failed || whole.code() == Code::corrupt;
    if (!bad_block) co_return Done{};
    for (std::uint32_t i = 0; i < blocks; ++i) {
        auto one = co_await try_read(part, block + i, all.subspan(i * kBlockBytes, kBlockBytes));
        window.readable[i] = one.ok();
    }
    co_return Done{};
}

Task<Done> SegmentReader::fill(std::uint32_t block, std::uint32_t blocks) {
    CHECK(block + blocks <= segment_.block_count);
    std::uint32_t ahead = std::max(blocks, kWindowBlocks);
    std::uint32_t count = std::min(ahead, segment_.block_count - block);
    std::vector<Task<Done>> loads;
    for (std::size_t part = 0; part < windows_.size(); ++part) {
        if (!windows_[part].holds(block, blocks)) loads.push_back(load(part, block, count));
    }
    (void)co_await join(loads);
    co_return Done{};
}

// Empty if any of the blocks could not be read.
ConstBytes SegmentReader::bytes_at(std::size_t part, std::uint32_t block,
                                   std::uint32_t blocks) const {
    const Window& window = windows_[part];
    if (!window.holds(block, blocks)) return {};
    std::uint32_t at = block - window.first;
    for (std::uint32_t i = 0; i < blocks; ++i) {
        if (!window.readable[at + i]) return {};
    }
    return window.bytes.bytes().subspan(at * kBlockBytes, blocks * kBlockBytes);
}

std::optional<CommitHeader> SegmentReader::header_at(std::size_t part, std::uint32_t block) const {
    auto header = decode_commit_header(bytes_at(part, block, 1));
    if (!header.has_value()) return std::nullopt;
    bool ours = header->journal == journal_ && header->segment == segment_.name &&
                header->epoch == segment_.epoch && header->chunks == segment_.chunks;
    if (!ours || block + header->blocks() > segment_.block_count) return std::nullopt;
    return header;
}

std::optional<CommitHeader> SegmentReader::find_header(std::uint64_t number) const {
    for (std::size_t part = 0; part < windows_.size(); ++part) {
        auto header = header_at(part, block_);
        if (header.has_value() && header->number == number) return header;
    }
    return std::nullopt;
}

SegmentReader::Pieces SegmentReader::gather(const CommitHeader& header) const {
    Pieces pieces;
    pieces.bodies.resize(header.pieces());
    std::uint32_t copies = 0;
    for (std::size_t part = 0; part < windows_.size(); ++part) {
        auto found = header_at(part, block_);
        if (!found.has_value() || !same_commit(*found, header)) continue;
        ConstBytes whole = bytes_at(part, block_, header.blocks());
        if (whole.empty()) continue;
        ConstBytes body = whole.subspan(sizeof(CommitHeader), header.piece_bytes);
        bool right = crc32c(body) == found->piece_crc;
        if (!right && !planted(Bug::journal_takes_torn_pieces)) continue;
        std::uint32_t position = header.mirrored() ? copies++ : found->piece;
        if (position >= pieces.bodies.size()) continue;
        // A body of an empty commit has no bytes, and still counts.
        bool fresh = header.mirrored() || pieces.bodies[position].empty();
        pieces.bodies[position] = body;
        if (fresh) ++pieces.good;
    }
    return pieces;
}

Task<std::optional<ReadCommit>> SegmentReader::read(std::uint64_t number) {
    std::optional<ReadCommit> none;
    if (block_ >= segment_.block_count) co_return none;
    (void)co_await fill(block_, 1);
    auto header = find_header(number);
    if (!header.has_value()) co_return none;
    (void)co_await fill(block_, header->blocks());
    header = find_header(number);
    if (!header.has_value()) co_return none;
    Pieces pieces = gather(*header);
    if (pieces.good < header->pieces_needed()) co_return none;

    ReadCommit commit;
    commit.header = *header;
    commit.pieces = pieces.good;
    if (header->mirrored())
        commit.payload.used = pieces.bodies[0];
    else
        commit.payload = join_row(*header, pieces.bodies, code_);
    auto entries = decode_records(commit.payload.used, header->entry_count);
    if (!entries.has_value()) co_return Error{Code::corrupt, "journal.records"};
    commit.entries = std::move(*entries);
    block_ += header->blocks();
    std::optional<ReadCommit> found(std::move(commit));
    co_return found;
}

std::uint32_t SegmentReader::unreadable() const {
    auto parts = static_cast<std::uint32_t>(std::popcount(segment_.chunks));
    std::uint32_t readable = 0;
    for (std::size_t part = 0; part < windows_.size(); ++part) {
        // What lies behind the segment's last block is nothing, and nobody misses it.
        bool past_end = block_ >= segment_.block_count;
        if (past_end || !bytes_at(part, block_, 1).empty()) ++readable;
    }
    return parts - std::min(parts, readable);
}

Task<SegmentReader::Claims> SegmentReader::claims() {
    Claims claims;
    std::uint32_t quiet = 0;
    for (std::uint32_t block = 0; block < segment_.block_count && quiet < kQuietBlocks; ++block) {
        (void)co_await fill(block, 1);
        ++quiet;
        for (std::size_t part = 0; part < windows_.size(); ++part) {
            auto header = header_at(part, block);
            if (!header.has_value()) continue;
            claims.flushed = std::max(claims.flushed, header->flushed_lsn);
            claims.trimmed = std::max(claims.trimmed, header->trimmed_lsn);
            quiet = 0;
        }
    }
    co_return claims;
}

}  // namespace weft::journal
