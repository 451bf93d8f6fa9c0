#include "engines/filedata/regions_internal.h"
#include "platform/base/check.h"

namespace weft::filedata {

RegionTable::Pin RegionTable::pin(RegionId id) {
    sweep();
    return Pin(*this, id, make(id));
}

Region* RegionTable::find(RegionId id) {
    auto found = regions_.find(id);
    return found == regions_.end() ? nullptr : &found->second;
}

Region& RegionTable::make(RegionId id) {
    return regions_.try_emplace(id, reactor_, totals_).first->second;
}

void RegionTable::stage(RegionId id, std::uint64_t offset, std::string bytes, Lsn lsn) {
    make(id).staged.put(offset, std::move(bytes), lsn);
}

void RegionTable::unstage(RegionId id, std::uint64_t from, std::uint64_t to, Lsn through) {
    Region* region = find(id);
    if (region == nullptr) return;
    region->staged.drop(from, to, through);
    ++region->version;
    let_go(id, *region);
}

void RegionTable::let_go(RegionId id, Region& region) {
    if (region.pins > 0 || !region.staged.empty() || region.lingers) return;
    if (region.mutex.idle()) {
        CHECK(regions_.erase(id) == 1);
        return;
    }
    region.lingers = true;
    lingering_.push_back(id);
}

void RegionTable::sweep() {
    // Two for each that may be added, so that the queue shrinks.
    for (int i = 0; i < 2 && !lingering_.empty(); ++i) {
        RegionId id = lingering_.front();
        lingering_.pop_front();
        Region* region = find(id);
        CHECK(region != nullptr && region->lingers);
        region->lingers = false;
        let_go(id, *region);
    }
}

}  // namespace weft::filedata
