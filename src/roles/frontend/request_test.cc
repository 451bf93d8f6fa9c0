#include "roles/frontend/request.h"

#include "platform/base/bytes.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

namespace weft::frontend {
namespace {

std::string message(std::uint32_t opcode, std::string body, std::uint16_t extension_words = 0) {
    fuse_in_header header{};
    header.len = static_cast<std::uint32_t>(sizeof(header) + body.size());
    header.opcode = opcode;
    header.unique = 1;
    header.nodeid = 1;
    header.total_extlen = extension_words;
    return std::string(text_of(image_of(header))) + body;
}

template <class T>
std::string image(const T& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

Result<Operation> decode(const std::string& bytes) {
    auto header = decode_header(bytes_of(bytes));
    if (!header.ok()) return header.error();
    return decode_operation(header.value(), bytes_of(bytes), true);
}

std::string text(std::string_view value) {
    return std::string(value) + '\0';
}

TEST(FuseRequest, RefusesALengthThatIsNotItsOwn) {
    std::string bytes = message(FUSE_LOOKUP, text("a"));
    EXPECT_TRUE(decode(bytes).ok());
    EXPECT_EQ(decode(bytes + "x").code(), Code::invalid);
    EXPECT_EQ(decode(bytes.substr(0, 30)).code(), Code::invalid);
}

TEST(FuseRequest, RefusesNamesThatAreNone) {
    EXPECT_EQ(decode(message(FUSE_LOOKUP, "")).code(), Code::invalid);
    EXPECT_EQ(decode(message(FUSE_LOOKUP, "abc")).code(), Code::invalid);
    EXPECT_EQ(decode(message(FUSE_LOOKUP, text(""))).code(), Code::invalid);
    EXPECT_EQ(decode(message(FUSE_LOOKUP, text("a/b"))).code(), Code::invalid);
    EXPECT_EQ(decode(message(FUSE_UNLINK, text(".."))).code(), Code::invalid);
    EXPECT_TRUE(decode(message(FUSE_LOOKUP, text(".."))).ok());
    EXPECT_TRUE(decode(message(FUSE_LOOKUP, text(std::string(255, 'n')))).ok());
    EXPECT_EQ(decode(message(FUSE_LOOKUP, text(std::string(256, 'n')))).code(),
              Code::name_too_long);
}

TEST(FuseRequest, ReadsBothNamesOfARename) {
    fuse_rename2_in in{};
    in.newdir = 9;
    in.flags = 2;
    std::string bytes = message(FUSE_RENAME2, image(in) + text("from") + text("to"));
    auto decoded = decode(bytes);
    ASSERT_TRUE(decoded.ok());
    const auto& rename = std::get<Rename>(decoded.value());
    EXPECT_EQ(rename.to, InodeId{9});
    EXPECT_EQ(rename.flags, 2U);
    EXPECT_EQ(rename.from_name, "from");
    EXPECT_EQ(rename.to_name, "to");
}

TEST(FuseRequest, RefusesAWriteWhoseSizeIsNotItsDatas) {
    fuse_write_in in{};
    in.size = 4;
    EXPECT_TRUE(decode(message(FUSE_WRITE, image(in) + "abcd")).ok());
    EXPECT_EQ(decode(message(FUSE_WRITE, image(in) + "abc")).code(), Code::invalid);
    EXPECT_EQ(decode(message(FUSE_WRITE, image(in) + "abcde")).code(), Code::invalid);
    in.offset = INT64_MAX;
    EXPECT_EQ(decode(message(FUSE_WRITE, image(in) + "abcd")).code(), Code::invalid);
}

TEST(FuseRequest, RefusesAReadThatIsTooLarge) {
    fuse_read_in in{};
    in.size = 1 << 20;
    EXPECT_TRUE(decode(message(FUSE_READ, image(in))).ok());
    in.size = (1 << 20) + 1;
    EXPECT_EQ(decode(message(FUSE_READ, image(in))).code(), Code::invalid);
}

TEST(FuseRequest, LeavesExtensionsOut) {
    fuse_mkdir_in in{};
    in.mode = 0755;
    std::string extension(16, 'e');
    std::string bytes = message(FUSE_MKDIR, image(in) + text("dir") + extension, 2);
    auto decoded = decode(bytes);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(std::get<MakeNode>(decoded.value()).name, "dir");
    EXPECT_EQ(decode(message(FUSE_MKDIR, image(in) + text("d"), 200)).code(), Code::invalid);
}

TEST(FuseRequest, CallsUnknownOpcodesUnknown) {
    for (std::uint32_t opcode : {0U, 7U, 48U, 49U, 54U, 4096U, UINT32_MAX}) {
        auto decoded = decode(message(opcode, ""));
        ASSERT_TRUE(decoded.ok());
        EXPECT_TRUE(std::holds_alternative<Unknown>(decoded.value()));
    }
}

TEST(FuseRequest, SurvivesNoise) {
    for (std::uint64_t seed = 0; seed < 20000; ++seed) {
        std::mt19937_64 random(seed);
        std::string body(random() % 200, '\0');
        for (char& byte : body) byte = random() % 3 == 0 ? '\0' : static_cast<char>(random());
        auto extension = static_cast<std::uint16_t>(random() % 4);
        auto decoded = decode(message(static_cast<std::uint32_t>(random() % 60), body, extension));
        if (decoded.ok()) continue;
        ASSERT_TRUE(decoded.code() == Code::invalid || decoded.code() == Code::name_too_long ||
                    decoded.code() == Code::range_too_small || decoded.code() == Code::no_data)
            << "seed " << seed;
    }
}

}  // namespace
}  // namespace weft::frontend
