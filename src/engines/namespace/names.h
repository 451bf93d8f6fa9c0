#pragma once

#include "platform/base/result.h"

#include <cstdint>
#include <string_view>

namespace weft::posix {

inline constexpr std::size_t kNameBytesMost = 255;
inline constexpr std::size_t kSymlinkBytesMost = 4095;
inline constexpr std::size_t kXattrNameBytesMost = 255;
inline constexpr std::size_t kXattrValueBytesMost = 64 * 1024;

// A name that may stand in a directory, "." and ".." included. name_too_long, invalid.
Result<Done> check_name(std::string_view name);
// One that may be made, removed or renamed: not "." nor "..", which are invalid.
Result<Done> check_entry_name(std::string_view name);
// not_supported (no namespace that we know, and in "system." all but the ACLs),
// range_too_small (as Linux says of long names), invalid (a namespace alone).
Result<Done> check_xattr_name(std::string_view name);

}  // namespace weft::posix
