#pragma once

#include "roles/compute/core_internal.h"

#include <utility>
#include <vector>

namespace weft::compute {

// Waits, without locks, until the shards of the range can stage more.
Task<Done> admit_regions(Core* core, Caller caller, FileId file, std::uint64_t offset,
                         std::uint64_t length);

// Changes of one file's bytes in several regions, gathered to be committed as one. Regions are
// prepared in rising order, so that two writers never wait for each other in a circle.
// The caller holds the inode's lock.
class FileChange {
public:
    FileChange(Core* core, InodePin inode) : core_(core), inode_(std::move(inode)) {}

    Task<Done> write(std::uint64_t offset, ConstBytes from);
    // These take one region at most: [offset, offset + length) does not cross one.
    Task<Done> punch(std::uint64_t offset, std::uint64_t length, bool keep_reserved);
    Task<Done> reserve(std::uint64_t offset, std::uint64_t length);
    Task<Done> share(FileId from, std::uint64_t from_offset, std::uint64_t offset,
                     std::uint64_t length);

    std::int64_t blocks_delta() const;
    bool empty() const;
    // Everything prepared, the inode's blocks and the filesystem's usage; commit without an
    // await in between, then unlock().
    void move_into(Change& change);
    void unlock() { parts_.clear(); }

private:
    Core* core_;
    InodePin inode_;
    std::vector<std::pair<ShardId, filedata::PreparedChange>> parts_;
};

}  // namespace weft::compute
