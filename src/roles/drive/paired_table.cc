#include "roles/drive/paired_table.h"

#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace weft::drive {
namespace {

constexpr std::uint64_t kPairBytes = 2 * kBlockBytes;
constexpr std::uint32_t kPairsAtOnce = 128;  // 1 MiB of a table in memory at a time.
constexpr std::size_t kWritesAtOnce = 64;

}  // namespace

PairedTable::PairedTable(Reactor& reactor, Gate& gate, Disk& disk, std::uint64_t offset,
                         std::uint32_t block_count, std::uint64_t incarnation, Encode encode)
    : disk_(disk),
      offset_(offset),
      incarnation_(incarnation),
      encode_(std::move(encode)),
      blocks_(block_count),
      rounds_(reactor, gate, [this] { return write_dirty(); }) {}

std::uint64_t PairedTable::place_of(std::uint32_t index, std::uint64_t sequence) const {
    return offset_ + index * kPairBytes + (sequence % 2) * kBlockBytes;
}

Task<std::vector<std::uint32_t>> PairedTable::load(Decode decode, Take take) {
    std::vector<std::uint32_t> lost;
    Buffer buffer(kPairsAtOnce * kPairBytes);
    auto total = static_cast<std::uint32_t>(blocks_.size());
    for (std::uint32_t begin = 0; begin < total; begin += kPairsAtOnce) {
        std::uint32_t count = std::min(kPairsAtOnce, total - begin);
        Bytes pairs = buffer.bytes().first(count * kPairBytes);
        co_await or_return(co_await disk_.read(offset_ + begin * kPairBytes, pairs));
        for (std::uint32_t i = 0; i < count; ++i) {
            std::uint32_t index = begin + i;
            std::optional<ConstBytes> newest;
            for (std::uint64_t copy = 0; copy < 2; ++copy) {
                ConstBytes block = pairs.subspan(i * kPairBytes + copy * kBlockBytes, kBlockBytes);
                auto head = decode(block);
                bool ours = head.ok() && head.value().incarnation == incarnation_ &&
                            head.value().index == index && head.value().sequence % 2 == copy;
                if (!ours) continue;
                if (newest.has_value() && head.value().sequence < blocks_[index].sequence) continue;
                newest = block;
                blocks_[index].sequence = head.value().sequence;
            }
            if (newest.has_value()) {
                take(index, *newest);
            } else {
                blocks_[index].lost = true;
                lost.push_back(index);
            }
        }
    }
    co_return lost;
}

Task<Done> PairedTable::write(std::uint32_t index) {
    CHECK(index < blocks_.size());
    if (blocks_[index].lost) co_return Error{Code::corrupt, "drive.table"};
    dirty_.insert(index);
    co_return co_await rounds_.join();
}

// The sequence rises only when the copy is safe: a failed write goes to the same copy again,
// and never over the one that is good.
Task<Done> PairedTable::write_dirty() {
    std::vector<std::uint32_t> indexes(dirty_.begin(), dirty_.end());
    dirty_.clear();
    Result<Done> outcome = Done{};
    std::vector<std::uint32_t> written;
    for (std::size_t begin = 0; begin < indexes.size(); begin += kWritesAtOnce) {
        std::size_t end = std::min(begin + kWritesAtOnce, indexes.size());
        std::vector<Buffer> buffers;
        std::vector<Task<Done>> writes;
        for (std::size_t i = begin; i < end; ++i) {
            std::uint64_t sequence = blocks_[indexes[i]].sequence + 1;
            Bytes block = buffers.emplace_back(kBlockBytes).bytes();
            encode_({incarnation_, sequence, indexes[i]}, block);
            writes.push_back(disk_.write(place_of(indexes[i], sequence), block));
        }
        auto results = co_await join(writes);
        for (std::size_t i = begin; i < end; ++i) {
            if (results[i - begin].ok()) {
                written.push_back(indexes[i]);
            } else {
                outcome = results[i - begin];
            }
        }
    }
    bool flushes = !disk_.power_safe() && !planted(Bug::drive_does_not_flush_tables);
    if (flushes) co_await or_return(co_await disk_.flush());
    for (std::uint32_t index : written) ++blocks_[index].sequence;
    co_return outcome;
}

Task<Done> PairedTable::format(Disk* disk, std::uint64_t offset, std::uint32_t block_count,
                               std::function<void(std::uint32_t, Bytes)> encode) {
    Buffer buffer(kPairsAtOnce * kPairBytes);
    for (std::uint32_t begin = 0; begin < block_count; begin += kPairsAtOnce) {
        std::uint32_t count = std::min(kPairsAtOnce, block_count - begin);
        Bytes pairs = buffer.bytes().first(count * kPairBytes);
        std::fill(pairs.begin(), pairs.end(), std::byte{0});
        for (std::uint32_t i = 0; i < count; ++i) {
            encode(begin + i, pairs.subspan(i * kPairBytes, kBlockBytes));
        }
        co_await or_return(co_await disk->write(offset + begin * kPairBytes, pairs));
    }
    co_return Done{};
}

}  // namespace weft::drive
