#pragma once

#include "engines/index/manifest.h"

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace weft::index {

// A sorted run that is open. What it says never changes; where its blocks lie does when they
// are moved out of a segment, so every read looks that up anew.
class Run {
public:
    Run(std::uint64_t id, RunRecord record, RunHead head);

    std::uint64_t id() const { return id_; }  // Of this process only: for the cache.
    const RunRecord& record() const { return record_; }
    const RunHead& head() const { return head_; }
    std::uint64_t bytes() const { return record_.body_blocks * kBlockBytes; }

    bool may_hold(std::string_view key) const {
        return record_.first_key <= key && key <= record_.last_key;
    }
    // Whether it may have a key in [from, to).
    bool overlaps(std::string_view from, std::string_view to) const {
        return from <= record_.last_key && record_.first_key < to;
    }
    bool overlaps(const Run& other) const {
        return record_.first_key <= other.record_.last_key &&
               other.record_.first_key <= record_.last_key;
    }
    // The partition that `key` lies in, if it lies in this run.
    std::size_t partition_of(std::string_view key) const;

    // At most `count` blocks from `block` on, as far as they follow one another in a slot.
    BlockRun locate(std::uint32_t block, std::uint32_t count) const;
    // Rises when blocks move.
    std::uint64_t placement() const { return placement_; }
    void move_to(RunRecord record, std::vector<BlockRun> places);

    // Blocks of it may be gone: a publish that drops or moves them has begun, or has dropped the
    // run for good. A read that fails is no loss then.
    bool leaving() const { return leaving_; }
    void set_leaving(bool leaving) { leaving_ = leaving; }

    // Body and head.
    std::vector<BlockRun> blocks() const;
    std::uint64_t memory_bytes() const { return memory_bytes_; }

private:
    void index_places();

    std::uint64_t id_;
    RunRecord record_;
    RunHead head_;
    std::vector<std::uint32_t> starts_;  // First block of the run of each of head_.places.
    std::uint64_t placement_ = 0;
    std::uint64_t memory_bytes_ = 0;
    bool leaving_ = false;
};

using RunPtr = std::shared_ptr<Run>;

std::vector<BlockRun> blocks_of(const RunRecord& record);

}  // namespace weft::index
