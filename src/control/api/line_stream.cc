#include "control/api/line_stream.h"

#include "platform/base/bytes.h"

#include <array>

namespace weft::control {

Task<std::string> read_line(Stream* stream) {
    std::uint32_t size = 0;
    Bytes prefix = std::as_writable_bytes(std::span(&size, 1));
    co_await or_return(co_await stream->read(prefix));
    if (size > kLineBytesMost) co_return Error{Code::invalid, "control.read_line"};
    std::string line(size, '\0');
    Bytes body = std::as_writable_bytes(std::span(line.data(), line.size()));
    co_await or_return(co_await stream->read(body));
    co_return line;
}

Task<Done> write_line(Stream* stream, std::string line) {
    if (line.size() > kLineBytesMost) co_return Error{Code::invalid, "control.write_line"};
    auto size = static_cast<std::uint32_t>(line.size());
    std::array<ConstBytes, 2> parts = {image_of(size), bytes_of(line)};
    co_return co_await stream->write(parts);
}

}  // namespace weft::control
