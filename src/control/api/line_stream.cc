#include "control/api/line_stream.h"

#include "platform/base/bytes.h"
#include "platform/runtime/gate.h"

#include <array>

namespace weft::control {
namespace {

// Closes the stream at the deadline, unless it is destroyed before.
class Limit {
public:
    Limit(Reactor& reactor, Stream* stream, Nanos deadline) : running_(reactor) {
        running_.spawn(close_late(reactor, stream, deadline));
    }
    // What went wrong, if it did for being late.
    Result<Done> judged(Result<Done> ended) const {
        if (!ended.ok() && late_) return Error{Code::retry_later, "the other side is silent"};
        return ended;
    }

private:
    Task<Done> close_late(Reactor& reactor, Stream* stream, Nanos deadline) {
        co_await sleep(reactor, deadline - reactor.now());
        late_ = true;
        stream->close();
        co_return Done{};
    }

    bool late_ = false;
    Gate running_;
};

Task<Done> read_whole(Stream* stream, std::string* line) {
    std::uint32_t size = 0;
    Bytes prefix = std::as_writable_bytes(std::span(&size, 1));
    co_await or_return(co_await stream->read(prefix));
    if (size > kLineBytesMost) co_return Error{Code::invalid, "control.read_line"};
    line->resize(size);
    Bytes body = std::as_writable_bytes(std::span(line->data(), line->size()));
    co_return co_await stream->read(body);
}

}  // namespace

Task<std::string> read_line(Reactor& reactor, Stream* stream, Nanos deadline) {
    Limit limit(reactor, stream, deadline);
    std::string line;
    auto read = co_await read_whole(stream, &line);
    co_await or_return(limit.judged(std::move(read)));
    co_return line;
}

Task<Done> write_line(Reactor& reactor, Stream* stream, std::string line, Nanos deadline) {
    if (line.size() > kLineBytesMost) co_return Error{Code::invalid, "control.write_line"};
    Limit limit(reactor, stream, deadline);
    auto size = static_cast<std::uint32_t>(line.size());
    std::array<ConstBytes, 2> parts = {image_of(size), bytes_of(line)};
    auto written = co_await stream->write(parts);
    co_return limit.judged(std::move(written));
}

}  // namespace weft::control
