#include "model/wire/fields.h"

#include <random>

#include <gtest/gtest.h>

namespace weft::wire {
namespace {

std::string hex(std::string_view bytes) {
    std::string out;
    for (char c : bytes) {
        constexpr const char* kDigits = "0123456789abcdef";
        out += kDigits[(c >> 4) & 15];
        out += kDigits[c & 15];
    }
    return out;
}

// Golden bytes of docs/formats/services.md.
TEST(Fields, LookupHasItsDocumentedBytes) {
    Caller caller{SessionId{1}, 2, 3, 4, 5, 99};
    FileId file{FilesystemId{1}, InodeId{1}};
    EXPECT_EQ(hex(pack(caller, file, std::string("a"))),
              "0100000000000000"
              "0200000000000000"
              "030000000400000005000000"
              "01000000"
              "0100000000000000"
              "0100000061");
}

TEST(Fields, AttributeChangeComesBackAsItWas) {
    AttributeChange change;
    change.mode = 0644;
    change.size = 1ULL << 62;
    change.mtime = kTimeNow;
    change.clear_setid = true;
    AttributeChange back;
    ASSERT_TRUE(unpack(pack(change), back));
    EXPECT_EQ(back.mode, change.mode);
    EXPECT_EQ(back.uid, std::nullopt);
    EXPECT_EQ(back.size, change.size);
    EXPECT_EQ(back.mtime, change.mtime);
    EXPECT_TRUE(back.clear_setid);
}

TEST(Fields, DirectoryPageComesBackAsItWas) {
    DirectoryPage page;
    for (int i = 0; i < 3; ++i) {
        DirectoryItem item;
        item.name = "entry " + std::to_string(i);
        item.cookie = static_cast<std::uint64_t>(i) + 2;
        item.node.attributes.mode = 0100644;
        item.node.attributes.symlink = "target";
        item.node.lease = LeaseMode::read;
        page.items.push_back(item);
    }
    page.end = true;
    DirectoryPage back;
    ASSERT_TRUE(unpack(pack(page), back));
    ASSERT_EQ(back.items.size(), 3U);
    EXPECT_EQ(back.items[2].name, "entry 2");
    EXPECT_EQ(back.items[2].node.attributes, page.items[2].node.attributes);
    EXPECT_TRUE(back.end);
}

TEST(Fields, RefusesBytesThatAreLeftOver) {
    FileId file{FilesystemId{1}, InodeId{2}};
    FileId back;
    EXPECT_TRUE(unpack(pack(file), back));
    EXPECT_EQ(back, file);
    EXPECT_FALSE(unpack(pack(file) + "x", back));
    EXPECT_FALSE(unpack(pack(file).substr(1), back));
}

// Goal: hostile bytes never do harm, and never make more than they could hold.
TEST(Fields, SurvivesNoise) {
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
        std::mt19937_64 random(seed);
        std::string noise(random() % 200, '\0');
        for (char& c : noise) c = static_cast<char>(random());
        DirectoryPage page;
        (void)unpack(noise, page);
        EXPECT_LE(page.items.size(), noise.size()) << "seed " << seed;
        AttributeChange change;
        (void)unpack(noise, change);
    }
}

}  // namespace
}  // namespace weft::wire
