#include "engines/filedata/extent_set_internal.h"
#include "model/layout/keys.h"
#include "platform/base/bytes.h"
#include "platform/base/check.h"

#include <algorithm>
#include <iterator>

namespace weft::filedata {
namespace {

using Kind = ExtentRecord::Kind;

// Key -> value of all extents and summary entries; and live blocks by segment.
struct Image {
    std::map<std::string, std::string> entries;
    std::map<SegmentId, std::int64_t> live;
};

// Of the extents of `set` that `other` does not have as well.
Image image_of_set(FileId file, const ExtentSet& set, const ExtentSet& other) {
    Image image;
    auto beside = other.map().begin();
    for (const auto& [first, record] : set.map()) {
        while (beside != other.map().end() && beside->first < first) ++beside;
        bool same =
            beside != other.map().end() && beside->first == first && beside->second == record;
        if (same) continue;
        image.entries[keys::extent(file, first + record.count)] = encode(record);
        if (record.kind != Kind::data) continue;
        image.entries[keys::summary(record.first, {file, first})] = encode_summary(record.count);
        image.live[record.first.segment] += record.count;
    }
    return image;
}

bool follows(const BlockAddress& previous, const BlockAddress& next) {
    return previous.segment == next.segment && previous.chunk == next.chunk &&
           previous.block + 1 == next.block;
}

}  // namespace

bool ExtentSet::insert(std::uint64_t first, ExtentRecord record) {
    std::uint64_t end = first + record.count;
    if (end <= first || first / kRegionBlocks != (end - 1) / kRegionBlocks) return false;
    auto next = map_.lower_bound(first);
    if (next != map_.end() && next->first < end) return false;
    if (next != map_.begin()) {
        auto previous = std::prev(next);
        if (previous->first + previous->second.count > first) return false;
    }
    map_.emplace_hint(next, first, std::move(record));
    return true;
}

void ExtentSet::cut(BlockSpan span) {
    auto at = map_.lower_bound(span.first);
    if (at != map_.begin() && std::prev(at)->first + std::prev(at)->second.count > span.first) {
        --at;
    }
    while (at != map_.end() && at->first < span.end) {
        std::uint64_t first = at->first;
        ExtentRecord old = std::move(at->second);
        std::uint64_t end = first + old.count;
        at = map_.erase(at);
        if (first < span.first) map_.emplace(first, part_of(old, 0, span.first - first));
        if (end > span.end) {
            map_.emplace(span.end, part_of(old, span.end - first, end - span.end));
            break;
        }
    }
}

void ExtentSet::lay(std::uint64_t first, std::span<const BlockAddress> places,
                    std::span<const std::uint32_t> crcs) {
    CHECK(places.size() == crcs.size());
    cut({first, first + places.size()});
    for (std::size_t done = 0; done < places.size();) {
        std::size_t count = 1;
        while (count < kExtentBlocksMost && done + count < places.size() &&
               follows(places[done + count - 1], places[done + count])) {
            ++count;
        }
        auto crc = crcs.begin() + static_cast<std::ptrdiff_t>(done);
        ExtentRecord record{Kind::data,
                            places[done],
                            static_cast<std::uint32_t>(count),
                            {crc, crc + static_cast<std::ptrdiff_t>(count)}};
        CHECK(insert(first + done, std::move(record)));
        done += count;
    }
}

void ExtentSet::reserve(BlockSpan span) {
    if (span.count() == 0) return;
    BlockSet missing = block_set(span) & ~blocks();
    for (BlockSpan gap : spans_of(missing, span.first / kRegionBlocks)) {
        while (gap.count() > 0) {
            std::uint64_t count = std::min<std::uint64_t>(gap.count(), kExtentBlocksMost);
            ExtentRecord record{Kind::reserved, {}, static_cast<std::uint32_t>(count), {}};
            CHECK(insert(gap.first, std::move(record)));
            gap.first += count;
        }
    }
}

BlockSet ExtentSet::blocks() const {
    BlockSet set;
    for (const auto& [first, record] : map_) set |= block_set({first, first + record.count});
    return set;
}

BlockSet ExtentSet::data_blocks() const {
    BlockSet set;
    for (const auto& [first, record] : map_) {
        if (record.kind == Kind::data) set |= block_set({first, first + record.count});
    }
    return set;
}

ExtentRecord part_of(const ExtentRecord& record, std::uint64_t skip, std::uint64_t count) {
    CHECK(count > 0 && skip + count <= record.count);
    ExtentRecord part;
    part.kind = record.kind;
    part.count = static_cast<std::uint32_t>(count);
    if (record.kind != Kind::data) return part;
    part.first = record.first;
    part.first.block += static_cast<std::uint32_t>(skip);
    auto crc = record.crcs.begin() + static_cast<std::ptrdiff_t>(skip);
    part.crcs.assign(crc, crc + static_cast<std::ptrdiff_t>(count));
    return part;
}

std::vector<BlockAddress> places_of(const std::vector<BlockRun>& runs) {
    std::vector<BlockAddress> places;
    for (const BlockRun& run : runs) {
        BlockAddress place = run.first;
        for (std::uint32_t i = 0; i < run.count; ++i, ++place.block) places.push_back(place);
    }
    return places;
}

void record_difference(FileId file, const ExtentSet& before, const ExtentSet& after, Batch& batch) {
    Image old = image_of_set(file, before, after);
    Image now = image_of_set(file, after, before);
    for (const auto& [key, value] : old.entries) {
        if (!now.entries.contains(key)) batch.erase(key);
    }
    for (auto& [key, value] : now.entries) {
        auto found = old.entries.find(key);
        if (found != old.entries.end() && found->second == value) continue;
        batch.put(key, std::move(value));
    }
    for (const auto& [segment, blocks] : old.live) now.live[segment] -= blocks;
    for (const auto& [segment, change] : now.live) {
        if (change != 0) batch.add(keys::live(segment), change);
    }
}

std::string encode_summary(std::uint32_t count) {
    std::string value;
    ByteWriter(value).number(count);
    return value;
}

std::uint32_t decode_summary(std::string_view value) {
    ByteReader reader(value);
    auto count = reader.number<std::uint32_t>();
    return reader.done() && count <= kExtentBlocksMost ? count : 0;
}

}  // namespace weft::filedata
