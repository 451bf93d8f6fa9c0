#include "engines/filedata/state_internal.h"
#include "platform/base/bytes.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weft::filedata {
namespace {

// Regions of one append are read in parallel: as many as fit, but not more than this.
constexpr std::size_t kJobsMost = 64;
// Fewer blocks are not worth a stripe of their own.
constexpr std::size_t kSplitBlocksLeast = 16;

}  // namespace

void FileData::State::begin_job(DestageJob* job) {
    Region& region = *job->pin;
    RegionId id = job->pin.id();
    job->spans = spans_of(job->blocks, id.region);
    job->through = last_lsn;
    job->view.version = region.version;
    for (BlockSpan span : job->spans) {
        auto pieces = region.staged.within(span.first * kBlockBytes, span.end * kBlockBytes);
        auto& staged = job->view.staged;
        staged.insert(staged.end(), pieces.begin(), pieces.end());
    }
}

std::vector<DestageJob> FileData::State::choose_jobs(RegionId* from, Lsn through,
                                                     std::uint64_t blocks_most) {
    std::vector<DestageJob> jobs;
    std::uint64_t taken = 0;
    for (auto at = regions.at_or_behind(*from); at != regions.end(); ++at) {
        *from = at->first;
        if (taken == blocks_most || jobs.size() == kJobsMost) return jobs;
        BlockSet blocks = at->second.staged.blocks(through);
        if (blocks.none()) continue;
        BlockSet now = first_blocks(blocks, blocks_most - taken);
        taken += now.count();
        begin_job(&jobs.emplace_back(RegionTable::Pin(regions, at->first, at->second), now));
        if (now != blocks) return jobs;
    }
    *from = {{FilesystemId{UINT32_MAX}, InodeId{UINT64_MAX}}, UINT64_MAX};
    return jobs;
}

Task<Done> FileData::State::scan_extents(DestageJob* job) {
    job->view.extents = co_await or_return(co_await scan_all(job->pin.id().file, job->spans));
    co_return Done{};
}

Task<Done> FileData::State::merge(DestageJob* job) {
    Bytes rest = job->content;
    std::vector<Task<Done>> fills;
    for (BlockSpan span : job->spans) {
        std::uint64_t bytes = span.count() * kBlockBytes;
        fills.push_back(fill(&job->view, span.first * kBlockBytes, rest.first(bytes)));
        rest = rest.subspan(bytes);
    }
    auto results = co_await join(fills);
    co_return first_error(results);
}

Task<Done> FileData::State::build(DestageJob* job) {
    co_await or_return(co_await scan_extents(job));
    if (job->view.version != job->pin->version) co_return Done{};  // It goes alone.
    co_return co_await merge(job);
}

void FileData::State::add_to_batch(const DestageJob& job, const WrittenBlocks& written,
                                   std::size_t at, Batch& batch) {
    FileId file = job.pin.id().file;
    std::span<const BlockAddress> places(written.places);
    std::span<const std::uint32_t> crcs(written.crcs);
    ExtentSet after = job.view.extents;
    for (BlockSpan span : job.spans) {
        after.lay(span.first, places.subspan(at, span.count()), crcs.subspan(at, span.count()));
        at += span.count();
    }
    record_difference(file, job.view.extents, after, batch);
    for (BlockSpan span : job.spans) {
        Lsn through = planted(Bug::destage_drops_newer) ? kEveryRecord : job.through;
        push_unstage(batch, file, span.first * kBlockBytes, span.end * kBlockBytes, through);
    }
}

std::vector<StreamKind> FileData::State::streams_for(std::span<const DestageJob> jobs) const {
    std::vector<StreamKind> streams;
    // Blocks that lie side by side mostly were written together.
    SegmentId last;
    StreamKind of_last = segments.stream_for(last);
    for (const DestageJob& job : jobs) {
        auto at = job.view.extents.map().begin();
        auto end = job.view.extents.map().end();
        for (BlockSpan span : job.spans) {
            for (std::uint64_t block = span.first; block < span.end; ++block) {
                while (at != end && at->first + at->second.count <= block) ++at;
                bool has_data =
                    at != end && at->first <= block && at->second.kind == ExtentRecord::Kind::data;
                SegmentId previous = has_data ? at->second.first.segment : SegmentId{};
                if (previous != last) {
                    last = previous;
                    of_last = segments.stream_for(last);
                }
                streams.push_back(of_last);
            }
        }
    }
    return streams;
}

Task<WrittenBlocks> FileData::State::append_by_stream(ConstBytes data,
                                                      std::vector<StreamKind> streams) {
    CHECK(data.size() == streams.size() * kBlockBytes);
    constexpr auto kPurpose = segments::Purpose::destage;
    auto hot =
        static_cast<std::size_t>(std::count(streams.begin(), streams.end(), StreamKind::hot));
    std::size_t cold = streams.size() - hot;
    if (std::min(hot, cold) < kSplitBlocksLeast) {
        StreamKind most = hot > cold ? StreamKind::hot : StreamKind::cold;
        co_return co_await append(most, data, kPurpose);
    }
    Buffer sorted(data.size());
    std::size_t next_hot = 0;
    std::size_t next_cold = hot;
    std::vector<std::size_t> from;  // Where each block is among the sorted ones.
    for (std::size_t i = 0; i < streams.size(); ++i) {
        from.push_back(streams[i] == StreamKind::hot ? next_hot++ : next_cold++);
        ConstBytes block = data.subspan(i * kBlockBytes, kBlockBytes);
        std::copy(block.begin(), block.end(), sorted.data() + from.back() * kBlockBytes);
    }
    std::vector<Task<WrittenBlocks>> appends;
    ConstBytes all = sorted.bytes();
    appends.push_back(append(StreamKind::hot, all.first(hot * kBlockBytes), kPurpose));
    appends.push_back(append(StreamKind::cold, all.subspan(hot * kBlockBytes), kPurpose));
    auto results = co_await join(appends);
    co_await or_return(first_error(results));
    WrittenBlocks written;
    for (std::size_t i : from) {
        const WrittenBlocks& of = results[i < hot ? 0 : 1].value();
        written.places.push_back(of.places[i < hot ? i : i - hot]);
        written.crcs.push_back(of.crcs[i < hot ? i : i - hot]);
    }
    for (auto& result : results) written.claims.add(std::move(result.value().claims));
    co_return written;
}

// Extents and staged bytes of a job are those of one instant. If its region has not changed
// since, and nobody is between decide and commit, they may be replaced now: a newer write that
// was staged meanwhile has a higher lsn and stays. Otherwise the job's blocks are left where
// they are, as nobody's, and the region goes alone, under its lock.
Task<Done> FileData::State::destage_together(std::vector<DestageJob>* jobs, Lsn* last) {
    std::uint64_t block_count = 0;
    for (const DestageJob& job : *jobs) block_count += job.blocks.count();
    Buffer pack(block_count * kBlockBytes);
    Bytes rest = pack.bytes();
    std::vector<Task<Done>> builds;
    for (DestageJob& job : *jobs) {
        std::uint64_t bytes = job.blocks.count() * kBlockBytes;
        job.content = rest.first(bytes);
        rest = rest.subspan(bytes);
        std::fill(job.content.begin(), job.content.end(), std::byte{0});
        builds.push_back(build(&job));
    }
    auto built = co_await join(builds);
    // What cannot be read, or has changed already, goes alone; nothing is written for it here.
    std::vector<DestageJob> together;
    std::vector<DestageJob> alone;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < jobs->size(); ++i) {
        DestageJob& job = (*jobs)[i];
        bool whole = built[i].ok() && job.view.version == job.pin->version;
        if (whole) {
            std::memmove(pack.data() + bytes, job.content.data(), job.content.size());
            bytes += job.content.size();
        }
        (whole ? together : alone).push_back(std::move(job));
    }
    WrittenBlocks written;
    if (!together.empty()) {
        ConstBytes content = pack.bytes().first(bytes);
        std::vector<StreamKind> streams = streams_for(together);
        written = co_await or_return(co_await append_by_stream(content, std::move(streams)));
    }

    Batch batch;
    std::size_t at = 0;
    for (DestageJob& job : together) {
        std::size_t blocks = job.blocks.count();
        bool unchanged = job.view.version == job.pin->version && job.pin->mutex.idle();
        if (planted(Bug::cleaner_ignores_newer)) unchanged = true;
        if (unchanged) {
            add_to_batch(job, written, at, batch);
        } else {
            alone.push_back(std::move(job));
        }
        at += blocks;
    }
    if (!batch.empty()) *last = commit(std::move(batch));
    written.claims.clear();
    Result<Done> outcome = Done{};
    for (DestageJob& each : alone) {
        DestageJob* job = &each;
        auto result = co_await destage_alone(&job->pin, job->through);
        if (result.ok()) *last = std::max(*last, result.value());
        if (!result.ok() && outcome.ok()) outcome = result.error();
    }
    co_return outcome;
}

Task<Lsn> FileData::State::destage_alone(RegionTable::Pin* pin, Lsn through) {
    auto lock = co_await or_return(co_await (*pin)->mutex.lock());
    co_return co_await destage_locked(pin, through);
}

// The caller holds the region's lock.
Task<Done> FileData::State::write_out(RegionTable::Pin* pin, BlockSet blocks, Batch* batch,
                                      segments::Claims* claims) {
    std::vector<DestageJob> jobs;
    DestageJob& job = jobs.emplace_back(regions.pin(pin->id()), blocks);
    begin_job(&job);
    Buffer pack(blocks.count() * kBlockBytes);
    job.content = pack.bytes();
    co_await or_return(co_await build(&job));
    CHECK(job.view.version == job.pin->version);  // Nobody changes a region without its lock.
    std::vector<StreamKind> streams = streams_for(jobs);
    auto written = co_await or_return(co_await append_by_stream(pack.bytes(), std::move(streams)));
    CHECK(job.view.version == job.pin->version);
    add_to_batch(job, written, 0, *batch);
    claims->add(std::move(written.claims));
    co_return Done{};
}

// Blocks whose old content is needed and cannot be read. The caller holds the region's lock.
Task<BlockSet> FileData::State::unreadable_blocks(RegionTable::Pin* pin, BlockSet blocks) {
    DestageJob job(regions.pin(pin->id()), blocks);
    begin_job(&job);
    co_await or_return(co_await scan_extents(&job));
    Buffer buffer(kBlockBytes);
    BlockSet unreadable;
    for (BlockSpan span : job.spans) {
        for (std::uint64_t block = span.first; block < span.end; ++block) {
            auto filled = co_await fill(&job.view, block * kBlockBytes, buffer.bytes());
            if (!filled.ok()) unreadable.set(block % kRegionBlocks);
        }
    }
    co_return unreadable;
}

// Stages the bytes once more, so that they no longer hold on to old records.
void FileData::State::carry_on(RegionTable::Pin* pin, BlockSet blocks, Batch& batch) {
    RegionId id = pin->id();
    for (BlockSpan span : spans_of(blocks, id.region)) {
        std::uint64_t from = span.first * kBlockBytes;
        std::uint64_t to = span.end * kBlockBytes;
        push_unstage(batch, id.file, from, to, kEveryRecord);
        for (const StagedPiece& piece : (*pin)->staged.within(from, to)) {
            push_stage(batch, id.file, piece.offset, std::string(text_of(piece.bytes())));
            carried += piece.bytes().size();
        }
    }
}

// Bytes of a block whose rest is lost stay staged: the block is not made up, the bytes are not
// lost with it, and the journal can still be trimmed.
Task<Lsn> FileData::State::destage_locked(RegionTable::Pin* pin, Lsn through) {
    BlockSet blocks = (*pin)->staged.blocks(through);
    if (blocks.none()) co_return Lsn{};
    Batch batch;
    segments::Claims claims;
    auto done = co_await write_out(pin, blocks, &batch, &claims);
    if (!done.ok()) {
        BlockSet unreadable = co_await or_return(co_await unreadable_blocks(pin, blocks));
        if (unreadable.none()) co_return done.error();
        BlockSet rest = blocks & ~unreadable;
        if (rest.any()) co_await or_return(co_await write_out(pin, rest, &batch, &claims));
        carry_on(pin, unreadable, batch);
    }
    co_return commit(std::move(batch));
}

Task<Done> FileData::State::destage(Lsn through) {
    auto only = co_await or_return(co_await destaging.lock());
    through = std::min(through, last_lsn);  // What comes meanwhile is for the next one.
    Lsn last;
    carried = 0;
    for (RegionId from;;) {
        co_await or_return(co_await committer.admit());
        std::uint64_t blocks_most = segments.max_append_bytes() / kBlockBytes;
        std::vector<DestageJob> jobs = choose_jobs(&from, through, blocks_most);
        if (jobs.empty()) break;
        co_await or_return(co_await destage_together(&jobs, &last));
    }
    if (last.value > 0) co_await or_return(co_await committer.committed(last));
    co_return Done{};
}

}  // namespace weft::filedata
