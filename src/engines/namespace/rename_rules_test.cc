#include "engines/namespace/rename_rules.h"

#include "engines/namespace/attributes.h"
#include "engines/namespace/directory_page.h"
#include "engines/namespace/names.h"

#include <string>

#include <gtest/gtest.h>

namespace weft::posix {
namespace {

struct RenameRules : testing::Test {
    RenameRules() {
        file.mode = kRegular;
        empty = make_root({});
        full = make_root({});
        full.size = 1;
    }
    RenameEnd end(std::uint64_t inode, const InodeRecord& record) {
        return {kRootInode, InodeId{inode}, &record};
    }
    RenameEnd nothing() { return {kRootInode, std::nullopt, nullptr}; }
    InodeRecord file, empty, full;
    RenameFlags flags;
};

TEST_F(RenameRules, MovesToAFreeName) {
    EXPECT_EQ(plan_rename(end(5, file), nothing(), flags).value(), RenamePlan::move);
    EXPECT_EQ(plan_rename(nothing(), end(5, file), flags).code(), Code::not_found);
    flags.exchange = true;
    EXPECT_EQ(plan_rename(end(5, file), nothing(), flags).code(), Code::not_found);
}

TEST_F(RenameRules, TwoNamesOfOneFileStay) {
    EXPECT_EQ(plan_rename(end(5, file), end(5, file), flags).value(), RenamePlan::nothing);
}

TEST_F(RenameRules, ReplacesOnlyLikeWithLike) {
    EXPECT_EQ(plan_rename(end(5, file), end(6, file), flags).value(), RenamePlan::replace);
    EXPECT_EQ(plan_rename(end(5, full), end(6, empty), flags).value(), RenamePlan::replace);
    EXPECT_EQ(plan_rename(end(5, file), end(6, empty), flags).code(), Code::is_a_directory);
    EXPECT_EQ(plan_rename(end(5, empty), end(6, file), flags).code(), Code::not_a_directory);
    EXPECT_EQ(plan_rename(end(5, empty), end(6, full), flags).code(), Code::not_empty);
}

TEST_F(RenameRules, FlagsSayWhatMayStandAtTheTarget) {
    flags.no_replace = true;
    EXPECT_EQ(plan_rename(end(5, file), end(6, file), flags).code(), Code::already_exists);
    EXPECT_EQ(plan_rename(end(5, file), nothing(), flags).value(), RenamePlan::move);
    flags.exchange = true;
    EXPECT_EQ(plan_rename(end(5, file), end(6, file), flags).code(), Code::invalid);
    flags.no_replace = false;
    EXPECT_EQ(plan_rename(end(5, file), end(6, full), flags).value(), RenamePlan::exchange);
}

TEST(Names, KnowTheirBounds) {
    EXPECT_TRUE(check_entry_name(std::string(255, 'a')).ok());
    EXPECT_EQ(check_entry_name(std::string(256, 'a')).code(), Code::name_too_long);
    EXPECT_EQ(check_entry_name("a/b").code(), Code::invalid);
    EXPECT_EQ(check_entry_name("").code(), Code::invalid);
    EXPECT_EQ(check_entry_name("..").code(), Code::invalid);
    EXPECT_TRUE(check_name("..").ok());
    EXPECT_TRUE(check_xattr_name("user.a").ok());
    EXPECT_EQ(check_xattr_name("user.").code(), Code::invalid);
    EXPECT_TRUE(check_xattr_name("system.posix_acl_access").ok());
    EXPECT_EQ(check_xattr_name("system.x").code(), Code::not_supported);
    EXPECT_EQ(check_xattr_name("mine.a").code(), Code::not_supported);
    EXPECT_EQ(check_xattr_name("user." + std::string(251, 'a')).code(), Code::range_too_small);
}

TEST(DirectoryPage, NeverEndsBetweenNamesOfOneHash) {
    DirectoryPageBuilder builder(64, false);
    EXPECT_TRUE(builder.add("first", 10, InodeId{2}, kRegular));
    EXPECT_TRUE(builder.add("second", 11, InodeId{3}, kRegular));
    EXPECT_TRUE(builder.add("third", 11, InodeId{4}, kRegular));
    EXPECT_FALSE(builder.add("fourth", 12, InodeId{5}, kRegular));
    EXPECT_EQ(builder.take(false).items.size(), 3U);
}

TEST(DirectoryPage, HasAlwaysOneItem) {
    DirectoryPageBuilder builder(1, true);
    EXPECT_TRUE(builder.add("first", 10, InodeId{2}, kRegular));
    EXPECT_FALSE(builder.add("second", 11, InodeId{3}, kRegular));
}

}  // namespace
}  // namespace weft::posix
