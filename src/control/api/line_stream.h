#pragma once

#include "platform/net/stream.h"
#include "platform/runtime/reactor.h"

#include <string>

namespace weft::control {

// Lines of text on a stream, length-prefixed so that a read never goes too far: 4 bytes of
// length (little-endian), then the text. Longer than kLineBytesMost: invalid. A line that has not
// wholly come, or gone, by the deadline: retry_later, and the stream is closed.
inline constexpr std::uint32_t kLineBytesMost = 16 * kMiB;
Task<std::string> read_line(Reactor& reactor, Stream* stream, Nanos deadline);
Task<Done> write_line(Reactor& reactor, Stream* stream, std::string line, Nanos deadline);

// While a request is carried out, however long it takes, empty lines say that somebody is at it.
inline constexpr Nanos kBeatEvery = 1 * kSecond;
// Who hears none for so long may take the other side for stuck. Also how long one line may take.
inline constexpr Nanos kSilenceMost = 20 * kSecond;

}  // namespace weft::control
