#pragma once

#include "platform/base/types.h"

#include <array>

namespace weft {

using SipKey = std::array<std::uint64_t, 2>;

// SipHash-2-4 (Aumasson and Bernstein, 2012). Decides where data lies, so it is our own
// code, held to the published test vectors.
std::uint64_t siphash(SipKey key, ConstBytes bytes);

}  // namespace weft
