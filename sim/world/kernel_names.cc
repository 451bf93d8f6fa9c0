// Names: what changes them has the directory's lock, as in Linux.
#include "platform/base/check.h"
#include "sim/world/kernel.h"
#include "sim/world/kernel_body.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace weft::sim {
namespace {

constexpr std::uint32_t kListBytes = 4096;

}  // namespace

Task<InodePtr> Kernel::find(InodePtr directory, std::string name) {
    InodePtr inode = co_await or_return(co_await look(directory, name, true, false));
    if (inode == nullptr) co_return Error{Code::not_found, "sim.system_call"};
    co_return inode;
}

Task<fuse_attr> Kernel::stat(InodePtr directory, std::string name) {
    InodePtr inode = co_await or_return(co_await find(directory, name));
    auto seen = co_await attributes(inode, true);
    if (seen.code() != Code::stale) co_return seen;
    // The name leads elsewhere by now.
    inode = co_await or_return(co_await look(directory, name, true, true));
    if (inode == nullptr) co_return Error{Code::not_found, "sim.system_call"};
    co_return co_await attributes(inode, true);
}

Task<InodePtr> Kernel::make(InodePtr directory, std::string name, Make how, InodePtr target) {
    SharedMutex::Lock lock = co_await or_return(co_await directory->lock.lock());
    InodePtr there = co_await or_return(co_await look(directory, name, false, false));
    if (there != nullptr) co_return Error{Code::already_exists, "sim.system_call"};
    std::uint64_t epoch = epoch_;
    auto made = std::make_shared<InodePtr>();
    Apply apply = [=, this](const Answer& answer) {
        drop_dentry(*directory, name);
        if (answer.error != 0) return;
        auto entry = answer.fixed<fuse_entry_out>();
        *made = take(entry, kAnyVersion);
        Nanos valid_until = until(entry.entry_valid, entry.entry_valid_nsec);
        put_dentry(*directory, name, *made, valid_until, epoch);
        directory->valid_until = 0;
    };
    KernelChannel::Request request{FUSE_MKNOD, directory->number, {}, nullptr};
    if (how == Make::file) {
        fuse_mknod_in in{};
        in.mode = S_IFREG | 0644;
        request.body = body_of(in, terminated(name));
    } else if (how == Make::directory) {
        fuse_mkdir_in in{};
        in.mode = 0755;
        request.opcode = FUSE_MKDIR;
        request.body = body_of(in, terminated(name));
    } else if (how == Make::symlink) {
        request.opcode = FUSE_SYMLINK;
        request.body = terminated(name) + terminated("elsewhere");
    } else {
        fuse_link_in in{};
        in.oldnodeid = target->number;
        request.opcode = FUSE_LINK;
        request.body = body_of(in, terminated(name));
    }
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    co_return *made;
}

Task<Done> Kernel::remove(InodePtr directory, std::string name, bool is_directory) {
    SharedMutex::Lock lock = co_await or_return(co_await directory->lock.lock());
    InodePtr there = co_await or_return(co_await look(directory, name, false, false));
    if (there == nullptr) co_return Error{Code::not_found, "sim.system_call"};
    Apply apply = [=, this](const Answer& answer) {
        directory->valid_until = 0;
        drop_dentry(*directory, name);
        if (answer.error == 0) there->valid_until = 0;
    };
    std::uint32_t opcode = is_directory ? FUSE_RMDIR : FUSE_UNLINK;
    KernelChannel::Request request{opcode, directory->number, terminated(name), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    co_return Done{};
}

// The kernel moves its entry, with the time for which it may be kept.
Task<Done> Kernel::rename(InodePtr directory, std::string from, std::string to) {
    SharedMutex::Lock lock = co_await or_return(co_await directory->lock.lock());
    InodePtr moved = co_await or_return(co_await look(directory, from, false, false));
    if (moved == nullptr) co_return Error{Code::not_found, "sim.system_call"};
    (void)co_await or_return(co_await look(directory, to, false, false));
    Apply apply = [=, this](const Answer& answer) {
        directory->valid_until = 0;
        DentryPtr entry = dentry(*directory, from);
        drop_dentry(*directory, from);
        drop_dentry(*directory, to);
        if (answer.error != 0) return;
        moved->valid_until = 0;
        bool same = entry != nullptr && entry->inode == moved;
        if (same) dentries_[{directory->number, to}] = entry;
    };
    fuse_rename2_in in{};
    in.newdir = directory->number;
    std::string body = body_of(in, terminated(from), terminated(to));
    KernelChannel::Request request{FUSE_RENAME2, directory->number, std::move(body), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    co_return Done{};
}

// One answer to READDIRPLUS: each item with an inode is linked, as a lookup would.
void Kernel::take_items(KernelInode& directory, const Answer& answer, std::uint64_t version,
                        std::uint64_t epoch, Listing* listing) {
    constexpr std::size_t kHead = sizeof(fuse_entry_out);
    for (std::size_t at = 0; at + kHead + FUSE_NAME_OFFSET <= answer.body.size();) {
        auto entry = answer.fixed<fuse_entry_out>(at);
        fuse_dirent dirent{};
        std::copy_n(answer.body.data() + at + kHead, FUSE_NAME_OFFSET,
                    reinterpret_cast<char*>(&dirent));
        std::string name = answer.body.substr(at + kHead + FUSE_NAME_OFFSET, dirent.namelen);
        CHECK(name.size() == dirent.namelen);
        at += FUSE_DIRENT_ALIGN(kHead + FUSE_NAME_OFFSET + dirent.namelen);
        listing->cookie = dirent.off;
        bool dots = name == "." || name == "..";
        if (!dots) listing->names.push_back(name);
        if (entry.nodeid == 0 || dots) continue;
        InodePtr inode = take(entry, version);
        Nanos valid_until = until(entry.entry_valid, entry.entry_valid_nsec);
        put_dentry(directory, name, std::move(inode), valid_until, epoch);
    }
}

Task<std::vector<std::string>> Kernel::list(InodePtr directory) {
    auto listing = std::make_shared<Listing>();
    fuse_open_in open{};
    open.flags = O_RDONLY | O_DIRECTORY;
    KernelChannel::Request opening{FUSE_OPENDIR, directory->number, body_of(open), nullptr};
    Answer opened = co_await or_return(co_await channel_.ask(std::move(opening), nullptr));
    if (opened.error != 0) co_return error_of(opened.error);
    int error = 0;
    for (bool end = false; !end && error == 0;) {
        SharedMutex::Lock lock = co_await or_return(co_await directory->lock.lock_shared());
        std::uint64_t version = version_;
        std::uint64_t epoch = epoch_;
        fuse_read_in in{};
        in.fh = opened.fixed<fuse_open_out>().fh;
        in.offset = listing->cookie;
        in.size = kListBytes;
        Apply apply = [=, this](const Answer& answer) {
            if (answer.error != 0) return;
            take_items(*directory, answer, version, epoch, listing.get());
        };
        KernelChannel::Request next{FUSE_READDIRPLUS, directory->number, body_of(in), nullptr};
        Answer page = co_await or_return(co_await channel_.ask(std::move(next), std::move(apply)));
        error = page.error;
        end = page.body.empty();
    }
    fuse_release_in release{};
    release.fh = opened.fixed<fuse_open_out>().fh;
    channel_.tell({FUSE_RELEASEDIR, directory->number, body_of(release), nullptr});
    if (error != 0) co_return error_of(error);
    co_return std::move(listing->names);
}

Task<Done> Kernel::sync_directory(InodePtr directory) {
    SharedMutex::Lock lock = co_await or_return(co_await directory->lock.lock());
    fuse_fsync_in in{};
    co_return co_await plain(FUSE_FSYNCDIR, directory->number, body_of(in));
}

}  // namespace weft::sim
