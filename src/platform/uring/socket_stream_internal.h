#pragma once

#include "platform/memory/buffer.h"
#include "platform/net/stream.h"
#include "platform/uring/descriptor_internal.h"
#include "platform/uring/machine.h"

namespace weft {

// A connected socket. Bytes go straight into the reader's buffer, except for small reads: these
// take what there is into a buffer of the stream's own, so that not each of them costs a system
// call.
//
// A read or write that is destroyed half done leaves the stream broken: where its messages
// begin is lost. All later ones end with unavailable.
class SocketStream final : public Stream {
public:
    static Result<std::unique_ptr<Stream>> make(Machine& machine, Descriptor socket);
    SocketStream(Machine& machine, Descriptor socket, std::unique_ptr<FdWatch> watch)
        : machine_(machine), socket_(std::move(socket)), watch_(std::move(watch)) {}
    ~SocketStream() override { close(); }

    Task<Done> read(Bytes into) override;
    Task<Done> write(std::span<const ConstBytes> parts) override;
    void close() override;

private:
    class Progress;

    std::size_t take_ahead(Bytes into);
    Result<std::size_t> receive(Bytes into);
    Result<std::size_t> send(std::span<const ConstBytes> parts, std::size_t skip);
    bool wants_turn() { return ++calls_in_turn_ % kCallsInTurnMax == 0; }

    // Calls that find all they want at once yield now and then, so that one busy peer cannot
    // keep the core to itself.
    static constexpr unsigned kCallsInTurnMax = 64;
    static constexpr std::size_t kAheadBytes = 8 * kKiB;
    static constexpr std::size_t kSmallBytes = 4 * kKiB;
    // Above this, a read is for bulk data, and what follows is left to the next.
    static constexpr std::size_t kBulkBytes = 64 * kKiB;

    Machine& machine_;
    Descriptor socket_;
    std::unique_ptr<FdWatch> watch_;
    Buffer ahead_;  // Made when first needed: idle peers cost nothing.
    std::size_t ahead_begin_ = 0;
    std::size_t ahead_end_ = 0;
    bool drained_ = false;  // The last receive took all there was.
    bool reading_ = false;
    bool writing_ = false;
    bool broken_ = false;
    unsigned calls_in_turn_ = 0;
};

}  // namespace weft
