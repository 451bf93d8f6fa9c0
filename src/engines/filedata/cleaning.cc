#include "engines/filedata/state_internal.h"
#include "model/layout/keys.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace weft::filedata {
namespace {

using Kind = ExtentRecord::Kind;

// Summary entries of one pass. A block with more owners than that is moved more than once, and
// is no longer one for all of them.
constexpr std::size_t kOwnersMost = 1024;
// How often a verify looks again at what changed while it looked.
constexpr int kLooksMost = 64;

struct SummaryEntry {
    BlockRun run;
    BlockOwner owner;
};

std::optional<SummaryEntry> parse(const index::Entry& entry) {
    auto key = keys::parse_summary(entry.first);
    std::uint32_t count = decode_summary(entry.second);
    if (!key.has_value() || count == 0) return std::nullopt;
    return SummaryEntry{{key->first, count}, key->owner};
}

BlockAddress place_at(const BlockAddress& first, std::uint32_t index) {
    BlockAddress place = first;
    place.block += index;
    return place;
}

// Runs of the addresses, which come in order, each at most an extent long.
std::vector<BlockRun> runs_of(const std::map<BlockAddress, std::uint32_t>& crcs) {
    std::vector<BlockRun> runs;
    for (const auto& [place, crc] : crcs) {
        bool follows = !runs.empty() && runs.back().count < kExtentBlocksMost &&
                       place_at(runs.back().first, runs.back().count) == place;
        if (follows) {
            ++runs.back().count;
        } else {
            runs.push_back({place, 1});
        }
    }
    return runs;
}

}  // namespace

Task<std::vector<ExtentRecord>> FileData::State::forward(BlockRun run, BlockOwner owner) {
    std::vector<ExtentRecord> found;
    std::string key = keys::extent(owner.file, owner.file_block + run.count);
    auto value = co_await index.get(std::move(key));
    if (value.code() == Code::not_found) co_return found;
    co_await or_return(value);
    auto record = decode_extent(value.value());
    if (!record.has_value()) co_return Error{Code::corrupt, "filedata.extent"};
    bool same =
        record->kind == Kind::data && record->first == run.first && record->count == run.count;
    if (same) found.push_back(std::move(*record));
    co_return found;
}

Task<CleaningPass> FileData::State::next_pass(SegmentId segment, std::string from) {
    CleaningPass pass;
    std::string to = keys::after_prefix(keys::summary_prefix(segment));
    auto entries = co_await or_return(co_await index.scan(from, std::move(to), kOwnersMost));
    std::uint64_t blocks_most =
        std::max<std::uint64_t>(kExtentBlocksMost, segments.max_append_bytes() / kBlockBytes);
    pass.last = entries.size() < kOwnersMost;
    pass.next = std::move(from);
    for (const index::Entry& entry : entries) {
        auto parsed = parse(entry);
        if (!parsed.has_value()) co_return Error{Code::corrupt, "filedata.summary"};
        // Owners of the same blocks come one behind the other, and go together.
        bool shares = pass.crcs.contains(parsed->run.first);
        if (!shares && pass.crcs.size() + parsed->run.count > blocks_most) {
            pass.last = false;
            break;
        }
        pass.next = entry.first + '\0';
        auto extents = co_await or_return(co_await forward(parsed->run, parsed->owner));
        if (extents.empty()) {  // Changed since the scan.
            if (!pass.changed.has_value()) pass.changed = parsed->run.first;
            continue;
        }
        pass.owners.emplace_back(parsed->owner, parsed->run.count);
        for (std::uint32_t i = 0; i < parsed->run.count; ++i) {
            pass.crcs.emplace(place_at(parsed->run.first, i), extents.front().crcs[i]);
        }
    }
    co_return pass;
}

// Blocks that cannot be read stay where they are: perhaps a drive comes back.
Task<Done> FileData::State::move_blocks(CleaningPass* pass) {
    std::vector<BlockRun> runs = runs_of(pass->crcs);
    std::vector<std::uint32_t> crcs;
    for (const auto& [place, crc] : pass->crcs) crcs.push_back(crc);
    Buffer pack(crcs.size() * kBlockBytes);
    std::vector<Task<Done>> reads;
    std::size_t at = 0;
    for (const BlockRun& run : runs) {
        std::span<const std::uint32_t> own = std::span(crcs).subspan(at, run.count);
        Bytes into = pack.bytes().subspan(at * kBlockBytes, run.count * kBlockBytes);
        reads.push_back(segments.read(run, own, into));
        at += run.count;
    }
    auto results = co_await join(reads);

    std::vector<BlockAddress> kept;
    at = 0;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        std::size_t bytes = runs[i].count * kBlockBytes;
        if (results[i].ok()) {
            std::byte* to = pack.data() + kept.size() * kBlockBytes;
            std::memmove(to, pack.data() + at * kBlockBytes, bytes);
            for (std::uint32_t j = 0; j < runs[i].count; ++j) {
                kept.push_back(place_at(runs[i].first, j));
            }
        }
        at += runs[i].count;
    }
    if (kept.empty()) co_return Done{};
    ConstBytes content = pack.bytes().first(kept.size() * kBlockBytes);
    auto written = co_await or_return(
        co_await append(StreamKind::cleaner, content, segments::Purpose::cleaning));
    pass->claims = std::move(written.claims);
    for (std::size_t i = 0; i < kept.size(); ++i) pass->moved_to[kept[i]] = written.places[i];
    co_return Done{};
}

Task<Done> FileData::State::repoint(RegionId id, std::vector<BlockSpan> spans,
                                    const CleaningPass* pass) {
    RegionTable::Pin pin = regions.pin(id);
    std::optional<SharedMutex::Lock> lock;
    if (!planted(Bug::cleaner_takes_no_lock)) {
        lock.emplace(co_await or_return(co_await pin->mutex.lock()));
    }
    ExtentSet before = co_await or_return(co_await scan_all(id.file, std::move(spans)));
    ExtentSet after = before;
    for (const auto& [first, record] : before.map()) {
        if (record.kind != Kind::data) continue;
        std::vector<BlockAddress> places;
        bool any = false;
        for (std::uint32_t i = 0; i < record.count; ++i) {
            auto moved = pass->moved_to.find(place_at(record.first, i));
            any = any || moved != pass->moved_to.end();
            places.push_back(moved != pass->moved_to.end() ? moved->second
                                                           : place_at(record.first, i));
        }
        if (any) after.lay(first, places, record.crcs);
    }
    Batch batch;
    record_difference(id.file, before, after, batch);
    if (!batch.empty()) commit(std::move(batch));
    co_return Done{};
}

Task<bool> FileData::State::clean(SegmentId segment) {
    std::string from = keys::summary_prefix(segment);
    for (bool last = false; !last;) {
        co_await or_return(co_await committer.admit());
        CleaningPass pass = co_await or_return(co_await next_pass(segment, std::move(from)));
        from = pass.next;
        last = pass.last;
        if (pass.owners.empty()) continue;
        co_await or_return(co_await move_blocks(&pass));
        std::map<RegionId, std::vector<BlockSpan>> owners;
        for (const auto& [owner, count] : pass.owners) {
            RegionId region{owner.file, owner.file_block / kRegionBlocks};
            owners[region].push_back({owner.file_block, owner.file_block + count});
        }
        for (auto& [region, spans] : owners) {
            std::sort(spans.begin(), spans.end(),
                      [](BlockSpan a, BlockSpan b) { return a.first < b.first; });
            co_await or_return(co_await repoint(region, std::move(spans), &pass));
        }
    }
    std::string prefix = keys::summary_prefix(segment);
    std::string end = keys::after_prefix(prefix);
    auto left = co_await or_return(co_await index.scan(std::move(prefix), std::move(end), 1));
    co_return left.empty();
}

Task<Done> FileData::State::read_pass(const CleaningPass* pass, std::set<BlockAddress>* lost) {
    Buffer buffer(kExtentBlocksMost * kBlockBytes);
    for (const BlockRun& run : runs_of(pass->crcs)) {
        std::vector<std::uint32_t> crcs;
        for (std::uint32_t i = 0; i < run.count; ++i) {
            crcs.push_back(pass->crcs.at(place_at(run.first, i)));
        }
        Bytes into = buffer.bytes().first(run.count * kBlockBytes);
        auto whole = co_await segments.read(run, crcs, into);
        if (whole.ok() || whole.code() == Code::stale) continue;  // Stale: moved meanwhile.
        for (std::uint32_t i = 0; i < run.count; ++i) {
            BlockRun single{place_at(run.first, i), 1};
            std::span<const std::uint32_t> crc = std::span(crcs).subspan(i, 1);
            auto block = co_await segments.read(single, crc, into.first(kBlockBytes));
            bool gone = block.code() == Code::corrupt || block.code() == Code::unavailable;
            if (gone) lost->insert(single.first);
        }
    }
    co_return Done{};
}

// What changes between the scan and the look at its owner may live on under entries that the scan
// has not seen: of an extent that is split, or of another file that shares the blocks by now. Those
// begin at most an extent before.
Task<std::uint64_t> FileData::State::verify(SegmentId segment) {
    if (planted(Bug::check_trusts_data)) co_return 0U;
    std::set<BlockAddress> lost;
    int looks = 1;
    std::string from = keys::summary_prefix(segment);
    for (bool last = false; !last;) {
        CleaningPass pass = co_await or_return(co_await next_pass(segment, std::move(from)));
        from = pass.next;
        last = pass.last;
        co_await or_return(co_await read_pass(&pass, &lost));
        if (!pass.changed.has_value()) continue;
        if (++looks > kLooksMost) co_return Error{Code::would_block, "filedata.verify"};
        BlockAddress back = *pass.changed;
        back.block -= std::min(back.block, kExtentBlocksMost - 1);
        from = keys::summary(back, BlockOwner{});
        last = false;
    }
    co_return lost.size();
}

}  // namespace weft::filedata
