#include "engines/index/filter.h"
#include "engines/index/point_lookup_internal.h"

namespace weft::index {

PointLookup::PointLookup(PageReader& reader, const RunPtr& run, std::string_view key,
                         std::uint64_t hash)
    : reader_(reader),
      run_(run),
      key_(key),
      hash_(hash),
      partition_(&run->head().partitions[run->partition_of(key)]) {}

PagePtr PointLookup::take(std::uint32_t block) {
    if (arrived_) return std::exchange(arrived_, PagePtr());
    return reader_.cached(*run_, block);
}

bool PointLookup::step() {
    if (stage_ == Stage::filter) {
        std::uint32_t which = filter_block_of(hash_, partition_->filter_count());
        PagePtr filter = take(partition_->filter_first + which);
        if (!filter) return false;
        if (!filter_may_hold(filter->bytes.bytes(), hash_)) {
            ++reader_.counters().bloom_skips;
            stage_ = Stage::done;
            return true;
        }
        stage_ = Stage::fences;
    }
    if (stage_ == Stage::fences) {
        page_ = take(partition_->fences_block());
        if (!page_) return false;
        stage_ = Stage::entries;
    }
    if (stage_ == Stage::entries) {
        PageItem fence = page_->view.item(page_->view.child_of(key_));
        PagePtr entries = take(child_first(fence.value));
        if (!entries) return false;
        page_ = std::move(entries);
        found_ = page_->view.find(key_);
        stage_ = Stage::done;
    }
    return true;
}

Task<Done> PointLookup::load() {
    CHECK(stage_ != Stage::done);
    PageKind kind = PageKind::filter;
    PageBlocks blocks;
    if (stage_ == Stage::filter) {
        std::uint32_t which = filter_block_of(hash_, partition_->filter_count());
        blocks.first = partition_->filter_first + which;
        blocks.crcs.push_back(partition_->filter_crcs[which]);
    } else if (stage_ == Stage::fences) {
        kind = PageKind::fences;
        blocks.first = partition_->fences_block();
        blocks.crcs.push_back(partition_->fences_crc);
    } else {
        kind = PageKind::entries;
        blocks = decode_child(page_->view.item(page_->view.child_of(key_)).value);
    }
    std::vector<PageBlocks> wanted;
    wanted.push_back(std::move(blocks));
    auto pages =
        co_await or_return(co_await reader_.load(run_, kind, std::move(wanted), PageUse::often));
    arrived_ = std::move(pages.front());
    co_return Done{};
}

}  // namespace weft::index
