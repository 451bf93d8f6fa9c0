#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

#include <algorithm>

namespace weft::compute {
namespace {

constexpr std::array<std::string_view, kStreamCount> kStreamNames{"hot", "cold", "cleaner",
                                                                  "index"};
constexpr std::array<std::string_view, static_cast<std::size_t>(Operation::count)> kNames{
    "lookup", "getattr",   "setattr",    "create", "link",    "unlink", "rmdir",
    "rename", "readlink",  "readdir",    "open",   "release", "read",   "write",
    "fsync",  "fallocate", "copy_range", "seek",   "xattr",   "lock"};

using Counters = std::vector<std::pair<std::string, std::uint64_t>>;

void add(Counters& counters, std::string name, std::uint64_t value) {
    counters.emplace_back(std::move(name), value);
}

void add_journal(const Core& core, Counters& counters) {
    const journal::JournalCounters& journal = core.journal.counters();
    add(counters, "journal.records", journal.records);
    add(counters, "journal.commits", journal.commits);
    add(counters, "journal.record_bytes", journal.record_bytes);
    add(counters, "journal.blocks_written", journal.blocks_written);
    add(counters, "journal.flushes", journal.flushes);
    journal::JournalHealth health = core.journal.health();
    add(counters, "journal.segments_exposed", health.segments_exposed);
    add(counters, "journal.drives_unflushed", health.drives_unflushed);
}

void add_indexes(const Core& core, Counters& counters) {
    index::IndexCounters sum;
    for (const auto& [id, shard] : core.shards) {
        const index::IndexCounters& one = shard->index.counters();
        sum.gets += one.gets;
        sum.scans += one.scans;
        sum.blocks_read += one.blocks_read;
        sum.blocks_written += one.blocks_written;
        sum.compactions += one.compactions;
        sum.runs += one.runs;
        sum.bloom_skips += one.bloom_skips;
    }
    add(counters, "index.gets", sum.gets);
    add(counters, "index.scans", sum.scans);
    add(counters, "index.blocks_read", sum.blocks_read);
    add(counters, "index.blocks_written", sum.blocks_written);
    add(counters, "index.compactions", sum.compactions);
    add(counters, "index.runs", sum.runs);
    add(counters, "index.bloom_skips", sum.bloom_skips);
    add(counters, "index.cache_hits", core.cache.hits());
    add(counters, "index.cache_misses", core.cache.misses());
}

void add_segments(const Core& core, Counters& counters) {
    segments::SegmentCounters sum;
    std::uint64_t written = 0;
    std::uint64_t torn = 0;
    for (const auto& [id, shard] : core.shards) {
        for (const segments::SegmentStatus& status : shard->segments.list()) {
            if (status.torn && status.live_blocks > 0) ++torn;
        }
        const segments::SegmentCounters& one = shard->segments.counters();
        for (std::size_t i = 0; i < kStreamCount; ++i) {
            sum.blocks_written[i] += one.blocks_written[i];
            written += one.blocks_written[i];
        }
        sum.parity_blocks_written += one.parity_blocks_written;
        sum.blocks_read += one.blocks_read;
        sum.degraded_reads += one.degraded_reads;
        sum.blocks_repaired += one.blocks_repaired;
        sum.blocks_lost += one.blocks_lost;
        sum.slots_rebuilt += one.slots_rebuilt;
        sum.segments_freed += one.segments_freed;
    }
    add(counters, "segments.blocks_written", written);
    for (std::size_t i = 0; i < kStreamCount; ++i) {
        std::string name = "segments." + std::string(kStreamNames[i]) + "_blocks_written";
        add(counters, std::move(name), sum.blocks_written[i]);
    }
    add(counters, "segments.parity_blocks_written", sum.parity_blocks_written);
    add(counters, "segments.blocks_read", sum.blocks_read);
    add(counters, "segments.degraded_reads", sum.degraded_reads);
    add(counters, "segments.blocks_repaired", sum.blocks_repaired);
    add(counters, "segments.blocks_lost", sum.blocks_lost);
    add(counters, "segments.slots_rebuilt", sum.slots_rebuilt);
    add(counters, "segments.segments_freed", sum.segments_freed);
    add(counters, "segments.torn", torn);
    add(counters, "drives.table_blocks_repaired", core.table_blocks_repaired);
}

void add_health(const Core& core, ComputeReport& report) {
    for (const auto& [id, shard] : core.shards) {
        for (const segments::SegmentStatus& status : shard->segments.list()) {
            ++report.segments;
            report.live_blocks += status.live_blocks;
            if (status.live_blocks == 0) continue;  // Nothing to lose, and soon gone.
            if (status.missing_slots > 0) ++report.segments_degraded;
            if (status.missing_slots > status.record.parity_width) ++report.segments_lost;
            report.missing_most = std::max(report.missing_most, status.missing_slots);
        }
        report.staged_bytes += shard->data.staged_bytes();
        report.memory_bytes += shard->index.memory_bytes();
    }
    // What the next start would read of the journal is data as much; while this process runs,
    // nothing of it is lost.
    journal::JournalHealth journal = core.journal.health();
    report.segments_degraded += journal.segments_exposed;
    report.missing_most = std::max(report.missing_most, journal.missing_most);
    report.physical_free_blocks = core.room_blocks();
    report.journal_bytes = core.journal.live_bytes();
    report.memory_bytes += report.staged_bytes + core.cache.bytes();
}

}  // namespace

Task<ComputeReport> ComputeRole::report() {
    ComputeReport report;
    for (const auto& [id, filesystem] : core_->filesystems) {
        if (!filesystem.serving) continue;
        FilesystemUsage usage = core_->usage_of(id);
        report.filesystems.push_back({id, usage.used_blocks, usage.free_blocks, usage.inodes});
    }
    add_health(*core_, report);
    for (std::size_t i = 0; i < kNames.size(); ++i) {
        add(report.counters, "ops." + std::string(kNames[i]), core_->operations[i]);
    }
    add(report.counters, "sessions.open", core_->sessions.size());
    add(report.counters, "inodes.cached", core_->inodes.size());
    add(report.counters, "locks.held", core_->advisory.held_count());
    add_journal(*core_, report.counters);
    add_indexes(*core_, report.counters);
    add_segments(*core_, report.counters);
    co_return report;
}

}  // namespace weft::compute
