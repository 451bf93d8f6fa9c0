#include "engines/index/index_internal.h"
#include "platform/base/bytes.h"
#include "platform/isal/crc32c.h"

#include <algorithm>
#include <utility>

// Merges, and moving runs out of segments. All of it under the lock `maintenance`, so that the
// runs that a merge reads are in the present version until it replaces them itself.

namespace weft::index {
namespace {

constexpr std::uint64_t kStepBytes = kMiB;

bool touches(const std::vector<BlockRun>& blocks, SegmentId segment) {
    return std::any_of(blocks.begin(), blocks.end(),
                       [segment](const BlockRun& run) { return run.first.segment == segment; });
}

void append_touching(const std::vector<BlockRun>& blocks, SegmentId segment,
                     std::vector<BlockRun>& out) {
    std::copy_if(blocks.begin(), blocks.end(), std::back_inserter(out),
                 [segment](const BlockRun& run) { return run.first.segment == segment; });
}

// How many blocks of the place are lost.
Task<std::uint64_t> verify_place(RunStore* store, BlockRun place, std::vector<std::uint32_t> crcs) {
    std::uint64_t lost = 0;
    Buffer block(kBlockBytes);
    for (std::uint32_t i = 0; i < place.count; ++i) {
        BlockRun one{place.first, 1};
        one.first.block += i;
        std::span<const std::uint32_t> crc = std::span(crcs).subspan(i, 1);
        auto read = co_await store->read(one, crc, block.bytes());
        if (read.code() == Code::corrupt || read.code() == Code::unavailable) ++lost;
    }
    co_return lost;
}

// The same for those that lie in the segment.
Task<std::uint64_t> verify_blocks(RunStore* store, CheckedBlocks blocks, SegmentId segment) {
    std::uint64_t lost = 0;
    std::size_t first = 0;
    for (const BlockRun& place : blocks.runs) {
        auto begin = blocks.crcs.begin() + static_cast<std::ptrdiff_t>(first);
        std::vector<std::uint32_t> expected(begin, begin + place.count);
        first += place.count;
        if (place.first.segment != segment) continue;
        lost += co_await or_return(co_await verify_place(store, place, std::move(expected)));
    }
    co_return lost;
}

}  // namespace

Task<bool> Index::State::compact_step() {
    SharedMutex::Lock lock = co_await or_return(co_await maintenance.lock());
    if (closed) co_return false;
    co_return co_await step_compaction();
}

Task<bool> Index::State::step_compaction() {
    if (std::exchange(compaction_busy, false)) abandon_compaction();
    if (compaction == nullptr) {
        auto plan = plan_compaction(*version, settings);
        if (!plan.has_value()) co_return false;
        if (plan->is_move()) {
            Change change;
            change.edit.level = plan->level;
            change.edit.added = change.edit.removed = plan->inputs();
            co_await or_return(co_await publish(std::move(change)));
            co_return true;
        }
        compaction = std::make_unique<Compaction>(std::move(*plan), reader, store, cache, drop,
                                                  settings.run_bytes_most);
    }
    compaction_busy = true;
    auto merged = co_await compaction->step(kStepBytes);
    compaction_busy = false;
    if (!merged.ok()) {
        abandon_compaction();
        co_return merged.error();
    }
    if (merged.value()) co_await or_return(co_await publish_compaction(std::move(compaction)));
    co_return true;
}

Task<Done> Index::State::publish_compaction(std::unique_ptr<Compaction> finished) {
    Change change;
    change.edit.level = finished->plan().level;
    change.edit.added = finished->outputs();
    change.edit.removed = finished->plan().inputs();
    co_await or_return(co_await publish(std::move(change)));
    ++counters.compactions;
    co_return Done{};
}

void Index::State::abandon_compaction() {
    if (compaction == nullptr) return;
    abandon(compaction->appended());
    compaction.reset();
}

Task<Done> Index::State::move_out_of(SegmentId segment) {
    SharedMutex::Lock lock = co_await or_return(co_await maintenance.lock());
    // What a merge has written there is live only once it is published, and moves then.
    while (compaction != nullptr && touches(compaction->appended(), segment)) {
        if (closed) co_return Error{Code::cancelled, "index.move"};
        co_await or_return(co_await step_compaction());
        co_await yield(reactor);
    }
    VersionPtr now = version;
    for (const auto& level : now->levels) {
        for (const RunPtr& run : level) {
            if (!touches(run->blocks(), segment)) continue;
            if (closed) co_return Error{Code::cancelled, "index.move"};
            co_await or_return(co_await move_run(run, segment));
        }
    }
    co_return Done{};
}

// A run that goes meanwhile takes its blocks along: they are not counted as lost.
Task<std::uint64_t> Index::State::verify(SegmentId segment) {
    std::uint64_t lost = 0;
    VersionPtr now = version;
    for (const auto& level : now->levels) {
        for (const RunPtr& run : level) {
            if (!touches(run->blocks(), segment)) continue;
            lost += co_await or_return(co_await verify_run(run, segment));
        }
    }
    co_return lost;
}

// Where its blocks lie may change at every await: what is found lost is so only if it has not.
Task<std::uint64_t> Index::State::verify_run(RunPtr run, SegmentId segment) {
    for (;;) {
        auto crcs = co_await or_return(co_await block_crcs(run));
        std::uint64_t placement = run->placement();
        CheckedBlocks body{run->head().places, std::move(crcs)};
        CheckedBlocks head = run->record().head;
        std::uint64_t lost = co_await or_return(co_await verify_blocks(&store, body, segment));
        lost += co_await or_return(co_await verify_blocks(&store, head, segment));
        if (lost == 0 || run->placement() == placement) co_return lost;
    }
}

Task<Done> Index::State::move_run(RunPtr run, SegmentId segment) {
    Change change;
    change.moved = run;
    auto copied = co_await copy_run(segment, &change);
    if (!copied.ok()) {
        abandon(std::move(change.added));
        co_return copied.error();
    }
    co_return co_await publish(std::move(change));
}

// Fences name blocks by their number in the run, so only the head has to be written anew.
Task<Done> Index::State::copy_run(SegmentId segment, Change* change) {
    RunPtr run = change->moved;
    auto crcs = co_await or_return(co_await block_crcs(run));
    std::uint32_t first = 0;
    for (const BlockRun& place : run->head().places) {
        if (place.first.segment != segment) {
            change->moved_places.push_back(place);
            first += place.count;
            continue;
        }
        std::uint32_t end = first + place.count;
        auto most = static_cast<std::uint32_t>(append_bytes_of(store) / kBlockBytes);
        for (std::uint32_t count = 0; first < end; first += count) {
            count = std::min(end - first, most);
            Buffer blocks(count * kBlockBytes);
            std::vector<std::uint32_t> expected(crcs.begin() + first, crcs.begin() + first + count);
            Bytes into = blocks.bytes();
            co_await or_return(co_await reader.read_blocks(run, first, expected, into));
            co_await or_return(co_await append_copy(into, change, &change->moved_places));
        }
    }
    RunHead head;
    head.places = change->moved_places;
    head.partitions = run->head().partitions;
    std::string encoded = encode(head);

    RunRecord& record = change->moved_record;
    record = run->record();
    record.head = CheckedBlocks();
    Buffer blocks(encoded.size());
    std::copy_n(bytes_of(encoded).begin(), encoded.size(), blocks.bytes().begin());
    for (std::size_t at = 0; at < encoded.size(); at += kBlockBytes) {
        record.head.crcs.push_back(crc32c(blocks.bytes().subspan(at, kBlockBytes)));
    }
    co_await or_return(co_await append_copy(blocks.bytes(), change, &record.head.runs));
    append_touching(run->record().body, segment, change->dropped);
    const auto& old_head = run->record().head.runs;
    change->dropped.insert(change->dropped.end(), old_head.begin(), old_head.end());
    record.body = joined(change->moved_places);
    co_return Done{};
}

Task<Done> Index::State::append_copy(ConstBytes blocks, Change* change,
                                     std::vector<BlockRun>* places) {
    while (!blocks.empty()) {
        ConstBytes part = blocks.first(std::min(blocks.size(), append_bytes_of(store)));
        auto runs = co_await or_return(co_await store.append(part));
        CHECK(count_blocks(runs) * kBlockBytes == part.size());
        counters.blocks_written += part.size() / kBlockBytes;
        places->insert(places->end(), runs.begin(), runs.end());
        change->added.insert(change->added.end(), runs.begin(), runs.end());
        blocks = blocks.subspan(part.size());
    }
    co_return Done{};
}

// The checksums of all body blocks, from the head and the fences.
Task<std::vector<std::uint32_t>> Index::State::block_crcs(RunPtr run) {
    std::vector<std::uint32_t> crcs(run->record().body_blocks);
    for (const Partition& partition : run->head().partitions) {
        std::copy(partition.filter_crcs.begin(), partition.filter_crcs.end(),
                  crcs.begin() + partition.filter_first);
        crcs[partition.fences_block()] = partition.fences_crc;
        std::vector<PageBlocks> wanted(1);
        wanted[0].first = partition.fences_block();
        wanted[0].crcs.push_back(partition.fences_crc);
        auto pages = co_await or_return(
            co_await reader.load(run, PageKind::fences, std::move(wanted), PageUse::once));
        const PageView& fences = pages.front()->view;
        for (std::uint32_t i = 0; i < fences.count(); ++i) {
            PageBlocks child = decode_child(fences.item(i).value);
            if (child.first > crcs.size() || crcs.size() - child.first < child.count()) {
                co_return Error{Code::corrupt, "index.move"};
            }
            std::copy(child.crcs.begin(), child.crcs.end(), crcs.begin() + child.first);
        }
    }
    co_return std::move(crcs);
}

}  // namespace weft::index
