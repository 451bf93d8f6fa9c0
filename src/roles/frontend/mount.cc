#include "platform/base/check.h"
#include "roles/frontend/errno_table.h"
#include "roles/frontend/mount_internal.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <variant>

namespace weft::frontend {
namespace {

// After so many requests without a pause others get their turn.
constexpr unsigned kBurst = 32;
constexpr Nanos kCancelAgain = 100 * kMillisecond;

WriteBehindSettings write_behind_settings(const FrontendSettings& settings) {
    return {settings.deferred_bytes_most, settings.deferred_sends_most, settings.deferred_age_most};
}

// FORGET, or BATCH_FORGET. Bytes that are missing are not counted.
void note_forgotten(KnownNodes& nodes, const fuse_in_header& header, ConstBytes body) {
    if (header.opcode == FUSE_FORGET) {
        fuse_forget_in in{};
        if (body.size() < sizeof(in)) return;
        std::memcpy(&in, body.data(), sizeof(in));
        nodes.forgotten(InodeId{header.nodeid}, in.nlookup);
        return;
    }
    fuse_batch_forget_in head{};
    if (body.size() < sizeof(head)) return;
    std::memcpy(&head, body.data(), sizeof(head));
    body = body.subspan(sizeof(head));
    for (std::uint32_t i = 0; i < head.count && body.size() >= sizeof(fuse_forget_one); ++i) {
        fuse_forget_one one{};
        std::memcpy(&one, body.data(), sizeof(one));
        nodes.forgotten(InodeId{one.nodeid}, one.nlookup);
        body = body.subspan(sizeof(one));
    }
}

}  // namespace

Mount::Mount(Reactor& reactor, ComputeService& compute, FuseChannel& channel,
             FilesystemId filesystem, SessionId session, FrontendSettings settings)
    : reactor_(reactor),
      channel_(channel),
      settings_(settings),
      pool_(settings.memories_kept),
      files_(reactor, pool_),
      compute_(reactor, compute, filesystem, session, settings.patience),
      request_slots_(reactor, settings.requests_most),
      lock_wait_slots_(reactor, settings.lock_waits_most),
      arrivals_(reactor),
      write_behind_(reactor, background_, compute_, files_, changes_,
                    write_behind_settings(settings)),
      background_(reactor),
      requests_(reactor) {}

Task<Done> Mount::run() {
    CHECK(!std::exchange(running_, true));
    compute_.set_is_dying(settings_.is_dying);
    compute_.when_fenced([this] { session_lost(); });
    background_.spawn(write_behind_.run());
    (void)co_await receive_all();
    (void)co_await drain();
    co_return Done{};
}

Task<Done> Mount::receive_all() {
    for (unsigned received = 0;; ++received) {
        Memory memory = pool_.take();
        Bytes space = memory.bytes().subspan(Memory::kReplyHeadBytes);
        auto size = co_await channel_.receive(space);
        if (!size.ok()) co_return size.error();
        std::unique_ptr<Exchange> exchange = accept(std::move(memory), size.value());
        if (exchange != nullptr) {
            co_await request_slots_.acquire();
            exchange->hold(Permit(request_slots_, 1));
            requests_.spawn(serve(std::move(exchange)));
        }
        if (received % kBurst == kBurst - 1) co_await yield(reactor_);
    }
}

// Requests that have no reply are done with here: they never wait for a slot.
std::unique_ptr<Exchange> Mount::accept(Memory memory, std::size_t size) {
    ++counters_.requests;
    ConstBytes message = memory.bytes().subspan(Memory::kReplyHeadBytes, size);
    auto header = decode_header(message);
    if (!header.ok()) {
        ++counters_.requests_malformed;
        return nullptr;
    }
    auto operation = decode_operation(header.value(), message, agreement_.long_setxattr);
    if (!operation.ok()) {
        ++counters_.requests_malformed;
        refuse(header.value(), errno_of(operation.code()));
        return nullptr;
    }
    if (std::holds_alternative<Forget>(operation.value())) {
        note_forgotten(nodes_, header.value(), message.subspan(sizeof(fuse_in_header)));
        return nullptr;
    }
    if (const auto* op = std::get_if<Interrupt>(&operation.value())) {
        interrupt(op->unique);
        return nullptr;
    }
    return std::make_unique<Exchange>(reactor_, std::move(memory), header.value(),
                                      std::move(operation).value(), moments());
}

Task<Done> Mount::dispatch(Exchange* x) {
    look_at_term();
    return std::visit([this, x](const auto& operation) { return on(x, operation); },
                      x->operation());
}

Task<Done> Mount::serve(std::unique_ptr<Exchange> exchange) {
    exchanges_.push_back(exchange.get());
    if (arrivals_.has_waiters()) arrivals_.notify_all();
    Task<Done> handling = dispatch(exchange.get());
    Result<Done> handled = co_await handling;
    std::erase(exchanges_, exchange.get());
    reply(*exchange, handled.code());
    co_return Done{};
}

void Mount::reply(Exchange& x, Code code) {
    int error_number = x.error_number() != 0 ? x.error_number() : errno_of(code);
    Exchange::Reply reply = x.finish(error_number);
    std::array<ConstBytes, 2> parts = {reply.head, reply.payload};
    std::size_t count = reply.payload.empty() ? 1 : 2;
    Result<Done> sent = channel_.send(std::span(parts).first(count));
    if (sent.ok() || sent.code() == Code::not_found || sent.code() == Code::cancelled) return;
    // The program would wait for ever.
    ++counters_.replies_refused;
    refuse(x.header(), EIO);
}

void Mount::refuse(const fuse_in_header& header, int error_number) {
    fuse_out_header out{};
    out.len = sizeof(out);
    out.error = -error_number;
    out.unique = header.unique;
    std::array<ConstBytes, 1> parts = {image_of(out)};
    (void)channel_.send(parts);
}

Exchange* Mount::find_exchange(std::uint64_t unique) {
    auto found = std::find_if(exchanges_.begin(), exchanges_.end(),
                              [unique](const Exchange* x) { return x->header().unique == unique; });
    return found == exchanges_.end() ? nullptr : *found;
}

// An interrupt of a request that is not known comes too late: it has been answered.
void Mount::interrupt(std::uint64_t unique) {
    Exchange* x = find_exchange(unique);
    if (x == nullptr) return;
    x->interruption()->requested = true;
    x->interruption()->signal.notify_all();
    if (x->waiting_lock().has_value()) background_.spawn(cancel_lock(unique));
}

// Again and again, in case the first one overtakes the lock request that it shall cancel.
Task<Done> Mount::cancel_lock(std::uint64_t unique) {
    for (Exchange* x = find_exchange(unique); x != nullptr; x = find_exchange(unique)) {
        Caller caller = writer(*x);
        FileId file = compute_.file(x->inode());
        LockRequest request = *x->waiting_lock();
        (void)co_await compute_.service()->cancel_lock(caller, file, request);
        co_await sleep(reactor_, kCancelAgain);
    }
    co_return Done{};
}

// The kernel is gone: nobody waits for replies any more, but what was acknowledged counts.
Task<Done> Mount::drain() {
    for (std::size_t i = 0; i < exchanges_.size(); ++i) {
        exchanges_[i]->interruption()->by_any_signal = true;
        interrupt(exchanges_[i]->header().unique);
    }
    (void)co_await requests_.close();
    write_behind_.stop();
    (void)co_await write_behind_.flush_all();
    // Whoever still has no session had its time: compute ends what it knows of us by itself.
    draining_ = true;
    if (renewing_) end_renewal(false);
    for (std::uint64_t handle : files_.open_handles()) {
        Result<OpenFile> closed = files_.close(handle);
        CHECK(closed.ok());
        InodeId inode = closed.value().file->inode;
        files_.forget_if_idle(closed.value().file);
        background_.spawn(release_handle(inode, closed.value().compute_handle));
    }
    (void)co_await background_.close();
    co_return Done{};
}

FrontendStatus Mount::status() const {
    FrontendStatus status = counters_;
    const WriteBehindCounters& deferred = write_behind_.counters();
    status.writes_deferred = deferred.writes_deferred;
    status.bytes_deferred = deferred.bytes_deferred;
    status.sends = deferred.sends;
    status.sends_failed = deferred.sends_failed;
    status.deferred_memory_bytes = write_behind_.memory_bytes();
    status.open_files = files_.open_count();
    status.known_inodes = nodes_.size();
    return status;
}

}  // namespace weft::frontend
