#include "engines/index/page.h"

#include "platform/base/bytes.h"
#include "platform/isal/crc32c.h"

#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace weft::index {
namespace {

std::vector<std::byte> write(PageBuilder& builder) {
    std::vector<std::byte> page(builder.page_bytes());
    builder.write(page);
    return page;
}

std::string key_at(const PageView& view, std::uint32_t index) {
    return std::string(view.prefix()).append(view.item(index).suffix);
}

TEST(Page, FindsWhatWasAddedAndItsNeighbours) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937_64 random(seed);
        std::string prefix(random() % 40, 'p');
        std::map<std::string, std::string> model;
        while (model.size() < 200) {
            std::string key = prefix + std::to_string(random() % 100000);
            model[key] = std::string(random() % 50, 'v');
        }
        PageBuilder builder(PageKind::entries);
        std::map<std::string, std::string> added;
        for (const auto& [key, value] : model) {
            if (!builder.fits(key, value.size())) break;
            builder.add(EntryKind::put, key, value);
            added.emplace(key, value);
        }
        ASSERT_GT(added.size(), 40U);
        ASSERT_EQ(builder.page_bytes(), kBlockBytes);
        std::vector<std::byte> page = write(builder);
        EXPECT_TRUE(builder.empty());
        auto view = decode_page(page, PageKind::entries);
        ASSERT_TRUE(view.ok());
        ASSERT_EQ(view.value().count(), added.size());
        for (const auto& [key, value] : model) {
            auto found = view.value().find(key);
            ASSERT_EQ(found.has_value(), added.contains(key));
            if (found.has_value()) EXPECT_EQ(found->value, value);
        }
        std::vector<std::string> probes{"", prefix, "a", "q", prefix + "5", prefix + "\xff"};
        for (const auto& [key, value] : added) probes.push_back(key + "!");
        for (const std::string& probe : probes) {
            auto lower = added.lower_bound(probe);
            std::uint32_t index = view.value().lower_bound(probe);
            ASSERT_EQ(index, static_cast<std::size_t>(std::distance(added.begin(), lower)));
            if (lower != added.end()) EXPECT_EQ(key_at(view.value(), index), lower->first);
        }
    }
}

TEST(Page, GivesAnEntryThatIsLargerThanABlockAPageOfItsOwn) {
    PageBuilder builder(PageKind::entries);
    std::string value(70000, 'x');
    builder.add(EntryKind::put, "key", value);
    EXPECT_FALSE(builder.fits("key2", 1));
    EXPECT_EQ(builder.page_bytes(), 18 * kBlockBytes);
    std::vector<std::byte> page = write(builder);
    auto view = decode_page(page, PageKind::entries);
    ASSERT_TRUE(view.ok());
    EXPECT_EQ(view.value().find("key")->value, value);
}

TEST(Page, LeadsToTheChildThatAKeyLiesIn) {
    PageBuilder builder(PageKind::fences);
    for (std::uint32_t i = 0; i < 10; ++i) {
        PageBlocks child{i * 2, {i, i + 1}};
        builder.add(EntryKind::put, std::string(1, static_cast<char>('b' + 2 * i)),
                    encode_child(child));
    }
    std::vector<std::byte> page = write(builder);
    PageView view = decode_page(page, PageKind::fences).value();
    EXPECT_EQ(view.child_of("a"), 0U);
    EXPECT_EQ(view.child_of("b"), 0U);
    EXPECT_EQ(view.child_of("czz"), 0U);
    EXPECT_EQ(view.child_of("d"), 1U);
    EXPECT_EQ(view.child_of("zz"), 9U);
    PageBlocks child = decode_child(view.item(3).value);
    EXPECT_EQ(child.first, 6U);
    EXPECT_EQ(child.crcs, (std::vector<std::uint32_t>{3, 4}));
}

TEST(Page, SeparatesByTheShortestKey) {
    EXPECT_EQ(separator("", "abc"), "a");
    EXPECT_EQ(separator("abc", "abd"), "abd");
    EXPECT_EQ(separator("abc", "abcdef"), "abcd");
    EXPECT_EQ(separator("az", "bcd"), "b");
}

PageBuilder golden_builder() {
    PageBuilder builder(PageKind::entries);
    builder.add(EntryKind::put, "inode 1 I", "attributes");
    builder.add(EntryKind::erase, "inode 1 X", "");
    builder.add(EntryKind::add, "inode 2 L", std::string("\x05\0\0\0\0\0\0\0", 8));
    return builder;
}

// Format: docs/formats/index-run.md, whose example these bytes are.
TEST(Page, LiesOnDrivesAsItAlwaysDid) {
    PageBuilder builder = golden_builder();
    std::vector<std::byte> page = write(builder);
    std::string expected =
        std::string("\x01\x01\x03\x00\x06\x00\x00\x00", 8) + std::string("\x3c\x00\x00\x00", 4) +
        std::string("\x18\x00\x28\x00\x2e\x00", 6) + "inode " + std::string("\x01\x03\x0a", 3) +
        "1 Iattributes" + std::string("\x02\x03\x00", 3) + "1 X" + std::string("\x03\x03\x08", 3) +
        "2 L" + std::string("\x05\0\0\0\0\0\0\0", 8);
    ASSERT_EQ(page.size(), kBlockBytes);
    EXPECT_EQ(text_of(ConstBytes(page).first(expected.size())), expected);
    EXPECT_EQ(text_of(page).find_first_not_of('\0', expected.size()), std::string::npos);
}

// Goal: hostile bytes never lead outside of the page, and what is taken for a page is one.
TEST(Page, RefusesOrSurvivesAnyBytes) {
    PageBuilder builder = golden_builder();
    const std::vector<std::byte> page = write(builder);
    std::mt19937_64 random(3);
    for (int round = 0; round < 20000; ++round) {
        std::vector<std::byte> changed(page.begin(), page.begin() + 80);
        for (std::uint64_t i = random() % 3 + 1; i > 0; --i) {
            changed[random() % 70] = static_cast<std::byte>(random());
        }
        changed.resize(random() % 10 == 0 ? random() % 80 : 80);
        for (PageKind kind : {PageKind::entries, PageKind::fences}) {
            auto view = decode_page(changed, kind);
            if (!view.ok()) {
                EXPECT_EQ(view.code(), Code::corrupt);
                continue;
            }
            for (std::uint32_t i = 0; i < view.value().count(); ++i) {
                EXPECT_EQ(view.value().lower_bound(key_at(view.value(), i)), i);
                if (kind == PageKind::fences) (void)decode_child(view.value().item(i).value);
            }
        }
    }
    EXPECT_FALSE(decode_page({}, PageKind::entries).ok());
}

}  // namespace
}  // namespace weft::index
