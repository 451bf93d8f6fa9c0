#include "engines/namespace/names.h"

#include "engines/namespace/acl.h"

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
    constexpr std::array<std::string_view, 3> kSpaces{"user.", "trusted.", "security."};
    if (name.size() > kXattrNameBytesMost) return Error{Code::range_too_small, "xattr.name"};
    if (name.find('\0') != std::string_view::npos) return Error{Code::invalid, "xattr.name"};
    if (name == kAccessAclName || name == kDefaultAclName) return Done{};
    for (std::string_view space : kSpaces) {
        if (name == space) return Error{Code::invalid, "xattr.name"};
        if (name.starts_with(space)) return Done{};
    }
    return Error{Code::not_supported, "xattr.name"};
}

}  // namespace weft::posix
