#include "engines/namespace/attributes.h"
#include "engines/namespace/names.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

// A name that is removed and made again between our two looks is not a name that is not there.
constexpr int kTriesMost = 16;

Task<Node> answer_of(Core* core, Caller caller, InodePin inode, Lsn seen) {
    co_await or_return(co_await core->recall_for_look(caller.session, inode));
    Node node = core->look(caller.session, inode);
    seen = std::max(seen, inode->changed);
    co_return co_await core->answer(caller.session, inode, std::move(node), seen);
}

Task<Node> look_up(Core* core, Caller caller, FileId directory_id, std::string name) {
    InodePin directory = co_await or_return(co_await core->pin_directory(directory_id));
    if (name == ".") {
        Lsn seen = directory->changed;
        co_return co_await answer_of(core, caller, std::move(directory), seen);
    }
    for (int tries = 0; tries < kTriesMost; ++tries) {
        std::optional<EntryRecord> entry;
        if (name == "..") {
            entry.emplace();
            entry->inode = directory->record.parent;
        } else {
            entry = co_await or_return(co_await core->find_entry(directory_id, name));
        }
        Lsn seen = directory->changed;
        if (!entry.has_value()) {
            co_await or_return(co_await core->settled(seen));
            co_return Error{Code::not_found, "lookup"};
        }
        FileId child{directory_id.filesystem, entry->inode};
        auto inode = co_await core->pin(child);
        if (inode.ok()) {
            co_return co_await answer_of(core, caller, std::move(inode).value(), seen);
        }
        if (inode.code() != Code::stale) co_return inode.error();
    }
    co_return Error{Code::retry_later, "lookup"};
}

}  // namespace

Task<Node> ComputeRole::lookup(Caller caller, FileId directory, std::string name) {
    core_->count(Operation::lookup);
    co_await or_return(posix::check_name(name));
    co_await or_return(core_->session(caller.session));
    co_return co_await look_up(core_.get(), caller, directory, std::move(name));
}

Task<Node> ComputeRole::getattr(Caller caller, FileId file) {
    core_->count(Operation::getattr);
    co_await or_return(core_->session(caller.session));
    InodePin inode = co_await or_return(co_await core_->pin(file));
    Lsn seen = inode->changed;
    co_return co_await answer_of(core_.get(), caller, std::move(inode), seen);
}

Task<std::string> ComputeRole::readlink(Caller caller, FileId file) {
    core_->count(Operation::readlink);
    co_await or_return(core_->session(caller.session));
    InodePin inode = co_await or_return(co_await core_->pin(file));
    bool is_symlink = (inode->record.mode & posix::kTypeMask) == posix::kSymlink;
    if (!is_symlink) co_return Error{Code::invalid, "readlink"};
    core_->note_access(*inode);
    std::string target = inode->record.symlink;
    co_await or_return(co_await core_->settled(inode->changed));
    co_return target;
}

}  // namespace weft::compute
