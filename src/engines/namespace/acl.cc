#include "engines/namespace/acl.h"

#include "platform/base/bytes.h"
#include "platform/base/check.h"

#include <algorithm>

namespace weft::posix {
namespace {

using Tag = AclEntry::Tag;

constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kEntryBytes = 8;

bool has_id(Tag tag) {
    return tag == Tag::user || tag == Tag::group;
}

AclEntry* find(Acl& acl, Tag tag) {
    auto same = [tag](const AclEntry& entry) {
        return entry.tag == tag;
    };
    auto found = std::find_if(acl.begin(), acl.end(), same);
    return found == acl.end() ? nullptr : &*found;
}

std::uint16_t permissions_of(const Acl& acl, Tag tag) {
    const AclEntry* entry = find(const_cast<Acl&>(acl), tag);
    CHECK(entry != nullptr);
    return entry->permissions;
}

bool known(Tag tag) {
    switch (tag) {
        case Tag::owner:
        case Tag::user:
        case Tag::owning_group:
        case Tag::group:
        case Tag::mask:
        case Tag::other:
            return true;
    }
    return false;
}

// Each of owner, owning group and other once; mask at most once, and where anybody is named.
// Tags rise, for their values were chosen so.
bool well_formed(const Acl& acl) {
    auto rises = [](const AclEntry& a, const AclEntry& b) {
        return a.tag <= b.tag;
    };
    for (std::size_t i = 1; i < acl.size(); ++i) {
        if (!rises(acl[i - 1], acl[i])) return false;
    }
    auto count = [&acl](Tag tag) {
        auto same = [tag](const AclEntry& entry) {
            return entry.tag == tag;
        };
        return std::count_if(acl.begin(), acl.end(), same);
    };
    bool once = count(Tag::owner) == 1 && count(Tag::owning_group) == 1 && count(Tag::other) == 1;
    bool named = count(Tag::user) + count(Tag::group) > 0;
    auto masks = count(Tag::mask);
    return once && masks <= 1 && (!named || masks == 1);
}

}  // namespace

Result<Acl> parse_acl(std::string_view value) {
    constexpr Error kInvalid{Code::invalid, "acl.parse"};
    ByteReader reader(value);
    if (reader.number<std::uint32_t>() != kVersion || !reader.ok()) return kInvalid;
    if (reader.remaining() % kEntryBytes != 0) return kInvalid;
    Acl acl;
    while (reader.remaining() > 0) {
        AclEntry entry;
        entry.tag = static_cast<Tag>(reader.number<std::uint16_t>());
        entry.permissions = reader.number<std::uint16_t>();
        entry.id = reader.number<std::uint32_t>();
        if (!known(entry.tag) || entry.permissions > 7) return kInvalid;
        if (!has_id(entry.tag)) entry.id = 0xffffffff;
        acl.push_back(entry);
    }
    if (!well_formed(acl)) return kInvalid;
    return acl;
}

std::string encode_acl(const Acl& acl) {
    std::string out;
    ByteWriter writer(out);
    writer.number(kVersion);
    for (const AclEntry& entry : acl) {
        writer.number(static_cast<std::uint16_t>(entry.tag));
        writer.number(entry.permissions);
        writer.number(entry.id);
    }
    return out;
}

std::uint32_t mode_of(const Acl& acl) {
    CHECK(well_formed(acl));
    const AclEntry* mask = find(const_cast<Acl&>(acl), Tag::mask);
    std::uint32_t group =
        mask != nullptr ? mask->permissions : permissions_of(acl, Tag::owning_group);
    std::uint32_t owner = permissions_of(acl, Tag::owner);
    return owner << 6 | group << 3 | permissions_of(acl, Tag::other);
}

bool is_minimal(const Acl& acl) {
    return acl.size() == 3;
}

Acl with_mode(Acl acl, std::uint32_t mode) {
    CHECK(well_formed(acl));
    find(acl, Tag::owner)->permissions = static_cast<std::uint16_t>((mode >> 6) & 7);
    AclEntry* mask = find(acl, Tag::mask);
    AclEntry* group = mask != nullptr ? mask : find(acl, Tag::owning_group);
    group->permissions = static_cast<std::uint16_t>((mode >> 3) & 7);
    find(acl, Tag::other)->permissions = static_cast<std::uint16_t>(mode & 7);
    return acl;
}

Inherited inherit(Acl default_list, std::uint32_t mode) {
    std::uint32_t narrowed = mode & mode_of(default_list) & 0777;
    Inherited made;
    made.permissions = narrowed | (mode & 07000);
    made.access = with_mode(std::move(default_list), narrowed);
    return made;
}

}  // namespace weft::posix
