#include "engines/index/index.h"
#include "engines/index/memory_run_store_internal.h"
#include "platform/base/bytes.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_reactor.h"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace weft::index {
namespace {

using Value = std::shared_ptr<const std::string>;
using Model = std::map<std::string, Value>;  // The dumbest index that can be right.

struct Shape {
    std::uint64_t files = 30;
    std::uint64_t keys_per_file = 10;
    std::size_t value_bytes_most = 200;
    std::size_t huge_one_in = 1000;  // Of values: 70 KB.
    IndexSettings settings{8 * kKiB, 3, 48 * kKiB};
    std::uint64_t cache_bytes = 96 * kKiB;
};

std::string counter_value(std::uint64_t number) {
    std::string value;
    ByteWriter(value).number(number);
    return value;
}

// One index under one seed, with all that has ever been applied to it, and the model's state
// after each batch.
class World {
public:
    World(std::uint64_t seed, Shape shape_) : shape(shape_), reactor(seed), random(seed) {
        store.append_bytes_most = (random() % 16 + 1) * kBlockBytes;
        store.run_blocks_most = static_cast<std::uint32_t>(random() % 20 + 1);
        states.push_back(std::make_shared<const Model>());
        open();
    }

    void open() {
        index = std::make_unique<Index>(reactor, store, cache, shape.settings);
        ASSERT_TRUE(reactor.run(index->open(store.manifest)).ok());
        ASSERT_EQ(index->covered_lsn(), store.covers);
        // Beginning early does no harm.
        std::uint64_t from = store.covers.value > 3 ? store.covers.value - 3 : 0;
        for (std::uint64_t i = from; i < batches.size(); ++i) index->apply(batches[i], Lsn{i + 1});
    }
    // Everything in memory is gone, and what was not published.
    void crash() {
        index.reset();
        store.crash();
        open();
    }

    std::string random_key(bool counter) {
        std::string key;
        ByteWriter writer(key);
        writer.sorted(std::uint32_t{1});
        writer.sorted(random() % shape.files);
        writer.raw(std::string_view(counter ? "L" : "T"));
        writer.sorted(random() % shape.keys_per_file);
        return key;
    }
    std::string random_value() {
        std::size_t size = random() % (shape.value_bytes_most + 1);
        if (random() % shape.huge_one_in == 0) size = 70'000;
        std::string value(size, static_cast<char>('a' + random() % 26));
        if (size >= 8) value.replace(0, 8, counter_value(random()));
        return value;
    }
    void apply_random_batch() {
        Batch batch;
        Model next = *states.back();
        for (std::uint64_t i = random() % 8 + 1; i > 0; --i) {
            bool counter = random() % 4 == 0;
            std::string key = random_key(counter);
            if (random() % 4 == 0) {
                batch.erase(key);
                next.erase(key);
            } else if (counter) {
                std::int64_t delta = static_cast<std::int64_t>(random() % 7) - 3;
                batch.add(key, delta);
                std::uint64_t sum = static_cast<std::uint64_t>(delta);
                if (next.contains(key)) sum += ByteReader(*next[key]).number<std::uint64_t>();
                next[key] = std::make_shared<const std::string>(counter_value(sum));
                if (sum == 0) next.erase(key);
            } else {
                std::string value = random_value();
                batch.put(key, value);
                next[key] = std::make_shared<const std::string>(std::move(value));
            }
        }
        index->apply(batch, Lsn{batches.size() + 1});
        batches.push_back(std::move(batch));
        states.push_back(std::make_shared<const Model>(std::move(next)));
    }

    static bool same(const Model& model, const std::string& key, const Result<std::string>& got) {
        auto found = model.find(key);
        if (found == model.end()) return got.code() == Code::not_found;
        return got.ok() && got.value() == *found->second;
    }
    static bool same(const Model& model, const std::string& from, const std::string& to,
                     std::size_t most, const std::vector<Entry>& got) {
        auto at = model.lower_bound(from);
        std::size_t count = 0;
        for (; count < most && at != model.end() && at->first < to; ++at, ++count) {
            if (count >= got.size() || got[count].first != at->first) return false;
            if (got[count].second != *at->second) return false;
        }
        return count == got.size();
    }
    // Some state between the first and now is what was read.
    template <class Same>
    void expect_seen(std::size_t first, Same is_same, const char* what) {
        for (std::size_t i = first; i < states.size(); ++i) {
            if (is_same(*states[i])) return;
        }
        ADD_FAILURE() << what << " between batch " << first << " and " << states.size() - 1;
    }
    void expect_all() {
        std::string from(1, '\0');
        std::string to(20, '\xff');
        auto all = reactor.run(index->scan(from, to, SIZE_MAX));
        ASSERT_TRUE(all.ok());
        EXPECT_TRUE(same(*states.back(), from, to, SIZE_MAX, all.value()));
        for (int i = 0; i < 50; ++i) {
            std::string key = random_key(i % 4 == 0);
            EXPECT_TRUE(same(*states.back(), key, reactor.run(index->get(key))));
        }
    }

    Shape shape;
    SimulatedReactor reactor;
    std::mt19937_64 random;
    MemoryRunStore store{reactor};
    BlockCache cache{shape.cache_bytes};
    std::unique_ptr<Index> index;
    std::vector<Batch> batches;  // The lsn of batches[i] is i + 1.
    std::vector<std::shared_ptr<const Model>> states;
    bool stopping = false;
};

Task<Done> pause(World* world, Nanos most) {
    co_await sleep(world->reactor, static_cast<Nanos>(world->random() % 1000) * most / 1000);
    co_return Done{};
}

Task<Done> write(World* world) {
    while (!world->stopping) {
        world->apply_random_batch();
        (void)co_await pause(world, 300 * kMicrosecond);
    }
    co_return Done{};
}

Task<Done> checkpoint(World* world) {
    while (!world->stopping) {
        if (world->index->needs_checkpoint() || world->random() % 50 == 0) {
            Lsn wanted{world->batches.size()};
            auto done = co_await world->index->checkpoint();
            EXPECT_TRUE(done.ok());
            EXPECT_LE(wanted, world->index->covered_lsn());
        }
        (void)co_await pause(world, kMillisecond);
    }
    co_return Done{};
}

Task<Done> compact(World* world) {
    while (!world->stopping) {
        auto done = co_await world->index->compact_step();
        EXPECT_TRUE(done.ok());
        (void)co_await pause(world, kMillisecond);
    }
    co_return Done{};
}

Task<Done> move(World* world) {
    while (!world->stopping) {
        (void)co_await pause(world, 40 * kMillisecond);
        std::vector<BlockRun> blocks = world->index->blocks();
        if (blocks.empty()) continue;
        SegmentId segment = blocks[world->random() % blocks.size()].first.segment;
        auto done = co_await world->index->move_out_of(segment);
        EXPECT_TRUE(done.ok());
    }
    co_return Done{};
}

Task<Done> get(World* world) {
    while (!world->stopping) {
        std::string key = world->random_key(world->random() % 4 == 0);
        std::size_t first = world->states.size() - 1;
        auto got = co_await world->index->get(key);
        auto is_same = [&](const Model& model) {
            return World::same(model, key, got);
        };
        world->expect_seen(first, is_same, "get");
        (void)co_await pause(world, 500 * kMicrosecond);
    }
    co_return Done{};
}

Task<Done> scan(World* world) {
    while (!world->stopping) {
        std::string from = world->random_key(false);
        std::string to = world->random_key(false);
        if (world->random() % 2 == 0) {
            from.resize(12);
            to = from + std::string(1, '\xff');  // All of one file.
        }
        if (to < from) std::swap(from, to);
        std::size_t most = world->random() % 2 == 0 ? 5 : 500;
        std::size_t first = world->states.size() - 1;
        auto got = co_await world->index->scan(from, to, most);
        EXPECT_TRUE(got.ok());
        if (!got.ok()) co_return got.error();
        auto is_same = [&](const Model& model) {
            return World::same(model, from, to, most, got.value());
        };
        world->expect_seen(first, is_same, "scan");
        (void)co_await pause(world, kMillisecond);
    }
    co_return Done{};
}

void start_all(World& world, Gate& gate) {
    gate.spawn(write(&world));
    gate.spawn(checkpoint(&world));
    gate.spawn(compact(&world));
    gate.spawn(move(&world));
    for (int i = 0; i < 2; ++i) gate.spawn(get(&world));
    for (int i = 0; i < 2; ++i) gate.spawn(scan(&world));
}

void run_for(World& world, Nanos duration) {
    Nanos end = world.reactor.now() + duration;
    while (world.reactor.now() < end && world.reactor.step()) {
    }
}

// Goal: reads see a state of the model between their begin and end, whole batches of it, while
// everything happens at once; crashes at any await lose nothing that was applied.
void expect_matches_model(std::uint64_t seed, Shape shape) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    World world(seed, shape);
    for (int round = 0; round < 4 && !testing::Test::HasFailure(); ++round) {
        world.store.latency_most = world.random() % 4 == 0 ? 0 : 400 * kMicrosecond;
        {
            Gate gate(world.reactor);
            start_all(world, gate);
            run_for(world, static_cast<Nanos>(world.random() % 60) * kMillisecond);
        }  // Cut off wherever they are.
        world.store.latency_most = 0;
        world.crash();
        world.expect_all();
        EXPECT_TRUE(world.store.live_is(world.index->blocks()));
    }
    {
        Gate gate(world.reactor);
        world.store.latency_most = 400 * kMicrosecond;
        start_all(world, gate);
        run_for(world, 50 * kMillisecond);
        world.stopping = true;
        EXPECT_TRUE(world.reactor.run(gate.close()).ok());
    }
    EXPECT_TRUE(world.reactor.run(world.index->checkpoint()).ok());
    bool needed = true;
    while (needed) {  // Nothing else changes the index by now.
        needed = world.index->needs_merge();
        EXPECT_EQ(world.reactor.run(world.index->compact_step()).value(), needed);
    }
    EXPECT_TRUE(world.store.live_is(world.index->blocks()));
    EXPECT_EQ(world.store.pending_count(), 0U);
    world.expect_all();
}

TEST(IndexRandom, MatchesAMapThroughCrashes) {
    for (std::uint64_t seed = 1; seed <= 12 && !HasFailure(); ++seed) {
        expect_matches_model(seed, Shape());
    }
}

TEST(IndexRandom, MatchesAMapWithFewKeys) {
    Shape shape;
    shape.files = 2;
    shape.keys_per_file = 5;
    shape.settings.memtable_bytes_most = kKiB;
    for (std::uint64_t seed = 100; seed <= 106 && !HasFailure(); ++seed) {
        expect_matches_model(seed, shape);
    }
}

TEST(IndexRandom, MatchesAMapWithLargeValues) {
    Shape shape;
    shape.files = 20;
    shape.keys_per_file = 40;
    shape.value_bytes_most = 6000;
    shape.huge_one_in = 50;
    shape.settings = IndexSettings{128 * kKiB, 2, 8 * kMiB};
    shape.cache_bytes = 512 * kKiB;
    for (std::uint64_t seed = 200; seed <= 202 && !HasFailure(); ++seed) {
        expect_matches_model(seed, shape);
    }
}

// Any step may fail; it is tried again later, as the owner would.
void work_with_errors(World& world) {
    for (int i = 0; i < 120; ++i) {
        for (int j = 0; j < 5; ++j) world.apply_random_batch();
        if (i % 3 == 0) (void)world.reactor.run(world.index->checkpoint());
        (void)world.reactor.run(world.index->compact_step());
        if (i % 20 == 19) {
            std::vector<BlockRun> blocks = world.index->blocks();
            if (!blocks.empty()) {
                SegmentId segment = blocks.front().first.segment;
                (void)world.reactor.run(world.index->move_out_of(segment));
            }
        }
        std::string key = world.random_key(false);
        auto got = world.reactor.run(world.index->get(key));
        if (got.code() != Code::unavailable) {
            EXPECT_TRUE(World::same(*world.states.back(), key, got));
        }
    }
}

TEST(IndexRandom, SurvivesAnErrorOfAnyCallToTheStore) {
    Shape shape;
    shape.cache_bytes = 32 * kKiB;
    std::uint64_t calls = 0;
    for (std::uint64_t n = 0; n == 0 || (n <= calls && !HasFailure()); n += 1 + n / 12) {
        SCOPED_TRACE(testing::Message() << "call " << n);
        World world(7, shape);
        world.store.fail_once = n % 2 == 0;
        world.store.fail_in = n;  // The first time round: none.
        work_with_errors(world);
        if (n == 0) calls = world.store.calls;
        bool failed = world.store.failing;
        if (failed) world.crash();
        EXPECT_TRUE(world.store.live_is(world.index->blocks()));
        world.expect_all();
        EXPECT_TRUE(world.reactor.run(world.index->checkpoint()).ok());
        world.crash();
        world.expect_all();
        EXPECT_TRUE(world.store.live_is(world.index->blocks()));
    }
    EXPECT_GT(calls, 300U);
}

}  // namespace
}  // namespace weft::index
