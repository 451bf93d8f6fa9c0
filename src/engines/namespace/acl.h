#pragma once

#include "platform/base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::posix {

inline constexpr std::string_view kAccessAclName = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAclName = "system.posix_acl_default";

// A POSIX.1e access control list, as it stands in the extended attributes: little-endian,
// version 2, entries of tag, permissions and id (linux/posix_acl_xattr.h).
struct AclEntry {
    enum class Tag : std::uint16_t {
        owner = 0x01,
        user = 0x02,
        owning_group = 0x04,
        group = 0x08,
        mask = 0x10,
        other = 0x20,
    };
    Tag tag = Tag::owner;
    std::uint16_t permissions = 0;  // rwx, 0 to 7.
    std::uint32_t id = 0xffffffff;  // Of a user or group entry.
    friend bool operator==(const AclEntry&, const AclEntry&) = default;
};

using Acl = std::vector<AclEntry>;

// invalid: not of that form, entries out of order, or without a mask where one is needed.
Result<Acl> parse_acl(std::string_view value);
std::string encode_acl(const Acl& acl);

// The permission bits that stat shows for this list: the mask stands for the group, if any.
std::uint32_t mode_of(const Acl& acl);
// True if the list says no more than mode_of() does.
bool is_minimal(const Acl& acl);
// The list after chmod to these bits.
Acl with_mode(Acl acl, std::uint32_t mode);

// What a new node gets in a directory that has a default list: the access list, narrowed to
// the mode asked for, and the mode narrowed to the list.
struct Inherited {
    Acl access;
    std::uint32_t permissions = 0;  // With setuid, setgid and sticky as asked for.
};
Inherited inherit(Acl default_list, std::uint32_t mode);

}  // namespace weft::posix
