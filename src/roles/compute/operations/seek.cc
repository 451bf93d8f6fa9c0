#include "engines/namespace/attributes.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"
#include "roles/compute/first_extent_internal.h"

#include <algorithm>

namespace weft::compute {
namespace {

constexpr Error kNoData{Code::no_data, "seek"};

// Holes may be far larger than all data: only regions that have something are looked at.
Task<std::uint64_t> seek_data(Core* core, FileId file, std::uint64_t offset, std::uint64_t size) {
    FirstExtent extents(core, file);
    while (offset < size) {
        offset = co_await or_return(co_await extents.at_or_after(offset, size));
        if (offset >= size) break;
        std::uint64_t region = offset / kRegionBytes;
        std::uint64_t end = std::min((region + 1) * kRegionBytes, size);
        auto data = co_await core->region_shard(file, region).data.seek(file, offset, end, true);
        if (data.ok() || data.code() != Code::no_data) co_return data;
        offset = end;
    }
    co_return kNoData;
}

// Region by region: each one passed is full of data, so the walk is as long as the data.
Task<std::uint64_t> seek_hole(Core* core, FileId file, std::uint64_t offset, std::uint64_t size) {
    while (offset < size) {
        std::uint64_t region = offset / kRegionBytes;
        std::uint64_t end = std::min((region + 1) * kRegionBytes, size);
        auto hole = co_await core->region_shard(file, region).data.seek(file, offset, end, false);
        if (hole.ok()) co_return hole.value();
        if (hole.code() != Code::no_data) co_return hole.error();
        offset = end;
    }
    co_return size;  // The end of a file is a hole.
}

Task<std::uint64_t> seek_file(Core* core, Caller caller, FileId file, std::uint64_t offset,
                              bool data) {
    InodePin inode = co_await or_return(co_await core->pin_regular(file));
    co_await or_return(co_await core->recall_for_look(caller.session, inode));
    LockKey key{file, kInodePart};
    auto lock =
        std::make_optional(co_await or_return(co_await core->locks.shared(key, caller.deadline)));
    std::uint64_t size = inode->record.size;
    if (offset >= size) co_return kNoData;
    std::uint64_t found = 0;
    if (data) {
        found = co_await or_return(co_await seek_data(core, file, offset, size));
    } else {
        found = co_await or_return(co_await seek_hole(core, file, offset, size));
    }
    lock.reset();
    co_await or_return(co_await core->settled(inode->changed));
    co_return found;
}

}  // namespace

Task<std::uint64_t> ComputeRole::seek(Caller caller, FileId file, std::uint64_t offset, bool data) {
    core_->count(Operation::seek);
    co_await or_return(core_->session(caller.session));
    co_return co_await seek_file(core_.get(), caller, file, offset, data);
}

}  // namespace weft::compute
