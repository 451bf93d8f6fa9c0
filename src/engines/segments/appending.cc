#include "engines/segments/state_internal.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>

namespace weft::segments {
namespace {

constexpr int kAppendTriesMost = 6;

// Block i of the data lies in chunk i / rows, at block first + i % rows of its slot.
void add_runs(SegmentId segment, std::uint32_t first, std::uint32_t rows, std::uint64_t blocks,
              std::vector<BlockRun>* runs) {
    for (std::uint64_t at = 0; at < blocks;) {
        auto in_chunk = static_cast<std::uint32_t>(at % rows);
        std::uint64_t count = std::min<std::uint64_t>(
            {blocks - at, rows - in_chunk, std::uint64_t{kExtentBlocksMost}});
        BlockAddress address{segment, first + in_chunk, static_cast<std::uint16_t>(at / rows)};
        runs->push_back({address, static_cast<std::uint32_t>(count)});
        at += count;
    }
}

}  // namespace

// The open segment of the stream if it is still the best to write to; else it is closed.
Segment* SegmentStore::State::usable_open_segment(StreamKind stream) {
    Segment* segment = find(open_segments[static_cast<std::size_t>(stream)]);
    if (segment == nullptr) return nullptr;
    Width now = width_now();
    if (now.total() < data_width + parity_width) refresh_soon();  // Who failed may be back.
    bool good =
        segment->reserved < segment->record.slot_blocks && segment->possible_width >= now.total();
    for (const SegmentSlot& slot : segment->record.slots) {
        good = good && table.writable(slot.drive);
        if (!now.with_suspects && table.suspected(slot.drive)) good = false;
    }
    if (good) return segment;
    close_segment(*segment);
    return nullptr;
}

// Rows for as many of the blocks as there is room for.
SegmentStore::State::Place SegmentStore::State::take_rows(Segment& segment, std::uint64_t blocks) {
    std::uint64_t room = segment.record.slot_blocks - segment.reserved;
    auto rows = static_cast<std::uint32_t>(std::min(room, divide_up(blocks, segment.data_width())));
    std::uint32_t first = segment.reserved;
    segment.reserved += rows;
    return {Hold(*this, segment, Hold::Why::appends), first, rows};
}

Task<SegmentStore::State::Place> SegmentStore::State::reserve(StreamKind stream, Purpose purpose,
                                                              std::uint64_t blocks) {
    if (Segment* open = usable_open_segment(stream)) co_return take_rows(*open, blocks);
    SharedMutex& mutex = *opening[static_cast<std::size_t>(stream)];
    auto lock = co_await or_return(co_await mutex.lock());
    Segment* open = usable_open_segment(stream);  // Another append may have opened one.
    if (open == nullptr) {
        if (closing) co_return Error{Code::cancelled, "segments.append"};
        co_await or_return(co_await open_segment(stream, purpose));
        open = find(open_segments[static_cast<std::size_t>(stream)]);
        CHECK(open != nullptr);
    }
    co_return take_rows(*open, blocks);
}

Task<Done> SegmentStore::State::write_stripe(Segment* segment, std::uint32_t first,
                                             std::uint32_t rows, ConstBytes data) {
    unsigned k = segment->data_width();
    unsigned m = segment->record.parity_width;
    std::size_t chunk_bytes = rows * kBlockBytes;
    CHECK(data.size() <= k * chunk_bytes);

    // Whole, aligned chunks are written from where they are; the rest is copied and padded.
    std::size_t whole = block_aligned(data.data()) ? data.size() / chunk_bytes : 0;
    Buffer copied((k - whole + m) * chunk_bytes);
    Bytes padded = copied.bytes().first((k - whole) * chunk_bytes);
    ConstBytes rest = data.subspan(whole * chunk_bytes);
    std::copy(rest.begin(), rest.end(), padded.begin());
    std::fill(padded.begin() + static_cast<std::ptrdiff_t>(rest.size()), padded.end(),
              std::byte{0});

    std::vector<ConstBytes> chunks;
    std::vector<Bytes> parity;
    for (unsigned i = 0; i < k; ++i) {
        chunks.push_back(i < whole
                             ? data.subspan(i * chunk_bytes, chunk_bytes)
                             : ConstBytes(padded).subspan((i - whole) * chunk_bytes, chunk_bytes));
    }
    for (unsigned i = 0; i < m; ++i) {
        parity.push_back(copied.bytes().subspan(padded.size() + i * chunk_bytes, chunk_bytes));
    }
    codec(k, m).encode(chunks, parity);
    if (planted(Bug::stripe_without_parity)) std::ranges::fill(parity.front(), std::byte{0});
    chunks.insert(chunks.end(), parity.begin(), parity.end());

    // No write is left behind when its deadline, the drive service's, has passed: it reads from
    // the caller's memory.
    std::vector<Task<Done>> writes;
    for (unsigned i = 0; i < k + m; ++i) writes.push_back(write_slot(segment, i, first, chunks[i]));
    auto results = co_await join(writes);

    Result<Done> outcome = Done{};
    for (const auto& result : results) {
        if (result.ok() || planted(Bug::stripe_acked_with_chunk_missing)) continue;
        bool full = result.code() == Code::out_of_space;
        if (full && planted(Bug::full_drive_counts_as_written)) continue;
        if (outcome.ok() || result.code() == Code::fenced) outcome = result;
    }
    co_await or_return(outcome);
    counters.blocks_written[static_cast<std::size_t>(segment->record.stream)] += k * rows;
    counters.parity_blocks_written += m * rows;
    co_return Done{};
}

// Writes as much of the front of `data` as one segment has room for; returns how many bytes.
Task<std::uint64_t> SegmentStore::State::append_part(StreamKind stream, Purpose purpose,
                                                     ConstBytes data, std::vector<BlockRun>* runs,
                                                     Claims* claims) {
    Result<Done> outcome = Done{};
    for (int tries = 0; tries < kAppendTriesMost; ++tries) {
        Place place =
            co_await or_return(co_await reserve(stream, purpose, data.size() / kBlockBytes));
        Segment& segment = place.hold.segment();
        std::uint64_t room = std::uint64_t{place.rows} * segment.data_width() * kBlockBytes;
        ConstBytes part = data.first(std::min(data.size(), room));
        outcome = co_await write_stripe(&segment, place.first, place.rows, part);
        if (outcome.ok()) {
            std::uint64_t blocks = part.size() / kBlockBytes;
            add_runs(segment.id, place.first, place.rows, blocks, runs);
            claims->held_.push_back(std::make_shared<Hold>(*this, segment, Hold::Why::claims));
            co_return part.size();
        }
        // Some of its slots have the row and some not: nothing more goes there.
        segment.uneven = true;
        if (segment.record.closed) {
            (void)log_record(segment);
        } else {
            close_segment(segment);
        }
        if (outcome.code() == Code::fenced) break;
    }
    co_return outcome.error();
}

Task<std::vector<BlockRun>> SegmentStore::State::append(StreamKind stream, ConstBytes data,
                                                        Purpose purpose, Claims* claims) {
    CHECK(opened && !data.empty() && data.size() % kBlockBytes == 0 && claims != nullptr);
    std::vector<BlockRun> runs;
    while (!data.empty()) {
        if (closing) co_return Error{Code::cancelled, "segments.append"};
        std::uint64_t written =
            co_await or_return(co_await append_part(stream, purpose, data, &runs, claims));
        data = data.subspan(written);
    }
    co_return runs;
}

}  // namespace weft::segments
