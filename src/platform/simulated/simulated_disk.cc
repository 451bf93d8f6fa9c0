#include "platform/simulated/simulated_disk.h"

#include <algorithm>
#include <utility>

namespace weft {

SimulatedDisk::SimulatedDisk(Reactor& reactor, std::uint64_t size_bytes)
    : reactor_(reactor), size_bytes_(size_bytes) {
    CHECK(size_bytes % kBlockBytes == 0);
}

const SimulatedDisk::Block* SimulatedDisk::find(std::uint64_t block) const {
    if (auto fresh = unflushed_.find(block); fresh != unflushed_.end()) return &fresh->second;
    if (auto old = durable_.find(block); old != durable_.end()) return &old->second;
    return nullptr;
}

Task<Done> SimulatedDisk::read(std::uint64_t offset, Bytes into) {
    CHECK(offset % kBlockBytes == 0 && into.size() % kBlockBytes == 0);
    co_await sleep(reactor_, random_latency());
    if (gone_) co_return Error{Code::unavailable, "disk.read"};
    if (offset + into.size() > size_bytes_) co_return Error{Code::io_failed, "disk.read"};
    for (std::uint64_t at = 0; at < into.size(); at += kBlockBytes) {
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

void SimulatedDisk::store(std::uint64_t offset, ConstBytes from) {
    for (std::uint64_t at = 0; at < from.size(); at += kBlockBytes) {
        ConstBytes part = from.subspan(at, kBlockBytes);
        auto& into = power_safe_ ? durable_ : unflushed_;
        into[(offset + at) / kBlockBytes].assign(part.begin(), part.end());
    }
}

Nanos SimulatedDisk::random_latency() {
    if (latency_ == 0) return 0;
    return latency_ + static_cast<Nanos>(reactor_.random() % static_cast<std::uint64_t>(latency_));
}

Task<Done> SimulatedDisk::flush() {
    auto covered = unflushed_;
    co_await sleep(reactor_, random_latency());
    if (gone_) co_return Error{Code::unavailable, "disk.flush"};
    for (auto& [block, content] : covered) {
        auto now = unflushed_.find(block);
        if (now != unflushed_.end() && now->second == content) unflushed_.erase(now);
        durable_[block] = std::move(content);
    }
    co_return Done{};
}

void SimulatedDisk::lose_power() {
    for (auto& [block, content] : unflushed_) {
        if (reactor_.random() % 2 == 0) durable_[block] = std::move(content);
    }
    unflushed_.clear();
}

void SimulatedDisk::flip_bit(std::uint64_t offset, int bit) {
    const Block* block = find(offset / kBlockBytes);
    Block changed = block != nullptr ? *block : Block(kBlockBytes);
    changed[offset % kBlockBytes] ^= std::byte{1} << bit;
    auto& store = unflushed_.contains(offset / kBlockBytes) ? unflushed_ : durable_;
    store[offset / kBlockBytes] = std::move(changed);
}

}  // namespace weft
