#pragma once

#include "platform/base/types.h"

#include <compare>
#include <cstdint>

namespace weft {

// A moment of the wall clock, as stat shows it: `seconds` since 1970 UTC, negative before, and
// `nanoseconds` behind them, below a billion. One number of nanoseconds would end in 2262.
struct Timestamp {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    friend constexpr auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

constexpr bool is_valid(Timestamp time) {
    return time.nanoseconds < kSecond;
}

// `ns` since 1970 UTC, as a reactor's wall clock gives it.
constexpr Timestamp timestamp_of(std::int64_t ns) {
    std::int64_t seconds = ns / kSecond;
    std::int64_t rest = ns % kSecond;
    if (rest < 0) {
        rest += kSecond;
        --seconds;
    }
    return {seconds, static_cast<std::uint32_t>(rest)};
}

}  // namespace weft
