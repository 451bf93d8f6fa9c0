#pragma once

#include "model/ids/ids.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace weft::frontend {

// The inodes that the kernel has been told of and has not forgotten: what it may have cached
// attributes and pages of. As large as the kernel's own cache of inodes, which may hold millions;
// so inodes whose numbers lie together, as those that were made together do, share an entry: some
// 3 bytes each then, 40 if they are strewn.
class KnownNodes {
public:
    // An entry with this inode goes to the kernel.
    void told(InodeId inode) {
        std::uint8_t& count = groups_[inode.value / kGroup][inode.value % kGroup];
        if (count == 0) ++size_;
        if (count < kMany) ++count;
        if (count == kMany) ++many_[inode];
    }
    // The kernel gives back so many.
    void forgotten(InodeId inode, std::uint64_t times) {
        auto group = groups_.find(inode.value / kGroup);
        if (group == groups_.end()) return;
        std::uint8_t& count = group->second[inode.value % kGroup];
        std::uint64_t left = total(inode, count);
        left -= std::min(left, times);
        if (count > 0 && left == 0) --size_;
        count = static_cast<std::uint8_t>(std::min<std::uint64_t>(left, kMany));
        if (count == kMany) {
            many_[inode] = left - (kMany - 1);
        } else {
            many_.erase(inode);
        }
        if (left == 0 && group->second == Group()) groups_.erase(group);
    }
    // Also the root, which no entry leads to.
    std::vector<InodeId> all() const {
        std::vector<InodeId> inodes{kRootInode};
        inodes.reserve(size_ + 1);
        for (const auto& [number, group] : groups_) {
            for (std::uint64_t i = 0; i < kGroup; ++i) {
                InodeId inode{number * kGroup + i};
                if (group[i] > 0 && inode != kRootInode) inodes.push_back(inode);
            }
        }
        return inodes;
    }
    std::size_t size() const { return size_; }

private:
    static constexpr std::uint64_t kGroup = 16;
    // Means "at least so many", and the rest is in many_.
    static constexpr std::uint8_t kMany = 255;
    using Group = std::array<std::uint8_t, kGroup>;

    std::uint64_t total(InodeId inode, std::uint8_t count) const {
        return count < kMany ? count : kMany - 1 + many_.at(inode);
    }

    std::unordered_map<std::uint64_t, Group> groups_;  // By number / kGroup.
    std::unordered_map<InodeId, std::uint64_t> many_;  // What is above kMany - 1.
    std::size_t size_ = 0;
};

}  // namespace weft::frontend
