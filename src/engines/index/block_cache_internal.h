#pragma once

#include "engines/index/index.h"
#include "engines/index/page.h"
#include "platform/memory/buffer.h"
#include "platform/runtime/sync.h"
#include "platform/runtime/wait_list.h"

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weft::index {

// A page in memory, checked. Shared by who holds a PagePtr to it and the cache.
struct Page : ListNode {
    std::uint64_t run = 0;  // Of Run::id().
    std::uint32_t block = 0;
    std::uint32_t holders = 0;
    bool referenced = false;
    Page* chain = nullptr;  // Of the cache's table.
    Buffer bytes;
    PageView view;  // Of entries and fences.

    std::size_t memory_bytes() const { return sizeof(Page) + bytes.size(); }
};

class PagePtr {
public:
    PagePtr() = default;
    explicit PagePtr(Page* page) : page_(page) {
        if (page_ != nullptr) ++page_->holders;
    }
    PagePtr(const PagePtr& other) : PagePtr(other.page_) {}
    PagePtr(PagePtr&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
    PagePtr& operator=(PagePtr other) noexcept {
        std::swap(page_, other.page_);
        return *this;
    }
    ~PagePtr() {
        if (page_ != nullptr && --page_->holders == 0) delete page_;
    }
    explicit operator bool() const { return page_ != nullptr; }
    Page* operator->() const { return page_; }
    Page* get() const { return page_; }

private:
    Page* page_ = nullptr;
};

// The pages of all runs of a core, by (run, first block). A run's id is never used again in a
// process, so what is cached of a run that was dropped is only waste until it is replaced.
struct BlockCache::State {
    explicit State(std::uint64_t most);
    ~State();

    std::uint64_t new_run_id() { return ++last_run_id_; }

    // Null if it is not here.
    PagePtr find(std::uint64_t run, std::uint32_t block);
    bool holds(std::uint64_t run, std::uint32_t block) const;
    // A page that is `hot` stays for one more round of replacement.
    void insert(const PagePtr& page, bool hot);

    // Somebody reads this page now: await the signal, then look again. Null if nobody does.
    Signal* loading(std::uint64_t run, std::uint32_t block);

    std::uint64_t bytes_most;
    std::uint64_t bytes = 0;
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;

private:
    friend class LoadMark;
    struct Key {
        std::uint64_t run;
        std::uint32_t block;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct HashKey {
        std::size_t operator()(const Key& key) const { return hash(key.run, key.block); }
    };
    static std::uint64_t hash(std::uint64_t run, std::uint32_t block);
    Page** slot_of(std::uint64_t run, std::uint32_t block);
    void evict(Page& page);
    void make_room();
    void grow();

    std::uint64_t last_run_id_ = 0;
    std::vector<Page*> table_;  // A power of two; chained.
    std::size_t page_count_ = 0;
    List<Page> queue_;  // Second chance: a referenced page goes to the back once.
    std::unordered_map<Key, std::unique_ptr<Signal>, HashKey> loads_;
};

// Says that its holder reads a page; when it goes, also because the holder was destroyed,
// those who wait look again.
class LoadMark {
public:
    LoadMark(BlockCache::State& cache, Reactor& reactor, std::uint64_t run, std::uint32_t block)
        : cache_(cache), key_{run, block} {
        cache_.loads_[key_] = std::make_unique<Signal>(reactor);
    }
    LoadMark(const LoadMark&) = delete;
    LoadMark& operator=(const LoadMark&) = delete;
    ~LoadMark() {
        auto found = cache_.loads_.find(key_);
        found->second->notify_all();
        cache_.loads_.erase(found);
    }

private:
    BlockCache::State& cache_;
    BlockCache::State::Key key_;
};

}  // namespace weft::index
