#pragma once

#include "engines/filedata/staged_pieces_internal.h"
#include "model/ids/ids.h"
#include "model/layout/routing.h"
#include "platform/runtime/sync.h"

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

namespace weft::filedata {

struct RegionId {
    FileId file;
    std::uint64_t region = 0;
    std::uint64_t first_byte() const { return region * kRegionBytes; }
    std::uint64_t first_block() const { return region * kRegionBlocks; }
    std::uint64_t end_block() const { return first_block() + kRegionBlocks; }
    friend constexpr auto operator<=>(RegionId, RegionId) = default;
};

// What a shard keeps in memory of a region that is in use.
struct Region {
    Region(Reactor& reactor, StagedTotals& totals) : mutex(reactor), staged(totals) {}

    SharedMutex mutex;  // From decide to commit.
    StagedPieces staged;
    // Changes with each change of the region's extents and each `unstage`. Extents that were
    // scanned while it stayed the same are what is true now.
    std::uint64_t version = 0;
    std::uint32_t pins = 0;
    bool lingers = false;  // It is in RegionTable::lingering_.

    bool idle() const { return pins == 0 && staged.empty() && mutex.idle(); }
};

// The regions in use: those with staged bytes, those that somebody works on and those whose
// lock is held. Others vanish.
class RegionTable {
public:
    explicit RegionTable(Reactor& reactor) : reactor_(reactor) {}

    // Keeps a region in the table.
    class Pin {
    public:
        Pin(RegionTable& table, RegionId id, Region& region)
            : table_(&table), id_(id), region_(&region) {
            ++region_->pins;
        }
        Pin(Pin&& other) noexcept
            : table_(other.table_),
              id_(other.id_),
              region_(std::exchange(other.region_, nullptr)) {}
        Pin& operator=(Pin&&) = delete;
        ~Pin() {
            if (region_ == nullptr) return;
            --region_->pins;
            table_->let_go(id_, *region_);
        }
        RegionId id() const { return id_; }
        Region& operator*() const { return *region_; }
        Region* operator->() const { return region_; }
        Region* get() const { return region_; }

    private:
        RegionTable* table_;
        RegionId id_;
        Region* region_;
    };

    Pin pin(RegionId id);
    // nullptr if it is not in use.
    Region* find(RegionId id);
    void stage(RegionId id, std::uint64_t offset, std::string bytes, Lsn lsn);
    void unstage(RegionId id, std::uint64_t from, std::uint64_t to, Lsn through);

    // Regions in order of file and place.
    using Map = std::map<RegionId, Region>;
    Map::iterator at_or_behind(RegionId from) { return regions_.lower_bound(from); }
    Map::iterator end() { return regions_.end(); }

    const StagedTotals& totals() const { return totals_; }
    std::size_t size() const { return regions_.size(); }

private:
    Region& make(RegionId id);
    // The region may have become idle. A lock says nothing when it is released, so a region
    // whose lock is held is looked at again when later ones are pinned.
    void let_go(RegionId id, Region& region);
    void sweep();

    Reactor& reactor_;
    StagedTotals totals_;
    Map regions_;
    std::deque<RegionId> lingering_;
};

}  // namespace weft::filedata
