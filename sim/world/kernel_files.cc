// Open files: what goes through the page cache, and what goes past it.
#include "platform/base/check.h"
#include "sim/world/kernel.h"
#include "sim/world/kernel_body.h"

#include <algorithm>

#include <fcntl.h>

namespace weft::sim {
namespace {

constexpr std::uint64_t kPage = kBlockBytes;
constexpr std::uint64_t kReadAheadPages = 4;

}  // namespace

Task<Done> Kernel::plain(std::uint32_t opcode, std::uint64_t nodeid, std::string body) {
    KernelChannel::Request request{opcode, nodeid, std::move(body), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), nullptr));
    if (answer.error != 0) co_return error_of(answer.error);
    co_return Done{};
}

Task<KernelFilePtr> Kernel::open(InodePtr directory, std::string name, std::uint32_t flags) {
    if ((flags & O_CREAT) != 0) {
        SharedMutex::Lock lock = co_await or_return(co_await directory->lock.lock());
        InodePtr there = co_await or_return(co_await look(directory, name, false, false));
        if (there == nullptr) co_return co_await create(directory, name, flags);
        if ((flags & O_EXCL) != 0) co_return Error{Code::already_exists, "sim.system_call"};
    }
    InodePtr inode = co_await or_return(co_await look(directory, name, true, false));
    if (inode == nullptr) co_return Error{Code::not_found, "sim.system_call"};
    auto opened = co_await open_inode(inode, flags & ~static_cast<std::uint32_t>(O_CREAT));
    if (opened.code() != Code::stale) co_return opened;
    // The name leads elsewhere by now.
    inode = co_await or_return(co_await look(directory, name, true, true));
    if (inode == nullptr) co_return Error{Code::not_found, "sim.system_call"};
    co_return co_await open_inode(inode, flags & ~static_cast<std::uint32_t>(O_CREAT));
}

Task<KernelFilePtr> Kernel::open_inode(InodePtr inode, std::uint32_t flags) {
    bool truncates = (flags & O_TRUNC) != 0;
    SharedMutex::Lock lock;
    if (truncates) lock = co_await or_return(co_await inode->lock.lock());
    auto file = std::make_shared<KernelFile>();
    file->inode = inode;
    file->flags = flags;
    Apply apply = [=, this](const Answer& answer) {
        if (answer.error != 0 || !truncates) return;
        inode->version = ++version_;
        inode->attributes.size = 0;
        inode->valid_until = 0;
        cut_pages(*inode, 0);
    };
    fuse_open_in in{};
    in.flags = flags;
    KernelChannel::Request request{FUSE_OPEN, inode->number, body_of(in), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    auto out = answer.fixed<fuse_open_out>();
    file->handle = out.fh;
    file->direct = (out.open_flags & FOPEN_DIRECT_IO) != 0;
    bool keeps = truncates || (out.open_flags & FOPEN_KEEP_CACHE) != 0;
    if (!keeps) (void)co_await drop_pages(inode, 0, UINT64_MAX);
    co_return file;
}

// Its caller has the directory's lock.
Task<KernelFilePtr> Kernel::create(InodePtr directory, std::string name, std::uint32_t flags) {
    std::uint64_t epoch = epoch_;
    auto file = std::make_shared<KernelFile>();
    file->flags = flags;
    Apply apply = [=, this](const Answer& answer) {
        drop_dentry(*directory, name);
        if (answer.error != 0) return;
        auto entry = answer.fixed<fuse_entry_out>();
        file->inode = take(entry, kAnyVersion);
        Nanos valid_until = until(entry.entry_valid, entry.entry_valid_nsec);
        put_dentry(*directory, name, file->inode, valid_until, epoch);
        directory->valid_until = 0;
    };
    fuse_create_in in{};
    in.flags = flags;
    in.mode = S_IFREG | 0644;
    std::string body = body_of(in, terminated(name));
    KernelChannel::Request request{FUSE_CREATE, directory->number, std::move(body), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    auto out = answer.fixed<fuse_open_out>(sizeof(fuse_entry_out));
    file->handle = out.fh;
    file->direct = (out.open_flags & FOPEN_DIRECT_IO) != 0;
    bool keeps = (out.open_flags & FOPEN_KEEP_CACHE) != 0;
    if (!keeps) (void)co_await drop_pages(file->inode, 0, UINT64_MAX);
    co_return file;
}

// FLUSH, whose error the program gets, and RELEASE, for which nobody waits.
Task<Done> Kernel::close(KernelFilePtr file) {
    fuse_flush_in in{};
    in.fh = file->handle;
    auto flushed = co_await plain(FUSE_FLUSH, file->inode->number, body_of(in));
    fuse_release_in release{};
    release.fh = file->handle;
    release.flags = file->flags;
    channel_.tell({FUSE_RELEASE, file->inode->number, body_of(release), nullptr});
    co_return flushed;
}

Task<Done> Kernel::fsync(KernelFilePtr file) {
    SharedMutex::Lock lock = co_await or_return(co_await file->inode->lock.lock());
    fuse_fsync_in in{};
    in.fh = file->handle;
    co_return co_await plain(FUSE_FSYNC, file->inode->number, body_of(in));
}

Task<std::string> Kernel::read_direct(KernelFilePtr file, std::uint64_t offset,
                                      std::uint32_t size) {
    fuse_read_in in{};
    in.fh = file->handle;
    in.offset = offset;
    in.size = size;
    in.flags = file->flags;
    KernelChannel::Request request{FUSE_READ, file->inode->number, body_of(in), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), nullptr));
    file->inode->atime_is_old = true;
    if (answer.error != 0) co_return error_of(answer.error);
    co_return std::move(answer.body);
}

Task<std::string> Kernel::read(KernelFilePtr file, std::uint64_t offset, std::uint32_t size,
                               std::uint64_t* since) {
    if (file->direct) co_return co_await read_direct(file, offset, size);
    InodePtr inode = file->inode;
    // Only who reads behind the end asks for it.
    if (offset + size > inode->attributes.size) {
        (void)co_await or_return(co_await attributes(inode, false));
    }
    std::string out;
    for (std::uint64_t at = offset; at < offset + size;) {
        if (at >= inode->attributes.size) break;
        std::string page = co_await or_return(co_await read_page(file, at / kPage, since));
        std::uint64_t end = std::min(offset + size, (at / kPage + 1) * kPage);
        end = std::min(end, inode->attributes.size);
        if (end <= at) break;
        out += page.substr(at % kPage, end - at);
        at = end;
    }
    co_return out;
}

// Its bytes, from the cache or with some behind it.
Task<std::string> Kernel::read_page(KernelFilePtr file, std::uint64_t page, std::uint64_t* since) {
    InodePtr inode = file->inode;
    for (;;) {
        auto whole = inode->pages.find(page);
        if (whole != inode->pages.end()) co_return whole->second;
        auto locked = inode->locked.find(page);
        if (locked == inode->locked.end()) break;
        *since = std::min(*since, locked->second.since);
        co_await inode->unlocked.wait();
    }
    std::uint64_t count = 0;
    std::uint64_t most = 1 + below(kReadAheadPages);
    std::uint64_t pages = (inode->attributes.size + kPage - 1) / kPage;
    while (count < most && (count == 0 || page + count < pages)) {
        bool taken = inode->pages.contains(page + count) || inode->locked.contains(page + count);
        if (taken) break;
        inode->locked[page + count].since = *since;
        ++count;
    }
    std::uint64_t version = version_;
    Apply apply = [=, this](const Answer& answer) {
        fill_pages(*inode, page, count, answer, version);
    };
    fuse_read_in in{};
    in.fh = file->handle;
    in.offset = page * kPage;
    in.size = static_cast<std::uint32_t>(count * kPage);
    in.flags = file->flags;
    KernelChannel::Request request{FUSE_READ, inode->number, body_of(in), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    std::string bytes = answer.body.substr(0, kPage);
    bytes.resize(kPage);
    co_return bytes;
}

void Kernel::fill_pages(KernelInode& inode, std::uint64_t first, std::uint64_t count,
                        const Answer& answer, std::uint64_t version) {
    const std::string& body = answer.body;
    for (std::uint64_t i = 0; i < count; ++i) {
        auto locked = inode.locked.find(first + i);
        bool cut = locked->second.cut;
        inode.locked.erase(locked);
        if (cut || answer.error != 0) continue;
        std::string bytes = body.size() > i * kPage ? body.substr(i * kPage, kPage) : "";
        bytes.resize(kPage);
        inode.pages[first + i] = std::move(bytes);
    }
    inode.unlocked.notify_all();
    if (answer.error != 0) return;
    inode.atime_is_old = true;
    // A short answer says where the end is.
    std::uint64_t end = first * kPage + body.size();
    bool shorter = body.size() < count * kPage && end < inode.attributes.size;
    if (!shorter || version < inode.version || inode.size_is_unstable) return;
    inode.version = ++version_;
    inode.attributes.size = end;
}

Task<Done> Kernel::write(KernelFilePtr file, std::uint64_t offset, std::string data) {
    if (file->direct) co_return co_await write_direct(file, offset, std::move(data));
    InodePtr inode = file->inode;
    SharedMutex::Lock lock = co_await or_return(co_await inode->lock.lock());
    if ((file->flags & O_APPEND) != 0) offset = inode->attributes.size;
    std::uint64_t end = offset + data.size();
    for (std::uint64_t page = offset / kPage; page <= (end - 1) / kPage; ++page) {
        while (inode->locked.contains(page)) co_await inode->unlocked.wait();
    }
    auto locked = std::make_shared<std::set<std::uint64_t>>();
    copy_into_pages(*inode, offset, data, locked.get());
    if (end > inode->attributes.size) inode->size_is_unstable = true;
    Apply apply = [=, this](const Answer& answer) {
        for (std::uint64_t page : *locked) inode->locked.erase(page);
        inode->unlocked.notify_all();
        inode->size_is_unstable = false;
        if (answer.error != 0) {
            auto from = inode->pages.lower_bound(offset / kPage);
            inode->pages.erase(from, inode->pages.upper_bound((end - 1) / kPage));
            return;
        }
        inode->version = ++version_;
        inode->attributes.size = std::max(inode->attributes.size, end);
        inode->valid_until = 0;
    };
    Task<Done> sent = send_write(file, offset, std::move(data), std::move(apply));
    co_return co_await sent;
}

Task<Done> Kernel::send_write(KernelFilePtr file, std::uint64_t offset, std::string data,
                              Apply apply) {
    fuse_write_in in{};
    in.fh = file->handle;
    in.offset = offset;
    in.size = static_cast<std::uint32_t>(data.size());
    in.flags = file->flags;
    KernelChannel::Request request{FUSE_WRITE, file->inode->number, body_of(in, data), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    co_return Done{};
}

// A page that is not whole stays locked until the data has been written, and is not whole then.
void Kernel::copy_into_pages(KernelInode& inode, std::uint64_t offset, const std::string& data,
                             std::set<std::uint64_t>* locked) {
    for (std::uint64_t done = 0; done < data.size();) {
        std::uint64_t at = offset + done;
        std::uint64_t count = std::min<std::uint64_t>(kPage - at % kPage, data.size() - done);
        auto whole = inode.pages.find(at / kPage);
        if (whole == inode.pages.end() && count == kPage) {
            whole = inode.pages.emplace(at / kPage, std::string(kPage, '\0')).first;
        }
        if (whole == inode.pages.end()) {
            inode.locked.try_emplace(at / kPage);
            locked->insert(at / kPage);
        } else {
            whole->second.replace(at % kPage, count, data, done, count);
        }
        done += count;
    }
}

Task<Done> Kernel::write_direct(KernelFilePtr file, std::uint64_t offset, std::string data) {
    InodePtr inode = file->inode;
    bool append = (file->flags & O_APPEND) != 0;
    bool alone = append || offset + data.size() > inode->attributes.size;
    SharedMutex::Lock lock;
    if (alone) {
        lock = co_await or_return(co_await inode->lock.lock());
    } else {
        lock = co_await or_return(co_await inode->lock.lock_shared());
    }
    if (append) offset = inode->attributes.size;
    std::uint64_t end = offset + data.size();
    (void)co_await drop_pages(inode, offset / kPage, (end - 1) / kPage);
    Apply apply = [=, this](const Answer& answer) {
        if (answer.error != 0) return;
        inode->version = ++version_;
        inode->attributes.size = std::max(inode->attributes.size, end);
        inode->valid_until = 0;
    };
    Task<Done> sent = send_write(file, offset, std::move(data), std::move(apply));
    co_return co_await sent;
}

Task<Done> Kernel::send_setattr(InodePtr inode, fuse_setattr_in in) {
    SharedMutex::Lock lock = co_await or_return(co_await inode->lock.lock());
    bool truncates = (in.valid & FATTR_SIZE) != 0;
    if (truncates) inode->size_is_unstable = true;
    auto drops = std::make_shared<bool>(false);
    Apply apply = [=, this](const Answer& answer) {
        if (truncates) inode->size_is_unstable = false;
        if (answer.error != 0) return;
        auto out = answer.fixed<fuse_attr_out>();
        std::uint64_t size = inode->attributes.size;
        set_attributes(*inode, out.attr, until(out.attr_valid, out.attr_valid_nsec));
        *drops = size != out.attr.size;
        if (*drops) cut_pages(*inode, out.attr.size);
    };
    KernelChannel::Request request{FUSE_SETATTR, inode->number, body_of(in), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    if (*drops) (void)co_await drop_pages(inode, 0, UINT64_MAX);
    co_return Done{};
}

Task<Done> Kernel::truncate(InodePtr inode, std::uint64_t size) {
    fuse_setattr_in in{};
    in.valid = FATTR_SIZE;
    in.size = size;
    return send_setattr(std::move(inode), in);
}

Task<Done> Kernel::set_mtime(InodePtr inode, std::uint64_t seconds) {
    fuse_setattr_in in{};
    in.valid = FATTR_MTIME;
    in.mtime = seconds;
    return send_setattr(std::move(inode), in);
}

Task<Done> Kernel::allocate(KernelFilePtr file, std::uint64_t offset, std::uint64_t length,
                            std::uint32_t mode) {
    InodePtr inode = file->inode;
    SharedMutex::Lock lock = co_await or_return(co_await inode->lock.lock());
    bool keeps_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
    std::uint64_t end = offset + length;
    if (!keeps_size) inode->size_is_unstable = true;
    Apply apply = [=, this](const Answer& answer) {
        if (!keeps_size) inode->size_is_unstable = false;
        if (answer.error != 0) return;
        inode->version = ++version_;
        inode->valid_until = 0;
        if (!keeps_size) inode->attributes.size = std::max(inode->attributes.size, end);
    };
    fuse_fallocate_in in{};
    in.fh = file->handle;
    in.offset = offset;
    in.length = length;
    in.mode = mode;
    KernelChannel::Request request{FUSE_FALLOCATE, inode->number, body_of(in), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), std::move(apply)));
    if (answer.error != 0) co_return error_of(answer.error);
    bool empties = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
    if (empties) (void)co_await drop_pages(inode, offset / kPage, (end - 1) / kPage);
    co_return Done{};
}

Task<Done> Kernel::sync() {
    fuse_syncfs_in in{};
    return plain(FUSE_SYNCFS, FUSE_ROOT_ID, body_of(in));
}

Task<Done> Kernel::statfs() {
    return plain(FUSE_STATFS, FUSE_ROOT_ID, std::string());
}

Task<Done> Kernel::lock(KernelFilePtr file, fuse_lk_in in, bool wait,
                        std::shared_ptr<std::uint64_t> number) {
    in.fh = file->handle;
    std::uint32_t opcode = wait ? FUSE_SETLKW : FUSE_SETLK;
    KernelChannel::Request request{opcode, file->inode->number, body_of(in), std::move(number)};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), nullptr));
    if (answer.error != 0) co_return error_of(answer.error);
    co_return Done{};
}

}  // namespace weft::sim
