#pragma once

#include <cstddef>
#include <deque>
#include <unordered_map>
#include <utility>

namespace weft::frontend {

// A map that remembers the most recently added keys, at least `most / 2` and at most `most`.
template <class Key, class Value>
class RecentMap {
public:
    explicit RecentMap(std::size_t most) : most_(most) {}

    Value* find(const Key& key) {
        auto found = values_.find(key);
        return found == values_.end() ? nullptr : &found->second;
    }
    const Value* find(const Key& key) const {
        auto found = values_.find(key);
        return found == values_.end() ? nullptr : &found->second;
    }
    // Changing the value of a known key does not make it more recent.
    void set(const Key& key, Value value) {
        auto [at, added] = values_.insert_or_assign(key, std::move(value));
        (void)at;
        if (!added) return;
        order_.push_back(key);
        // Erased keys stay in the order until it is their turn: half of it may be such.
        while (order_.size() > most_) {
            values_.erase(order_.front());
            order_.pop_front();
        }
    }
    void erase(const Key& key) { values_.erase(key); }
    void clear() {
        values_.clear();
        order_.clear();
    }
    std::size_t size() const { return values_.size(); }

private:
    std::size_t most_;
    std::unordered_map<Key, Value> values_;
    std::deque<Key> order_;
};

}  // namespace weft::frontend
