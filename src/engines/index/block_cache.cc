#include "engines/index/block_cache_internal.h"

namespace weft::index {

BlockCache::BlockCache(std::uint64_t bytes_most) : state_(std::make_unique<State>(bytes_most)) {}
BlockCache::~BlockCache() = default;

std::uint64_t BlockCache::bytes() const {
    return state_->bytes;
}
std::uint64_t BlockCache::hits() const {
    return state_->hits;
}
std::uint64_t BlockCache::misses() const {
    return state_->misses;
}

BlockCache::State::State(std::uint64_t most) : bytes_most(most), table_(256) {}

BlockCache::State::~State() {
    while (Page* page = queue_.front()) evict(*page);
}

std::uint64_t BlockCache::State::hash(std::uint64_t run, std::uint32_t block) {
    std::uint64_t mixed = (run * 0x9e3779b97f4a7c15ULL) ^ (block * 0xc2b2ae3d27d4eb4fULL);
    return mixed ^ (mixed >> 29);
}

Page** BlockCache::State::slot_of(std::uint64_t run, std::uint32_t block) {
    Page** slot = &table_[hash(run, block) & (table_.size() - 1)];
    while (*slot != nullptr && ((*slot)->block != block || (*slot)->run != run)) {
        slot = &(*slot)->chain;
    }
    return slot;
}

PagePtr BlockCache::State::find(std::uint64_t run, std::uint32_t block) {
    Page* page = *slot_of(run, block);
    if (page == nullptr) {
        ++misses;
        return {};
    }
    ++hits;
    page->referenced = true;
    return PagePtr(page);
}

bool BlockCache::State::holds(std::uint64_t run, std::uint32_t block) const {
    const Page* page = table_[hash(run, block) & (table_.size() - 1)];
    while (page != nullptr && (page->block != block || page->run != run)) page = page->chain;
    return page != nullptr;
}

void BlockCache::State::insert(const PagePtr& page, bool hot) {
    if (page->memory_bytes() > bytes_most / 4) return;
    Page** slot = slot_of(page->run, page->block);
    if (*slot != nullptr) return;
    page->referenced = hot;
    page->chain = nullptr;
    *slot = page.get();
    ++page->holders;
    queue_.push_back(*page.get());
    bytes += page->memory_bytes();
    ++page_count_;
    if (page_count_ > table_.size()) grow();
    make_room();
}

void BlockCache::State::evict(Page& page) {
    Page** slot = slot_of(page.run, page.block);
    CHECK(*slot == &page);
    *slot = page.chain;
    page.chain = nullptr;
    page.unlink();
    bytes -= page.memory_bytes();
    --page_count_;
    if (--page.holders == 0) delete &page;
}

// Pages in use by somebody may go, too: they live on with their holder.
void BlockCache::State::make_room() {
    while (bytes > bytes_most) {
        Page* page = queue_.front();
        if (page->referenced) {
            page->referenced = false;
            page->unlink();
            queue_.push_back(*page);
        } else {
            evict(*page);
        }
    }
}

void BlockCache::State::grow() {
    std::vector<Page*> old(table_.size() * 2);
    old.swap(table_);
    for (Page* page : old) {
        while (page != nullptr) {
            Page* next = std::exchange(page->chain, nullptr);
            Page** slot = &table_[hash(page->run, page->block) & (table_.size() - 1)];
            page->chain = *slot;
            *slot = page;
            page = next;
        }
    }
}

Signal* BlockCache::State::loading(std::uint64_t run, std::uint32_t block) {
    auto found = loads_.find(Key{run, block});
    return found == loads_.end() ? nullptr : found->second.get();
}

}  // namespace weft::index
