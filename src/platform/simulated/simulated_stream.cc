#include "platform/simulated/simulated_stream.h"

#include "platform/runtime/sync.h"

#include <algorithm>
#include <deque>

namespace weft {
namespace {

constexpr Error kGone{Code::unavailable, "stream.closed"};

// One direction.
struct Pipe {
    explicit Pipe(Reactor& reactor) : changed(reactor) {}
    struct Piece {
        Nanos due;
        std::vector<std::byte> bytes;
    };
    std::deque<Piece> pieces;
    std::size_t taken = 0;  // Of the first piece.
    bool closed = false;
    Signal changed;
};

class SimulatedStream : public Stream {
public:
    SimulatedStream(Reactor& reactor, Nanos latency, std::shared_ptr<Pipe> in,
                    std::shared_ptr<Pipe> out)
        : reactor_(reactor), latency_(latency), in_(std::move(in)), out_(std::move(out)) {}
    ~SimulatedStream() override { close(); }

    Task<Done> read(Bytes into) override {
        while (!into.empty()) {
            if (in_->pieces.empty()) {
                if (in_->closed) co_return kGone;
                co_await in_->changed.wait();
                continue;
            }
            Pipe::Piece& piece = in_->pieces.front();
            if (piece.due > reactor_.now()) {
                co_await sleep(reactor_, piece.due - reactor_.now());
                continue;
            }
            std::size_t count = std::min(into.size(), piece.bytes.size() - in_->taken);
            std::copy_n(piece.bytes.begin() + static_cast<std::ptrdiff_t>(in_->taken), count,
                        into.begin());
            into = into.subspan(count);
            in_->taken += count;
            if (in_->taken < piece.bytes.size()) continue;
            in_->pieces.pop_front();
            in_->taken = 0;
        }
        co_return Done{};
    }

    Task<Done> write(std::span<const ConstBytes> parts) override {
        if (out_->closed) co_return kGone;
        Pipe::Piece piece;
        piece.due = reactor_.now() + latency_;
        for (ConstBytes part : parts) {
            piece.bytes.insert(piece.bytes.end(), part.begin(), part.end());
        }
        if (!piece.bytes.empty()) out_->pieces.push_back(std::move(piece));
        out_->changed.notify_all();
        co_return Done{};
    }

    void close() override {
        for (Pipe* pipe : {in_.get(), out_.get()}) {
            pipe->closed = true;
            pipe->changed.notify_all();
        }
    }

private:
    Reactor& reactor_;
    Nanos latency_;
    std::shared_ptr<Pipe> in_;
    std::shared_ptr<Pipe> out_;
};

}  // namespace

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_simulated_streams(Reactor& reactor,
                                                                                   Nanos latency) {
    auto to_left = std::make_shared<Pipe>(reactor);
    auto to_right = std::make_shared<Pipe>(reactor);
    return {std::make_unique<SimulatedStream>(reactor, latency, to_left, to_right),
            std::make_unique<SimulatedStream>(reactor, latency, to_right, to_left)};
}

}  // namespace weft
