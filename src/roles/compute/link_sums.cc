#include "platform/base/bytes.h"
#include "roles/compute/link_sums_internal.h"

#include <string>

namespace weft::compute {

std::uint64_t LinkSums::hash(FileId inode) const {
    std::string bytes;
    ByteWriter writer(bytes);
    writer.number(inode.filesystem.value);
    writer.number(inode.inode.value);
    return siphash(key_, bytes_of(bytes));
}

void LinkSums::add(FileId inode, std::uint64_t links) {
    std::uint64_t hashed = hash(inode);
    Bucket& bucket = buckets_[hashed % kBuckets];
    // Odd, so that no number of links makes it 0.
    bucket.sum += (hashed / kBuckets * 2 + 1) * links;
    ++bucket.size;
}

void LinkSums::expect(FileId inode, std::uint64_t links) {
    add(inode, links);
}

void LinkSums::found(FileId inode) {
    add(inode, UINT64_MAX);
}

bool LinkSums::take_wrong(std::uint64_t inodes_most) {
    taken_.assign(kBuckets, false);
    std::uint64_t size = 0;
    bool any = false;
    for (; next_ < kBuckets; ++next_) {
        const Bucket& bucket = buckets_[next_];
        if (bucket.sum == 0) continue;
        if (any && size + bucket.size > inodes_most) break;
        size += bucket.size;
        any = taken_[next_] = true;
    }
    return any;
}

}  // namespace weft::compute
