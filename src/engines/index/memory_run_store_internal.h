#pragma once

#include "engines/index/index.h"
#include "platform/runtime/reactor.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace weft::index {

// A RunStore in memory, for tests. Keeps account of every block: what is appended is pending
// until it is published or abandoned, what is published is live until it is dropped, and then
// it is gone. The accounts are CHECKed. Takes simulated time; fails when told to.
class MemoryRunStore : public RunStore {
public:
    explicit MemoryRunStore(Reactor& reactor) : reactor_(reactor) {}

    Task<std::vector<BlockRun>> append(ConstBytes pages) override {
        CHECK(!pages.empty() && pages.size() % kBlockBytes == 0);
        CHECK(pages.size() <= append_bytes_most);
        (void)co_await wait();
        if (fails()) co_return Error{Code::out_of_space, "test.append"};
        std::vector<BlockRun> runs;
        while (!pages.empty()) {
            BlockRun run = allocate(pages.size() / kBlockBytes);
            for (std::uint32_t i = 0; i < run.count; ++i) {
                ConstBytes block = pages.first(kBlockBytes);
                BlockAddress at = run.first;
                at.block += i;
                blocks_[at].assign(block.begin(), block.end());
                pending_.insert(at);
                pages = pages.subspan(kBlockBytes);
            }
            runs.push_back(run);
        }
        co_return std::move(runs);
    }
    std::uint64_t max_append_bytes() const override { return append_bytes_most; }

    Task<Done> read(BlockRun run, std::span<const std::uint32_t> crcs, Bytes into) override {
        CHECK(crcs.size() == run.count && into.size() == run.count * kBlockBytes);
        ++reads;
        (void)co_await wait();
        if (fails()) co_return Error{Code::unavailable, "test.read"};
        for (std::uint32_t i = 0; i < run.count; ++i) {
            BlockAddress at = run.first;
            at.block += i;
            auto found = blocks_.find(at);
            if (found == blocks_.end()) co_return Error{Code::stale, "test.read"};
            Bytes part = into.subspan(i * kBlockBytes, kBlockBytes);
            std::copy(found->second.begin(), found->second.end(), part.begin());
        }
        co_return Done{};
    }

    Task<Done> publish(std::string new_manifest, Lsn new_covers, std::vector<BlockRun> added,
                       std::vector<BlockRun> dropped) override {
        (void)co_await wait();
        if (fails()) co_return Error{Code::unavailable, "test.publish"};
        manifest = std::move(new_manifest);
        CHECK(covers <= new_covers);
        covers = new_covers;
        for (BlockAddress at : each(added)) {
            CHECK(pending_.erase(at) == 1);
            CHECK(live_.insert(at).second);
        }
        for (BlockAddress at : each(dropped)) {
            CHECK(live_.erase(at) == 1);
            CHECK(blocks_.erase(at) == 1);
        }
        (void)co_await wait();
        co_return Done{};
    }
    void abandon(std::vector<BlockRun> appended) override {
        for (BlockAddress at : each(appended)) {
            CHECK(pending_.erase(at) == 1);
            CHECK(blocks_.erase(at) == 1);
        }
    }

    // What was not published is lost.
    void crash() {
        for (BlockAddress at : pending_) blocks_.erase(at);
        pending_.clear();
        failing = false;
        fail_in = 0;
    }
    // Whether exactly these blocks are live.
    bool live_is(const std::vector<BlockRun>& runs) const {
        std::vector<BlockAddress> all = each(runs);
        return std::set<BlockAddress>(all.begin(), all.end()) == live_ &&
               all.size() == live_.size();
    }
    std::size_t pending_count() const { return pending_.size(); }
    std::vector<BlockAddress> live() const { return {live_.begin(), live_.end()}; }
    void flip_bit(BlockAddress at, std::size_t bit) {
        blocks_.at(at)[bit / 8] ^= std::byte{1} << (bit % 8);
    }

    std::string manifest;
    Lsn covers;
    std::uint64_t append_bytes_most = 64 * kKiB;
    std::uint32_t run_blocks_most = 5;  // Blocks that lie together.
    std::uint32_t segment_blocks = 64;  // Of each of three slots.
    Nanos latency_most = 0;             // 0: nothing ever waits.
    std::uint64_t fail_in = 0;          // So many calls from now; 0: never.
    bool fail_once = true;              // Else everything fails from then on.
    bool failing = false;
    std::uint64_t calls = 0;
    std::uint64_t reads = 0;

private:
    static std::vector<BlockAddress> each(const std::vector<BlockRun>& runs) {
        std::vector<BlockAddress> all;
        for (const BlockRun& run : runs) {
            for (std::uint32_t i = 0; i < run.count; ++i) {
                all.push_back(run.first);
                all.back().block += i;
            }
        }
        return all;
    }
    Task<Done> wait() {
        if (latency_most > 0) {
            auto most = static_cast<std::uint64_t>(latency_most);
            co_await sleep(reactor_, static_cast<Nanos>(reactor_.random() % most));
        }
        co_return Done{};
    }
    bool fails() {
        ++calls;
        if (failing) return true;
        if (fail_in == 0 || --fail_in > 0) return false;
        failing = !fail_once;
        return true;
    }
    BlockRun allocate(std::size_t most) {
        if (next_block_ == segment_blocks) {
            next_block_ = 0;
            if (++next_chunk_ == 3) {
                next_chunk_ = 0;
                ++segment_;
            }
        }
        BlockRun run;
        run.first = BlockAddress{SegmentId{segment_}, next_block_, next_chunk_};
        run.count = std::min(
            {static_cast<std::uint32_t>(most), run_blocks_most, segment_blocks - next_block_});
        next_block_ += run.count;
        return run;
    }

    Reactor& reactor_;
    std::map<BlockAddress, std::vector<std::byte>> blocks_;
    std::set<BlockAddress> pending_;
    std::set<BlockAddress> live_;
    std::uint64_t segment_ = 1;
    std::uint16_t next_chunk_ = 0;
    std::uint32_t next_block_ = 0;
};

}  // namespace weft::index
