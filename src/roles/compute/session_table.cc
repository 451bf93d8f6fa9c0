#include "roles/compute/session_table_internal.h"

#include <algorithm>

namespace weft::compute {

std::pair<std::shared_ptr<ReplyCache::Slot>, bool> ReplyCache::begin(Reactor& reactor,
                                                                     std::uint64_t seq) {
    auto found = slots_.find(seq);
    if (found != slots_.end()) return {found->second, false};
    if (is_forgotten(seq)) return {nullptr, false};
    put_off_.erase(seq);
    auto slot = std::make_shared<Slot>(reactor);
    slots_.emplace(seq, slot);
    // Oldest first; one still in flight (a lock that waits) stays.
    for (auto oldest = slots_.begin(); slots_.size() > most_ && oldest != slots_.end();) {
        if (!oldest->second->reply.has_value()) {
            ++oldest;
            continue;
        }
        oldest_ = std::max(oldest_, oldest->first + 1);
        oldest = slots_.erase(oldest);
    }
    return {slot, true};
}

void ReplyCache::put_off(std::uint64_t seq) {
    slots_.erase(seq);
    put_off_.insert(seq);
    // Whoever gave up never comes again: the oldest go.
    while (put_off_.size() > most_) {
        std::uint64_t gone = *put_off_.begin();
        oldest_ = std::max(oldest_, gone + 1);
        put_off_.erase(gone);
    }
}

}  // namespace weft::compute
