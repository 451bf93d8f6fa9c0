#include "engines/index/index.h"

#include "engines/index/memory_run_store_internal.h"
#include "platform/base/bytes.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_reactor.h"

#include <algorithm>
#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace weft::index {
namespace {

std::string number_key(std::uint64_t file, std::uint64_t part) {
    std::string key;
    ByteWriter writer(key);
    writer.sorted(std::uint32_t{1});
    writer.sorted(file);
    writer.raw(std::string_view("T"));
    writer.sorted(part);
    return key;
}

std::string counter_value(std::int64_t number) {
    std::string value;
    ByteWriter(value).number(number);
    return value;
}

std::uint64_t count_blocks_of(const Index& index) {
    std::uint64_t count = 0;
    for (const BlockRun& run : index.blocks()) count += run.count;
    return count;
}

class IndexTest : public testing::Test {
protected:
    IndexTest() { reopen(); }

    void reopen() {
        index = std::make_unique<Index>(reactor, store, cache, settings);
        ASSERT_TRUE(reactor.run(index->open(store.manifest)).ok());
    }
    void put(std::string key, std::string value) {
        Batch batch;
        batch.put(std::move(key), std::move(value));
        index->apply(batch, Lsn{++lsn});
    }
    void erase(std::string key) {
        Batch batch;
        batch.erase(std::move(key));
        index->apply(batch, Lsn{++lsn});
    }
    void add(std::string key, std::int64_t delta) {
        Batch batch;
        batch.add(std::move(key), delta);
        index->apply(batch, Lsn{++lsn});
    }
    Result<std::string> get(std::string key) { return reactor.run(index->get(std::move(key))); }
    std::vector<Entry> scan(std::string from, std::string to, std::size_t most) {
        auto found = reactor.run(index->scan(std::move(from), std::move(to), most));
        EXPECT_TRUE(found.ok());
        return found.ok() ? found.value() : std::vector<Entry>();
    }
    void checkpoint() {
        ASSERT_TRUE(reactor.run(index->checkpoint()).ok());
        EXPECT_EQ(index->covered_lsn(), Lsn{lsn});
        expect_accounts();
    }
    void compact() {
        for (;;) {
            auto more = reactor.run(index->compact_step());
            ASSERT_TRUE(more.ok());
            if (!more.value()) break;
        }
        expect_accounts();
    }
    void expect_accounts() {
        EXPECT_TRUE(store.live_is(index->blocks()));
        EXPECT_EQ(store.pending_count(), 0U);
    }

    SimulatedReactor reactor;
    MemoryRunStore store{reactor};
    BlockCache cache{kMiB};
    IndexSettings settings{16 * kKiB, 3, 64 * kKiB};
    std::unique_ptr<Index> index;
    std::uint64_t lsn = 0;
};

TEST_F(IndexTest, GivesWhatWasPut) {
    put("a", "1");
    put("b", "");
    EXPECT_EQ(get("a").value(), "1");
    EXPECT_EQ(get("b").value(), "");
    EXPECT_EQ(get("c").code(), Code::not_found);
    checkpoint();
    EXPECT_EQ(get("a").value(), "1");
    EXPECT_EQ(get("b").value(), "");
    EXPECT_EQ(get("c").code(), Code::not_found);
    put("a", "2");
    erase("b");
    EXPECT_EQ(get("a").value(), "2");
    EXPECT_EQ(get("b").code(), Code::not_found);
    checkpoint();
    EXPECT_EQ(get("a").value(), "2");
    EXPECT_EQ(get("b").code(), Code::not_found);
    EXPECT_EQ(index->counters().runs, 2U);
}

TEST_F(IndexTest, OpensWhatWasPublishedAndTakesWhatCameBehind) {
    put("a", "1");
    put("b", "1");
    checkpoint();
    put("a", "2");
    reopen();
    EXPECT_EQ(index->covered_lsn(), Lsn{2});
    EXPECT_EQ(get("a").value(), "1");
    Batch again;
    again.put("b", "old");
    index->apply(again, Lsn{2});  // Covered: a replay may begin early.
    EXPECT_EQ(get("b").value(), "1");
    again.put("a", "2");
    index->apply(again, Lsn{3});
    EXPECT_EQ(get("a").value(), "2");
    expect_accounts();
}

TEST_F(IndexTest, CoversRecordsThatChangeNothingHere) {
    Batch staged;
    staged.push({Mutation::Kind::stage, "a", "bytes", 0});
    index->apply(staged, Lsn{++lsn});
    checkpoint();
    EXPECT_EQ(store.covers, Lsn{1});
    EXPECT_TRUE(index->blocks().empty());
    std::uint64_t calls = store.calls;
    checkpoint();
    EXPECT_EQ(store.calls, calls);  // Nothing new.
}

TEST_F(IndexTest, SumsACounterOverAllLevels) {
    add("live", 5);
    add("gone", 1);
    checkpoint();
    add("live", 7);
    checkpoint();
    add("live", -2);
    add("gone", -1);
    EXPECT_EQ(get("live").value(), counter_value(10));
    EXPECT_EQ(get("gone").code(), Code::not_found);
    EXPECT_EQ(scan("a", "z", 10), (std::vector<Entry>{{"live", counter_value(10)}}));
    checkpoint();
    compact();
    EXPECT_EQ(get("live").value(), counter_value(10));
    EXPECT_EQ(get("gone").code(), Code::not_found);
    erase("live");
    add("live", 3);
    checkpoint();
    add("live", 1);
    EXPECT_EQ(get("live").value(), counter_value(4));
}

TEST_F(IndexTest, DropsTombstonesAndEmptySumsAtTheLastLevel) {
    for (int i = 0; i < 100; ++i) {
        put("key" + std::to_string(i), "value");
        add("sum" + std::to_string(i), 1);
    }
    checkpoint();
    for (int i = 0; i < 100; ++i) {
        erase("key" + std::to_string(i));
        add("sum" + std::to_string(i), -1);
    }
    checkpoint();
    put("other", "stays");
    checkpoint();
    compact();
    EXPECT_EQ(index->counters().runs, 1U);
    EXPECT_EQ(count_blocks_of(*index), 4U);  // One page, its filter, fences and head.
    EXPECT_EQ(scan("a", "z", 10), (std::vector<Entry>{{"other", "stays"}}));
}

TEST_F(IndexTest, LeavesOutWhatTheOwnerDrops) {
    for (int run = 0; run < 3; ++run) {
        for (int i = 0; i < 50; ++i) put("M" + std::to_string(i), std::to_string(run));
        put("S", std::to_string(run));
        checkpoint();
    }
    index->set_drop_filter([](std::string_view key) { return key.starts_with("M1"); });
    EXPECT_EQ(scan("M", "N", 100).size(), 50U);
    compact();
    EXPECT_EQ(scan("M", "N", 100).size(), 39U);
    EXPECT_EQ(get("S").value(), "2");
}

TEST_F(IndexTest, ScansARangeOverTableAndRuns) {
    put("b", "run");
    put("c", "run");
    put("d", "run");
    checkpoint();
    put("a", "table");
    put("c", "table");
    erase("d");
    put("e", "table");
    EXPECT_EQ(scan("a", "f", 10),
              (std::vector<Entry>{{"a", "table"}, {"b", "run"}, {"c", "table"}, {"e", "table"}}));
    EXPECT_EQ(scan("b", "c", 10), (std::vector<Entry>{{"b", "run"}}));
    EXPECT_EQ(scan("a", "f", 2), (std::vector<Entry>{{"a", "table"}, {"b", "run"}}));
    EXPECT_TRUE(scan("f", "z", 10).empty());
    EXPECT_TRUE(scan("c", "c", 10).empty());
    EXPECT_TRUE(scan("c", "a", 10).empty());
    EXPECT_TRUE(scan("a", "f", 0).empty());
}

TEST_F(IndexTest, ScansPastManyErasedEntries) {
    for (std::uint64_t i = 0; i < 3000; ++i) put(number_key(1, i), "old");
    checkpoint();
    for (std::uint64_t i = 0; i < 2990; ++i) erase(number_key(1, i));
    EXPECT_EQ(scan(number_key(1, 0), number_key(2, 0), 5).size(), 5U);
    EXPECT_EQ(scan(number_key(1, 0), number_key(2, 0), 1)[0].first, number_key(1, 2990));
    EXPECT_EQ(scan(number_key(1, 0), number_key(2, 0), 100).size(), 10U);
    checkpoint();
    EXPECT_EQ(scan(number_key(1, 0), number_key(2, 0), 5)[4].first, number_key(1, 2994));
}

TEST_F(IndexTest, HoldsValuesLargerThanABlock) {
    std::vector<std::size_t> sizes{4000, 4096, 5000, 65536, 70000, 200000};
    for (std::size_t size : sizes) {
        put("x" + std::to_string(size), std::string(size, static_cast<char>('a' + size % 26)));
        put("y" + std::to_string(size), "small");
    }
    auto expect_all = [&] {
        for (std::size_t size : sizes) {
            EXPECT_EQ(get("x" + std::to_string(size)).value(),
                      std::string(size, static_cast<char>('a' + size % 26)));
            EXPECT_EQ(get("y" + std::to_string(size)).value(), "small");
        }
        EXPECT_EQ(scan("x", "z", 100).size(), 2 * sizes.size());
    };
    expect_all();
    checkpoint();
    expect_all();
    for (int i = 0; i < 3; ++i) {
        put("z", "z");
        checkpoint();
    }
    compact();
    expect_all();
    reopen();
    expect_all();
}

TEST_F(IndexTest, MergesLevelsAsTheyFill) {
    for (std::uint64_t i = 0; i < 20000; ++i) {
        put(number_key(i * 7919 % 20000, i), std::string(40, 'x'));
        if (index->needs_checkpoint()) checkpoint();
        if (i % 50 == 0) ASSERT_TRUE(reactor.run(index->compact_step()).ok());
    }
    compact();
    EXPECT_GT(index->counters().compactions, 10U);
    EXPECT_LT(index->counters().runs, 60U);
    EXPECT_EQ(scan(number_key(0, 0), number_key(20000, 0), 30000).size(), 20000U);
    for (std::uint64_t i = 0; i < 20000; i += 97) {
        EXPECT_TRUE(get(number_key(i * 7919 % 20000, i)).ok()) << i;
    }
}

TEST_F(IndexTest, MovesWhatDoesNotOverlapWithoutWritingIt) {
    std::uint64_t written = 0;
    for (std::uint64_t i = 0; i < 6000; ++i) {
        put(number_key(i, 0), std::string(40, 'x'));
        if (index->needs_checkpoint()) checkpoint();
    }
    checkpoint();
    written = index->counters().blocks_written;
    compact();
    // Level 0 is merged once; from there on runs only go down.
    EXPECT_LE(index->counters().blocks_written, 2 * written + 20);
    reopen();
    EXPECT_EQ(scan(number_key(0, 0), number_key(9999, 0), 9999).size(), 6000U);
}

TEST_F(IndexTest, SkipsRunsThatHaveNothingOfAnInode) {
    for (std::uint64_t part = 0; part < 3; ++part) {
        for (std::uint64_t file = part; file < 1200; file += 3) put(number_key(file, part), "x");
        checkpoint();
    }
    std::uint64_t skips = index->counters().bloom_skips;
    EXPECT_EQ(scan(number_key(700, 0), number_key(700, 99), 10).size(), 1U);
    EXPECT_GE(index->counters().bloom_skips, skips + 2);
    skips = index->counters().bloom_skips;
    EXPECT_EQ(get(number_key(700, 5)).code(), Code::not_found);
    EXPECT_GE(index->counters().bloom_skips, skips + 2);
}

TEST_F(IndexTest, AnswersFromTheCacheWithoutReading) {
    for (std::uint64_t i = 0; i < 2000; ++i) put(number_key(i, 0), "value");
    checkpoint();
    EXPECT_TRUE(get(number_key(1000, 0)).ok());
    std::uint64_t reads = store.reads;
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(get(number_key(1000, 0)).ok());
    EXPECT_EQ(store.reads, reads);
}

TEST_F(IndexTest, ReadsAheadWhereBlocksLieTogether) {
    store.run_blocks_most = 64;
    settings.run_bytes_most = 8 * kMiB;
    reopen();
    for (std::uint64_t i = 0; i < 10000; ++i) put(number_key(i, 0), std::string(30, 'x'));
    checkpoint();
    std::uint64_t reads = store.reads;
    std::uint64_t blocks = index->counters().blocks_read;
    EXPECT_EQ(scan(number_key(0, 0), number_key(10000, 0), 10000).size(), 10000U);
    blocks = index->counters().blocks_read - blocks;
    EXPECT_GT(blocks, 80U);
    EXPECT_LT(store.reads - reads, blocks / 4);
}

TEST_F(IndexTest, ReportsBytesThatRotted) {
    for (std::uint64_t i = 0; i < 50; ++i) put(number_key(i, 0), "value");
    checkpoint();
    std::vector<BlockAddress> blocks = store.live();
    ASSERT_EQ(blocks.size(), 4U);
    for (BlockAddress at : blocks) store.flip_bit(at, 100);
    EXPECT_EQ(get(number_key(7, 0)).code(), Code::corrupt);
    auto found = reactor.run(index->scan(number_key(0, 0), number_key(9, 0), 100));
    EXPECT_EQ(found.code(), Code::corrupt);
    Index other(reactor, store, cache, settings);
    EXPECT_EQ(reactor.run(other.open(store.manifest)).code(), Code::corrupt);
    EXPECT_EQ(reactor.run(other.open("no manifest")).code(), Code::corrupt);
}

TEST_F(IndexTest, MovesOutOfASegment) {
    for (std::uint64_t round = 0; round < 5; ++round) {
        for (std::uint64_t i = 0; i < 4000; ++i) {
            put(number_key(i, round), std::string(60, static_cast<char>('a' + round)));
        }
        checkpoint();
    }
    compact();
    std::vector<Entry> before = scan(number_key(0, 0), number_key(4000, 0), 99999);
    std::uint64_t written = index->counters().blocks_written;
    std::vector<BlockRun> blocks = index->blocks();
    SegmentId segment = std::min_element(blocks.begin(), blocks.end())->first.segment;
    ASSERT_TRUE(reactor.run(index->move_out_of(segment)).ok());
    for (const BlockRun& run : index->blocks()) EXPECT_NE(run.first.segment, segment);
    EXPECT_LT(index->counters().blocks_written - written, 3 * 64U + 32);
    expect_accounts();
    EXPECT_EQ(scan(number_key(0, 0), number_key(4000, 0), 99999), before);
    reopen();
    EXPECT_EQ(scan(number_key(0, 0), number_key(4000, 0), 99999), before);
}

// The cleaner may move a run while a check reads it.
TEST_F(IndexTest, VerifiesARunThatMovesMeanwhile) {
    for (std::uint64_t i = 0; i < 4000; ++i) put(number_key(i, 0), std::string(60, 'v'));
    checkpoint();
    compact();
    store.latency_most = kMillisecond;
    for (int round = 0; round < 10; ++round) {
        std::vector<BlockRun> blocks = index->blocks();
        SegmentId segment = std::min_element(blocks.begin(), blocks.end())->first.segment;
        auto move = [](Index* of, SegmentId out_of) -> Task<Done> {
            co_return co_await of->move_out_of(out_of);
        };
        std::uint64_t lost = 0;
        auto verify = [](Index* of, SegmentId in, std::uint64_t* found) -> Task<Done> {
            *found += co_await or_return(co_await of->verify(in));
            co_return Done{};
        };
        Gate gate(reactor);
        for (int i = 0; i < 4; ++i) gate.spawn(verify(index.get(), segment, &lost));
        gate.spawn(move(index.get(), segment));
        ASSERT_TRUE(reactor.run(gate.close()).ok());
        EXPECT_EQ(lost, 0U);
    }
    expect_accounts();
}

TEST_F(IndexTest, KeepsTheTableOfACheckpointThatFailed) {
    put("a", "1");
    store.fail_in = 1;
    EXPECT_EQ(reactor.run(index->checkpoint()).code(), Code::out_of_space);
    EXPECT_EQ(index->covered_lsn(), Lsn{0});
    EXPECT_EQ(get("a").value(), "1");
    EXPECT_TRUE(index->needs_checkpoint());
    put("a", "2");
    add("n", 1);
    EXPECT_EQ(get("a").value(), "2");
    checkpoint();
    EXPECT_EQ(get("a").value(), "2");
    EXPECT_EQ(index->counters().runs, 2U);
}

TEST_F(IndexTest, WritesNothingOnceClosed) {
    put("a", "1");
    ASSERT_TRUE(reactor.run(index->close()).ok());
    EXPECT_EQ(reactor.run(index->checkpoint()).code(), Code::cancelled);
    EXPECT_FALSE(reactor.run(index->compact_step()).value());
    EXPECT_EQ(store.calls, 0U);
}

TEST_F(IndexTest, ReadsAPageOnceForAllWhoWantIt) {
    for (std::uint64_t i = 0; i < 50; ++i) put(number_key(i, 0), "value");
    checkpoint();
    store.latency_most = kMillisecond;
    auto read = [](Index* from, std::string key, int* found) -> Task<Done> {
        auto value = co_await from->get(std::move(key));
        *found += value.ok();
        co_return Done{};
    };
    std::uint64_t reads = store.reads;
    int found = 0;
    Gate gate(reactor);
    for (std::uint64_t i = 0; i < 50; ++i) gate.spawn(read(index.get(), number_key(i, 0), &found));
    ASSERT_TRUE(reactor.run(gate.close()).ok());
    EXPECT_EQ(found, 50);
    EXPECT_EQ(store.reads - reads, 3U);  // Filter, fences, entries.
}

TEST_F(IndexTest, LetsOthersReadWhenAReaderIsDestroyed) {
    for (std::uint64_t i = 0; i < 50; ++i) put(number_key(i, 0), "value");
    checkpoint();
    store.latency_most = kMillisecond;
    auto read = [](Index* from, std::string key, int* found) -> Task<Done> {
        auto value = co_await from->get(std::move(key));
        *found += value.ok();
        co_return Done{};
    };
    int found = 0;
    Gate gate(reactor);
    {
        Gate dying(reactor);
        dying.spawn(read(index.get(), number_key(1, 0), &found));
        gate.spawn(read(index.get(), number_key(2, 0), &found));
    }
    ASSERT_TRUE(reactor.run(gate.close()).ok());
    EXPECT_EQ(found, 1);
}

// 200,000 keys stand for 30 million: what stays in memory is a small part of what is stored.
TEST_F(IndexTest, KeepsLittleOfManyKeysInMemory) {
    settings = IndexSettings{kMiB, 4, 8 * kMiB};
    store.append_bytes_most = kMiB;
    store.run_blocks_most = 64;
    store.segment_blocks = 1024;
    reopen();
    constexpr std::uint64_t kKeys = 200'000;
    for (std::uint64_t i = 0; i < kKeys; ++i) {
        put(number_key(i * 7919 % kKeys, 0), std::string(60, 'x'));
        if (!index->needs_checkpoint()) continue;
        checkpoint();
        compact();
    }
    checkpoint();
    std::uint64_t stored = count_blocks_of(*index) * kBlockBytes;
    EXPECT_GT(stored, 10 * kMiB);
    EXPECT_LT(stored, kKeys * 100);
    EXPECT_LT(index->memory_bytes(), 100 * kKiB);
    EXPECT_LE(cache.bytes(), kMiB);
    for (std::uint64_t i = 0; i < kKeys; i += 997) EXPECT_TRUE(get(number_key(i, 0)).ok());
    EXPECT_LE(cache.bytes(), kMiB);
    std::uint64_t seen = 0;
    for (std::string from = number_key(0, 0);;) {
        auto entries = scan(from, number_key(kKeys, 0), 1000);
        for (const auto& [key, value] : entries) EXPECT_EQ(key, number_key(seen++, 0));
        if (entries.size() < 1000) break;
        from = entries.back().first + '\0';
    }
    EXPECT_EQ(seen, kKeys);
}

}  // namespace
}  // namespace weft::index
