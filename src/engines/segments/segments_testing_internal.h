#pragma once

#include "engines/segments/segment_store.h"
#include "model/layout/keys.h"
#include "platform/isal/crc32c.h"
#include "platform/memory/buffer.h"
#include "platform/simulated/simulated_reactor.h"
#include "testing/memory_drives.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft::segments {

// Journal and index of one shard, in memory: keeps the segment records and live counters that
// a restart would find.
class FakeLog : public SegmentLog {
public:
    explicit FakeLog(Reactor& reactor) : reactor_(reactor) {}

    Lsn log(Batch batch) override {
        for (const Mutation& mutation : batch.mutations()) apply(mutation);
        return Lsn{++lsn_};
    }
    Task<Done> flushed(Lsn lsn) override {
        co_await sleep(reactor_, 100 * kMicrosecond);
        if (flush_fails) co_return Error{Code::fenced, "log.flushed"};
        ++flushes;
        flushed_ = std::max(flushed_, lsn.value);
        co_return Done{};
    }
    Task<std::uint64_t> verify(SegmentId segment) override { return verify_with(segment); }
    // What an owner's commit does: counts, and tells the store.
    Lsn add_live(SegmentStore& store, SegmentId id, std::int64_t delta) {
        Batch batch;
        batch.add(keys::live(id), delta);
        Lsn lsn = log(std::move(batch));
        store.note_live(id, delta, lsn);
        return lsn;
    }
    void restore_into(SegmentStore& store) const {
        for (const auto& [id, record] : records) {
            auto found = live.find(id);
            store.restore(id, record, found == live.end() ? 0 : found->second);
        }
    }
    std::uint64_t last() const { return lsn_; }
    std::uint64_t last_flushed() const { return flushed_; }

    std::map<SegmentId, SegmentRecord> records;
    std::map<SegmentId, std::int64_t> live;
    bool flush_fails = false;
    std::uint64_t flushes = 0;
    std::function<Task<std::uint64_t>(SegmentId)> verify_with = none_lost;

private:
    static Task<std::uint64_t> none_lost(SegmentId) { co_return 0; }
    void apply(const Mutation& mutation) {
        if (auto id = keys::parse_segment(mutation.key)) {
            if (mutation.kind == Mutation::Kind::erase) {
                records.erase(*id);
            } else {
                auto record = decode_segment(mutation.value);
                ASSERT_TRUE(record.has_value());
                records[*id] = *record;
            }
        } else if (auto counted = keys::parse_live(mutation.key)) {
            if (mutation.kind == Mutation::Kind::erase) {
                live.erase(*counted);
            } else {
                live[*counted] += mutation.delta;
            }
        } else {
            FAIL() << "a key that segments have no business with";
        }
    }

    Reactor& reactor_;
    std::uint64_t lsn_ = 0;
    std::uint64_t flushed_ = 0;
};

// Blocks that one append wrote, and what a reader must get.
struct Written {
    std::vector<BlockRun> runs;
    std::vector<std::byte> data;
    std::vector<std::uint32_t> crcs;
};

// A store over drives in memory, each in a domain of its own.
struct World {
    explicit World(std::uint64_t seed = 1, std::uint32_t drive_count = 7, std::uint32_t slots = 40,
                   std::uint32_t blocks = 64)
        : reactor(seed), drives(reactor, drive_count, slots, blocks), log(reactor) {
        map.epoch = Epoch{1};
        map.data_width = 4;
        map.parity_width = 2;
        map.slot_bytes = static_cast<std::uint32_t>(blocks * kBlockBytes);
        map.shard_count = 1;
        for (std::uint32_t i = 0; i < drive_count; ++i) add_entry(DriveId{i});
    }

    void add_entry(DriveId id) {
        DriveEntry entry;
        entry.id = id;
        entry.domain = FailureDomainId{id.value + 100};
        map.drives.push_back(entry);
    }
    void add_drive() { add_entry(drives.add_drive()); }
    void set_state(DriveId id, DriveState state) {
        for (DriveEntry& entry : map.drives) {
            if (entry.id == id) entry.state = state;
        }
        push_map();
    }
    void push_map() {
        ++map.epoch.value;
        if (store) store->set_map(map);
    }
    // A new process of the owner, from what the log holds.
    void start() {
        store.reset();
        ++map.epoch.value;
        store = std::make_unique<SegmentStore>(reactor, drives, log, owner);
        store->set_map(map);
        log.restore_into(*store);
        ASSERT_TRUE(reactor.run(store->open()).ok());
    }
    void let_time_pass(Nanos duration) { (void)reactor.run(pause(duration)); }
    Task<Done> pause(Nanos duration) {
        co_await sleep(reactor, duration);
        co_return Done{};
    }

    // The store asks the drives again, and finds that all serve.
    void forget_suspicions() {
        for (int i = 0; i < 2; ++i) {
            let_time_pass(600 * kSecond);
            (void)store->free_blocks();
            let_time_pass(kSecond);
        }
    }
    std::vector<std::byte> noise(std::size_t blocks) {
        std::vector<std::byte> bytes(blocks * kBlockBytes);
        for (std::size_t i = 0; i < bytes.size(); i += 8) {
            std::uint64_t word = reactor.random();
            std::memcpy(bytes.data() + i, &word, 8);
        }
        return bytes;
    }
    static Written describe(std::vector<BlockRun> runs, std::vector<std::byte> data) {
        Written written{std::move(runs), std::move(data), {}};
        for (std::size_t at = 0; at < written.data.size(); at += kBlockBytes) {
            written.crcs.push_back(crc32c(ConstBytes(written.data).subspan(at, kBlockBytes)));
        }
        return written;
    }
    Result<Written> try_append(std::size_t blocks, StreamKind stream = StreamKind::hot,
                               Purpose purpose = Purpose::user) {
        auto data = noise(blocks);
        Claims claims;  // Until it is counted.
        auto runs = reactor.run(store->append(stream, data, purpose, &claims));
        if (!runs.ok()) return runs.error();
        Written written = describe(runs.value(), std::move(data));
        count(written, 1);
        return written;
    }
    Written append(std::size_t blocks, StreamKind stream = StreamKind::hot) {
        auto written = try_append(blocks, stream);
        EXPECT_TRUE(written.ok()) << written.error().what << " " << name_of(written.code());
        if (!written.ok()) return {};
        return written.value();
    }
    void count(const Written& written, std::int64_t sign) {
        for (const BlockRun& run : written.runs) {
            (void)log.add_live(*store, run.first.segment, sign * run.count);
        }
    }
    void kill(const Written& written) { count(written, -1); }

    // Code::ok if every block reads as written; else the first error.
    Code read(const Written& written) {
        std::size_t at = 0;
        for (const BlockRun& run : written.runs) {
            std::vector<std::byte> into(run.count * kBlockBytes);
            auto crcs = std::span(written.crcs).subspan(at, run.count);
            auto outcome = reactor.run(store->read(run, crcs, into));
            if (!outcome.ok()) return outcome.code();
            auto expected = ConstBytes(written.data).subspan(at * kBlockBytes, into.size());
            EXPECT_TRUE(std::equal(into.begin(), into.end(), expected.begin()));
            at += run.count;
        }
        EXPECT_EQ(at, written.crcs.size());
        return Code::ok;
    }
    SegmentSlot slot_of(const BlockRun& run) const {
        return store->find(run.first.segment)->slots[run.first.chunk];
    }
    std::uint64_t free_slots() const {
        std::uint64_t total = 0;
        for (const DriveEntry& entry : map.drives) total += drives.free_slots(entry.id);
        return total;
    }
    // Slots that the records name, on any drive.
    std::uint64_t named_slots() const {
        std::uint64_t total = 0;
        for (const auto& [id, record] : log.records) total += record.slots.size();
        return total;
    }
    // Every segment lies on distinct domains, and what the log holds is what the store has.
    void check_invariants() const {
        for (const SegmentStatus& status : store->list()) {
            std::set<DriveId> used;
            for (const SegmentSlot& slot : status.record.slots) {
                if (slot.drive != kNoDrive) EXPECT_TRUE(used.insert(slot.drive).second);
            }
            ASSERT_TRUE(log.records.contains(status.id));
            EXPECT_EQ(log.records.at(status.id).slots, status.record.slots);
            auto live = log.live.find(status.id);
            std::int64_t counted = live == log.live.end() ? 0 : live->second;
            EXPECT_EQ(counted, static_cast<std::int64_t>(status.live_blocks));
        }
        EXPECT_EQ(store->list().size(), log.records.size());
    }

    SimulatedReactor reactor;
    testing::MemoryDrives drives;
    FakeLog log;
    ClusterMap map;
    OwnerId owner = OwnerId::of(ShardId{3});
    std::unique_ptr<SegmentStore> store;
};

}  // namespace weft::segments
