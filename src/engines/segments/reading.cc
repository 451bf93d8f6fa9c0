#include "engines/segments/state_internal.h"
#include "platform/base/planted.h"
#include "platform/isal/crc32c.h"

#include <algorithm>

namespace weft::segments {
namespace {

constexpr unsigned kCombinationsBetweenYields = 32;

// The next larger number with as many bits set (Gosper's hack).
std::uint32_t next_combination(std::uint32_t bits) {
    std::uint32_t low = bits & (~bits + 1);
    std::uint32_t ripple = bits + low;
    return ripple | (((bits ^ ripple) / low) >> 2);
}

// The numbers in `set` (bits) at the positions in `positions` (bits).
std::uint32_t pick(std::uint32_t set, std::uint32_t positions) {
    std::uint32_t picked = 0;
    for (unsigned position = 0; set != 0; set &= set - 1, ++position) {
        if ((positions >> position & 1) != 0) picked |= set & (~set + 1);
    }
    return picked;
}

// The first `count` numbers in `set`.
std::uint32_t first_of(std::uint32_t set, unsigned count) {
    return pick(set, (1U << count) - 1);
}

unsigned count_of(std::uint32_t set) {
    return static_cast<unsigned>(std::popcount(set));
}

}  // namespace

bool SegmentStore::State::Reading::right(std::uint32_t block) const {
    if (planted(Bug::read_without_checksum)) return true;
    return crc32c(into.subspan(block * kBlockBytes, kBlockBytes)) == crcs[block];
}

bool SegmentStore::State::Reading::check() {
    bool all_right = true;
    for (std::uint32_t block = 0; block < run.count; ++block) {
        if (right(block)) continue;
        if (all_right) bad.assign(run.count, false);
        all_right = false;
        bad[block] = true;
    }
    if (all_right) bad.clear();
    return all_right;
}

Task<Done> SegmentStore::State::read(BlockRun run, std::span<const std::uint32_t> crcs,
                                     Bytes into) {
    CHECK(run.count > 0 && crcs.size() == run.count && into.size() == run.count * kBlockBytes);
    Segment* segment = find(run.first.segment);
    if (segment == nullptr) co_return Error{Code::stale, "segments.read"};
    std::uint64_t end = std::uint64_t{run.first.block} + run.count;
    if (run.first.chunk >= segment->data_width() || end > segment->record.slot_blocks) {
        co_return Error{Code::corrupt, "segments.read"};
    }
    Hold hold(*this, *segment);

    Buffer bounce(block_aligned(into.data()) ? 0 : into.size());
    Reading reading;
    reading.segment = segment;
    reading.run = run;
    reading.crcs = crcs;
    reading.into = bounce ? bounce.bytes() : into;
    co_await or_return(co_await read_direct(&reading));
    if (!reading.bad.empty()) co_await or_return(co_await read_degraded(&reading));
    if (bounce) std::copy(reading.into.begin(), reading.into.end(), into.begin());
    co_return Done{};
}

// Reads the run where it lies; what is not right then is in `bad`.
Task<Done> SegmentStore::State::read_direct(Reading* reading) {
    Segment* segment = reading->segment;
    unsigned chunk = reading->run.first.chunk;
    reading->bad.assign(reading->run.count, true);
    for (int tries = 0; tries < 2; ++tries) {
        if (slot_missing(*segment, chunk)) co_return Done{};
        SegmentSlot slot = segment->record.slots[chunk];
        if (table.suspected(slot.drive) && segment->scrubs == 0) {
            // Decoding is sooner done than waiting for it to time out once more.
            refresh_soon();
            co_return Done{};
        }
        auto read = co_await read_slot(segment, chunk, reading->run.first.block, reading->into);
        reading->served = read.ok() || read.code() == Code::io_failed;
        if (read.ok()) (void)reading->check();
        bool in_part = read.code() == Code::io_failed && reading->run.count > 1;
        if (in_part) co_await or_return(co_await read_each_block(reading));
        bool moved = segment->record.slots[chunk] != slot;  // By a rebuild, meanwhile.
        if (reading->bad.empty() || !moved) co_return Done{};
    }
    co_return Done{};
}

// Where not all of the run can be read: what is bad is bad alone.
Task<Done> SegmentStore::State::read_each_block(Reading* reading) {
    for (std::uint32_t block = 0; block < reading->run.count; ++block) {
        std::uint32_t at = reading->run.first.block + block;
        Bytes into = reading->into.subspan(block * kBlockBytes, kBlockBytes);
        auto read = co_await read_slot(reading->segment, reading->run.first.chunk, at, into);
        reading->bad[block] = !read.ok() || !reading->right(block);
    }
    bool any = std::find(reading->bad.begin(), reading->bad.end(), true) != reading->bad.end();
    if (!any) reading->bad.clear();
    co_return Done{};
}

Task<Done> SegmentStore::State::read_degraded(Reading* reading) {
    Segment* segment = reading->segment;
    unsigned chunk = reading->run.first.chunk;
    std::vector<bool> made = reading->bad;
    auto ranges = ranges_of(reading->bad);
    std::uint32_t begin = ranges.front().first;
    std::uint32_t end = ranges.back().second;
    ++counters.degraded_reads;
    ++segment->made;
    bool enough = co_await or_return(co_await make_range(reading, begin, end));

    for (std::size_t i = 0; i < made.size(); ++i) made[i] = made[i] && !reading->bad[i];
    co_await or_return(co_await write_back(reading, std::move(made)));

    auto lost = std::count(reading->bad.begin(), reading->bad.end(), true);
    if (lost == 0) co_return Done{};
    bool away = !reading->served && !slot_missing(*segment, chunk);
    if (away) {
        // Its drive was passed over, but nobody else can give the bytes.
        auto last = co_await read_slot(segment, chunk, reading->run.first.block, reading->into);
        if (last.ok() && reading->check()) co_return Done{};
    }
    counters.blocks_lost += static_cast<std::uint64_t>(lost);
    Code code = enough ? Code::corrupt : Code::unavailable;
    co_return Error{code, "segments.read"};
}

// Makes those of blocks [begin, end) of the run that are bad from the other chunks. False if some
// of them cannot be made as too few chunks could be read.
Task<bool> SegmentStore::State::make_range(Reading* reading, std::uint32_t begin,
                                           std::uint32_t end) {
    Segment* segment = reading->segment;
    unsigned chunk = reading->run.first.chunk;
    unsigned k = segment->data_width();
    auto any_bad = [reading, begin, end] {
        auto first = reading->bad.begin();
        return std::find(first + begin, first + end, true) != first + end;
    };
    Row row(segment->width(), reading->run.first.block + begin, end - begin);
    row.tried[chunk] = true;
    co_await or_return(co_await gather(segment, &row, k));
    bool enough = count_of(row.there()) >= k;
    if (enough) {
        std::uint32_t survivors = first_of(row.there(), k);
        for (std::uint32_t block = begin; block < end; ++block) {
            if (!reading->bad[block]) continue;
            Bytes into = reading->into.subspan(block * kBlockBytes, kBlockBytes);
            decode(*segment, row, survivors, chunk, block - begin, into);
            reading->bad[block] = !reading->right(block);
        }
        if (any_bad()) co_await or_return(co_await search_survivors(reading, &row, survivors));
    }
    if (!any_bad() || !row.splits()) co_return enough || !any_bad();
    // What cannot be read of one chunk and of another may be different blocks.
    enough = true;
    for (std::uint32_t block = begin; block < end; ++block) {
        if (!reading->bad[block]) continue;
        bool some = co_await or_return(co_await make_range(reading, block, block + 1));
        enough = enough && some;
    }
    co_return enough;
}

// Survivors carry no checksum of their own: where what they make does not match, one of them is
// bad, and the other choices of k among all that can be read are tried, for each block.
Task<Done> SegmentStore::State::search_survivors(Reading* reading, Row* row, std::uint32_t tried) {
    Segment* segment = reading->segment;
    unsigned k = segment->data_width();
    co_await or_return(co_await gather(segment, row, segment->width()));
    std::uint32_t there = row->there();
    std::uint32_t combinations_end = 1U << count_of(there);
    std::uint32_t begin = row->first - reading->run.first.block;
    std::uint32_t lucky = 0;  // What made the block before is likely to make the next.
    unsigned since_yield = 0;
    Buffer made(kBlockBytes);
    for (std::uint32_t block = begin; block < begin + row->count; ++block) {
        if (!reading->bad[block]) continue;
        std::uint32_t positions = (1U << k) - 1;
        for (bool first = lucky != 0; positions < combinations_end; first = false) {
            std::uint32_t survivors = first ? lucky : pick(there, positions);
            if (!first) positions = next_combination(positions);
            if (survivors == tried) continue;
            decode(*segment, *row, survivors, reading->run.first.chunk, block - begin,
                   made.bytes());
            if (crc32c(made.bytes()) == reading->crcs[block]) {
                auto place =
                    reading->into.begin() + static_cast<std::ptrdiff_t>(block * kBlockBytes);
                std::copy(made.bytes().begin(), made.bytes().end(), place);
                reading->bad[block] = false;
                lucky = survivors;
                break;
            }
            if (++since_yield % kCombinationsBetweenYields == 0) co_await yield(reactor);
        }
    }
    co_return Done{};
}

// Repair is the only write in place: the same content again, so that readers and parity do not
// care whether it has happened.
Task<Done> SegmentStore::State::write_back(Reading* reading, std::vector<bool> made) {
    unsigned chunk = reading->run.first.chunk;
    bool writable = table.writable(reading->segment->record.slots[chunk].drive);
    for (auto [from, until] : ranges_of(made)) {
        if (!writable || !reading->served) {
            reading->segment->unrepaired = true;
            break;
        }
        ConstBytes bytes = reading->into.subspan(from * kBlockBytes, (until - from) * kBlockBytes);
        std::uint32_t block = reading->run.first.block + from;
        auto written = co_await write_slot(reading->segment, chunk, block, bytes);
        if (written.ok()) counters.blocks_repaired += until - from;
        if (!written.ok()) reading->segment->unrepaired = true;
    }
    co_return Done{};
}

}  // namespace weft::segments
