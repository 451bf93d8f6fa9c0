#include "platform/rpc/peer.h"

#include "platform/base/bytes.h"
#include "platform/base/planted.h"
#include "platform/isal/crc32c.h"

#include <algorithm>
#include <array>

namespace weft::rpc {
namespace {

constexpr std::size_t kPieceBytes = 64 * kKiB;
constexpr std::size_t kSentPieceBytes = 128 * kKiB;
constexpr Error kClosed{Code::unavailable, "rpc.closed"};

std::uint32_t body_checksum(ConstBytes meta, ConstBytes payload) {
    return crc32c(payload, crc32c(meta));
}

FrameHeader reply_to(const FrameHeader& request, Code code) {
    FrameHeader head;
    head.kind = FrameKind::reply;
    head.call = request.call;
    head.method = request.method;
    head.code = static_cast<std::uint8_t>(code);
    return head;
}

}  // namespace

// A call that waits. It leaves the table when its task ends or is destroyed.
struct Peer::Pending {
    Pending(Peer& of, std::uint64_t number, Bytes payload_into)
        : peer(of), call(number), into(payload_into), arrived(of.reactor_) {
        peer.pending_.emplace(call, this);
    }
    ~Pending() { peer.pending_.erase(call); }

    Peer& peer;
    std::uint64_t call;
    Bytes into;
    Signal arrived;
    bool done = false;
    Code code = Code::unavailable;
    Answer answer;
};

Peer::Peer(Reactor& reactor, std::unique_ptr<Stream> stream, Handler* handler)
    : reactor_(reactor),
      stream_(std::move(stream)),
      handler_(handler),
      sending_(reactor),
      serving_(reactor, kServedMost),
      quick_(reactor, kQuickMost),
      waiting_(reactor, kWaitingMost),
      unparked_(reactor),
      last_heard_(reactor.now()),
      last_taken_(reactor.now()),
      requests_(reactor) {}

Peer::~Peer() {
    CHECK(pending_.empty());
}

void Peer::close() {
    if (!closed_) stream_->close();
    closed_ = true;
    unparked_.notify_all();
}

void Peer::end_all_calls() {
    for (auto& [call, pending] : pending_) {
        if (pending->done) continue;
        pending->done = true;
        pending->arrived.notify_all();
    }
}

Task<Done> Peer::run() {
    Result<Done> ended = Done{};
    while (ended.ok() && !closed_) {
        std::array<std::byte, sizeof(FrameHeader)> raw;
        ended = co_await stream_->read(raw);
        if (!ended.ok()) break;
        auto header = decode_frame_header(raw);
        if (!header.ok()) {
            ended = header.error();
            break;
        }
        last_heard_ = reactor_.now();
        ended = co_await receive(header.value());
    }
    close();
    end_all_calls();
    if (handler_ != nullptr) (void)co_await handler_->connection_ended();
    (void)co_await requests_.close();
    co_return ended;
}

Task<Done> Peer::receive(FrameHeader header) {
    Request request;
    request.meta.resize(header.meta_bytes);
    Bytes meta = std::as_writable_bytes(std::span(request.meta.data(), request.meta.size()));
    if (!meta.empty()) co_await or_return(co_await stream_->read(meta));
    if (header.payload_bytes > 0) {
        request.payload = Buffer(header.payload_bytes);
        // Over a slow line it takes its time, and who sends is not silent meanwhile.
        for (std::size_t at = 0; at < request.payload.size(); at += kPieceBytes) {
            std::size_t count = std::min(kPieceBytes, request.payload.size() - at);
            Bytes piece = request.payload.bytes().subspan(at, count);
            co_await or_return(co_await stream_->read(piece));
            last_heard_ = reactor_.now();
        }
    }
    if (body_checksum(bytes_of(request.meta), request.payload.bytes()) != header.body_crc) {
        co_return Error{Code::corrupt, "rpc.body"};
    }
    if (header.kind == FrameKind::request) {
        if (handler_ == nullptr) co_return Error{Code::invalid, "rpc.unexpected_request"};
        request.method = header.method;
        request.deadline = reactor_.now() + header.patience_ms * kMillisecond;
        Task<Done> received = receive_request(header, std::move(request));
        co_return co_await received;
    }
    auto found = pending_.find(header.call);
    if (planted(Bug::rpc_mixes_up_answers)) found = pending_.begin();
    if (found == pending_.end()) co_return Done{};  // Nobody waits any more.
    Pending& pending = *found->second;
    pending.done = true;
    pending.code = static_cast<Code>(header.code);
    if (request.payload.size() > pending.into.size()) {
        pending.code = Code::corrupt;
    } else {
        std::copy_n(request.payload.data(), request.payload.size(), pending.into.data());
        pending.answer.payload_bytes = request.payload.size();
        pending.answer.meta = std::move(request.meta);
    }
    pending.arrived.notify_all();
    co_return Done{};
}

Task<Done> Peer::receive_request(FrameHeader header, Request request) {
    bool quick = handler_->is_quick(request.method);
    bool for_ever = header.patience_ms == UINT32_MAX && request.payload.size() == 0 &&
                    handler_->may_wait_for_ever(request.method);
    if (quick || for_ever) {
        Semaphore& places = quick ? quick_ : waiting_;
        if (!places.try_acquire()) co_return co_await refuse(header, Code::limit_reached);
        requests_.spawn(serve(header, std::move(request), Permit(places, 1)));
        co_return Done{};
    }
    std::size_t bytes = request.meta.size() + request.payload.size();
    while (!closed_ && (parked_ >= kParkedMost || parked_bytes_ >= kParkedBytesMost)) {
        co_await unparked_.wait();
    }
    if (closed_) co_return kClosed;
    ++parked_;
    parked_bytes_ += bytes;
    requests_.spawn(serve_in_turn(header, std::move(request)));
    co_return Done{};
}

Task<Done> Peer::serve_in_turn(FrameHeader header, Request request) {
    std::size_t bytes = request.meta.size() + request.payload.size();
    bool in_time = co_await serving_.acquire(1, request.deadline);
    --parked_;
    parked_bytes_ -= bytes;
    unparked_.notify_all();
    if (!in_time) co_return co_await refuse(header, Code::retry_later);
    Permit permit(serving_, 1);
    // Nobody would hear the answer, and what has begun would keep the connection's end waiting.
    if (closed_) co_return kClosed;
    co_return co_await serve(header, std::move(request), std::move(permit));
}

Task<Done> Peer::serve(FrameHeader header, Request request, Permit permit) {
    Task<Done> answering = answer(header, std::move(request));
    auto answered = co_await answering;
    permit.release();
    co_return answered;
}

Task<Done> Peer::refuse(FrameHeader header, Code code) {
    return send(reply_to(header, code), std::string_view(), ConstBytes());
}

Task<Done> Peer::answer(FrameHeader header, Request request) {
    auto result = co_await handler_->handle(std::move(request));
    if (!result.ok()) co_return co_await refuse(header, result.code());
    Reply& reply = result.value();
    // How long it is may be up to what was asked: no reason to stop.
    bool fits = reply.meta.size() <= kMetaBytesMost && reply.payload_bytes <= kPayloadBytesMost;
    if (!fits) co_return co_await refuse(header, Code::limit_reached);
    ConstBytes payload = reply.payload.bytes();
    payload = payload.first(reply.payload_bytes);
    co_return co_await send(reply_to(header, Code::ok), reply.meta, payload);
}

Task<Done> Peer::send(FrameHeader header, std::string_view meta, ConstBytes payload) {
    CHECK(meta.size() <= kMetaBytesMost && payload.size() <= kPayloadBytesMost);
    header.meta_bytes = static_cast<std::uint32_t>(meta.size());
    header.payload_bytes = static_cast<std::uint32_t>(payload.size());
    header.body_crc = body_checksum(bytes_of(meta), payload);
    seal(header);
    auto lock = co_await or_return(co_await sending_.lock());
    if (closed_) co_return kClosed;
    std::size_t count = std::min(payload.size(), kSentPieceBytes);
    std::array<ConstBytes, 3> parts = {image_of(header), bytes_of(meta), payload.first(count)};
    auto sent = co_await stream_->write(parts);
    // Over a slow line it takes its time, and who takes it is not gone meanwhile.
    for (std::size_t at = count; sent.ok() && at < payload.size(); at += count) {
        last_taken_ = reactor_.now();
        count = std::min(payload.size() - at, kSentPieceBytes);
        std::array<ConstBytes, 1> piece = {payload.subspan(at, count)};
        sent = co_await stream_->write(piece);
    }
    last_taken_ = reactor_.now();
    if (!sent.ok()) close();  // Half a frame may be out: nothing that follows could be read.
    co_return sent;
}

Task<Peer::Answer> Peer::call(std::uint32_t method, std::string meta, ConstBytes payload,
                              Bytes into, Nanos deadline, Nanos* taken) {
    if (closed_) co_return kClosed;
    if (pending_.size() >= kCallsMost) co_return Error{Code::limit_reached, "rpc.calls"};
    Nanos patience = deadline - reactor_.now();
    if (patience <= 0) co_return Error{Code::retry_later, "rpc.deadline"};
    Pending pending(*this, ++last_call_, into);
    FrameHeader header;
    header.kind = FrameKind::request;
    header.call = pending.call;
    header.method = method;
    header.patience_ms =
        static_cast<std::uint32_t>(std::clamp<Nanos>(patience / kMillisecond, 1, UINT32_MAX));
    co_await or_return(co_await send(header, meta, payload));
    if (taken != nullptr) *taken = reactor_.now();
    // What was sent late, behind other frames or over a slow line, is not answered any faster.
    deadline = std::max(deadline, reactor_.now() + patience / 2);
    while (!pending.done) {
        Nanos until = planted(Bug::rpc_forgets_deadlines) ? Signal::kNoDeadline : deadline;
        bool in_time = co_await pending.arrived.wait(until);
        if (!in_time && !pending.done) co_return Error{Code::retry_later, "rpc.deadline"};
    }
    if (pending.code != Code::ok) co_return Error{pending.code, "rpc.reply"};
    co_return std::move(pending.answer);
}

}  // namespace weft::rpc
