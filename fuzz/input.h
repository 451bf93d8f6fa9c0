#pragma once

#include "platform/base/types.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

// What libFuzzer calls; each file of this folder defines it for one decoder. The property is
// always the same: whatever the bytes are, the decoder refuses them or gives a value that
// encodes again, and the sanitizers find nothing.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace weft::fuzz {

inline ConstBytes input(const std::uint8_t* data, std::size_t size) {
    return std::as_bytes(std::span(data, size));
}
inline std::string_view text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

}  // namespace weft::fuzz
