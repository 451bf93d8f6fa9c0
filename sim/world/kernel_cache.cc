// What the kernel keeps of names, attributes and pages, and for how long.
#include "sim/world/kernel.h"
#include "sim/world/kernel_body.h"

#include <algorithm>

namespace weft::sim {
namespace {

constexpr std::uint64_t kPage = kBlockBytes;

}  // namespace

Nanos Kernel::until(std::uint64_t seconds, std::uint32_t nanoseconds) const {
    if (seconds == 0 && nanoseconds == 0) return 0;
    return reactor_.now() + static_cast<Nanos>(seconds) * kSecond + nanoseconds;
}

InodePtr Kernel::known(std::uint64_t number) const {
    auto found = inodes_.find(number);
    return found == inodes_.end() ? nullptr : found->second;
}

// An entry that a reply has counts as a lookup, whatever comes of it.
InodePtr Kernel::take(const fuse_entry_out& entry, std::uint64_t version) {
    InodePtr& inode = inodes_[entry.nodeid];
    if (inode == nullptr) {
        inode = std::make_shared<KernelInode>(reactor_, entry.nodeid);
        inode->attributes = entry.attr;
        version = kAnyVersion;
    }
    ++inode->lookups;
    change_attributes(*inode, entry.attr, until(entry.attr_valid, entry.attr_valid_nsec), version);
    return inode;
}

// From a reply to a request that left at `version`.
void Kernel::change_attributes(KernelInode& inode, const fuse_attr& attr, Nanos valid_until,
                               std::uint64_t version) {
    bool old = version != kAnyVersion && inode.version > version;
    if (old || inode.size_is_unstable) return;
    std::uint64_t size = inode.attributes.size;
    set_attributes(inode, attr, valid_until);
    if (size != attr.size) cut_pages(inode, attr.size);
}

void Kernel::set_attributes(KernelInode& inode, const fuse_attr& attr, Nanos valid_until) {
    inode.attributes = attr;
    inode.valid_until = valid_until;
    inode.atime_is_old = false;
    inode.version = ++version_;
}

// Nothing behind the new end stays; the rest of its page is zeros.
void Kernel::cut_pages(KernelInode& inode, std::uint64_t size) {
    std::uint64_t first = (size + kPage - 1) / kPage;
    inode.pages.erase(inode.pages.lower_bound(first), inode.pages.end());
    for (auto& [page, lock] : inode.locked) {
        if (page >= size / kPage) lock.cut = true;
    }
    auto last = inode.pages.find(size / kPage);
    if (size % kPage == 0 || last == inode.pages.end()) return;
    std::fill(last->second.begin() + static_cast<std::ptrdiff_t>(size % kPage), last->second.end(),
              '\0');
}

// As invalidate_inode_pages2_range: waits for each page that somebody has locked.
Task<Done> Kernel::drop_pages(InodePtr inode, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t page = first;; ++page) {
        auto whole = inode->pages.lower_bound(page);
        auto locked = inode->locked.lower_bound(page);
        std::uint64_t next = UINT64_MAX;
        if (whole != inode->pages.end()) next = whole->first;
        if (locked != inode->locked.end()) next = std::min(next, locked->first);
        if (next == UINT64_MAX || next > last) co_return Done{};
        page = next;
        while (inode->locked.contains(page)) co_await inode->unlocked.wait();
        inode->pages.erase(page);
    }
}

Kernel::DentryPtr Kernel::dentry(const KernelInode& directory, const std::string& name) const {
    auto found = dentries_.find({directory.number, name});
    return found == dentries_.end() ? nullptr : found->second;
}

void Kernel::put_dentry(const KernelInode& directory, const std::string& name, InodePtr inode,
                        Nanos valid_until, std::uint64_t epoch) {
    auto made = std::make_shared<Dentry>();
    made->inode = std::move(inode);
    made->valid_until = valid_until;
    made->epoch = epoch;
    dentries_[{directory.number, name}] = std::move(made);
}

void Kernel::drop_dentry(const KernelInode& directory, const std::string& name) {
    dentries_.erase({directory.number, name});
}

// Whom no name leads to and nobody holds.
void Kernel::forget_unused() {
    for (auto each = inodes_.begin(); each != inodes_.end();) {
        bool used = each->second.use_count() > 1 || each->first == FUSE_ROOT_ID;
        if (used) {
            ++each;
            continue;
        }
        fuse_forget_in in{};
        in.nlookup = each->second->lookups;
        channel_.tell({FUSE_FORGET, each->first, body_of(in), nullptr});
        each = inodes_.erase(each);
    }
}

// What is gone when it is asked for is looked up again, once, as Linux does.
Task<InodePtr> Kernel::look(InodePtr directory, std::string name, bool takes_lock, bool anew) {
    auto found = co_await look_once(directory, name, takes_lock, anew);
    if (found.code() == Code::stale) found = co_await look_once(directory, name, takes_lock, true);
    co_return found;
}

Task<InodePtr> Kernel::look_once(InodePtr directory, std::string name, bool takes_lock, bool anew) {
    DentryPtr cached = dentry(*directory, name);
    if (cached != nullptr) {
        bool valid = cached->epoch >= epoch_ && reactor_.now() < cached->valid_until && !anew;
        if (valid) co_return cached->inode;
        if (cached->inode != nullptr && cached->epoch >= epoch_) {
            (void)co_await or_return(co_await revalidate(directory, name, cached));
            if (dentry(*directory, name) == cached) co_return cached->inode;
        } else {
            drop_dentry(*directory, name);
        }
    }
    SharedMutex::Lock lock;
    if (takes_lock) lock = co_await or_return(co_await directory->lock.lock_shared());
    // One at a time looks up a name.
    Key key{directory->number, name};
    while (being_looked_up_.contains(key)) co_await sleep(reactor_, kMicrosecond);
    cached = dentry(*directory, name);
    bool valid =
        cached != nullptr && cached->epoch >= epoch_ && reactor_.now() < cached->valid_until;
    if (valid) co_return cached->inode;
    being_looked_up_.insert(key);
    auto looked = co_await look_slowly(directory, name);
    being_looked_up_.erase(key);
    co_return looked;
}

// Without any lock. The name stays if it still leads to the same inode.
Task<Done> Kernel::revalidate(InodePtr directory, std::string name, DentryPtr cached) {
    std::uint64_t version = version_;
    std::uint64_t epoch = epoch_;
    Apply apply = [=, this](const Answer& answer) {
        auto entry = answer.fixed<fuse_entry_out>();
        bool there = answer.error == 0 && entry.nodeid != 0;
        if (there) (void)take(entry, version);
        bool same = there && entry.nodeid == cached->inode->number;
        bool hashed = dentry(*directory, name) == cached;
        if (same) {
            cached->valid_until = until(entry.entry_valid, entry.entry_valid_nsec);
            cached->epoch = epoch;
        } else if (hashed && code_of(answer.error) != Code::cancelled) {
            drop_dentry(*directory, name);
        }
    };
    KernelChannel::Request request{FUSE_LOOKUP, directory->number, terminated(name), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    bool fine = answer.error == 0 || code_of(answer.error) == Code::not_found;
    if (!fine) co_return error_of(answer.error);
    co_return Done{};
}

Task<InodePtr> Kernel::look_slowly(InodePtr directory, std::string name) {
    std::uint64_t version = version_;
    std::uint64_t epoch = epoch_;
    auto found = std::make_shared<InodePtr>();
    Apply apply = [=, this](const Answer& answer) {
        if (answer.error != 0) {
            if (code_of(answer.error) == Code::not_found) drop_dentry(*directory, name);
            return;
        }
        auto entry = answer.fixed<fuse_entry_out>();
        InodePtr inode;
        if (entry.nodeid != 0) inode = take(entry, version);
        Nanos valid_until = until(entry.entry_valid, entry.entry_valid_nsec);
        put_dentry(*directory, name, inode, valid_until, epoch);
        *found = std::move(inode);
    };
    KernelChannel::Request request{FUSE_LOOKUP, directory->number, terminated(name), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    bool fine = answer.error == 0 || code_of(answer.error) == Code::not_found;
    if (!fine) co_return error_of(answer.error);
    co_return *found;
}

// For stat, the access time counts as well.
Task<fuse_attr> Kernel::attributes(InodePtr inode, bool atime) {
    bool valid = reactor_.now() < inode->valid_until && !(atime && inode->atime_is_old);
    if (valid) co_return inode->attributes;
    std::uint64_t version = version_;
    Apply apply = [=, this](const Answer& answer) {
        if (answer.error != 0) return;
        auto out = answer.fixed<fuse_attr_out>();
        change_attributes(*inode, out.attr, until(out.attr_valid, out.attr_valid_nsec), version);
    };
    fuse_getattr_in in{};
    KernelChannel::Request request{FUSE_GETATTR, inode->number, body_of(in), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    co_return answer.fixed<fuse_attr_out>().attr;
}

}  // namespace weft::sim
