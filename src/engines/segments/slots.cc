#include "engines/segments/state_internal.h"
#include "platform/runtime/join.h"

#include <algorithm>

namespace weft::segments {

std::uint32_t Row::there() const {
    std::uint32_t set = 0;
    for (unsigned chunk = 0; chunk < chunks.size(); ++chunk) {
        if (chunks[chunk]) set |= 1U << chunk;
    }
    return set;
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges_of(const std::vector<bool>& bits) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges;
    for (std::uint32_t at = 0; at < bits.size(); ++at) {
        if (!bits[at]) continue;
        if (!ranges.empty() && ranges.back().second == at) {
            ++ranges.back().second;
        } else {
            ranges.emplace_back(at, at + 1);
        }
    }
    return ranges;
}

void SegmentStore::State::note_failure(Segment& segment, unsigned chunk, SegmentSlot slot,
                                       Code code) {
    if (code == Code::fenced) return;
    if (code == Code::stale) {
        // Unless the chunk has moved meanwhile, the drive was formatted or replaced.
        if (segment.record.slots[chunk] == slot) segment.lost |= 1U << chunk;
        return;
    }
    table.suspect(slot.drive);
}

Task<Done> SegmentStore::State::read_slot(Segment* segment, unsigned chunk, std::uint32_t block,
                                          Bytes into) {
    SegmentSlot slot = segment->record.slots[chunk];
    if (slot_missing(*segment, chunk)) co_return Error{Code::unavailable, "segments.read_slot"};
    auto outcome = co_await drives.read(slot, block, into);
    if (outcome.ok()) {
        counters.blocks_read += into.size() / kBlockBytes;
    } else if (outcome.code() != Code::io_failed) {
        note_failure(*segment, chunk, slot, outcome.code());  // A bad block is no bad drive.
    }
    co_return outcome;
}

Task<Done> SegmentStore::State::write_slot(Segment* segment, unsigned chunk, std::uint32_t block,
                                           ConstBytes from) {
    SegmentSlot slot = segment->record.slots[chunk];
    if (slot_missing(*segment, chunk)) co_return Error{Code::unavailable, "segments.write_slot"};
    auto outcome = co_await drives.write(slot, fence(), block, from);
    if (outcome.ok()) {
        table.trust(slot.drive);
    } else {
        note_failure(*segment, chunk, slot, outcome.code());
    }
    co_return outcome;
}

Task<Done> SegmentStore::State::gather(Segment* segment, Row* row, unsigned wanted) {
    for (;;) {  // Each round tries chunks that were not tried before.
        auto have = static_cast<unsigned>(std::popcount(row->there()));
        std::vector<unsigned> next;
        for (bool suspects : {false, true}) {
            for (unsigned chunk = 0; chunk < segment->width(); ++chunk) {
                bool suspected = table.suspected(segment->record.slots[chunk].drive);
                bool enough = have + next.size() >= wanted;
                if (enough || row->tried[chunk] || suspected != suspects) continue;
                next.push_back(chunk);
            }
        }
        if (next.empty()) co_return Done{};

        std::vector<Buffer> buffers;
        std::vector<Task<Done>> reads;
        for (unsigned chunk : next) {
            row->tried[chunk] = true;
            Bytes into = buffers.emplace_back(row->bytes()).bytes();
            reads.push_back(read_slot(segment, chunk, row->first, into));
        }
        auto results = co_await join(reads);
        for (std::size_t i = 0; i < next.size(); ++i) {
            if (results[i].ok()) row->chunks[next[i]] = std::move(buffers[i]);
            if (results[i].code() == Code::io_failed) row->unreadable |= 1U << next[i];
        }
    }
}

void SegmentStore::State::decode(const Segment& segment, const Row& row, std::uint32_t survivors,
                                 unsigned number, std::uint32_t from, Bytes into) {
    std::vector<erasure::SourceChunk> sources;
    for (unsigned chunk = 0; chunk < segment.width(); ++chunk) {
        if ((survivors >> chunk & 1) == 0) continue;
        ConstBytes bytes = row.chunks[chunk].bytes();
        sources.push_back({chunk, bytes.subspan(from * kBlockBytes, into.size())});
    }
    erasure::TargetChunk target{number, into};
    codec(segment.data_width(), segment.record.parity_width)
        .reconstruct(sources, std::span(&target, 1));
}

}  // namespace weft::segments
