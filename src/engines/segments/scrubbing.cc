#include "engines/segments/state_internal.h"
#include "platform/base/planted.h"

#include <algorithm>

namespace weft::segments {
namespace {

constexpr std::uint32_t kRowBlocks = 64;

bool same(ConstBytes a, ConstBytes b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

ConstBytes block_of(const Buffer& chunk, std::uint32_t block) {
    return chunk.bytes().subspan(block * kBlockBytes, kBlockBytes);
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
    bool verified_again = false;
    bool even = false;  // Every row is whole and agrees now.
};

Task<Done> SegmentStore::State::scrub(std::function<Task<Done>(SegmentId)> verify) {
    CHECK(opened);
    std::vector<SegmentId> ids;
    for (const auto& [id, segment] : segments) {
        if (segment.record.closed) ids.push_back(id);
    }
    for (SegmentId id : ids) {
        Segment* segment = find(id);
        if (segment == nullptr) continue;
        co_await or_return(co_await scrub_one(segment, &verify));
    }
    co_return Done{};
}

Task<bool> SegmentStore::State::scrub_one(Segment* segment, Verify* verify) {
    Hold hold(*this, *segment);
    Scrub scrub;
    scrub.segment = segment;
    scrub.verify = verify;
    co_await or_return(co_await scrub_segment(&scrub));
    co_return scrub.even;
}

Task<Done> SegmentStore::State::scrub_segment(Scrub* scrub) {
    Segment& segment = *scrub->segment;
    auto verified = co_await (*scrub->verify)(segment.id);
    if (verified.code() == Code::fenced || verified.code() == Code::cancelled) {
        co_return verified.error();
    }
    // Parity may be the last trace of data that is bad: it is not touched.
    if (!verified.ok() || missing_slots(segment) > 0) co_return Done{};
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
    if (std::exchange(segment.uneven, false)) (void)log_record(segment);
    co_return Done{};
}

Task<Done> SegmentStore::State::scrub_row(Scrub* scrub, std::uint32_t first, std::uint32_t count) {
    Segment& segment = *scrub->segment;
    const erasure::Codec& code = codec(segment.data_width(), segment.record.parity_width);
    Row row(segment.width(), first, count);
    co_await or_return(co_await gather(&segment, &row, segment.width()));
    if (agrees(code, row) || planted(Bug::scrub_passes_parity)) co_return Done{};

    // Before anything is written: is the data still good, and is it the same once more?
    if (!scrub->verified_again) {
        scrub->verified_again = true;
        auto verified = co_await (*scrub->verify)(segment.id);
        scrub->even = scrub->even && verified.ok();
    }
    Row again(segment.width(), first, count);
    co_await or_return(co_await gather(&segment, &again, segment.width()));
    if (agrees(code, again)) co_return Done{};
    bool unknown = (segment.uneven || segment.doubtful != 0) && segment.claims > 0;
    if (!scrub->even || !data_there(code, again) || unknown) {
        scrub->even = false;
        co_return Done{};
    }
    co_return co_await mend(scrub, &again);
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
