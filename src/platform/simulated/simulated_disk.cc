#include "platform/simulated/simulated_disk.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <utility>

namespace weft {

SimulatedDisk::SimulatedDisk(Reactor& reactor, std::uint64_t size_bytes)
    : reactor_(reactor), size_bytes_(size_bytes), readable_end_(size_bytes) {
    CHECK(size_bytes % kBlockBytes == 0);
}

const SimulatedDisk::Block* SimulatedDisk::find(std::uint64_t block) const {
    if (auto fresh = unflushed_.find(block); fresh != unflushed_.end())
        return &fresh->second.content;
    if (auto old = durable_.find(block); old != durable_.end()) return &old->second;
    return nullptr;
}

Task<Done> SimulatedDisk::read(std::uint64_t offset, Bytes into) {
    CHECK(offset % kBlockBytes == 0 && into.size() % kBlockBytes == 0);
    co_await sleep(reactor_, random_latency());
    if (gone_) co_return Error{Code::unavailable, "disk.read"};
    if (offset + into.size() > readable_end_) co_return Error{Code::io_failed, "disk.read"};
    for (std::uint64_t at = 0; at < into.size(); at += kBlockBytes) {
        if (unreadable_.contains((offset + at) / kBlockBytes)) {
            co_return Error{Code::io_failed, "disk.read"};
        }
        const Block* block = find((offset + at) / kBlockBytes);
        Bytes part = into.subspan(at, kBlockBytes);
        if (block != nullptr) {
            std::copy(block->begin(), block->end(), part.begin());
        } else {
            std::fill(part.begin(), part.end(), std::byte{0});
        }
    }
    co_return Done{};
}

Task<Done> SimulatedDisk::write(std::uint64_t offset, ConstBytes from) {
    CHECK(offset % kBlockBytes == 0 && from.size() % kBlockBytes == 0);
    if (offset + from.size() > size_bytes_) co_return Error{Code::io_failed, "disk.write"};
    bool early = reactor_.random() % 2 == 0;
    if (early && !gone_) store(offset, from);
    co_await sleep(reactor_, random_latency());
    if (gone_) co_return Error{Code::unavailable, "disk.write"};
    if (!early) store(offset, from);
    co_return Done{};
}

// What a flush under way may have to keep is kept when it is written over.
void SimulatedDisk::store(std::uint64_t offset, ConstBytes from) {
    ++writes_;
    readable_end_ = std::max(readable_end_, offset + from.size());
    for (std::uint64_t at = 0; at < from.size(); at += kBlockBytes) {
        ConstBytes part = from.subspan(at, kBlockBytes);
        std::uint64_t block = (offset + at) / kBlockBytes;
        unreadable_.erase(block);
        if (power_safe_) {
            durable_[block].assign(part.begin(), part.end());
            continue;
        }
        Written& written = unflushed_[block];
        bool covered = written.number > 0 && written.number <= covered_;
        if (covered) durable_[block] = std::move(written.content);
        written.content.assign(part.begin(), part.end());
        written.number = writes_;
    }
}

Nanos SimulatedDisk::random_latency() {
    if (latency_ == 0) return 0;
    return latency_ + static_cast<Nanos>(reactor_.random() % static_cast<std::uint64_t>(latency_));
}

Task<Done> SimulatedDisk::flush() {
    std::uint64_t through = writes_;
    covered_ = through;
    co_await sleep(reactor_, random_latency());
    if (gone_) co_return Error{Code::unavailable, "disk.flush"};
    for (auto at = unflushed_.begin(); at != unflushed_.end();) {
        if (at->second.number > through) {
            ++at;
            continue;
        }
        durable_[at->first] = std::move(at->second.content);
        at = unflushed_.erase(at);
    }
    co_return Done{};
}

void SimulatedDisk::lose_power() {
    constexpr std::array<std::uint64_t, 5> kKeptOfSixteen = {0, 2, 8, 14, 16};
    std::uint64_t kept = kKeptOfSixteen[reactor_.random() % kKeptOfSixteen.size()];
    for (auto& [block, written] : unflushed_) {
        if (reactor_.random() % 16 < kept) durable_[block] = std::move(written.content);
    }
    unflushed_.clear();
}

void SimulatedDisk::overwrite_with_noise(std::uint64_t from, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    auto spoil = [&random](Block& content) {
        for (std::size_t at = 0; at < content.size(); at += sizeof(std::uint64_t)) {
            std::uint64_t noise = random();
            std::memcpy(content.data() + at, &noise, sizeof(noise));
        }
    };
    std::uint64_t first = divide_up(from, kBlockBytes);
    for (auto at = durable_.lower_bound(first); at != durable_.end(); ++at) spoil(at->second);
    for (auto at = unflushed_.lower_bound(first); at != unflushed_.end(); ++at) {
        spoil(at->second.content);
    }
}

void SimulatedDisk::cut_short(std::uint64_t from) {
    std::uint64_t first = divide_up(from, kBlockBytes);
    durable_.erase(durable_.lower_bound(first), durable_.end());
    unflushed_.erase(unflushed_.lower_bound(first), unflushed_.end());
    readable_end_ = first * kBlockBytes;
}

std::optional<std::uint64_t> SimulatedDisk::stored_at_or_behind(std::uint64_t from) const {
    std::optional<std::uint64_t> first;
    auto durable = durable_.lower_bound(divide_up(from, kBlockBytes));
    if (durable != durable_.end()) first = durable->first;
    auto fresh = unflushed_.lower_bound(divide_up(from, kBlockBytes));
    if (fresh != unflushed_.end()) first = std::min(first.value_or(fresh->first), fresh->first);
    if (first.has_value()) *first *= kBlockBytes;
    return first;
}

void SimulatedDisk::flip_bit(std::uint64_t offset, int bit) {
    const Block* block = find(offset / kBlockBytes);
    Block changed = block != nullptr ? *block : Block(kBlockBytes);
    changed[offset % kBlockBytes] ^= std::byte{1} << bit;
    auto fresh = unflushed_.find(offset / kBlockBytes);
    Block& into =
        fresh != unflushed_.end() ? fresh->second.content : durable_[offset / kBlockBytes];
    into = std::move(changed);
}

}  // namespace weft
