// How fast one core's index is in memory: inserts with checkpoints and merges, then lookups
// and scans of small files from the cache. No drives: the store is a map.
//     index_bench [keys]

#include "engines/index/index.h"
#include "platform/base/bytes.h"
#include "platform/simulated/simulated_reactor.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>

namespace weft {
namespace {

class MapStore : public index::RunStore {
public:
    Task<std::vector<BlockRun>> append(ConstBytes pages) override {
        std::vector<BlockRun> runs;
        auto count = static_cast<std::uint32_t>(pages.size() / kBlockBytes);
        BlockRun run{{SegmentId{next_++}, 0, 0}, count};
        segments_[run.first.segment.value].assign(pages.begin(), pages.end());
        runs.push_back(run);
        co_return std::move(runs);
    }
    std::uint64_t max_append_bytes() const override { return kMiB; }
    Task<Done> read(BlockRun run, std::span<const std::uint32_t>, Bytes into) override {
        const auto& segment = segments_[run.first.segment.value];
        std::copy_n(segment.begin() + run.first.block * std::int64_t{kBlockBytes}, into.size(),
                    into.begin());
        co_return Done{};
    }
    Task<Done> publish(std::string, Lsn, std::vector<BlockRun>, std::vector<BlockRun>) override {
        co_return Done{};
    }

private:
    std::map<std::uint64_t, std::vector<std::byte>> segments_;
    std::uint64_t next_ = 1;
};

std::string key_of(std::uint64_t file, char kind) {
    std::string key;
    ByteWriter writer(key);
    writer.sorted(std::uint32_t{1});
    writer.sorted(file);
    writer.number(kind);
    return key;
}

class Stopwatch {
public:
    void report(const char* what, std::uint64_t operations) {
        std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
        std::printf("%-28s %10.0f /s  %6.2f us\n", what,
                    static_cast<double>(operations) / passed.count(),
                    passed.count() * 1e6 / static_cast<double>(operations));
        start_ = std::chrono::steady_clock::now();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void run(std::uint64_t keys) {
    SimulatedReactor reactor;
    MapStore store;
    index::BlockCache cache(kGiB);
    index::Index index(reactor, store, cache, index::IndexSettings());
    std::mt19937_64 random(1);

    Stopwatch watch;
    for (std::uint64_t i = 0; i < keys; ++i) {
        Batch batch;
        batch.put(key_of(random() % keys, 'I'), std::string(120, 'x'));
        index.apply(batch, Lsn{i + 1});
        if (index.needs_checkpoint()) (void)reactor.run(index.checkpoint());
        if (i % 4096 == 0) (void)reactor.run(index.compact_step());
    }
    watch.report("insert, with merges", keys);
    while (reactor.run(index.compact_step()).value()) {
    }
    std::printf("%-28s %10.2f\n", "written blocks per key",
                static_cast<double>(index.counters().blocks_written) / static_cast<double>(keys));

    for (std::uint64_t i = 0; i < keys; i += 1) (void)reactor.run(index.get(key_of(i, 'I')));
    watch.report("lookup, first", keys);
    std::uint64_t found = 0;
    for (std::uint64_t i = 0; i < keys; ++i) {
        found += reactor.run(index.get(key_of(random() % keys, 'I'))).ok();
    }
    watch.report("lookup, cached", keys);
    std::uint64_t missing = 0;
    for (std::uint64_t i = 0; i < keys; ++i) {
        missing += !reactor.run(index.get(key_of(random() % keys, 'J'))).ok();
    }
    watch.report("lookup, cached, not there", keys);
    std::uint64_t entries = 0;
    for (std::uint64_t i = 0; i < keys; ++i) {
        std::uint64_t file = random() % keys;
        auto all = reactor.run(index.scan(key_of(file, 'A'), key_of(file, 'Z'), 100));
        entries += all.value().size();
    }
    watch.report("scan of a file, cached", keys);
    std::printf("%-28s %llu of %llu, %llu, %llu; runs %llu; %.1f MB of memory\n", "found",
                static_cast<unsigned long long>(found), static_cast<unsigned long long>(keys),
                static_cast<unsigned long long>(keys - missing),
                static_cast<unsigned long long>(entries),
                static_cast<unsigned long long>(index.counters().runs),
                static_cast<double>(index.memory_bytes()) / 1e6);
}

}  // namespace
}  // namespace weft

int main(int count, char** arguments) {
    weft::run(count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1'000'000);
}
