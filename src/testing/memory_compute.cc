#include "testing/memory_compute.h"

#include "platform/base/bytes.h"

#include <algorithm>
#include <cstring>

#include <sys/stat.h>

namespace weft::testing {
namespace {

bool is_directory(const InodeRecord& record) {
    return (record.mode & S_IFMT) == S_IFDIR;
}

}  // namespace

MemoryCompute::MemoryCompute(Reactor& reactor) : reactor_(reactor), changed_(reactor) {
    Inode& root = inodes_[kRootInode];
    root.record.mode = S_IFDIR | 0755;
    root.record.nlink = 2;
    root.record.parent = kRootInode;
    root.record.generation = 1;
    touch(root, true);
}

void MemoryCompute::close_session(SessionId session) {
    holders_.erase(session);
    for (auto& [id, inode] : inodes_) inode.leases.erase(session);
}

void MemoryCompute::drop_holdings(SessionId session) {
    for (auto& [id, inode] : inodes_) {
        std::erase_if(inode.locks, [session](const auto& held) { return held.session == session; });
    }
    std::erase_if(handles_, [session](const auto& one) { return one.second.session == session; });
}

void MemoryCompute::unblock(std::string operation) {
    blocked_.erase(operation);
    held_.erase(operation);
    changed_.notify_all();
}

void MemoryCompute::unblock_all() {
    blocked_.clear();
    held_.clear();
    changed_.notify_all();
}

std::size_t MemoryCompute::count(std::string_view operation) const {
    return static_cast<std::size_t>(std::count_if(
        calls_.begin(), calls_.end(),
        [&](const std::string& call) { return call.substr(0, call.find(' ')) == operation; }));
}

std::string MemoryCompute::content(InodeId inode) const {
    return inodes_.at(inode).data;
}

InodeId MemoryCompute::at(InodeId directory, const std::string& name) const {
    return inodes_.at(directory).entries.at(name);
}

LeaseMode MemoryCompute::lease(SessionId session, InodeId inode) const {
    const auto& leases = inodes_.at(inode).leases;
    auto found = leases.find(session);
    return found == leases.end() ? LeaseMode::none : found->second;
}

std::size_t MemoryCompute::synced(InodeId inode) const {
    return inodes_.at(inode).synced;
}

Task<Done> MemoryCompute::enter(std::string operation, std::string detail, Caller caller) {
    if (latency_ > 0) co_await sleep(reactor_, latency_);
    while (blocked_.contains(operation)) co_await changed_.wait();
    calls_.push_back(detail.empty() ? operation : operation + " " + detail);
    if (caller.seq != 0) seqs_.push_back(caller.seq);
    if (nth_fault_.times > 0 && --nth_fault_.times == 0) {
        co_return Error{nth_fault_.code, "memory_compute.fault"};
    }
    auto fault = faults_.find(operation);
    if (fault == faults_.end()) co_return Done{};
    Code code = fault->second.code;
    if (--fault->second.times == 0) faults_.erase(fault);
    co_return Error{code, "memory_compute.fault"};
}

Result<MemoryCompute::Inode*> MemoryCompute::find(FileId file) {
    auto found = inodes_.find(file.inode);
    if (found == inodes_.end()) return Error{Code::stale, "memory_compute.find"};
    return &found->second;
}

Result<MemoryCompute::Inode*> MemoryCompute::find_directory(FileId file) {
    Result<Inode*> found = find(file);
    if (found.ok() && !is_directory(found.value()->record)) {
        return Error{Code::not_a_directory, "memory_compute.find"};
    }
    return found;
}

Node MemoryCompute::node_of(InodeId inode) const {
    Node node;
    node.inode = inode;
    const Inode& from = inodes_.at(inode);
    node.attributes = from.record;
    bool directory = is_directory(from.record);
    node.attributes.size = directory ? from.entries.size() : from.data.size();
    node.attributes.blocks = directory ? 1 : divide_up(from.data.size(), kBlockBytes);
    return node;
}

Node MemoryCompute::grant(Caller caller, InodeId inode, LeaseMode want) {
    Node node = node_of(inode);
    Inode& at = inodes_.at(inode);
    if (!grants_ || at.recalling > 0 || !holders_.contains(caller.session)) return node;
    bool contested = std::any_of(at.leases.begin(), at.leases.end(), [&](const auto& other) {
        return other.first != caller.session && other.second == LeaseMode::write;
    });
    if (contested) return node;
    bool shared = std::any_of(at.leases.begin(), at.leases.end(), [&](const auto& other) {
        return other.first != caller.session && other.second != LeaseMode::none;
    });
    if (shared || is_directory(at.record)) want = std::min(want, LeaseMode::read);
    LeaseMode& held = at.leases[caller.session];
    held = std::max(held, want);
    node.lease = held;
    return node;
}

Task<Done> MemoryCompute::recall(Caller caller, InodeId inode, LeaseMode keep, std::string name,
                                 bool data) {
    std::vector<SessionId> others;
    for (const auto& [session, mode] : inodes_.at(inode).leases) {
        if (session != caller.session && mode > keep) others.push_back(session);
    }
    if (others.empty()) co_return Done{};
    ++inodes_.at(inode).recalling;
    for (SessionId session : others) {
        auto holder = holders_.find(session);
        if (holder == holders_.end()) continue;
        Recall wanted;
        wanted.file.inode = inode;
        wanted.file.filesystem = FilesystemId{1};
        wanted.keep = keep;
        wanted.name = name;
        wanted.data = data;
        (void)co_await holder->second->recall(wanted);
        auto found = inodes_.find(inode);
        if (found == inodes_.end()) co_return Done{};
        auto lease = found->second.leases.find(session);
        if (lease != found->second.leases.end()) lease->second = std::min(lease->second, keep);
    }
    --inodes_.at(inode).recalling;
    co_return Done{};
}

void MemoryCompute::touch(Inode& inode, bool content) {
    inode.record.version = ++version_;
    inode.record.ctime = timestamp_of(reactor_.wall_now());
    if (content) inode.record.mtime = inode.record.ctime;
    if (inode.record.btime != Timestamp()) return;
    inode.record.btime = inode.record.atime = inode.record.ctime;
}

Result<InodeId> MemoryCompute::make(FileId directory, const std::string& name,
                                    const NewNode& what) {
    Result<Inode*> parent = find_directory(directory);
    if (!parent.ok()) return parent.error();
    if (!name.empty() && parent.value()->entries.contains(name)) {
        return Error{Code::already_exists, "memory_compute.create"};
    }
    InodeId id{++last_inode_};
    Inode& made = inodes_[id];
    made.record.mode = what.mode & ~what.umask;
    made.record.uid = what.uid;
    made.record.gid = what.gid;
    made.record.rdev = what.rdev;
    made.record.symlink = what.symlink;
    made.record.generation = 1;
    made.record.nlink = name.empty() ? 0 : 1;
    made.data = what.symlink;
    if (is_directory(made.record)) {
        made.record.nlink = 2;
        made.record.parent = directory.inode;
        ++parent.value()->record.nlink;
    }
    touch(made, true);
    if (!name.empty()) {
        parent.value()->entries[name] = id;
        touch(*parent.value(), true);
    }
    return id;
}

bool MemoryCompute::is_open(InodeId inode) const {
    return std::any_of(handles_.begin(), handles_.end(),
                       [&](const auto& handle) { return handle.second.inode == inode; });
}

void MemoryCompute::drop_if_unused(InodeId inode) {
    auto found = inodes_.find(inode);
    if (found == inodes_.end() || found->second.record.nlink > 0 || is_open(inode)) return;
    inodes_.erase(found);
}

void MemoryCompute::drop_link(InodeId inode) {
    Inode& at = inodes_.at(inode);
    at.record.nlink = is_directory(at.record) ? 0 : at.record.nlink - 1;
    touch(at, false);
    drop_if_unused(inode);
}

std::uint64_t MemoryCompute::open_handle(Caller caller, InodeId inode) {
    handles_[++last_handle_] = Handle{inode, caller.session};
    return last_handle_;
}

}  // namespace weft::testing
