#include "platform/base/result.h"

#include <array>

namespace weft {

std::string_view name_of(Code code) {
    static constexpr std::array kNames = {
        "ok",
        "retry_later",
        "refresh_map",
        "fenced",
        "cancelled",
        "interrupted",
        "corrupt",
        "unavailable",
        "out_of_space",
        "quota_exceeded",
        "invalid",
        "not_supported",
        "not_found",
        "already_exists",
        "not_a_directory",
        "is_a_directory",
        "not_empty",
        "permission_denied",
        "not_permitted",
        "read_only",
        "cross_filesystem",
        "too_many_links",
        "name_too_long",
        "file_too_large",
        "no_attribute",
        "range_too_small",
        "no_data",
        "stale",
        "would_block",
        "deadlock",
        "limit_reached",
        "io_failed",
    };
    static_assert(kNames.size() == static_cast<std::size_t>(Code::io_failed) + 1);
    auto index = static_cast<std::size_t>(code);
    return index < kNames.size() ? kNames[index] : "unknown";
}

}  // namespace weft
