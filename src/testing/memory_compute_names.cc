#include "testing/memory_compute.h"

#include <algorithm>

#include <sys/stat.h>

// The namespace of MemoryCompute.
namespace weft::testing {
namespace {

std::string named(FileId directory, const std::string& name) {
    return std::to_string(directory.inode.value) + " " + name;
}

}  // namespace

Task<Node> MemoryCompute::lookup(Caller caller, FileId directory, std::string name) {
    (void)co_await or_return(co_await enter("lookup", named(directory, name), caller));
    Inode* parent = co_await or_return(find_directory(directory));
    (void)grant(caller, directory.inode, LeaseMode::read);
    if (name == ".") co_return grant(caller, directory.inode, LeaseMode::read);
    if (name == "..") co_return grant(caller, parent->record.parent, LeaseMode::read);
    auto found = parent->entries.find(name);
    if (found == parent->entries.end()) co_return Error{Code::not_found, "memory_compute.lookup"};
    InodeId inode = found->second;
    (void)co_await recall(caller, inode, LeaseMode::read, "", false);
    if (!inodes_.contains(inode)) co_return Error{Code::not_found, "memory_compute.lookup"};
    Node node = grant(caller, inode, LeaseMode::read);
    while (held_.contains("lookup")) co_await changed_.wait();
    co_return node;
}

Task<Node> MemoryCompute::create(Caller caller, FileId directory, std::string name, NewNode what) {
    (void)co_await or_return(co_await enter("create", named(directory, name), caller));
    (void)co_await or_return(find_directory(directory));
    (void)co_await recall(caller, directory.inode, LeaseMode::none, name, false);
    InodeId made = co_await or_return(make(directory, name, what));
    co_return grant(caller, made, LeaseMode::read);
}

Task<Opened> MemoryCompute::create_open(Caller caller, FileId directory, std::string name,
                                        NewNode what, bool exclusive) {
    (void)co_await or_return(co_await enter("create_open", named(directory, name), caller));
    Inode* parent = co_await or_return(find_directory(directory));
    if (!parent->entries.contains(name)) {
        (void)co_await recall(caller, directory.inode, LeaseMode::none, name, false);
        parent = co_await or_return(find_directory(directory));
    }
    Opened opened;
    auto found = parent->entries.find(name);
    if (found == parent->entries.end()) {
        InodeId made = co_await or_return(make(directory, name, what));
        opened.handle = open_handle(caller, made);
        opened.node = grant(caller, made, LeaseMode::write);
        co_return opened;
    }
    if (exclusive) co_return Error{Code::already_exists, "memory_compute.create_open"};
    opened.handle = open_handle(caller, found->second);
    opened.node = grant(caller, found->second, LeaseMode::read);
    co_return opened;
}

Task<Opened> MemoryCompute::create_unnamed(Caller caller, FileId directory, NewNode what) {
    (void)co_await or_return(co_await enter("create_unnamed", named(directory, ""), caller));
    InodeId made = co_await or_return(make(directory, "", what));
    Opened opened;
    opened.handle = open_handle(caller, made);
    opened.node = grant(caller, made, LeaseMode::write);
    co_return opened;
}

Task<Node> MemoryCompute::link(Caller caller, FileId file, FileId directory, std::string name) {
    (void)co_await or_return(co_await enter("link", named(directory, name), caller));
    (void)co_await recall(caller, directory.inode, LeaseMode::none, name, false);
    Inode* parent = co_await or_return(find_directory(directory));
    Inode* target = co_await or_return(find(file));
    if (parent->entries.contains(name)) co_return Error{Code::already_exists, "memory_compute"};
    parent->entries[name] = file.inode;
    ++target->record.nlink;
    touch(*target, false);
    touch(*parent, true);
    co_return grant(caller, file.inode, LeaseMode::read);
}

Task<Done> MemoryCompute::unlink(Caller caller, FileId directory, std::string name) {
    (void)co_await or_return(co_await enter("unlink", named(directory, name), caller));
    (void)co_await recall(caller, directory.inode, LeaseMode::none, name, false);
    Inode* parent = co_await or_return(find_directory(directory));
    auto found = parent->entries.find(name);
    if (found == parent->entries.end()) co_return Error{Code::not_found, "memory_compute.unlink"};
    if ((inodes_.at(found->second).record.mode & S_IFMT) == S_IFDIR) {
        co_return Error{Code::is_a_directory, "memory_compute.unlink"};
    }
    InodeId gone = found->second;
    parent->entries.erase(found);
    touch(*parent, true);
    drop_link(gone);
    co_return Done{};
}

Task<Done> MemoryCompute::rmdir(Caller caller, FileId directory, std::string name) {
    (void)co_await or_return(co_await enter("rmdir", named(directory, name), caller));
    (void)co_await recall(caller, directory.inode, LeaseMode::none, name, false);
    Inode* parent = co_await or_return(find_directory(directory));
    auto found = parent->entries.find(name);
    if (found == parent->entries.end()) co_return Error{Code::not_found, "memory_compute.rmdir"};
    const Inode& child = inodes_.at(found->second);
    if ((child.record.mode & S_IFMT) != S_IFDIR) {
        co_return Error{Code::not_a_directory, "memory_compute.rmdir"};
    }
    if (!child.entries.empty()) co_return Error{Code::not_empty, "memory_compute.rmdir"};
    InodeId gone = found->second;
    parent->entries.erase(found);
    --parent->record.nlink;
    touch(*parent, true);
    drop_link(gone);
    co_return Done{};
}

Task<Done> MemoryCompute::rename(Caller caller, FileId from, std::string from_name, FileId to,
                                 std::string to_name, RenameFlags flags) {
    (void)co_await or_return(
        co_await enter("rename", named(from, from_name) + " " + named(to, to_name), caller));
    (void)co_await recall(caller, from.inode, LeaseMode::none, from_name, false);
    (void)co_await recall(caller, to.inode, LeaseMode::none, to_name, false);
    Inode* source = co_await or_return(find_directory(from));
    Inode* target = co_await or_return(find_directory(to));
    auto found = source->entries.find(from_name);
    if (found == source->entries.end()) co_return Error{Code::not_found, "memory_compute.rename"};
    InodeId moved = found->second;
    auto old = target->entries.find(to_name);
    bool replaces = old != target->entries.end();
    if (replaces && flags.no_replace) co_return Error{Code::already_exists, "memory_compute"};
    if (flags.exchange) {
        if (!replaces) co_return Error{Code::not_found, "memory_compute.rename"};
        std::swap(found->second, old->second);
    } else {
        InodeId replaced = replaces ? old->second : InodeId{};
        source->entries.erase(found);
        target->entries[to_name] = moved;
        if (replaces && replaced != moved) drop_link(replaced);
    }
    Inode& inode = inodes_.at(moved);
    if ((inode.record.mode & S_IFMT) == S_IFDIR) inode.record.parent = to.inode;
    touch(inode, false);
    touch(*source, true);
    touch(*target, true);
    co_return Done{};
}

Task<std::string> MemoryCompute::readlink(Caller caller, FileId file) {
    std::string label = std::to_string(file.inode.value);
    (void)co_await or_return(co_await enter("readlink", label, caller));
    Inode* inode = co_await or_return(find(file));
    co_return inode->record.symlink;
}

Task<DirectoryPage> MemoryCompute::readdir(Caller caller, FileId directory, std::uint64_t cookie,
                                           std::uint32_t most_bytes, bool with_attributes) {
    (void)co_await or_return(
        co_await enter("readdir", named(directory, std::to_string(cookie)), caller));
    Inode* inode = co_await or_return(find_directory(directory));
    std::vector<std::pair<std::string, InodeId>> all = {{".", directory.inode},
                                                        {"..", inode->record.parent}};
    for (const auto& [name, child] : inode->entries) all.emplace_back(name, child);
    DirectoryPage page;
    std::size_t used = 0;
    for (std::size_t i = cookie; i < all.size() && used < most_bytes; ++i) {
        DirectoryItem item;
        item.name = all[i].first;
        item.cookie = i + 1;
        item.node = node_of(all[i].second);
        if (with_attributes && i >= 2) item.node = grant(caller, all[i].second, LeaseMode::read);
        used += 24 + item.name.size();
        page.items.push_back(std::move(item));
    }
    page.end = cookie + page.items.size() >= all.size();
    co_return page;
}

}  // namespace weft::testing
