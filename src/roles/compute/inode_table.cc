#include "roles/compute/inode_table_internal.h"

#include <algorithm>

namespace weft::compute {
namespace {

// How many idle inodes an eviction looks at before it lets the table grow a little.
constexpr int kEvictionTries = 16;

}  // namespace

InodeTable::~InodeTable() = default;

InodePin InodeTable::pin(FileId file) {
    auto [found, fresh] = inodes_.try_emplace(file);
    if (fresh) found->second = std::make_unique<Inode>(file);
    InodePin pinned(*this, *found->second);
    if (fresh) evict();
    return pinned;
}

void InodeTable::unpin(Inode& inode) {
    CHECK(inode.pins > 0);
    if (--inode.pins > 0) return;
    if (!inode.loaded) {
        inodes_.erase(inode.id);
        return;
    }
    idle_.push_back(inode);
    evict();
}

bool InodeTable::evictable(const Inode& inode) const {
    CHECK(inode.pins == 0 && inode.changing == 0 && inode.opens.empty());
    return !inode.atime_unsaved && !inode.purge_from.has_value() && settled_(inode.changed);
}

void InodeTable::evict() {
    for (int tries = 0; tries < kEvictionTries && inodes_.size() > most_; ++tries) {
        Inode* inode = idle_.pop_front();
        if (inode == nullptr) return;
        if (evictable(*inode)) {
            inodes_.erase(inode->id);
        } else {
            idle_.push_back(*inode);
        }
    }
}

Changing::Changing(InodePin inode, SessionId by) : inode_(std::move(inode)) {
    if (inode_->changing == 0) {
        inode_->changing_by = by;
        inode_->changing_by_many = false;
    }
    if (inode_->changing_by != by) inode_->changing_by_many = true;
    ++inode_->changing;
}

Changing::~Changing() {
    if (!inode_) return;
    CHECK(inode_->changing > 0);
    --inode_->changing;
}

}  // namespace weft::compute
