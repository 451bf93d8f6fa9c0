#include "platform/base/bytes.h"
#include "testing/memory_compute.h"

#include <algorithm>
#include <cstring>

#include <sys/stat.h>

// Content, attributes and locks of MemoryCompute.
namespace weft::testing {
namespace {

std::string label(FileId file) {
    return std::to_string(file.inode.value);
}

std::string ranged(FileId file, std::uint64_t offset, std::uint64_t length) {
    return label(file) + " " + std::to_string(offset) + "+" + std::to_string(length);
}

void clear_setid_bits(InodeRecord& record) {
    record.mode &= ~std::uint32_t{S_ISUID};
    if ((record.mode & S_IXGRP) != 0) record.mode &= ~std::uint32_t{S_ISGID};
}

}  // namespace

Task<Node> MemoryCompute::getattr(Caller caller, FileId file) {
    (void)co_await or_return(co_await enter("getattr", label(file), caller));
    (void)co_await or_return(find(file));
    (void)co_await recall(caller, file.inode, LeaseMode::read, "", false);
    (void)co_await or_return(find(file));
    co_return grant(caller, file.inode, LeaseMode::read);
}

Task<Node> MemoryCompute::setattr(Caller caller, FileId file, AttributeChange change) {
    std::string detail = label(file);
    if (change.size) detail += " size=" + std::to_string(*change.size);
    if (change.mode) detail += " mode";
    if (change.uid || change.gid) detail += " owner";
    if (change.atime) detail += " atime";
    if (change.mtime) detail += " mtime";
    (void)co_await or_return(co_await enter("setattr", detail, caller));
    (void)co_await or_return(find(file));
    (void)co_await recall(caller, file.inode, LeaseMode::none, "", change.size.has_value());
    Inode* inode = co_await or_return(find(file));
    InodeRecord& record = inode->record;
    if (change.size) inode->data.resize(*change.size);
    touch(*inode, change.size.has_value());
    Timestamp now = timestamp_of(reactor_.wall_now());
    if (change.mode) record.mode = (record.mode & S_IFMT) | *change.mode;
    if (change.uid) record.uid = *change.uid;
    if (change.gid) record.gid = *change.gid;
    if (change.clear_setid && (record.mode & S_IFMT) != S_IFDIR) clear_setid_bits(record);
    if (change.atime) record.atime = *change.atime == kTimeNow ? now : *change.atime;
    if (change.mtime) record.mtime = *change.mtime == kTimeNow ? now : *change.mtime;
    if (change.ctime) record.ctime = *change.ctime == kTimeNow ? now : *change.ctime;
    co_return grant(caller, file.inode, LeaseMode::read);
}

Task<Opened> MemoryCompute::open(Caller caller, FileId file, LeaseMode want) {
    std::string detail = label(file) + (want == LeaseMode::write ? " write" : " read");
    (void)co_await or_return(co_await enter("open", detail, caller));
    (void)co_await or_return(find(file));
    bool elsewhere = std::any_of(handles_.begin(), handles_.end(), [&](const auto& handle) {
        return handle.second.inode == file.inode && handle.second.session != caller.session;
    });
    bool exclusive = want == LeaseMode::write && !elsewhere;
    LeaseMode others = exclusive ? LeaseMode::none : LeaseMode::read;
    (void)co_await recall(caller, file.inode, others, "", false);
    (void)co_await or_return(find(file));
    Opened opened;
    opened.handle = open_handle(caller, file.inode);
    opened.node = grant(caller, file.inode, exclusive ? LeaseMode::write : LeaseMode::read);
    co_return opened;
}

Task<Done> MemoryCompute::release(Caller caller, FileId file, std::uint64_t handle) {
    (void)co_await or_return(co_await enter("release", label(file), caller));
    handles_.erase(handle);
    drop_if_unused(file.inode);
    co_return Done{};
}

Task<Done> MemoryCompute::release_lease(Caller caller, FileId file, LeaseMode keep) {
    (void)co_await or_return(co_await enter("release_lease", label(file), caller));
    Inode* inode = co_await or_return(find(file));
    LeaseMode& held = inode->leases[caller.session];
    held = std::min(held, keep);
    co_return Done{};
}

Task<ReadReply> MemoryCompute::read(Caller caller, FileId file, std::uint64_t offset, Bytes into) {
    (void)co_await or_return(co_await enter("read", ranged(file, offset, into.size()), caller));
    (void)co_await or_return(find(file));
    (void)co_await recall(caller, file.inode, LeaseMode::read, "", false);
    Inode* inode = co_await or_return(find(file));
    ReadReply reply;
    if (offset < inode->data.size()) {
        reply.count = std::min<std::uint64_t>(into.size(), inode->data.size() - offset);
        std::memcpy(into.data(), inode->data.data() + offset, reply.count);
    }
    reply.node = grant(caller, file.inode, LeaseMode::read);
    while (held_.contains("read")) co_await changed_.wait();
    co_return reply;
}

Task<Node> MemoryCompute::write(Caller caller, FileId file, std::uint64_t offset, ConstBytes from,
                                bool append, bool clear_setid) {
    std::string detail = ranged(file, offset, from.size()) + (append ? " append" : "");
    (void)co_await or_return(co_await enter("write", detail, caller));
    (void)co_await or_return(find(file));
    (void)co_await recall(caller, file.inode, LeaseMode::none, "", true);
    Inode* inode = co_await or_return(find(file));
    if (append) offset = inode->data.size();
    if (offset + from.size() > inode->data.size()) inode->data.resize(offset + from.size());
    std::memcpy(inode->data.data() + offset, from.data(), from.size());
    if (clear_setid) clear_setid_bits(inode->record);
    touch(*inode, true);
    co_return grant(caller, file.inode, LeaseMode::read);
}

Task<Done> MemoryCompute::fsync(Caller caller, FileId file) {
    (void)co_await or_return(co_await enter("fsync", label(file), caller));
    Inode* inode = co_await or_return(find(file));
    ++inode->synced;
    co_return Done{};
}

Task<Done> MemoryCompute::sync(Caller caller, FilesystemId) {
    co_return co_await enter("sync", "", caller);
}

Task<Node> MemoryCompute::fallocate(Caller caller, FileId file, std::uint64_t offset,
                                    std::uint64_t length, FallocateFlags flags) {
    (void)co_await or_return(co_await enter("fallocate", ranged(file, offset, length), caller));
    Inode* inode = co_await or_return(find(file));
    std::string& data = inode->data;
    std::uint64_t end = offset + length;
    if (!flags.keep_size && !flags.punch_hole && end > data.size()) data.resize(end);
    if (flags.punch_hole || flags.zero_range) {
        for (std::uint64_t i = offset; i < std::min<std::uint64_t>(end, data.size()); ++i) {
            data[i] = '\0';
        }
    }
    touch(*inode, true);
    co_return grant(caller, file.inode, LeaseMode::read);
}

Task<std::uint64_t> MemoryCompute::copy_range(Caller caller, FileId from, std::uint64_t from_offset,
                                              FileId to, std::uint64_t to_offset,
                                              std::uint64_t length) {
    (void)co_await or_return(
        co_await enter("copy_range", ranged(from, from_offset, length), caller));
    Inode* source = co_await or_return(find(from));
    Inode* target = co_await or_return(find(to));
    if (from_offset >= source->data.size()) co_return std::uint64_t{0};
    std::string part = source->data.substr(from_offset, length);
    if (to_offset + part.size() > target->data.size()) target->data.resize(to_offset + part.size());
    target->data.replace(to_offset, part.size(), part);
    touch(*target, true);
    co_return part.size();
}

Task<std::uint64_t> MemoryCompute::seek(Caller caller, FileId file, std::uint64_t offset,
                                        bool data) {
    (void)co_await or_return(co_await enter("seek", label(file), caller));
    Inode* inode = co_await or_return(find(file));
    if (offset >= inode->data.size()) co_return Error{Code::no_data, "memory_compute.seek"};
    co_return data ? offset : inode->data.size();
}

Task<Done> MemoryCompute::setxattr(Caller caller, FileId file, std::string name, std::string value,
                                   SetXattr how) {
    (void)co_await or_return(co_await enter("setxattr", label(file) + " " + name, caller));
    Inode* inode = co_await or_return(find(file));
    bool there = inode->xattrs.contains(name);
    if (there && how == SetXattr::create) co_return Error{Code::already_exists, "memory_compute"};
    if (!there && how == SetXattr::replace) co_return Error{Code::no_attribute, "memory_compute"};
    inode->xattrs[name] = value;
    touch(*inode, false);
    co_return Done{};
}

Task<std::string> MemoryCompute::getxattr(Caller caller, FileId file, std::string name) {
    (void)co_await or_return(co_await enter("getxattr", label(file) + " " + name, caller));
    Inode* inode = co_await or_return(find(file));
    auto found = inode->xattrs.find(name);
    if (found == inode->xattrs.end()) co_return Error{Code::no_attribute, "memory_compute"};
    co_return found->second;
}

Task<std::vector<std::string>> MemoryCompute::listxattr(Caller caller, FileId file) {
    (void)co_await or_return(co_await enter("listxattr", label(file), caller));
    Inode* inode = co_await or_return(find(file));
    std::vector<std::string> names;
    for (const auto& [name, value] : inode->xattrs) names.push_back(name);
    co_return names;
}

Task<Done> MemoryCompute::removexattr(Caller caller, FileId file, std::string name) {
    (void)co_await or_return(co_await enter("removexattr", label(file) + " " + name, caller));
    Inode* inode = co_await or_return(find(file));
    if (inode->xattrs.erase(name) == 0) co_return Error{Code::no_attribute, "memory_compute"};
    touch(*inode, false);
    co_return Done{};
}

const MemoryCompute::HeldLock* MemoryCompute::conflicting(const Inode& inode, SessionId session,
                                                          const LockRequest& request) const {
    for (const HeldLock& held : inode.locks) {
        bool same_owner = held.session == session && held.request.owner == request.owner;
        bool apart = held.request.to < request.from || held.request.from > request.to;
        if (same_owner || apart || held.request.flock != request.flock) continue;
        bool exclusive = held.request.kind == LockRequest::Kind::exclusive ||
                         request.kind == LockRequest::Kind::exclusive;
        if (exclusive) return &held;
    }
    return nullptr;
}

void MemoryCompute::apply_lock(Inode& inode, SessionId session, const LockRequest& request) {
    std::vector<HeldLock> kept;
    for (const HeldLock& held : inode.locks) {
        bool same = held.session == session && held.request.owner == request.owner &&
                    held.request.flock == request.flock;
        if (!same || held.request.to < request.from || held.request.from > request.to) {
            kept.push_back(held);
            continue;
        }
        HeldLock part = held;
        if (held.request.from < request.from) {
            part.request.to = request.from - 1;
            kept.push_back(part);
        }
        part = held;
        if (held.request.to > request.to) {
            part.request.from = request.to + 1;
            kept.push_back(part);
        }
    }
    if (request.kind != LockRequest::Kind::unlock) kept.push_back(HeldLock{session, request});
    inode.locks = std::move(kept);
}

Task<Done> MemoryCompute::lock(Caller caller, FileId file, LockRequest request) {
    (void)co_await or_return(co_await enter("lock", label(file), caller));
    auto mine = std::make_pair(caller.session, request);
    for (;;) {
        Inode* inode = co_await or_return(find(file));
        bool free = request.kind == LockRequest::Kind::unlock ||
                    conflicting(*inode, caller.session, request) == nullptr;
        if (free) {
            apply_lock(*inode, caller.session, request);
            changed_.notify_all();
            co_return Done{};
        }
        if (!request.wait) co_return Error{Code::would_block, "memory_compute.lock"};
        co_await changed_.wait();
        auto cancelled = std::find(cancelled_.begin(), cancelled_.end(), mine);
        if (cancelled != cancelled_.end()) {
            cancelled_.erase(cancelled);
            co_return Error{Code::interrupted, "memory_compute.lock"};
        }
    }
}

Task<LockRequest> MemoryCompute::test_lock(Caller caller, FileId file, LockRequest request) {
    (void)co_await or_return(co_await enter("test_lock", label(file), caller));
    Inode* inode = co_await or_return(find(file));
    const HeldLock* held = conflicting(*inode, caller.session, request);
    if (held != nullptr) co_return held->request;
    request.kind = LockRequest::Kind::unlock;
    co_return request;
}

Task<Done> MemoryCompute::cancel_lock(Caller caller, FileId file, LockRequest request) {
    (void)co_await or_return(co_await enter("cancel_lock", label(file), caller));
    cancelled_.emplace_back(caller.session, request);
    changed_.notify_all();
    co_await yield(reactor_);
    cancelled_.clear();
    co_return Done{};
}

Task<FilesystemUsage> MemoryCompute::usage(FilesystemId) {
    Caller nobody;
    (void)co_await or_return(co_await enter("usage", "", nobody));
    FilesystemUsage usage;
    usage.capacity_blocks = free_blocks_ + 1024;
    usage.used_blocks = 1024;
    usage.free_blocks = free_blocks_;
    usage.inodes = inodes_.size();
    co_return usage;
}

}  // namespace weft::testing
