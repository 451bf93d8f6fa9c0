#include "model/layout/keys.h"
#include "roles/compute/first_extent_internal.h"

#include <algorithm>

namespace weft::compute {

Task<std::uint64_t> FirstExtent::in_shard(Shard* shard, std::uint64_t offset, std::uint64_t end) {
    auto region = co_await shard->data.next_region(file_, offset / kRegionBytes);
    if (region.code() == Code::no_data) co_return end;
    if (!region.ok()) co_return region.error();
    co_return std::max(offset, region.value() * kRegionBytes);
}

Task<std::uint64_t> FirstExtent::at_or_after(std::uint64_t offset, std::uint64_t end) {
    std::uint64_t first = end;
    for (ShardId id :
         core_->shards_of(file_, offset / kRegionBytes, divide_up(end, kRegionBytes))) {
        auto known = next_.find(id);
        if (known == next_.end() || known->second < offset) {
            next_[id] = co_await or_return(co_await in_shard(&core_->shard(id), offset, end));
        }
        first = std::min(first, next_[id]);
    }
    co_return first;
}

}  // namespace weft::compute
