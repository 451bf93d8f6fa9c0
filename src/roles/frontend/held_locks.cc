#include "roles/frontend/held_locks.h"

#include <algorithm>
#include <utility>

namespace weft::frontend {
namespace {

bool same_owner(const LockRequest& a, const LockRequest& b) {
    return a.owner == b.owner && a.flock == b.flock;
}

// What is left of `held` outside of [from, to].
void keep_outside(const LockRequest& held, std::uint64_t from, std::uint64_t to,
                  std::vector<LockRequest>& kept) {
    if (held.from < from) {
        kept.push_back(held);
        kept.back().to = std::min(held.to, from - 1);
    }
    if (held.to > to) {
        kept.push_back(held);
        kept.back().from = std::max(held.from, to + 1);
    }
}

}  // namespace

void HeldLocks::apply(InodeId inode, const LockRequest& request) {
    std::vector<LockRequest> kept;
    std::vector<LockRequest>& held = locks_[inode];
    for (const LockRequest& one : held) {
        if (same_owner(one, request)) {
            keep_outside(one, request.from, request.to, kept);
        } else {
            kept.push_back(one);
        }
    }
    if (request.kind != LockRequest::Kind::unlock) {
        kept.push_back(request);
        kept.back().wait = false;
    }
    held = std::move(kept);
    if (held.empty()) locks_.erase(inode);
}

std::size_t HeldLocks::count() const {
    std::size_t count = 0;
    for (const auto& [inode, held] : locks_) count += held.size();
    return count;
}

std::vector<LockRequest> HeldLocks::of(InodeId inode) const {
    auto found = locks_.find(inode);
    return found == locks_.end() ? std::vector<LockRequest>() : found->second;
}

std::vector<InodeId> HeldLocks::inodes() const {
    std::vector<InodeId> all;
    for (const auto& [inode, held] : locks_) all.push_back(inode);
    return all;
}

}  // namespace weft::frontend
