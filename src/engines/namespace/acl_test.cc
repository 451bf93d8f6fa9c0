#include "engines/namespace/acl.h"

#include <gtest/gtest.h>

namespace weft::posix {
namespace {

using Tag = AclEntry::Tag;

Acl named_user() {
    return {{Tag::owner, 7},
            {Tag::user, 6, 1000},
            {Tag::owning_group, 5},
            {Tag::mask, 4},
            {Tag::other, 1}};
}

TEST(Acl, SurvivesItsBytes) {
    auto parsed = parse_acl(encode_acl(named_user()));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.value(), named_user());
}

TEST(Acl, HasTheBytesLinuxKnows) {
    std::string bytes = encode_acl({{Tag::owner, 6}, {Tag::owning_group, 4}, {Tag::other, 4}});
    const std::string expected(
        "\2\0\0\0\1\0\6\0\xff\xff\xff\xff\4\0\4\0\xff\xff\xff\xff"
        "\x20\0\4\0\xff\xff\xff\xff",
        28);
    EXPECT_EQ(bytes, expected);
}

TEST(Acl, RefusesWhatIsMalformed) {
    std::string good = encode_acl(named_user());
    EXPECT_FALSE(parse_acl("").ok());
    EXPECT_FALSE(parse_acl(good.substr(0, good.size() - 1)).ok());
    std::string version = good;
    version[0] = 1;
    EXPECT_FALSE(parse_acl(version).ok());
    Acl no_mask = named_user();
    no_mask.erase(no_mask.begin() + 3);
    EXPECT_FALSE(parse_acl(encode_acl(no_mask)).ok());
    Acl out_of_order = named_user();
    std::swap(out_of_order[0], out_of_order[4]);
    EXPECT_FALSE(parse_acl(encode_acl(out_of_order)).ok());
    Acl too_much = named_user();
    too_much[0].permissions = 8;
    EXPECT_FALSE(parse_acl(encode_acl(too_much)).ok());
}

TEST(Acl, TheMaskStandsForTheGroupInTheMode) {
    EXPECT_EQ(mode_of(named_user()), 0741U);
    EXPECT_FALSE(is_minimal(named_user()));
    Acl changed = with_mode(named_user(), 0620);
    EXPECT_EQ(mode_of(changed), 0620U);
    EXPECT_EQ(changed[2].permissions, 5);  // The owning group's own bits stay.
}

TEST(Acl, InheritanceNarrowsListAndMode) {
    Inherited made = inherit(named_user(), 01666);
    EXPECT_EQ(made.permissions, 01640U);
    EXPECT_EQ(mode_of(made.access), 0640U);
    EXPECT_EQ(made.access[1], (AclEntry{Tag::user, 6, 1000}));
}

}  // namespace
}  // namespace weft::posix
