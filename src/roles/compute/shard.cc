#include "model/layout/keys.h"
#include "platform/base/bytes.h"
#include "platform/base/planted.h"
#include "roles/compute/shard_internal.h"

namespace weft::compute {
namespace {

// Numbers below are kept for inodes that are known by number, such as the root.
constexpr std::uint64_t kFirstInode = 16;
constexpr std::size_t kScanMost = 256;

Lsn earlier(Lsn a, Lsn b) {
    if (a.value == 0) return b;
    if (b.value == 0) return a;
    return std::min(a, b);
}

std::int64_t counter_of(std::string_view value) {
    return ByteReader(value).number<std::int64_t>();
}

}  // namespace

Shard::Shard(ShardHost host, ShardId id)
    : index(host.reactor, *this, host.cache, host.settings.index),
      segments(host.reactor, host.table, host.drives, *this, OwnerId::of(id)),
      data(host.reactor, id, index, segments, host.committer, host.settings.data),
      maintenance(host.reactor),
      due(host.reactor),
      host_(host),
      id_(id) {}

Task<Done> Shard::boot(const ClusterMap* map, const ManifestRecord* manifest) {
    segments::SegmentLog& log = *this;
    boot_segments_ = std::make_unique<segments::SegmentStore>(host_.reactor, host_.drives, log,
                                                              OwnerId::of(id_));
    boot_segments_->set_map(*map);
    std::string from;
    if (manifest != nullptr) {
        // The live blocks are not asked of a store that only reads.
        for (const auto& [id, record] : manifest->segments) boot_segments_->restore(id, record, 1);
        covers_ = manifest->covers;
        from = manifest->manifest;
    }
    co_await or_return(co_await index.open(std::move(from)));
    co_return Done{};
}

void Shard::replay(const Batch& batch, Lsn lsn) {
    data.apply(batch, lsn);
    if (lsn <= covers_) return;
    index.apply(batch, lsn);
    note_uncovered(lsn);
}

Task<Done> Shard::restore_segments() {
    std::string from = keys::segment_prefix();
    std::string to = keys::after_prefix(from);
    for (;;) {
        auto found = co_await or_return(co_await index.scan(from, to, kScanMost));
        for (const auto& [key, value] : found) {
            auto id = keys::parse_segment(key);
            auto record = decode_segment(value);
            if (!id || !record) co_return Error{Code::corrupt, "shard.segments"};
            auto live = co_await index.get(keys::live(*id));
            if (!live.ok() && live.code() != Code::not_found) co_return live.error();
            std::int64_t blocks = live.ok() ? counter_of(live.value()) : 0;
            segments.restore(*id, std::move(*record), blocks);
        }
        if (found.size() < kScanMost) co_return Done{};
        from = found.back().first + '\0';
    }
}

Task<Done> Shard::open(const ClusterMap* map) {
    for (const BlockRun& run : index.blocks()) {
        run_blocks_[run.first.segment] += run.count;
        index_blocks_ += run.count;
    }
    segments.set_map(*map);
    co_await or_return(co_await restore_segments());
    auto counted = co_await index.get(keys::next_inode());
    if (!counted.ok() && counted.code() != Code::not_found) co_return counted.error();
    next_inode_ = kFirstInode;
    if (counted.ok()) next_inode_ += static_cast<std::uint64_t>(counter_of(counted.value()));
    co_await or_return(co_await segments.open());
    auto closed = co_await boot_segments_->close();
    boot_segments_.reset();
    co_return closed;
}

Task<Done> Shard::close() {
    auto index_closed = co_await index.close();
    auto segments_closed = co_await segments.close();
    if (!index_closed.ok()) co_return index_closed.error();
    co_return segments_closed;
}

void Shard::note_uncovered(Lsn lsn) {
    if (first_uncovered_.value == 0) first_uncovered_ = lsn;
}

void Shard::apply(const Batch& batch, Lsn lsn) {
    note_uncovered(lsn);
    index.apply(batch, lsn);
    ++changes_;
    for (const Mutation& mutation : batch.mutations()) {
        bool name = keys::parse_inode(mutation.key) || keys::parse_entry(mutation.key);
        if (name) ++names_changed_;
        if (mutation.kind != Mutation::Kind::add) continue;
        auto segment = keys::parse_live(mutation.key);
        if (segment.has_value()) segments.note_live(*segment, mutation.delta, lsn);
    }
    data.apply(batch, lsn);
}

InodeId Shard::take_inode(Batch& batch) {
    CHECK(next_inode_ >= kFirstInode);
    if (!planted(Bug::inode_number_is_not_logged)) batch.add(keys::next_inode(), 1);
    return make_inode(id_, next_inode_++);
}

Task<Done> Shard::checkpoint() {
    co_await or_return(co_await data.destage(host_.journal.last_appended()));
    being_covered_ = std::exchange(first_uncovered_, Lsn{});
    auto done = co_await index.checkpoint();
    if (!done.ok()) first_uncovered_ = earlier(being_covered_, first_uncovered_);
    being_covered_ = Lsn{};
    co_return done;
}

Task<std::uint64_t> Shard::verify(SegmentId segment) {
    const SegmentRecord* record = segments.find(segment);
    if (record == nullptr) co_return 0;
    if (record->stream == StreamKind::index) co_return co_await index.verify(segment);
    co_return co_await data.verify(segment);
}

bool Shard::is_due() const {
    return index.needs_checkpoint() || data.destage_is_due();
}

Lsn Shard::first_needed() const {
    Lsn staged = planted(Bug::trim_forgets_staged) ? Lsn{} : data.oldest_staged();
    return earlier(earlier(first_uncovered_, being_covered_), staged);
}

Task<std::vector<BlockRun>> Shard::append(ConstBytes pages) {
    // Side by side with others, so each has its own until it has ended.
    segments::Claims claims;
    auto runs = co_await or_return(
        co_await segments.append(StreamKind::index, pages, segments::Purpose::index, &claims));
    for (const BlockRun& run : runs) unpublished_[run.first.segment].blocks += run.count;
    // An append lies in one segment, or in a few where one has ended: each keeps all of them.
    auto shared = std::make_shared<segments::Claims>(std::move(claims));
    for (const BlockRun& run : runs) unpublished_[run.first.segment].claims.push_back(shared);
    co_return runs;
}

void Shard::let_go_of_claims(const std::vector<BlockRun>& settled) {
    for (const BlockRun& run : settled) {
        auto found = unpublished_.find(run.first.segment);
        CHECK(found != unpublished_.end() && found->second.blocks >= run.count);
        found->second.blocks -= run.count;
        if (found->second.blocks == 0) unpublished_.erase(found);
    }
}

void Shard::abandon(std::vector<BlockRun> appended) {
    let_go_of_claims(appended);
}

Task<Done> Shard::read(BlockRun run, std::span<const std::uint32_t> crcs, Bytes into) {
    segments::SegmentStore& from = boot_segments_ ? *boot_segments_ : segments;
    return from.read(run, crcs, into);
}

std::vector<std::pair<SegmentId, SegmentRecord>> Shard::segments_to_know() const {
    std::vector<std::pair<SegmentId, SegmentRecord>> known;
    for (const segments::SegmentStatus& status : segments.list()) {
        bool has_runs = run_blocks_.contains(status.id);
        if (has_runs || !status.record.closed) known.emplace_back(status.id, status.record);
    }
    return known;
}

Task<Done> Shard::publish(std::string manifest, Lsn covers, std::vector<BlockRun> added,
                          std::vector<BlockRun> dropped) {
    // The pages first, then what points at them: a manifest that is read is one that can be
    // opened.
    Lsn written = host_.journal.last_appended();
    co_await or_return(co_await host_.journal.flushed(written));

    std::map<SegmentId, std::int64_t> deltas;
    for (const BlockRun& run : added) deltas[run.first.segment] += run.count;
    for (const BlockRun& run : dropped) deltas[run.first.segment] -= run.count;
    ManifestRecord record;
    for (auto [segment, delta] : deltas) {
        if (delta == 0) continue;
        record.accounts.add(keys::live(segment), delta);
        run_blocks_[segment] += delta;
        CHECK(run_blocks_[segment] >= 0);
        if (run_blocks_[segment] == 0) run_blocks_.erase(segment);
    }
    record.shard = id_;
    record.covers = covers;
    record.manifest = std::move(manifest);
    record.segments = segments_to_know();
    Lsn lsn = host_.journal.append(encode_record(record));
    apply(record.accounts, lsn);
    let_go_of_claims(added);
    for (const BlockRun& run : added) index_blocks_ += run.count;
    for (const BlockRun& run : dropped) index_blocks_ -= run.count;
    co_return co_await host_.journal.flushed(lsn);
}

Lsn Shard::log(Batch batch) {
    Transaction transaction;
    transaction.on(id_) = std::move(batch);
    return host_.committer.commit(std::move(transaction));
}

}  // namespace weft::compute
