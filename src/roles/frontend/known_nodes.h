#pragma once

#include "model/ids/ids.h"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace weft::frontend {

// The inodes that the kernel has been told of and has not forgotten: what it may have cached
// attributes and pages of. As large as the kernel's own cache of inodes, which is a hundred
// times as large.
class KnownNodes {
public:
    // An entry with this inode goes to the kernel.
    void told(InodeId inode) { ++counts_[inode]; }
    // The kernel gives back so many.
    void forgotten(InodeId inode, std::uint64_t count) {
        auto found = counts_.find(inode);
        if (found == counts_.end()) return;
        if (found->second <= count) {
            counts_.erase(found);
        } else {
            found->second -= count;
        }
    }
    // Also the root, which no entry leads to.
    std::vector<InodeId> all() const {
        std::vector<InodeId> inodes{kRootInode};
        inodes.reserve(counts_.size() + 1);
        for (const auto& [inode, count] : counts_) {
            if (inode != kRootInode) inodes.push_back(inode);
        }
        return inodes;
    }
    std::size_t size() const { return counts_.size(); }

private:
    std::unordered_map<InodeId, std::uint64_t> counts_;
};

}  // namespace weft::frontend
