#include "roles/frontend/file.h"

#include "platform/base/check.h"

#include <algorithm>
#include <utility>

namespace weft::frontend {

void File::learn(const Node& node, LeaseMode granted, std::uint64_t namespace_changes) {
    CHECK(node.inode == inode);
    lease = std::max(lease, granted);
    if (attributes_valid && node.attributes.version < attributes.version) return;
    attributes = node.attributes;
    attributes_valid = lease != LeaseMode::none;
    attributes_namespace = namespace_changes;
    if (!ahead()) size = attributes.size;
}

void File::overlay(InodeRecord& record) const {
    if (!ahead()) {
        if (attributes_valid && record.version < attributes.version) record = attributes;
        return;
    }
    record.size = size;
    record.blocks += divide_up(dirty.data_bytes(), kBlockBytes);
    record.mtime = mtime;
    record.ctime = std::max(record.ctime, ctime);
    record.atime = atime.value_or(record.atime);
    if (mode) record.mode = (record.mode & ~kPermissionBits) | *mode;
}

std::vector<std::uint64_t> File::take_lock_owners(std::uint64_t handle) {
    std::vector<std::uint64_t> taken;
    for (auto& [owner, through] : lock_owners) {
        if (through.erase(handle) > 0 && through.empty()) taken.push_back(owner);
    }
    for (std::uint64_t owner : taken) lock_owners.erase(owner);
    return taken;
}

FilePtr FileTable::find(InodeId inode) const {
    auto found = files_.find(inode);
    return found == files_.end() ? nullptr : found->second;
}

FilePtr FileTable::find_or_make(InodeId inode) {
    FilePtr& file = files_[inode];
    if (file == nullptr) file = std::make_shared<File>(reactor_, pool_, inode);
    untold_.erase(inode);
    return file;
}

void FileTable::forget_if_idle(const FilePtr& file) {
    if (file->handles > 0 || file->ahead()) return;
    auto found = files_.find(file->inode);
    if (found == files_.end() || found->second != file) return;
    if (file->errors.untold() && untold_.size() < kUntoldMost) {
        untold_.insert(file->inode);
        return;
    }
    untold_.erase(file->inode);
    files_.erase(found);
}

std::uint64_t FileTable::open(OpenFile open) {
    if (open.file->handles++ == 0) open.file->lost_locks = false;
    ++open.file->times_opened;
    open.errors_seen = open.file->errors.opening_mark();
    open_.emplace(++last_handle_, std::move(open));
    return last_handle_;
}

OpenFile* FileTable::find_open(std::uint64_t handle) {
    auto found = open_.find(handle);
    return found == open_.end() ? nullptr : &found->second;
}

Result<OpenFile> FileTable::close(std::uint64_t handle) {
    auto found = open_.find(handle);
    if (found == open_.end()) return Error{Code::invalid, "frontend.close"};
    OpenFile closed = std::move(found->second);
    open_.erase(found);
    CHECK(closed.file->handles > 0);
    --closed.file->handles;
    return closed;
}

std::vector<FilePtr> FileTable::all() const {
    std::vector<FilePtr> files;
    files.reserve(files_.size());
    for (const auto& [inode, file] : files_) files.push_back(file);
    return files;
}

std::vector<std::uint64_t> FileTable::open_handles() const {
    std::vector<std::uint64_t> handles;
    for (const auto& [handle, open] : open_) handles.push_back(handle);
    std::sort(handles.begin(), handles.end());
    return handles;
}

}  // namespace weft::frontend
