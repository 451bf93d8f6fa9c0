#include "engines/namespace/attributes.h"
#include "platform/memory/buffer.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"
#include "roles/compute/file_change_internal.h"

#include <algorithm>

namespace weft::compute {
namespace {

// What one call does at most; programs ask again for the rest.
constexpr std::uint64_t kCopyBytesMost = 64 * kMiB;

struct CopyPlan {
    FileId from;
    FileId to;
    std::uint64_t from_offset = 0;
    std::uint64_t to_offset = 0;
    std::uint64_t length = 0;
};

Result<Done> check(const CopyPlan& plan) {
    auto from_end = posix::range_end(plan.from_offset, plan.length);
    auto to_end = posix::range_end(plan.to_offset, plan.length);
    if (!from_end.ok()) return from_end.error();
    if (!to_end.ok()) return to_end.error();
    if (plan.from != plan.to) return Done{};
    bool apart = from_end.value() <= plan.to_offset || to_end.value() <= plan.from_offset;
    if (!apart && plan.length > 0) return Error{Code::invalid, "copy_range.overlap"};
    return Done{};
}

// A copy from one inode to another (or the same), piece by piece: a piece lies within one
// region on both sides and is committed by itself.
class Copy {
public:
    Copy(Core* core, Caller caller, InodePin from, InodePin to, CopyPlan plan)
        : core_(core), caller_(caller), from_(std::move(from)), to_(std::move(to)), plan_(plan) {}

    // Bytes copied; fewer than asked at the end of the source, where an error came later, or where
    // the next piece would have to wait for room.
    Task<std::uint64_t> run();
    // Nothing was copied as no segment was free, though there is room.
    bool no_segment() const { return no_segment_; }
    // Blocks that there was no room for.
    std::int64_t lacking() const { return lacking_; }

private:
    std::uint64_t piece_bytes() const;
    bool can_share(std::uint64_t length) const;
    // For the cleaner, for staged bytes to be written out, or for the journal to be trimmed.
    bool would_wait(std::uint64_t length) const;
    Task<Done> copy_piece(std::uint64_t length);
    Task<Done> prepare(FileChange* prepared, Buffer* buffer, std::uint64_t length);

    Core* core_;
    Caller caller_;
    InodePin from_;
    InodePin to_;
    CopyPlan plan_;  // Of what is left.
    std::uint64_t copied_ = 0;
    bool no_segment_ = false;
    std::int64_t lacking_ = 0;
};

std::uint64_t Copy::piece_bytes() const {
    std::uint64_t from_room = kRegionBytes - plan_.from_offset % kRegionBytes;
    std::uint64_t to_room = kRegionBytes - plan_.to_offset % kRegionBytes;
    return std::min({plan_.length, from_room, to_room});
}

bool Copy::can_share(std::uint64_t length) const {
    bool aligned = (plan_.from_offset | plan_.to_offset | length) % kBlockBytes == 0;
    ShardId from = core_->routing.of(plan_.from, plan_.from_offset / kRegionBytes);
    ShardId to = core_->routing.of(plan_.to, plan_.to_offset / kRegionBytes);
    return aligned && from == to;
}

Task<Done> Copy::prepare(FileChange* prepared, Buffer* buffer, std::uint64_t length) {
    if (can_share(length)) {
        co_return co_await prepared->share(plan_.from, plan_.from_offset, plan_.to_offset, length);
    }
    Shard& source = core_->region_shard(plan_.from, plan_.from_offset / kRegionBytes);
    std::uint64_t end = plan_.from_offset + length;
    auto data = co_await source.data.seek(plan_.from, plan_.from_offset, end, true);
    if (data.code() == Code::no_data) {
        co_return co_await prepared->punch(plan_.to_offset, length, false);
    }
    co_await or_return(std::move(data));
    *buffer = Buffer(length);
    co_await or_return(co_await source.data.read(plan_.from, plan_.from_offset, buffer->bytes()));
    ConstBytes bytes = buffer->bytes();
    co_return co_await prepared->write(plan_.to_offset, bytes);
}

bool Copy::would_wait(std::uint64_t length) const {
    if (core_->is_behind()) return true;
    if (can_share(length)) return false;
    const Shard& target = core_->region_shard(plan_.to, plan_.to_offset / kRegionBytes);
    bool staged = target.data.staged_bytes() > core_->settings.data.staged_bytes_most;
    return staged || core_->delay_for(length) != Nanos{0};
}

Task<Done> Copy::copy_piece(std::uint64_t length) {
    Buffer buffer;
    FileChange prepared(core_, to_);
    auto done = co_await prepare(&prepared, &buffer, length);
    no_segment_ = done.code() == Code::out_of_space;
    co_await or_return(std::move(done));
    std::int64_t delta = prepared.blocks_delta();
    co_await or_return(core_->check_capacity(plan_.to.filesystem, delta, &lacking_));
    co_await or_return(core_->may_change(caller_));
    Change change(*core_);
    prepared.move_into(change);
    InodeRecord& record = change.edit(to_);
    record.size = std::max(record.size, plan_.to_offset + length);
    posix::note_content_change(record, core_->timestamp());
    if (caller_.uid != 0) (void)posix::clear_setid(record);
    core_->remember(change, caller_, plan_.to, copied_ + length);
    (void)change.commit();
    prepared.unlock();
    co_return co_await core_->admit();
}

Task<std::uint64_t> Copy::run() {
    while (plan_.length > 0) {
        std::uint64_t length = piece_bytes();
        // Nobody waits with the files locked.
        if (copied_ > 0 && would_wait(length)) break;
        auto done = co_await copy_piece(length);
        if (!done.ok() && copied_ == 0) co_return done.error();
        if (!done.ok()) break;
        copied_ += length;
        plan_.from_offset += length;
        plan_.to_offset += length;
        plan_.length -= length;
    }
    co_return copied_;
}

Task<std::vector<KeyLocks::Held>> lock_both(Core* core, Nanos by, FileId from, FileId to) {
    std::vector<KeyLocks::Held> held;
    LockKey from_key{from, kInodePart};
    LockKey to_key{to, kInodePart};
    bool from_first = from < to;
    if (from_first) held.push_back(co_await or_return(co_await core->locks.shared(from_key, by)));
    held.push_back(co_await or_return(co_await core->locks.exclusive(to_key, by)));
    bool from_last = to < from;
    if (from_last) held.push_back(co_await or_return(co_await core->locks.shared(from_key, by)));
    co_return held;
}

// Waits, without locks, until there is room for the first piece of what the source has.
Task<Done> admit_copy(Core* core, Caller caller, InodePin from, CopyPlan plan,
                      SpacePatience* patience) {
    std::uint64_t size = from->record.size;
    std::uint64_t left = plan.from_offset < size ? size - plan.from_offset : 0;
    std::uint64_t piece = std::min({plan.length, left, kRegionBytes});
    co_await or_return(co_await core->admit_request(caller));
    co_await or_return(co_await core->admit_space(piece, caller, patience));
    co_return co_await admit_regions(core, caller, plan.to, plan.to_offset,
                                     std::min(plan.length, left));
}

// One copy_file_range(2), from its locks to the commit of the last piece.
Task<std::uint64_t> copy_once(Core* core, Caller caller, CopyPlan plan, Shortage* shortage) {
    InodePin from = co_await or_return(co_await core->pin_regular(plan.from));
    InodePin to = co_await or_return(co_await core->pin_regular(plan.to));
    co_await or_return(co_await core->recall_for_look(caller.session, from));
    co_await or_return(co_await admit_copy(core, caller, from, plan, &shortage->patience));
    Changing guard(to, caller.session);
    co_await or_return(
        co_await core->recall_for_change(caller.session, plan.to, std::string(), true));
    auto locks = co_await or_return(co_await lock_both(core, caller.deadline, plan.from, plan.to));
    co_await or_return(co_await core->finish_truncation(to));
    std::uint64_t size = from->record.size;
    if (plan.from_offset >= size) co_return std::uint64_t{0};
    plan.length = std::min(plan.length, size - plan.from_offset);
    Copy copying(core, caller, from, to, plan);
    auto done = co_await copying.run();
    shortage->no_segment = !done.ok() && copying.no_segment();
    shortage->lacking = done.ok() ? 0 : copying.lacking();
    std::uint64_t copied = co_await or_return(std::move(done));
    core->note_access(*from);
    locks.clear();
    co_await or_return(co_await core->settled(to->changed));
    co_return copied;
}

// Without locks, waits for the cleaner.
Task<std::uint64_t> copy(Core* core, Caller caller, CopyPlan plan) {
    if (plan.from.filesystem != plan.to.filesystem) {
        co_return Error{Code::cross_filesystem, "copy_range"};
    }
    plan.length = std::min(plan.length, kCopyBytesMost);
    co_await or_return(check(plan));
    FilesystemId filesystem = plan.to.filesystem;
    Shortage shortage;
    for (;;) {
        auto copied = co_await copy_once(core, caller, plan, &shortage);
        bool again = co_await or_return(co_await core->has_passed(&shortage, filesystem, caller));
        if (!again) co_return copied;
    }
}

}  // namespace

Task<std::uint64_t> ComputeRole::copy_range(Caller caller, FileId from, std::uint64_t from_offset,
                                            FileId to, std::uint64_t to_offset,
                                            std::uint64_t length) {
    core_->count(Operation::copy_range);
    CopyPlan plan{from, to, from_offset, to_offset, length};
    return core_->once(caller, copy(core_.get(), caller, plan));
}

}  // namespace weft::compute
