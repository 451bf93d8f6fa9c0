// The double of shard_double_internal.h; it has no tests of its own.
#include "engines/filedata/extent_set_internal.h"
#include "engines/filedata/shard_double_internal.h"
#include "model/layout/keys.h"
#include "platform/runtime/reactor.h"

#include <algorithm>
#include <cstring>

namespace weft::filedata {

ShardDouble::ShardDouble(Reactor& reactor, DriveService& drives, const ClusterMap& map,
                         ShardDisk& disk, FileDataSettings settings)
    : reactor_(reactor), disk_(disk) {
    index::IndexSettings index_settings;
    index_settings.memtable_bytes_most = 64 * kKiB;
    index_ = std::make_unique<index::Index>(reactor, *this, cache_, index_settings);
    segments_ =
        std::make_unique<segments::SegmentStore>(reactor, drives, *this, OwnerId::of(kShard));
    segments_->set_map(map);
    data_ = std::make_unique<FileData>(reactor, kShard, *index_, *segments_, *this, settings);
}

Task<Done> ShardDouble::open() {
    co_await or_return(co_await index_->open(disk_.manifest));
    Lsn covered = index_->covered_lsn();
    for (const auto& [lsn, record] : disk_.records) {
        Transaction transaction;
        CHECK(decode(record, transaction) && transaction.parts.size() == 1);
        const Batch& batch = transaction.parts.front().second;
        if (lsn > covered) index_->apply(batch, lsn);
        data_->apply(batch, lsn);
    }
    co_await or_return(co_await restore_segments());
    co_return co_await segments_->open();
}

Task<Done> ShardDouble::restore_segments() {
    std::string from = keys::segment_prefix();
    std::string to = keys::after_prefix(from);
    auto entries =
        co_await or_return(co_await index_->scan(std::move(from), std::move(to), 100000));
    for (const auto& [key, value] : entries) {
        auto id = keys::parse_segment(key);
        auto record = decode_segment(value);
        CHECK(id.has_value() && record.has_value());
        std::string live_key = keys::live(*id);
        auto live = co_await index_->get(std::move(live_key));
        std::int64_t blocks = 0;
        if (live.ok()) std::memcpy(&blocks, live.value().data(), sizeof(blocks));
        segments_->restore(*id, std::move(*record), blocks);
    }
    co_return Done{};
}

Task<Done> ShardDouble::checkpoint() {
    Lsn begun = disk_.appended;
    co_await or_return(co_await data_->destage(begun));
    co_await or_return(co_await index_->checkpoint());
    Lsn trim = index_->covered_lsn();
    Lsn oldest = data_->oldest_staged();
    if (oldest.value > 0) trim.value = std::min(trim.value, oldest.value - 1);
    // What unstaged the bytes, so that older records are not needed, must not be lost itself.
    co_await or_return(co_await committed(disk_.appended));
    disk_.trimmed = std::max(disk_.trimmed, trim);
    disk_.records.erase(disk_.records.begin(), disk_.records.upper_bound(disk_.trimmed));
    co_return Done{};
}

Task<Done> ShardDouble::close() {
    co_await or_return(co_await segments_->close());
    co_return co_await index_->close();
}

void ShardDouble::apply(const Batch& batch, Lsn lsn) {
    index_->apply(batch, lsn);
    data_->apply(batch, lsn);
    for (const Mutation& mutation : batch.mutations()) {
        if (mutation.kind != Mutation::Kind::add) continue;
        auto segment = keys::parse_live(mutation.key);
        if (segment.has_value()) segments_->note_live(*segment, mutation.delta, lsn);
    }
}

Lsn ShardDouble::commit(Transaction transaction) {
    std::string record;
    encode(transaction, record);
    Transaction back;
    CHECK(decode(record, back));
    Lsn lsn{++disk_.appended.value};
    disk_.records[lsn] = std::move(record);
    for (const auto& [shard, batch] : back.parts) {
        CHECK(shard == kShard);
        apply(batch, lsn);
    }
    return lsn;
}

Lsn ShardDouble::commit(PreparedChange& change) {
    Transaction transaction;
    transaction.on(kShard).append(std::move(change.batch));
    return commit(std::move(transaction));
}

Lsn ShardDouble::log(Batch batch) {
    Transaction transaction;
    transaction.on(kShard).append(std::move(batch));
    return commit(std::move(transaction));
}

Task<Done> ShardDouble::admit() {
    co_return Done{};
}

Task<Done> ShardDouble::committed(Lsn lsn) {
    auto wait = static_cast<Nanos>(reactor_.random() % 200) * kMicrosecond;
    co_await sleep(reactor_, wait);
    disk_.acked = std::max(disk_.acked, lsn);
    co_return Done{};
}

Task<Done> ShardDouble::flushed(Lsn lsn) {
    co_return co_await committed(lsn);
}

Task<std::vector<BlockRun>> ShardDouble::append(ConstBytes pages) {
    co_await sleep(reactor_, 100 * kMicrosecond);
    SegmentId id{++disk_.last_run};
    disk_.runs[id].assign(pages.begin(), pages.end());
    std::vector<BlockRun> runs;
    auto left = static_cast<std::uint32_t>(pages.size() / kBlockBytes);
    for (BlockAddress first{id, 0, 0}; left > 0;) {
        std::uint32_t count = std::min(left, kExtentBlocksMost);
        runs.push_back({first, count});
        first.block += count;
        left -= count;
    }
    co_return runs;
}

Task<Done> ShardDouble::read(BlockRun run, std::span<const std::uint32_t> crcs, Bytes into) {
    CHECK(crcs.size() == run.count && into.size() == run.count * kBlockBytes);
    auto wait = static_cast<Nanos>(reactor_.random() % 300) * kMicrosecond;
    co_await sleep(reactor_, wait);
    const auto& stored = disk_.runs.at(run.first.segment);
    std::memcpy(into.data(), stored.data() + run.first.block * kBlockBytes, into.size());
    co_return Done{};
}

Task<Done> ShardDouble::publish(std::string manifest, Lsn covers, std::vector<BlockRun> added,
                                std::vector<BlockRun> dropped) {
    (void)added;
    (void)dropped;
    // As the journal does it: what the manifest covers is there for good before it is.
    co_await or_return(co_await committed(covers));
    disk_.manifest = std::move(manifest);
    co_return Done{};
}

namespace {

struct Account {
    std::map<FileId, std::map<std::uint64_t, ExtentRecord>> extents;
    std::map<std::string, std::uint32_t> summaries;
    std::map<SegmentId, std::int64_t> live;
};

Task<Account> take_account(ShardDouble* shard) {
    Account account;
    std::string from;
    std::string to = "\xff\xff\xff\xff\xff";
    auto entries = co_await or_return(co_await shard->index().scan(from, to, 1000000));
    for (const auto& [key, value] : entries) {
        if (keys::parse_summary(key).has_value()) account.summaries[key] = decode_summary(value);
        if (auto segment = keys::parse_live(key)) {
            std::memcpy(&account.live[*segment], value.data(), sizeof(std::int64_t));
        }
        auto extent = keys::parse_extent(key);
        if (!extent.has_value()) continue;
        auto record = decode_extent(value);
        CHECK(record.has_value());
        account.extents[extent->file][extent->end_block - record->count] = std::move(*record);
    }
    co_return account;
}

}  // namespace

Task<std::string> find_fault(ShardDouble* shard) {
    Account account = co_await or_return(co_await take_account(shard));
    std::map<SegmentId, std::int64_t> live;
    std::size_t data_extents = 0;
    for (const auto& [file, extents] : account.extents) {
        std::uint64_t previous_end = 0;
        for (const auto& [first, record] : extents) {
            if (first < previous_end) co_return std::string("extents overlap");
            previous_end = first + record.count;
            if (first / kRegionBlocks != (previous_end - 1) / kRegionBlocks) {
                co_return std::string("an extent crosses a region");
            }
            if (record.kind != ExtentRecord::Kind::data) continue;
            ++data_extents;
            live[record.first.segment] += record.count;
            BlockOwner owner{file, first};
            auto summary = account.summaries.find(keys::summary(record.first, owner));
            if (summary == account.summaries.end() || summary->second != record.count) {
                co_return std::string("an extent has no summary entry");
            }
        }
    }
    if (account.summaries.size() != data_extents) {
        co_return std::string("a summary entry has no extent");
    }
    if (account.live != live) co_return std::string("live counters are wrong");
    for (const auto& status : shard->segments().list()) {
        if (status.live_blocks != static_cast<std::uint64_t>(live[status.id])) {
            co_return std::string("segments count otherwise");
        }
        live.erase(status.id);
    }
    if (!live.empty()) co_return std::string("a live segment is gone");
    co_return std::string();
}

ClusterMap map_of(std::uint32_t drives) {
    ClusterMap map;
    map.epoch = Epoch{1};
    map.data_width = 3;
    map.parity_width = 2;
    map.slot_bytes = 64 * kBlockBytes;
    map.shard_count = 1;
    for (std::uint32_t i = 0; i < drives; ++i) {
        map.drives.push_back({DriveId{i}, FailureDomainId{i}, DriveState::active, "", 0});
    }
    return map;
}

}  // namespace weft::filedata
