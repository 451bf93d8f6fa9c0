#include "engines/filedata/state_internal.h"
#include "model/layout/keys.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <cstring>

namespace weft::filedata {
namespace {

using Kind = ExtentRecord::Kind;

constexpr int kTriesWithoutLock = 4;

// A run of data blocks of the file that lie one behind the other in one slot.
struct ReadRun {
    std::uint64_t first = 0;
    ExtentRecord extent;
    std::uint64_t end() const { return first + extent.count; }
};

bool goes_on(const ReadRun& run, std::uint64_t first, const ExtentRecord& next) {
    BlockAddress follower = run.extent.first;
    follower.block += run.extent.count;
    return run.end() == first && follower == next.first;
}

// The data of the extents inside the span, as few runs as can be.
std::vector<ReadRun> runs_within(const ExtentSet& extents, BlockSpan span) {
    std::vector<ReadRun> runs;
    for (const auto& [first, record] : extents.map()) {
        std::uint64_t begin = std::max(first, span.first);
        std::uint64_t end = std::min(first + record.count, span.end);
        if (record.kind != Kind::data || begin >= end) continue;
        ExtentRecord part = part_of(record, begin - first, end - begin);
        if (!runs.empty() && goes_on(runs.back(), begin, part)) {
            ExtentRecord& last = runs.back().extent;
            last.count += part.count;
            last.crcs.insert(last.crcs.end(), part.crcs.begin(), part.crcs.end());
        } else {
            runs.push_back({begin, std::move(part)});
        }
    }
    return runs;
}

bool covered(const std::vector<StagedPiece>& staged, std::uint64_t from, std::uint64_t to) {
    for (const StagedPiece& piece : staged) {
        if (piece.offset > from) return false;
        if (piece.end() > from) from = piece.end();
        if (from >= to) return true;
    }
    return false;
}

void zero(Bytes into, std::uint64_t offset, std::uint64_t from, std::uint64_t to) {
    from = std::max(from, offset);
    to = std::min(to, offset + into.size());
    if (from < to) std::memset(into.data() + (from - offset), 0, to - from);
}

void zero_holes(const std::vector<ReadRun>& runs, std::uint64_t offset, Bytes into) {
    std::uint64_t at = offset;
    for (const ReadRun& run : runs) {
        zero(into, offset, at, run.first * kBlockBytes);
        at = run.end() * kBlockBytes;
    }
    zero(into, offset, at, offset + into.size());
}

void overlay(const std::vector<StagedPiece>& staged, std::uint64_t offset, Bytes into) {
    for (const StagedPiece& piece : staged) {
        std::uint64_t from = std::max(piece.offset, offset);
        std::uint64_t to = std::min(piece.end(), offset + into.size());
        if (from >= to) continue;
        ConstBytes bytes = piece.bytes().subspan(from - piece.offset, to - from);
        std::memcpy(into.data() + (from - offset), bytes.data(), bytes.size());
    }
}

}  // namespace

Task<ExtentSet> FileData::State::scan(FileId file, BlockSpan span) {
    // An extent that overlaps the span ends inside it or less than one extent behind it.
    std::uint64_t region_end = round_up(span.end, kRegionBlocks);
    std::uint64_t end_most = std::min(region_end, span.end + kExtentBlocksMost - 1);
    std::string from = keys::extent(file, span.first + 1);
    std::string to = keys::extent(file, end_most + 1);
    // They come in order and do not overlap, so no more of them than blocks are in the span.
    auto entries =
        co_await or_return(co_await index.scan(std::move(from), std::move(to), span.count()));
    ExtentSet extents;
    for (const auto& [key, value] : entries) {
        auto place = keys::parse_extent(key);
        auto record = decode_extent(value);
        bool sound = place.has_value() && record.has_value() && record->count <= place->end_block;
        if (!sound) co_return Error{Code::corrupt, "filedata.extent"};
        std::uint64_t first = place->end_block - record->count;
        if (first >= span.end) continue;
        bool fits = extents.insert(first, std::move(*record));
        if (!fits) co_return Error{Code::corrupt, "filedata.extent"};
    }
    co_return extents;
}

Task<ExtentSet> FileData::State::scan_all(FileId file, std::vector<BlockSpan> spans) {
    ExtentSet all;
    for (std::size_t i = 0; i < spans.size();) {
        // Those that one extent could overlap are one.
        BlockSpan span = spans[i];
        for (++i; i < spans.size() && spans[i].first < span.end + kExtentBlocksMost; ++i) {
            span.end = std::max(span.end, spans[i].end);
        }
        ExtentSet found = co_await or_return(co_await scan(file, span));
        for (const auto& [first, record] : found.map()) {
            bool fits = all.insert(first, record);
            if (!fits) co_return Error{Code::corrupt, "filedata.extent"};
        }
    }
    co_return all;
}

Task<RegionView> FileData::State::view(RegionTable::Pin* pin, std::uint64_t from,
                                       std::uint64_t to) {
    Region& region = **pin;
    FileId file = pin->id().file;
    BlockSpan span = touched_blocks(from, to);
    RegionView view;
    for (int tries = 0; tries < kTriesWithoutLock; ++tries) {
        view.version = region.version;
        view.extents = co_await or_return(co_await scan(file, span));
        if (view.version != region.version) continue;
        view.staged = region.staged.within(from, to);
        co_return view;
    }
    auto lock = co_await or_return(co_await region.mutex.lock_shared());
    view.extents = co_await or_return(co_await scan(file, span));
    view.version = region.version;
    view.staged = region.staged.within(from, to);
    co_return view;
}

Task<Done> FileData::State::read_run(std::uint64_t first_block, ExtentRecord run,
                                     std::uint64_t offset, Bytes into) {
    std::uint64_t from = std::max(first_block * kBlockBytes, offset);
    std::uint64_t to = std::min((first_block + run.count) * kBlockBytes, offset + into.size());
    Bytes wanted = into.subspan(from - offset, to - from);
    BlockRun blocks{run.first, run.count};
    bool whole = wanted.size() == run.count * kBlockBytes;
    if (whole && block_aligned(wanted.data())) {
        co_return co_await segments.read(blocks, run.crcs, wanted);
    }
    Buffer buffer(run.count * kBlockBytes);
    co_await or_return(co_await segments.read(blocks, run.crcs, buffer.bytes()));
    std::memcpy(wanted.data(), buffer.data() + (from - first_block * kBlockBytes), wanted.size());
    co_return Done{};
}

Task<Done> FileData::State::fill(const RegionView* view, std::uint64_t offset, Bytes into) {
    BlockSpan span = touched_blocks(offset, offset + into.size());
    std::vector<ReadRun> runs = runs_within(view->extents, span);
    zero_holes(runs, offset, into);
    std::vector<Task<Done>> reads;  // At most one a block of the region.
    for (ReadRun& run : runs) {
        std::uint64_t from = std::max(run.first * kBlockBytes, offset);
        std::uint64_t to = std::min(run.end() * kBlockBytes, offset + into.size());
        if (covered(view->staged, from, to)) continue;
        reads.push_back(read_run(run.first, std::move(run.extent), offset, into));
    }
    auto results = co_await join(reads);
    co_await or_return(first_error(results));
    overlay(view->staged, offset, into);
    co_return Done{};
}

Task<Done> FileData::State::read(FileId file, std::uint64_t offset, Bytes into) {
    if (into.empty()) co_return Done{};
    CHECK(in_one_region(offset, into.size()));
    RegionTable::Pin pin = regions.pin(region_at(file, offset));
    std::uint64_t end = offset + into.size();
    for (int tries = 0; tries < kTriesWithoutLock; ++tries) {
        RegionView seen = co_await or_return(co_await view(&pin, offset, end));
        auto filled = co_await fill(&seen, offset, into);
        // A failure means something only if the blocks are still those of the file.
        if (filled.ok() || seen.version == pin->version) co_return filled;
    }
    auto lock = co_await or_return(co_await pin->mutex.lock_shared());
    RegionView seen = co_await or_return(co_await view(&pin, offset, end));
    co_return co_await fill(&seen, offset, into);
}

Task<std::uint64_t> FileData::State::seek(FileId file, std::uint64_t offset, std::uint64_t end,
                                          bool data) {
    if (offset >= end) co_return Error{Code::no_data, "filedata.seek"};
    CHECK(in_one_region(offset, end - offset));
    RegionTable::Pin pin = regions.pin(region_at(file, offset));
    // Whole blocks: one with a staged byte before `offset` has data too.
    BlockSpan span = touched_blocks(offset, end);
    RegionView seen =
        co_await or_return(co_await view(&pin, span.first * kBlockBytes, span.end * kBlockBytes));
    BlockSet set = seen.extents.data_blocks();
    for (const StagedPiece& piece : seen.staged) {
        set |= block_set(touched_blocks(piece.offset, piece.end()));
    }
    if (!data) set = ~set;
    set &= block_set(span);
    auto spans = spans_of(set, pin.id().region);
    if (spans.empty()) co_return Error{Code::no_data, "filedata.seek"};
    co_return std::max(offset, spans.front().first * kBlockBytes);
}

}  // namespace weft::filedata
