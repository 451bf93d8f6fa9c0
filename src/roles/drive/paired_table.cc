#include "roles/drive/paired_table.h"

#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "platform/isal/crc32c.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <utility>

namespace weft::drive {
namespace {

constexpr std::uint64_t kPairBytes = 2 * kBlockBytes;
constexpr std::uint32_t kPairsAtOnce = 128;  // 1 MiB of a table in memory at a time.
constexpr std::size_t kWritesAtOnce = 64;
// Of a block: to write one copy, then the other, and again what changed meanwhile.
constexpr int kSettlingsMost = 4;
constexpr int kLooksMost = 4;

ConstBytes copy_of(ConstBytes pair, std::uint64_t copy) {
    return pair.subspan(copy * kBlockBytes, kBlockBytes);
}

std::uint32_t content_of(ConstBytes block) {
    return crc32c(block.subspan(kTableHeadBytes));
}

}  // namespace

PairedTable::PairedTable(Reactor& reactor, Gate& gate, Disk& disk, std::uint64_t offset,
                         std::uint32_t block_count, std::uint64_t incarnation, Encode encode,
                         Decode decode)
    : disk_(disk),
      offset_(offset),
      incarnation_(incarnation),
      encode_(std::move(encode)),
      decode_(std::move(decode)),
      blocks_(block_count),
      rounds_(reactor, gate, [this] { return write_dirty(); }) {}

std::uint64_t PairedTable::place_of(std::uint32_t index, std::uint64_t sequence) const {
    return offset_ + index * kPairBytes + (sequence % 2) * kBlockBytes;
}

bool PairedTable::ours(const Result<TableBlockHead>& head, std::uint32_t index,
                       std::uint64_t copy) const {
    return head.ok() && head.value().incarnation == incarnation_ && head.value().index == index &&
           head.value().sequence % 2 == copy;
}

// Where the disk cannot read some of it, that is zeros: no valid block.
Task<Done> PairedTable::read_pairs(std::uint32_t begin, Bytes pairs) {
    std::uint64_t offset = offset_ + begin * kPairBytes;
    auto read = co_await disk_.read(offset, pairs);
    if (read.code() != Code::io_failed) co_return read;
    for (std::size_t at = 0; at < pairs.size(); at += kBlockBytes) {
        Bytes block = pairs.subspan(at, kBlockBytes);
        auto alone = co_await disk_.read(offset + at, block);
        if (alone.ok()) continue;
        if (alone.code() != Code::io_failed) co_return alone;
        std::fill(block.begin(), block.end(), std::byte{0});
    }
    co_return Done{};
}

void PairedTable::take_pair(std::uint32_t index, ConstBytes pair, const Take& take) {
    Block& block = blocks_[index];
    std::array<std::optional<std::uint64_t>, 2> found;
    std::optional<std::uint64_t> newest;
    for (std::uint64_t copy = 0; copy < 2; ++copy) {
        auto head = decode_(copy_of(pair, copy));
        if (!ours(head, index, copy)) continue;
        found[copy] = head.value().sequence;
        if (!newest.has_value() || *found[copy] > block.sequence) newest = copy;
        block.sequence = *found[*newest];
    }
    block.lost = !newest.has_value();
    if (block.lost) return;
    for (std::uint64_t copy = 0; copy < 2; ++copy) {
        // Any other sequence than these is of writes that went wrong.
        bool right = found[copy].has_value() &&
                     (*found[copy] == block.sequence || *found[copy] + 1 == block.sequence);
        if (right) block.copies[copy] = content_of(copy_of(pair, copy));
    }
    note_settled(index);
    take(index, copy_of(pair, *newest));
}

Task<std::vector<std::uint32_t>> PairedTable::load(Take take) {
    std::vector<std::uint32_t> lost;
    Buffer buffer(kPairsAtOnce * kPairBytes);
    auto total = static_cast<std::uint32_t>(blocks_.size());
    for (std::uint32_t begin = 0; begin < total; begin += kPairsAtOnce) {
        std::uint32_t count = std::min(kPairsAtOnce, total - begin);
        Bytes pairs = buffer.bytes().first(count * kPairBytes);
        co_await or_return(co_await read_pairs(begin, pairs));
        for (std::uint32_t i = 0; i < count; ++i) {
            take_pair(begin + i, pairs.subspan(i * kPairBytes, kPairBytes), take);
            if (blocks_[begin + i].lost) lost.push_back(begin + i);
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

bool PairedTable::settled(const Block& block) {
    return block.copies[0].has_value() && block.copies[0] == block.copies[1];
}

void PairedTable::note_settled(std::uint32_t index) {
    if (settled(blocks_[index])) {
        unsettled_.erase(index);
    } else {
        unsettled_.insert(index);
    }
}

// Goes over the copy that does not count, with the next sequence. Or, where that is the only good
// one, over the one that counts, with the same sequence: the other's is lower.
PairedTable::Written PairedTable::encode_next(std::uint32_t index, Bytes bytes) {
    Block& block = blocks_[index];
    std::uint64_t counts = block.sequence % 2;
    bool only_other = !block.copies[counts].has_value() && block.copies[1 - counts].has_value();
    std::uint64_t sequence = only_other ? block.sequence : block.sequence + 1;
    block.copies[sequence % 2].reset();
    note_settled(index);
    TableBlockHead head{incarnation_, sequence, index};
    encode_(head, bytes);
    return {head, content_of(bytes)};
}

void PairedTable::note(const Written& written) {
    Block& block = blocks_[written.head.index];
    block.sequence = written.head.sequence;
    block.copies[block.sequence % 2] = written.content;
    note_settled(written.head.index);
}

// The sequence rises only when the copy is safe: a failed write goes to the same copy again,
// and never over the one that is good.
Task<Done> PairedTable::write_dirty() {
    std::vector<std::uint32_t> indexes(dirty_.begin(), dirty_.end());
    dirty_.clear();
    Result<Done> outcome = Done{};
    std::vector<Written> written;
    for (std::size_t begin = 0; begin < indexes.size(); begin += kWritesAtOnce) {
        std::size_t end = std::min(begin + kWritesAtOnce, indexes.size());
        std::vector<Buffer> buffers;
        std::vector<Written> wanted;
        std::vector<Task<Done>> writes;
        for (std::size_t i = begin; i < end; ++i) {
            Bytes block = buffers.emplace_back(kBlockBytes).bytes();
            wanted.push_back(encode_next(indexes[i], block));
            writes.push_back(disk_.write(place_of(indexes[i], wanted.back().head.sequence), block));
        }
        auto results = co_await join(writes);
        for (std::size_t i = 0; i < results.size(); ++i) {
            if (results[i].ok()) {
                written.push_back(wanted[i]);
            } else {
                outcome = results[i];
            }
        }
    }
    bool flushes = !disk_.power_safe() && !planted(Bug::drive_does_not_flush_tables);
    if (flushes) co_await or_return(co_await disk_.flush());
    for (const Written& each : written) note(each);
    co_return outcome;
}

// In rounds of so many blocks that nobody who writes waits for long.
Task<Done> PairedTable::settle() {
    if (planted(Bug::table_is_not_settled)) co_return Done{};
    for (int i = 0; i < kSettlingsMost && !unsettled_.empty(); ++i) {
        std::vector<std::uint32_t> indexes(unsettled_.begin(), unsettled_.end());
        for (std::size_t begin = 0; begin < indexes.size(); begin += kWritesAtOnce) {
            std::size_t end = std::min(begin + kWritesAtOnce, indexes.size());
            for (std::size_t at = begin; at < end; ++at) {
                if (unsettled_.contains(indexes[at])) dirty_.insert(indexes[at]);
            }
            if (!dirty_.empty()) co_await or_return(co_await rounds_.join());
        }
    }
    co_return Done{};
}

// Of a block that is not settled the copy that counts is to be good, the other is to be written.
std::uint64_t PairedTable::compare(std::uint32_t index, ConstBytes pair) {
    Block& block = blocks_[index];
    std::uint64_t counts = block.sequence % 2;
    bool both = settled(block);
    std::uint64_t wrong = 0;
    for (std::uint64_t copy = 0; copy < 2; ++copy) {
        bool known = both || (copy == counts && block.copies[copy].has_value());
        if (!known) continue;
        std::uint64_t sequence = copy == counts ? block.sequence : block.sequence - 1;
        ConstBytes bytes = copy_of(pair, copy);
        auto head = decode_(bytes);
        bool right = ours(head, index, copy) && head.value().sequence == sequence &&
                     block.copies[copy] == content_of(bytes);
        if (right) continue;
        block.copies[copy].reset();
        ++wrong;
    }
    note_settled(index);
    return wrong;
}

Task<std::uint64_t> PairedTable::verify_some(std::uint32_t begin, std::uint32_t count,
                                             std::set<std::uint32_t>* changed) {
    auto first = blocks_.begin() + begin;
    std::vector<Block> before(first, first + count);
    Buffer buffer(count * kPairBytes);
    Bytes pairs = buffer.bytes();
    co_await or_return(co_await read_pairs(begin, pairs));
    std::uint64_t wrong = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const Block& block = blocks_[begin + i];
        if (block.lost) continue;
        bool same = block == before[i];
        if (!same) changed->insert(begin + i);
        if (same) wrong += compare(begin + i, pairs.subspan(i * kPairBytes, kPairBytes));
    }
    co_return wrong;
}

Task<std::uint64_t> PairedTable::verify() {
    std::uint64_t wrong = 0;
    std::set<std::uint32_t> changed;
    auto total = static_cast<std::uint32_t>(blocks_.size());
    for (std::uint32_t begin = 0; begin < total; begin += kPairsAtOnce) {
        std::uint32_t count = std::min(kPairsAtOnce, total - begin);
        auto some = co_await or_return(co_await verify_some(begin, count, &changed));
        wrong += some;
    }
    co_await or_return(co_await settle());
    for (int i = 1; i < kLooksMost && !changed.empty(); ++i) {
        auto some = co_await or_return(co_await verify_again(&changed));
        wrong += some;
    }
    co_return wrong;
}

// Of a block that was written over while it was read nobody knows what its copies were.
Task<std::uint64_t> PairedTable::verify_again(std::set<std::uint32_t>* changed) {
    std::uint64_t wrong = 0;
    std::set<std::uint32_t> again = std::exchange(*changed, {});
    for (std::uint32_t index : again) {
        auto some = co_await or_return(co_await verify_some(index, 1, changed));
        wrong += some;
    }
    co_await or_return(co_await settle());
    co_return wrong;
}

Task<bool> PairedTable::is_there() {
    auto count = std::min(kPairsAtOnce, static_cast<std::uint32_t>(blocks_.size()));
    Buffer buffer(count * kPairBytes);
    Bytes pairs = buffer.bytes();
    co_await or_return(co_await read_pairs(0, pairs));
    bool found = false;
    for (std::uint32_t i = 0; i < 2 * count; ++i) {
        auto head = decode_(pairs.subspan(i * kBlockBytes, kBlockBytes));
        found = found || ours(head, i / 2, i % 2);
    }
    co_return found;
}

Task<Done> PairedTable::format(Disk* disk, std::uint64_t offset, std::uint32_t block_count,
                               std::uint64_t incarnation, Encode encode) {
    Buffer buffer(kPairsAtOnce * kPairBytes);
    for (std::uint32_t begin = 0; begin < block_count; begin += kPairsAtOnce) {
        std::uint32_t count = std::min(kPairsAtOnce, block_count - begin);
        Bytes pairs = buffer.bytes().first(count * kPairBytes);
        for (std::uint32_t i = 0; i < 2 * count; ++i) {
            TableBlockHead head{incarnation, i % 2, begin + i / 2};
            encode(head, pairs.subspan(i * kBlockBytes, kBlockBytes));
        }
        co_await or_return(co_await disk->write(offset + begin * kPairBytes, pairs));
    }
    co_return Done{};
}

}  // namespace weft::drive
