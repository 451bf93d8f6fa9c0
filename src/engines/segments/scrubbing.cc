#include "engines/segments/state_internal.h"
#include "platform/base/planted.h"
#include "platform/isal/crc32c.h"

#include <algorithm>

namespace weft::segments {
namespace {

constexpr std::uint32_t kRowBlocks = 64;
constexpr int kVerifiesMost = 3;  // Of a segment in one scrub, besides the first.
constexpr std::uint64_t kUnreadable = std::uint64_t{1} << 32;  // No crc.

bool same(ConstBytes a, ConstBytes b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

ConstBytes block_of(const Buffer& chunk, std::uint32_t block) {
    return chunk.bytes().subspan(block * kBlockBytes, kBlockBytes);
}

// The crc of the block, or kUnreadable.
std::uint64_t mark_of(const Buffer& chunk, std::uint32_t block) {
    return chunk ? crc32c(block_of(chunk, block)) : kUnreadable;
}

// The parity of the data chunks in blocks [from, from + count) of a row, all m chunks in turn.
Buffer parity_of(const erasure::Codec& codec, const Row& row, std::uint32_t from,
                 std::uint32_t count) {
    std::size_t bytes = count * kBlockBytes;
    Buffer parity(codec.parity_width() * bytes);
    std::vector<ConstBytes> sources;
    std::vector<Bytes> targets;
    for (unsigned i = 0; i < codec.data_width(); ++i) {
        sources.push_back(row.chunks[i].bytes().subspan(from * kBlockBytes, bytes));
    }
    for (unsigned i = 0; i < codec.parity_width(); ++i) {
        targets.push_back(parity.bytes().subspan(i * bytes, bytes));
    }
    codec.encode(sources, targets);
    return parity;
}

bool data_there(const erasure::Codec& codec, const Row& row) {
    std::uint32_t data = (1U << codec.data_width()) - 1;
    return (row.there() & data) == data;
}

bool agrees(const erasure::Codec& codec, const Row& row) {
    if (!data_there(codec, row)) return false;
    Buffer parity = parity_of(codec, row, 0, row.count);
    for (unsigned i = 0; i < codec.parity_width(); ++i) {
        const Buffer& stored = row.chunks[codec.data_width() + i];
        ConstBytes right = parity.bytes();
        if (!stored || !same(stored.bytes(), right.subspan(i * row.bytes(), row.bytes()))) {
            return false;
        }
    }
    return true;
}

// Bit i: parity chunk i was read and is what the data make of it.
std::uint32_t right_parity(const erasure::Codec& codec, const Row& row, std::uint32_t block,
                           const Buffer& right) {
    std::uint32_t set = 0;
    for (unsigned i = 0; i < codec.parity_width(); ++i) {
        const Buffer& stored = row.chunks[codec.data_width() + i];
        if (stored && same(block_of(stored, block), block_of(right, i))) set |= 1U << i;
    }
    return set;
}

}  // namespace

struct SegmentStore::State::Scrub {
    Segment* segment = nullptr;
    Verify* verify = nullptr;
    bool even = false;  // Every row is whole and agrees now.
    bool good = false;  // All that lives in the segment was so when it was last verified.
    // It was right on the drives as well. A repair may have been acked and not kept: only what was
    // there without one is known to be there.
    bool in_place = false;
    int verifies_left = kVerifiesMost;
    // The crc of each data block, by chunk and block, as it was right before the last verify; one
    // that could not be read has kUnreadable. Empty: not looked at yet.
    std::vector<std::uint64_t> seen;

    void note(const Row& row);
    bool saw(const Row& row) const;  // The data blocks of the row were so then.

private:
    std::size_t place(unsigned chunk, std::uint32_t block) const {
        return std::size_t{chunk} * segment->record.used_blocks + block;
    }
};

void SegmentStore::State::Scrub::note(const Row& row) {
    for (unsigned chunk = 0; chunk < segment->data_width(); ++chunk) {
        for (std::uint32_t block = 0; block < row.count; ++block) {
            seen[place(chunk, row.first + block)] = mark_of(row.chunks[chunk], block);
        }
    }
}

bool SegmentStore::State::Scrub::saw(const Row& row) const {
    if (seen.empty()) return false;
    for (unsigned chunk = 0; chunk < segment->data_width(); ++chunk) {
        for (std::uint32_t block = 0; block < row.count; ++block) {
            std::uint64_t now = mark_of(row.chunks[chunk], block);
            if (now != seen[place(chunk, row.first + block)]) return false;
        }
    }
    return true;
}

Task<Done> SegmentStore::State::scrub(std::function<Task<Done>(SegmentId)> verify) {
    CHECK(opened);
    std::uint64_t repaired = counters.blocks_repaired;
    std::vector<SegmentId> ids;
    for (const auto& [id, segment] : segments) {
        if (segment.record.closed) ids.push_back(id);
    }
    for (SegmentId id : ids) {
        Segment* segment = find(id);
        if (segment == nullptr) continue;
        co_await or_return(co_await scrub_one(segment, &verify));
    }
    if (counters.blocks_repaired == repaired) co_return Done{};
    // It must not be bad again after a loss of power.
    Lsn none;
    co_return co_await log.flushed(none);
}

Task<bool> SegmentStore::State::scrub_one(Segment* segment, Verify* verify) {
    Hold hold(*this, *segment, Hold::Why::scrubs);
    Scrub scrub;
    scrub.segment = segment;
    scrub.verify = verify;
    co_await or_return(co_await scrub_segment(&scrub));
    co_return scrub.even;
}

// False if not all that lives in the segment is good.
Task<bool> SegmentStore::State::verify_segment(Scrub* scrub) {
    scrub->segment->unrepaired = false;
    std::uint64_t made = scrub->segment->made;
    auto verified = co_await (*scrub->verify)(scrub->segment->id);
    if (verified.code() == Code::fenced || verified.code() == Code::cancelled) {
        co_return verified.error();
    }
    scrub->good = verified.ok();
    scrub->in_place = scrub->segment->made == made;
    co_return scrub->good;
}

Task<Done> SegmentStore::State::scrub_segment(Scrub* scrub) {
    Segment& segment = *scrub->segment;
    bool good = co_await or_return(co_await verify_segment(scrub));
    // Parity may be the last trace of data that is bad: it is not touched.
    if (!good || missing_slots(segment) > 0) co_return Done{};
    if (segment.appends > 0) co_return Done{};

    auto slots = segment.record.slots;
    scrub->even = true;
    for (std::uint32_t first = 0; first < segment.record.used_blocks; first += kRowBlocks) {
        if (closing) co_return Error{Code::cancelled, "segments.scrub"};
        std::uint32_t count = std::min(kRowBlocks, segment.record.used_blocks - first);
        co_await or_return(co_await scrub_row(scrub, first, count));
        co_await yield(reactor);
    }
    if (!scrub->even || (!segment.uneven && segment.doubtful == 0)) co_return Done{};
    // What was mended must not go with a loss of power that this record survives.
    Lsn none;
    co_await or_return(co_await log.flushed(none));
    scrub->even = slots == segment.record.slots;  // No rebuild has come in between.
    if (!scrub->even) co_return Done{};
    segment.doubtful = 0;
    segment.torn = false;
    if (std::exchange(segment.uneven, false)) (void)log_record(segment);
    co_return Done{};
}

// Parity is made of data that was the same before and after it was verified: a drive may turn to
// noise at any time, and parity that agrees with that would be the end of what it was to protect.
Task<Done> SegmentStore::State::scrub_row(Scrub* scrub, std::uint32_t first, std::uint32_t count) {
    Segment& segment = *scrub->segment;
    const erasure::Codec& code = codec(segment.data_width(), segment.record.parity_width);
    for (;;) {  // Ends: so often is nothing verified.
        Row row(segment.width(), first, count);
        co_await or_return(co_await gather(&segment, &row, segment.width()));
        if (row.splits()) {
            for (std::uint32_t block = first; block < first + count; ++block) {
                co_await or_return(co_await scrub_row(scrub, block, 1));
            }
            co_return Done{};
        }
        if (agrees(code, row) || planted(Bug::scrub_passes_parity)) co_return Done{};
        std::uint32_t all = (1U << segment.width()) - 1;
        if ((row.there() | row.unreadable) != all) {
            scrub->even = false;  // A drive is away: nothing is to be had from there, nor written.
            co_return Done{};
        }
        if (scrub->saw(row)) {
            bool unknown = (segment.uneven || segment.doubtful != 0) && segment.claims > 0;
            bool whole = scrub->good && scrub->in_place && !unknown;
            if (whole) whole = co_await or_return(co_await fill_unreadable(scrub, &row));
            if (whole) co_return co_await mend(scrub, &row);
        }
        if (scrub->saw(row) || !scrub->good || scrub->verifies_left == 0) {
            scrub->even = false;
            co_return Done{};
        }
        co_await or_return(co_await verify_anew(scrub));
    }
}

Task<Done> SegmentStore::State::verify_anew(Scrub* scrub) {
    const SegmentRecord& record = scrub->segment->record;
    --scrub->verifies_left;
    scrub->seen.assign(std::size_t{record.data_width} * record.used_blocks, kUnreadable);
    for (std::uint32_t first = 0; first < record.used_blocks; first += kRowBlocks) {
        if (closing) co_return Error{Code::cancelled, "segments.scrub"};
        std::uint32_t count = std::min(kRowBlocks, record.used_blocks - first);
        co_await or_return(co_await see_data(scrub, first, count));
    }
    (void)co_await or_return(co_await verify_segment(scrub));
    co_return Done{};
}

Task<Done> SegmentStore::State::see_data(Scrub* scrub, std::uint32_t first, std::uint32_t count) {
    Segment* segment = scrub->segment;
    Row row(segment->width(), first, count);
    for (unsigned chunk = segment->data_width(); chunk < segment->width(); ++chunk) {
        row.tried[chunk] = true;
    }
    co_await or_return(co_await gather(segment, &row, segment->data_width()));
    if (row.splits()) {
        for (std::uint32_t block = first; block < first + count; ++block) {
            co_await or_return(co_await see_data(scrub, block, 1));
        }
        co_return Done{};
    }
    scrub->note(row);
    co_await yield(reactor);
    co_return Done{};
}

// Writes the data blocks of the row that their drives cannot read. What lives was made right by the
// verify, so they are dead: the others say what they were, and where those do not agree or are too
// few, anything does. False if something of the row stays missing.
Task<bool> SegmentStore::State::fill_unreadable(Scrub* scrub, Row* row) {
    Segment& segment = *scrub->segment;
    unsigned k = segment.data_width();
    std::uint32_t data = (1U << k) - 1;
    std::uint32_t to_fill = data & ~row->there();
    if (to_fill == 0) co_return true;
    if ((to_fill & ~row->unreadable) != 0) co_return false;
    bool certain = survivors_agree(segment, *row, row->there());
    bool dead = !segment.unrepaired && segment.claims == 0;
    if (!certain && !dead) co_return false;
    std::uint32_t survivors = row->there();
    bool enough = std::popcount(survivors) >= static_cast<int>(k);
    while (std::popcount(survivors) > static_cast<int>(k)) survivors &= survivors - 1;
    for (unsigned chunk = 0; chunk < k; ++chunk) {
        if ((to_fill >> chunk & 1) == 0) continue;
        Buffer made(row->bytes());
        std::fill(made.bytes().begin(), made.bytes().end(), std::byte{0});
        if (enough) decode(segment, *row, survivors, chunk, 0, made.bytes());
        auto written = co_await write_slot(&segment, chunk, row->first, made.bytes());
        if (written.code() == Code::fenced) co_return written.error();
        if (!written.ok()) co_return false;
        counters.blocks_repaired += row->count;
        row->chunks[chunk] = std::move(made);
    }
    co_return true;
}

Task<Done> SegmentStore::State::mend(Scrub* scrub, Row* row) {
    for (std::uint32_t block = 0; block < row->count; ++block) {
        auto mended = co_await mend_block(scrub, row, block);
        if (mended.code() == Code::fenced) co_return mended.error();
        if (!mended.ok()) scrub->even = false;
        co_await yield(reactor);
    }
    co_return Done{};
}

Task<Done> SegmentStore::State::mend_block(Scrub* scrub, Row* row, std::uint32_t block) {
    Segment& segment = *scrub->segment;
    const erasure::Codec& code = codec(segment.data_width(), segment.record.parity_width);
    unsigned k = code.data_width();
    unsigned m = code.parity_width();
    Buffer right = parity_of(code, *row, block, 1);
    std::uint32_t agreeing = right_parity(code, *row, block, right);
    if (agreeing == (1U << m) - 1) co_return Done{};
    std::uint64_t counted = segment.uneven ? 0 : 1;

    // One wrong data block makes every parity block wrong. If a single block, changed, brings
    // all of them to agree, it is that one: of data that no owner holds to a checksum. Not so
    // where parity was made from bad data: that agrees with something that never was.
    std::uint32_t all = (1U << segment.width()) - 1;
    bool trusted = !segment.uneven && segment.doubtful == 0 && row->there() == all;
    for (unsigned chunk = 0; chunk < k && agreeing == 0 && trusted; ++chunk) {
        std::uint32_t survivors = ((1U << (k + 1)) - 1) & ~(1U << chunk);
        Buffer made(kBlockBytes);
        decode(segment, *row, survivors, chunk, block, made.bytes());
        Bytes stored = row->chunks[chunk].bytes().subspan(block * kBlockBytes, kBlockBytes);
        std::swap_ranges(stored.begin(), stored.end(), made.bytes().begin());
        Buffer parity = parity_of(code, *row, block, 1);
        if (right_parity(code, *row, block, parity) == (1U << m) - 1) {
            auto written = co_await write_slot(&segment, chunk, row->first + block, stored);
            if (written.ok()) counters.blocks_repaired += counted;
            co_return written;
        }
        std::swap_ranges(stored.begin(), stored.end(), made.bytes().begin());
    }

    for (unsigned i = 0; i < m; ++i) {
        if ((agreeing >> i & 1) != 0) continue;
        std::uint32_t at = row->first + block;
        auto written = co_await write_slot(&segment, k + i, at, block_of(right, i));
        co_await or_return(written);
        counters.blocks_repaired += counted;
    }
    co_return Done{};
}

}  // namespace weft::segments
