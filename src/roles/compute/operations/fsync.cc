#include "platform/base/planted.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

#include <algorithm>

namespace weft::compute {

Task<Done> ComputeRole::fsync(Caller caller, FileId file) {
    core_->count(Operation::fsync);
    co_await or_return(core_->session(caller.session));
    InodePin inode = co_await or_return(co_await core_->pin(file));
    // What changed it before it was loaded may not be flushed either.
    Lsn last = std::max(inode->changed, inode->loaded_after);
    if (planted(Bug::fsync_returns_early)) last = std::min(last, core_->journal.last_flushed());
    if (last <= core_->journal.last_flushed()) co_return Done{};
    co_return co_await core_->flushed(last);
}

Task<Done> ComputeRole::sync(Caller caller, FilesystemId) {
    core_->count(Operation::fsync);
    co_await or_return(core_->session(caller.session));
    Lsn last = core_->journal.last_appended();
    if (last <= core_->journal.last_flushed()) co_return Done{};
    co_return co_await core_->flushed(last);
}

Task<FilesystemUsage> ComputeRole::usage(FilesystemId filesystem) {
    auto found = core_->filesystems.find(filesystem);
    bool serving = found != core_->filesystems.end() && found->second.serving;
    if (!serving) co_return Error{Code::stale, "usage"};
    co_return core_->usage_of(filesystem);
}

}  // namespace weft::compute
