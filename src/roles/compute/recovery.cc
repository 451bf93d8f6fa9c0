#include "model/layout/keys.h"
#include "platform/base/planted.h"
#include "platform/memory/buffer.h"
#include "platform/runtime/join.h"
#include "roles/compute/recovery_internal.h"

namespace weft::compute {
namespace {

constexpr Error kMalformed{Code::corrupt, "compute.replay"};

// A store that only reads has nothing to say.
class NoLog : public segments::SegmentLog {
public:
    Lsn log(Batch) override { return Lsn{}; }
    Task<Done> flushed(Lsn) override { co_return Done{}; }
    Task<std::uint64_t> verify(SegmentId) override { co_return 0; }
};

}  // namespace

void Recovery::learn(const Transaction& transaction) {
    for (const auto& [shard, batch] : transaction.parts) {
        for (const Mutation& mutation : batch.mutations()) {
            auto segment = keys::parse_segment(mutation.key);
            if (!segment.has_value()) continue;
            if (mutation.kind == Mutation::Kind::erase) segments_[shard].erase(*segment);
            if (mutation.kind != Mutation::Kind::put) continue;
            auto record = decode_segment(mutation.value);
            if (record.has_value()) segments_[shard][*segment] = std::move(*record);
        }
    }
}

Task<Done> Recovery::visit(Lsn lsn, std::string_view bytes) {
    auto record = decode_record(bytes);
    if (!record.has_value()) co_return kMalformed;
    if (auto* transaction = std::get_if<Transaction>(&*record)) {
        learn(*transaction);
    } else {
        auto& manifest = std::get<ManifestRecord>(*record);
        if (manifest.shard.value >= map_->shard_count) co_return kMalformed;
        Segments& known = segments_[manifest.shard];
        known.clear();
        for (const auto& [id, segment] : manifest.segments) known[id] = segment;
        manifests_[manifest.shard] = std::move(manifest);
    }
    records_.emplace_back(lsn, std::string(bytes));
    co_return Done{};
}

Task<bool> Recovery::readable(ShardId shard, SegmentId id, ExtentRecord extent) {
    auto known = segments_[shard].find(id);
    if (known == segments_[shard].end()) co_return true;
    NoLog log;
    segments::SegmentStore store(host_.reactor, host_.drives, log, OwnerId::of(shard));
    store.set_map(*map_);
    store.restore(id, known->second, extent.count);
    Buffer buffer(extent.count * kBlockBytes);
    BlockRun run{extent.first, extent.count};
    auto done = co_await store.read(run, extent.crcs, buffer.bytes());
    (void)co_await store.close();
    co_return done.ok();
}

Task<bool> Recovery::verify(Lsn, std::string_view bytes) {
    auto record = decode_record(bytes);
    if (!record.has_value()) co_return false;
    auto* transaction = std::get_if<Transaction>(&*record);
    if (transaction == nullptr) co_return true;  // A manifest is written behind its runs.
    for (const auto& [shard, batch] : transaction->parts) {
        for (const Mutation& mutation : batch.mutations()) {
            if (mutation.kind != Mutation::Kind::put || !keys::parse_extent(mutation.key)) continue;
            auto extent = decode_extent(mutation.value);
            if (!extent.has_value()) co_return false;
            if (extent->kind != ExtentRecord::Kind::data) continue;
            SegmentId id = extent->first.segment;
            bool there = co_await or_return(co_await readable(shard, id, std::move(*extent)));
            if (!there) co_return false;
        }
    }
    co_return true;
}

Task<Done> Recovery::replay(std::map<ShardId, std::unique_ptr<Shard>>* shards) {
    std::size_t since_yield = 0;
    if (planted(Bug::replay_misses_last_record) && !records_.empty()) records_.pop_back();
    for (const auto& [lsn, bytes] : records_) {
        auto record = decode_record(bytes);
        CHECK(record.has_value());  // visit() has decoded it before.
        if (auto* transaction = std::get_if<Transaction>(&*record)) {
            for (const auto& [shard, batch] : transaction->parts) {
                if (shard.value >= map_->shard_count) co_return kMalformed;
                shards->at(shard)->replay(batch, lsn);
            }
        } else {
            const auto& manifest = std::get<ManifestRecord>(*record);
            shards->at(manifest.shard)->replay(manifest.accounts, lsn);
        }
        if (++since_yield % 1024 == 0) co_await yield(host_.reactor);
    }
    co_return Done{};
}

// Slots that were rebuilt elsewhere since the manifest was written.
void Recovery::learn_moves(ManifestRecord* manifest) {
    const Segments& known = segments_[manifest->shard];
    for (auto& [id, record] : manifest->segments) {
        auto now = known.find(id);
        if (now != known.end()) record = now->second;
    }
}

Task<Done> Recovery::open_shards(std::map<ShardId, std::unique_ptr<Shard>>* shards) {
    std::vector<Task<Done>> boots;
    for (std::uint32_t number = 0; number < map_->shard_count; ++number) {
        ShardId id{number};
        auto manifest = manifests_.find(id);
        const ManifestRecord* from = nullptr;
        if (manifest != manifests_.end()) {
            learn_moves(&manifest->second);
            from = &manifest->second;
        }
        Shard& shard = *shards->at(id);
        boots.push_back(shard.boot(map_, from));
    }
    auto booted = co_await join(boots);
    co_await or_return(first_error(booted));
    co_await or_return(co_await replay(shards));

    std::vector<Task<Done>> opens;
    for (auto& [id, shard] : *shards) opens.push_back(shard->open(map_));
    auto opened = co_await join(opens);
    co_return first_error(opened);
}

}  // namespace weft::compute
