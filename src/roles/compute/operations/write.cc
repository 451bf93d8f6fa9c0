#include "engines/namespace/attributes.h"
#include "platform/base/planted.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"
#include "roles/compute/file_change_internal.h"

#include <algorithm>

namespace weft::compute {
namespace {

// One record holds what is staged of a write, with room for the rest.
constexpr std::uint64_t kWriteBytesMost = 4 * kMiB;

struct Write {
    FileId file;
    std::uint64_t offset = 0;
    ConstBytes from;
    bool append = false;
    bool clear_setid = false;
};

Task<Done> prepare(Core* core, Caller caller, FileChange* change, std::uint64_t offset,
                   ConstBytes from) {
    HeldUp held(*core, caller.session);  // By its drives.
    co_return co_await change->write(offset, from);
}

// One write(2), from its locks to the commit.
Task<Node> write_once(Core* core, Caller caller, Write asked, Shortage* shortage) {
    auto [file, offset, from, append, clear_setid] = asked;
    if (from.size() > kWriteBytesMost) co_return Error{Code::invalid, "write.size"};
    InodePin inode = co_await or_return(co_await core->pin_regular(file));
    co_await or_return(co_await core->admit_request(caller));
    co_await or_return(co_await core->admit_space(from.size(), caller, &shortage->patience));
    if (append) offset = inode->record.size;
    co_await or_return(posix::range_end(offset, from.size()));
    co_await or_return(co_await admit_regions(core, caller, file, offset, from.size()));
    Changing guard(inode, caller.session);
    co_await or_return(co_await core->recall_for_change(caller.session, file, std::string(), true));
    LockKey key{file, kInodePart};
    std::optional<KeyLocks::Held> lock;
    if (append || inode->purge_from.has_value()) {
        lock.emplace(co_await or_return(co_await core->locks.exclusive(key, caller.deadline)));
        co_await or_return(co_await core->finish_truncation(inode));
    } else {
        lock.emplace(co_await or_return(co_await core->locks.shared(key, caller.deadline)));
    }
    if (append) offset = inode->record.size;
    std::uint64_t end = co_await or_return(posix::range_end(offset, from.size()));

    FileChange prepared(core, inode);
    auto written = co_await prepare(core, caller, &prepared, offset, from);
    shortage->no_segment = written.code() == Code::out_of_space;
    co_await or_return(std::move(written));
    std::int64_t more = prepared.blocks_delta();
    co_await or_return(core->check_capacity(file.filesystem, more, &shortage->lacking));

    // Decided from here on without an await.
    co_await or_return(core->may_change(caller));
    Change change(*core);
    prepared.move_into(change);
    InodeRecord& record = change.edit(inode);
    bool grows = !from.empty() && !(append && planted(Bug::append_keeps_size));
    if (grows) record.size = std::max(record.size, end);
    if (!from.empty()) posix::note_content_change(record, core->timestamp());
    if (clear_setid) (void)posix::clear_setid(record);
    core->remember(change, caller, file);
    Lsn lsn = change.commit();
    prepared.unlock();
    Node node = core->look(caller.session, inode);
    lock.reset();
    co_return co_await core->answer(caller.session, inode, std::move(node), lsn);
}

// Without locks, waits for the cleaner.
Task<Node> write_file(Core* core, Caller caller, Write asked) {
    FilesystemId filesystem = asked.file.filesystem;
    Shortage shortage;
    for (;;) {
        auto written = co_await write_once(core, caller, asked, &shortage);
        bool again = co_await or_return(co_await core->has_passed(&shortage, filesystem, caller));
        if (!again) co_return written;
    }
}

}  // namespace

Task<Node> ComputeRole::write(Caller caller, FileId file, std::uint64_t offset, ConstBytes from,
                              bool append, bool clear_setid) {
    core_->count(Operation::write);
    Write asked{file, offset, from, append, clear_setid};
    return core_->once(caller, write_file(core_.get(), caller, asked));
}

}  // namespace weft::compute
