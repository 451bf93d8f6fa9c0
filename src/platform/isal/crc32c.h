#pragma once

#include "platform/base/types.h"

namespace weft {

// The Castagnoli checksum (RFC 3720) of `bytes`, continuing from `previous` (0 to begin).
std::uint32_t crc32c(ConstBytes bytes, std::uint32_t previous = 0);

}  // namespace weft
