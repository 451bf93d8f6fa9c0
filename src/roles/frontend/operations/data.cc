#include "roles/frontend/mount_internal.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

namespace weft::frontend {
namespace {

using Crossing = Crossings::Crossing;

constexpr int kReadsMost = 3;

}  // namespace

// A recall that crosses the read may have dropped pages before these, now old, come in. And a lease
// that comes with another answer meanwhile says nothing of these bytes.
Task<ReadReply> Mount::read_uncrossed(Exchange* x, InodeId inode, std::uint64_t offset, Bytes into,
                                      bool* covered) {
    Caller caller = reader(*x);
    FileId id = compute_.file(inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->read(caller, id, offset, into);
    };
    for (int i = 1;; ++i) {
        ChangeLog::Moment before = recalls_.now();
        bool held = leases_.holds(inode);
        ReadReply reply = co_await or_return(co_await ask<ReadReply>(x, call));
        if (reply.count > into.size()) co_return Error{Code::corrupt, "frontend.read"};
        look_at_term();
        bool crossed = recalls_.changed_since(inode, before);
        *covered = !crossed && (held || reply.node.lease != LeaseMode::none);
        if (!crossed) co_return reply;
        reply.node.lease = LeaseMode::none;
        if (i == kReadsMost) co_return reply;
    }
}

Task<Done> Mount::on(Exchange* x, Read op) {
    OpenFile* open = files_.find_open(op.handle);
    if (open == nullptr) co_return Error{Code::invalid, "frontend.read"};
    FilePtr file = open->file;
    bool direct = open->direct;
    if (file->lost_locks) co_return Error{Code::io_failed, "frontend.lost_locks"};
    Bytes into = x->payload_space().first(op.size);
    std::optional<Crossing> crossing;
    if (!direct) {
        crossing.emplace(file->crossings, Crossing::Kind::read, op.offset, op.offset + op.size);
    }
    // Whoever reads what was just written does so through the kernel's pages; what comes here
    // is rare enough to be sent first.
    if (file->ahead()) {
        (void)co_await write_behind_.flush(file, op.offset, op.offset + op.size);
    }
    bool covered = false;
    ReadReply reply =
        co_await or_return(co_await read_uncrossed(x, file->inode, op.offset, into, &covered));

    std::uint64_t count = reply.count;
    if (file->lease == LeaseMode::write && file->ahead() && file->size > op.offset + count) {
        // Compute does not know yet that the file is longer: a hole, so far.
        std::uint64_t end = std::min<std::uint64_t>(op.size, file->size - op.offset);
        std::memset(into.data() + count, 0, end - count);
        count = end;
    }
    remember(reply.node, x->before().namespace_changes);
    if (!(covered && leases_.holds(file->inode)) && !direct) {
        drop_pages_later(file->inode, op.offset, op.size);
    }
    x->put_payload(into.first(count));
    co_return Done{};
}

void Mount::drop_pages_later(InodeId inode, std::uint64_t offset, std::uint64_t length) {
    std::string message = invalidate_inode_message(inode, static_cast<std::int64_t>(offset),
                                                   static_cast<std::int64_t>(length));
    background_.spawn(send_notice(std::move(message), std::make_shared<Notice>()));
}

// Something was written past the page cache. Who has, or had, the file open through it may have
// got a page of the old bytes while that was on its way; it goes before the writer hears of
// success. `length` is 0 for all up to the end.
Task<Done> Mount::drop_pages_beside(FilePtr file, std::uint64_t from, std::uint64_t length) {
    std::string message = invalidate_inode_message(file->inode, static_cast<std::int64_t>(from),
                                                   static_cast<std::int64_t>(length));
    co_return co_await send_notice(std::move(message), std::make_shared<Notice>());
}

bool Mount::may_defer(const Write& op, const File& file) const {
    if (settings_.deferred_bytes_most < op.data.size() || file.lease != LeaseMode::write) {
        return false;
    }
    if ((op.flags & (O_DIRECT | O_DSYNC | O_SYNC)) != 0) return false;
    if (!op.clear_setid) return true;
    return file.attributes_valid && (file.attributes.mode & (S_ISUID | S_ISGID)) == 0;
}

Task<Done> Mount::on(Exchange* x, Write op) {
    OpenFile* open = files_.find_open(op.handle);
    if (open == nullptr) co_return Error{Code::invalid, "frontend.write"};
    FilePtr file = open->file;
    bool direct = open->direct;
    bool append = (op.flags & O_APPEND) != 0 && !op.from_page_cache;
    if (file->lost_locks) co_return Error{Code::io_failed, "frontend.lost_locks"};
    auto failed = file->errors.take(open->errors_seen);
    if (failed.has_value()) co_return *failed;
    std::uint64_t end = op.offset + op.data.size();
    std::optional<Crossing> crossing;
    if (!direct) crossing.emplace(file->crossings, Crossing::Kind::write, op.offset, end);

    if (may_defer(op, *file)) {
        bool admitted = co_await or_return(co_await write_behind_.admit(op.data.size()));
        // The lease may have been recalled, or its term ended, while we waited for memory.
        look_at_term();
        if (admitted && may_defer(op, *file)) {
            std::uint64_t offset = append ? file->size : op.offset;
            if (offset > INT64_MAX - op.data.size()) {
                co_return Error{Code::file_too_large, "frontend.write"};
            }
            defer(x, file, op, append, direct);
            std::uint64_t length = append ? 0 : op.data.size();
            bool beside = direct && file->handles > 1;
            if (beside) (void)co_await drop_pages_beside(file, op.offset, length);
            bool crossed = crossing.has_value() && crossing->crossed();
            if (crossed) drop_pages_later(file->inode, op.offset, op.data.size());
            co_return Done{};
        }
    }
    Task<Done> through = write_through(x, file, op, append, direct);
    co_await or_return(co_await through);
    // What a read beside it has brought is old, and its lease may be good all the same.
    bool crossed = crossing.has_value() && crossing->crossed();
    if (crossed) drop_pages_later(file->inode, op.offset, op.data.size());
    co_return Done{};
}

void Mount::defer(Exchange* x, const FilePtr& file, const Write& op, bool append, bool direct) {
    std::uint64_t offset = append ? file->size : op.offset;
    auto size = static_cast<std::uint32_t>(op.data.size());
    std::size_t at = x->offset_in_memory(op.data);
    write_behind_.write(file, offset, op.data, x->memory(), at);
    // The kernel has put an append where it believed the end to be.
    if (offset != op.offset && !direct) drop_pages_later(file->inode, 0, 0);
    fuse_write_out out{};
    out.size = size;
    x->put(out);
}

Task<Done> Mount::write_through(Exchange* x, FilePtr file, Write op, bool append, bool direct) {
    std::uint64_t end = op.offset + op.data.size();
    std::uint32_t handles = file->handles;
    std::uint64_t times_opened = file->times_opened;
    if (file->ahead()) {
        std::uint64_t from = append ? 0 : op.offset;
        std::uint64_t to = append ? UINT64_MAX : end;
        (void)co_await write_behind_.flush(file, from, to);
    }
    Caller caller = writer(*x);
    FileId id = compute_.file(file->inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->write(caller, id, op.offset, op.data, append, op.clear_setid);
    };
    Node node = co_await or_return(co_await ask<Node>(x, call));
    if ((op.flags & (O_DSYNC | O_SYNC)) != 0) {
        auto sync = [=] {
            return service->fsync(caller, id);
        };
        (void)co_await or_return(co_await ask<Done>(x, sync));
    }

    bool moved = append && node.attributes.size != end;
    (void)co_await or_return(co_await settle(x, std::move(node)));
    if (!append) file->size = std::max(file->size, end);
    if (file->ahead()) file->mtime = file->ctime = timestamp_of(reactor_.wall_now());
    bool beside = handles > 1 || file->handles > 1 || file->times_opened != times_opened;
    if (direct && beside) {
        std::uint64_t from = moved ? 0 : op.offset;
        std::uint64_t length = append ? 0 : op.data.size();
        (void)co_await drop_pages_beside(file, from, length);
    } else if (direct) {
        // Nobody has any.
    } else if (moved) {
        drop_pages_later(file->inode, 0, 0);
    } else if (!leases_.holds(file->inode)) {
        drop_pages_later(file->inode, op.offset, op.data.size());
    }
    fuse_write_out out{};
    out.size = static_cast<std::uint32_t>(op.data.size());
    x->put(out);
    co_return Done{};
}

}  // namespace weft::frontend
