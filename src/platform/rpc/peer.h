#pragma once

#include "platform/memory/buffer.h"
#include "platform/net/stream.h"
#include "platform/rpc/frame.h"
#include "platform/runtime/gate.h"
#include "platform/runtime/sync.h"

#include <map>
#include <memory>
#include <string>

namespace weft::rpc {

struct Request {
    std::uint32_t method = 0;
    std::string meta;
    Buffer payload;
    Nanos deadline = 0;  // Of this process's clock.
};

struct Reply {
    std::string meta;
    Buffer payload;
    std::size_t payload_bytes = 0;  // At most payload.size().
};

// Serves the requests of one connection.
class Handler {
public:
    virtual ~Handler() = default;
    virtual Task<Reply> handle(Request request) = 0;
    // Whether a request of this method is answered without waiting for anything: it is answered
    // however many others are under way.
    virtual bool is_quick(std::uint32_t) const { return false; }
    // Whether its caller may wait for ever; of others that want to, nobody takes notice.
    virtual bool may_wait_for_ever(std::uint32_t) const { return false; }
    // The stream has ended: requests that wait for something of this connection shall end.
    // Runs before Peer::run() waits for those under way.
    virtual Task<Done> connection_ended() { co_return Done{}; }
};

// One connection: both sides may call, and both may serve. Requests are answered in the order
// in which they end. When the stream fails, every waiting call ends with unavailable, and the
// peer is of no more use.
//
// Bounds: kServedMost requests are served at once. Further ones are parked, in order, so that
// replies and quick requests behind them are read, until kParkedMost of them or kParkedBytesMost
// of what they bring wait; then nothing more is read. What is parked past its deadline gets
// retry_later. Those whose caller waits for ever, for a lock perhaps that another request gives
// back, take no such place: kWaitingMost of them may be under way (further ones get
// limit_reached). kQuickMost quick ones may be under way (further ones get limit_reached).
// kCallsMost calls wait at once (further ones get limit_reached). A reply that is longer than a
// frame may be goes out as limit_reached.
class Peer {
public:
    static constexpr std::size_t kServedMost = 256;
    static constexpr std::size_t kParkedMost = 1024;
    static constexpr std::size_t kParkedBytesMost = 64 * kMiB;
    static constexpr std::size_t kQuickMost = 64;
    static constexpr std::size_t kWaitingMost = 8192;
    static constexpr std::size_t kCallsMost = 16384;

    // `handler` may be null for a peer that only calls; it outlives the peer.
    Peer(Reactor& reactor, std::unique_ptr<Stream> stream, Handler* handler);
    ~Peer();

    // Reads until the stream ends; run it in a gate. Then everything that waits has ended.
    Task<Done> run();
    void close();
    bool closed() const { return closed_; }
    // When bytes last came in, of the reactor's clock; at first, when the peer was made.
    Nanos last_heard() const { return last_heard_; }
    // When the stream last took 128 KiB or the rest of a frame from us; at first, the same.
    Nanos last_taken() const { return last_taken_; }

    // `payload` is sent from where it lies, and the reply's payload is copied into `into`.
    // Both stay valid until the task ends; the task may be destroyed before that. `*taken`, if
    // not null, becomes the time when the stream has taken all of the request.
    // Errors: what the handler gave; unavailable; retry_later (no reply by the deadline, and for
    // half the time that it left from when the request was sent); corrupt (the reply is longer
    // than `into`).
    struct Answer {
        std::string meta;
        std::size_t payload_bytes = 0;
    };
    Task<Answer> call(std::uint32_t method, std::string meta, ConstBytes payload, Bytes into,
                      Nanos deadline, Nanos* taken = nullptr);

private:
    struct Pending;

    Task<Done> receive(FrameHeader header);
    Task<Done> receive_request(FrameHeader header, Request request);
    Task<Done> serve(FrameHeader header, Request request, Permit permit);
    Task<Done> serve_in_turn(FrameHeader header, Request request);
    Task<Done> refuse(FrameHeader header, Code code);
    Task<Done> answer(FrameHeader header, Request request);
    Task<Done> send(FrameHeader header, std::string_view meta, ConstBytes payload);
    void end_all_calls();

    Reactor& reactor_;
    std::unique_ptr<Stream> stream_;
    Handler* handler_;
    SharedMutex sending_;
    Semaphore serving_;
    Semaphore quick_;
    Semaphore waiting_;
    std::size_t parked_ = 0;
    std::size_t parked_bytes_ = 0;
    Signal unparked_;  // A request is parked no longer, or close().
    std::map<std::uint64_t, Pending*> pending_;
    std::uint64_t last_call_ = 0;
    bool closed_ = false;
    Nanos last_heard_;
    Nanos last_taken_;
    Gate requests_;
};

}  // namespace weft::rpc
