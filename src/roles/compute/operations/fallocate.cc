#include "engines/namespace/attributes.h"
#include "model/layout/keys.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"
#include "roles/compute/file_change_internal.h"
#include "roles/compute/first_extent_internal.h"

#include <algorithm>

namespace weft::compute {
namespace {

// A step changes one region, and is committed by itself: a large range is neither one record
// nor all locks at once. What was done stays if a later step finds no space, as POSIX allows.
class Allocation {
public:
    // `lacking`: blocks that there is no room for.
    Allocation(Core* core, Caller caller, InodePin inode, FallocateFlags flags,
               std::int64_t* lacking)
        : core_(core),
          caller_(caller),
          inode_(std::move(inode)),
          flags_(flags),
          lacking_(lacking) {}

    Task<Done> run(std::uint64_t offset, std::uint64_t end);

private:
    Task<Done> punch(std::uint64_t offset, std::uint64_t end);
    Task<Done> reserve(std::uint64_t offset, std::uint64_t end);
    Task<Done> commit(FileChange* prepared);

    Core* core_;
    Caller caller_;
    InodePin inode_;
    FallocateFlags flags_;
    std::int64_t* lacking_;
};

Task<Done> Allocation::commit(FileChange* prepared) {
    FileId file = inode_->id;
    std::int64_t delta = prepared->blocks_delta();
    co_await or_return(core_->check_capacity(file.filesystem, delta, lacking_));
    if (prepared->empty()) {
        prepared->unlock();
        co_return Done{};
    }
    co_await or_return(core_->may_change(caller_));
    Change change(*core_);
    prepared->move_into(change);
    (void)change.commit();
    prepared->unlock();
    co_return co_await core_->admit();
}

// Holes need no punching, and there may be very many: on to the next block that is there.
Task<Done> Allocation::punch(std::uint64_t offset, std::uint64_t end) {
    FirstExtent extents(core_, inode_->id);
    while (offset < end) {
        std::uint64_t next = co_await or_return(co_await extents.at_or_after(offset, end));
        offset = std::max(offset, next);
        if (offset >= end) break;
        std::uint64_t region_end = (offset / kRegionBytes + 1) * kRegionBytes;
        std::uint64_t step_end = std::min(end, region_end);
        FileChange prepared(core_, inode_);
        co_await or_return(co_await prepared.punch(offset, step_end - offset, flags_.zero_range));
        co_await or_return(co_await commit(&prepared));
        offset = step_end;
    }
    co_return Done{};
}

Task<Done> Allocation::reserve(std::uint64_t offset, std::uint64_t end) {
    // What can never fit is refused before anything is promised.
    std::uint64_t blocks = divide_up(end, kBlockBytes) - offset / kBlockBytes;
    std::int64_t at_least =
        static_cast<std::int64_t>(blocks - std::min(blocks, inode_->record.blocks));
    co_await or_return(core_->check_capacity(inode_->id.filesystem, at_least, lacking_));
    while (offset < end) {
        std::uint64_t region_end = (offset / kRegionBytes + 1) * kRegionBytes;
        std::uint64_t step_end = std::min(end, region_end);
        FileChange prepared(core_, inode_);
        co_await or_return(co_await prepared.reserve(offset, step_end - offset));
        co_await or_return(co_await commit(&prepared));
        offset = step_end;
    }
    co_return Done{};
}

Task<Done> Allocation::run(std::uint64_t offset, std::uint64_t end) {
    bool frees = flags_.punch_hole || flags_.zero_range;
    if (frees) co_await or_return(co_await punch(offset, end));
    if (!flags_.punch_hole) co_await or_return(co_await reserve(offset, end));
    co_return Done{};
}

Result<Done> check(const FallocateFlags& flags, std::uint64_t length) {
    if (length == 0) return Error{Code::invalid, "fallocate.length"};
    if (flags.punch_hole && !flags.keep_size) return Error{Code::not_supported, "fallocate.flags"};
    if (flags.punch_hole && flags.zero_range) return Error{Code::not_supported, "fallocate.flags"};
    return Done{};
}

Task<Node> allocate_once(Core* core, Caller caller, FileId file, std::uint64_t offset,
                         std::uint64_t length, FallocateFlags flags, std::int64_t* lacking) {
    co_await or_return(check(flags, length));
    std::uint64_t end = co_await or_return(posix::range_end(offset, length));
    InodePin inode = co_await or_return(co_await core->pin_regular(file));
    co_await or_return(co_await core->admit_request(caller));
    co_await or_return(co_await admit_regions(core, caller, file, offset, 1));
    Changing guard(inode, caller.session);
    co_await or_return(co_await core->recall_for_change(caller.session, file, std::string(), true));
    LockKey key{file, kInodePart};
    auto lock = std::make_optional(
        co_await or_return(co_await core->locks.exclusive(key, caller.deadline)));
    co_await or_return(co_await core->finish_truncation(inode));
    Allocation allocation(core, caller, inode, flags, lacking);
    co_await or_return(co_await allocation.run(offset, end));

    co_await or_return(core->may_change(caller));
    Change change(*core);
    InodeRecord& record = change.edit(inode);
    if (!flags.keep_size) record.size = std::max(record.size, end);
    posix::note_content_change(record, core->timestamp());
    if (caller.uid != 0) (void)posix::clear_setid(record);
    core->remember(change, caller, file);
    Lsn lsn = change.commit();
    Node node = core->look(caller.session, inode);
    lock.reset();
    co_return co_await core->answer(caller.session, inode, std::move(node), lsn);
}

Task<Node> allocate(Core* core, Caller caller, FileId file, std::uint64_t offset,
                    std::uint64_t length, FallocateFlags flags) {
    Shortage shortage;
    for (;;) {
        auto allocated =
            co_await allocate_once(core, caller, file, offset, length, flags, &shortage.lacking);
        bool again =
            co_await or_return(co_await core->has_passed(&shortage, file.filesystem, caller));
        if (!again) co_return allocated;
    }
}

}  // namespace

Task<Node> ComputeRole::fallocate(Caller caller, FileId file, std::uint64_t offset,
                                  std::uint64_t length, FallocateFlags flags) {
    core_->count(Operation::fallocate);
    return core_->once(caller, allocate(core_.get(), caller, file, offset, length, flags));
}

}  // namespace weft::compute
