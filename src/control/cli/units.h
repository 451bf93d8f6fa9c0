#pragma once

#include "platform/base/types.h"

#include <optional>
#include <string>
#include <string_view>

namespace weft::control {

// "4096", "64K", "1.5GiB", "2T": powers of 1024, whatever the suffix's spelling. Empty on
// anything else, on zero and on more than 2^62.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
// "1.5 GiB": three digits or so, for people.
std::string format_bytes(std::uint64_t bytes);
// "12.3 k": for counts and rates.
std::string format_count(double count);
// "3 d 4 h", "12 s".
std::string format_duration(Nanos duration);

}  // namespace weft::control
