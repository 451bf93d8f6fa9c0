#pragma once

#include "platform/net/stream.h"

#include <string>

namespace weft::control {

// Lines of text on a stream, length-prefixed so that a read never goes too far: 4 bytes of
// length (little-endian), then the text. Longer than kLineBytesMost: invalid.
inline constexpr std::uint32_t kLineBytesMost = 16 * kMiB;
Task<std::string> read_line(Stream* stream);
Task<Done> write_line(Stream* stream, std::string line);

}  // namespace weft::control
