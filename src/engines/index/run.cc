#include "engines/index/run_internal.h"

#include <algorithm>

namespace weft::index {

Run::Run(std::uint64_t id, RunRecord record, RunHead head)
    : id_(id), record_(std::move(record)), head_(std::move(head)) {
    CHECK(!head_.partitions.empty());
    index_places();
}

void Run::index_places() {
    starts_.clear();
    std::uint32_t start = 0;
    for (const BlockRun& place : head_.places) {
        starts_.push_back(start);
        start += place.count;
    }
    CHECK(start == record_.body_blocks);
    memory_bytes_ = sizeof(Run) + record_.first_key.capacity() + record_.last_key.capacity();
    memory_bytes_ += head_.places.capacity() * (sizeof(BlockRun) + sizeof(std::uint32_t));
    memory_bytes_ += (record_.body.capacity() + record_.head.runs.capacity()) * sizeof(BlockRun);
    memory_bytes_ += record_.head.crcs.capacity() * sizeof(std::uint32_t);
    for (const Partition& partition : head_.partitions) {
        memory_bytes_ += sizeof(Partition) + partition.key.capacity();
        memory_bytes_ += partition.filter_crcs.capacity() * sizeof(std::uint32_t);
    }
}

std::size_t Run::partition_of(std::string_view key) const {
    auto after = std::upper_bound(
        head_.partitions.begin(), head_.partitions.end(), key,
        [](std::string_view at, const Partition& partition) { return at < partition.key; });
    auto index = static_cast<std::size_t>(after - head_.partitions.begin());
    return index == 0 ? 0 : index - 1;
}

BlockRun Run::locate(std::uint32_t block, std::uint32_t count) const {
    CHECK(block < record_.body_blocks && count > 0);
    auto after = std::upper_bound(starts_.begin(), starts_.end(), block);
    auto index = static_cast<std::size_t>(after - starts_.begin()) - 1;
    std::uint32_t skipped = block - starts_[index];
    BlockRun found = head_.places[index];
    found.first.block += skipped;
    found.count = std::min(found.count - skipped, count);
    return found;
}

void Run::move_to(RunRecord record, std::vector<BlockRun> places) {
    record_ = std::move(record);
    head_.places = std::move(places);
    ++placement_;
    index_places();
}

std::vector<BlockRun> blocks_of(const RunRecord& record) {
    std::vector<BlockRun> blocks = record.body;
    blocks.insert(blocks.end(), record.head.runs.begin(), record.head.runs.end());
    return blocks;
}

std::vector<BlockRun> Run::blocks() const {
    return blocks_of(record_);
}

}  // namespace weft::index
