#pragma once

#include "model/ids/ids.h"
#include "platform/base/siphash.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft::compute {

// Finds inodes whose links are not what they should be, in memory that does not grow with them.
//
// An entry lies with its directory and leads anywhere, so links are known only once every entry was
// seen. Inodes are dealt into buckets by a keyed hash, and a bucket has one sum: the weight of each
// of its inodes as often as it should have links, less as often as entries lead to it. It is 0 if
// all are right. One that is not always shows; several hide one another with a chance of 2^-50.
// Who then counts inodes one by one does so for the buckets that are not right alone.
class LinkSums {
public:
    explicit LinkSums(SipKey key) : key_(key), buckets_(kBuckets) {}

    // The inode has a record, and should have so many links.
    void expect(FileId inode, std::uint64_t links);
    // An entry leads to the inode.
    void found(FileId inode);

    // Takes buckets that are not right, of `inodes_most` inodes in all, or one that has more: then
    // is_taken() tells which inodes are in them. False: none is left.
    bool take_wrong(std::uint64_t inodes_most);
    bool is_taken(FileId inode) const { return taken_[hash(inode) % kBuckets]; }

private:
    static constexpr std::size_t kBuckets = 4096;
    struct Bucket {
        std::uint64_t sum = 0;
        std::uint64_t size = 0;  // Records, and entries that lead to them: more than inodes.
    };

    std::uint64_t hash(FileId inode) const;
    void add(FileId inode, std::uint64_t links);

    SipKey key_;
    std::vector<Bucket> buckets_;
    std::vector<bool> taken_ = std::vector<bool>(kBuckets);
    std::size_t next_ = 0;
};

}  // namespace weft::compute
