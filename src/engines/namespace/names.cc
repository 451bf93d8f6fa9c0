#include "engines/namespace/names.h"

#include <algorithm>
#include <array>

namespace weft::posix {

Result<Done> check_name(std::string_view name) {
    if (name.empty()) return Error{Code::invalid, "names.empty"};
    if (name.size() > kNameBytesMost) return Error{Code::name_too_long, "names.length"};
    bool bad =
        name.find('/') != std::string_view::npos || name.find('\0') != std::string_view::npos;
    if (bad) return Error{Code::invalid, "names.bytes"};
    return Done{};
}

Result<Done> check_entry_name(std::string_view name) {
    if (name == "." || name == "..") return Error{Code::invalid, "names.dots"};
    return check_name(name);
}

Result<Done> check_xattr_name(std::string_view name) {
    constexpr std::array<std::string_view, 4> kSpaces{"user.", "trusted.", "security.", "system."};
    if (name.size() > kXattrNameBytesMost) return Error{Code::range_too_small, "xattr.name"};
    if (name.find('\0') != std::string_view::npos) return Error{Code::invalid, "xattr.name"};
    auto in_space = [name](std::string_view space) {
        return name.starts_with(space) && name.size() > space.size();
    };
    if (std::any_of(kSpaces.begin(), kSpaces.end(), in_space)) return Done{};
    return Error{Code::not_supported, "xattr.name"};
}

}  // namespace weft::posix
