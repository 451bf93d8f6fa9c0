#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace weft {

// A number that only mixes with its own kind. Tag is an empty struct named after the thing.
template <class Tag, class Number = std::uint64_t>
struct Id {
    Number value = 0;
    friend constexpr auto operator<=>(Id, Id) = default;
};

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;

// The unit of addressing, of checksums and of drive input and output.
inline constexpr std::uint64_t kBlockBytes = 4096;

// Nanoseconds on the monotonic clock of one process; durations too.
using Nanos = std::int64_t;
inline constexpr Nanos kMicrosecond = 1000;
inline constexpr Nanos kMillisecond = 1000 * kMicrosecond;
inline constexpr Nanos kSecond = 1000 * kMillisecond;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}
constexpr std::uint64_t round_down(std::uint64_t value, std::uint64_t unit) {
    return value / unit * unit;
}
constexpr std::uint64_t divide_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit;
}

}  // namespace weft

template <class Tag, class Number>
struct std::hash<weft::Id<Tag, Number>> {
    std::size_t operator()(weft::Id<Tag, Number> id) const noexcept {
        return std::hash<Number>{}(id.value);
    }
};
