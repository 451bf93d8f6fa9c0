#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace weft::sim {

// A POSIX.1e access control list as the model has it; written without the product's.
struct ModelAcl {
    unsigned owner = 0;  // rwx, as the others.
    std::map<std::uint32_t, unsigned> users;
    unsigned group = 0;
    std::optional<unsigned> mask;  // There if a user is named.
    unsigned other = 0;

    // The permission bits that it shows.
    unsigned mode() const { return owner << 6 | mask.value_or(group) << 3 | other; }
    bool says_more_than_mode() const { return mask.has_value(); }
    // As chmod leaves it.
    void take_mode(unsigned mode);
    // As in an extended attribute (linux/posix_acl_xattr.h).
    std::string bytes() const;
};

// The list that an operation with this seed sets.
ModelAcl acl_of(std::uint64_t seed);

std::string hex(const std::string& bytes);

}  // namespace weft::sim
