#include "model/layout/batch.h"

#include <random>

#include <gtest/gtest.h>

namespace weft {
namespace {

using Kind = Mutation::Kind;

Transaction some_transaction() {
    Transaction transaction;
    Batch& first = transaction.on(ShardId{1});
    first.put("k", "v");
    first.erase("e");
    first.add("c", -2);
    Batch& second = transaction.on(ShardId{2});
    second.push({Kind::stage, "s", "bytes", 0});
    second.push({Kind::unstage, "u", {}, 9});
    return transaction;
}

std::string encoded(const Transaction& transaction) {
    std::string out;
    encode(transaction, out);
    return out;
}

// docs/formats/transaction.md has these bytes: they lie on drives.
TEST(Transaction, HasTheBytesOfTheFormat) {
    std::string expected(
        "\2\0\0\0"
        "\1\0\0\0\3\0\0\0"
        "\1\1\0\0\0k\1\0\0\0v"
        "\2\1\0\0\0e"
        "\3\1\0\0\0c\xfe\xff\xff\xff\xff\xff\xff\xff"
        "\2\0\0\0\2\0\0\0"
        "\4\1\0\0\0s\5\0\0\0bytes"
        "\5\1\0\0\0u\x09\0\0\0\0\0\0\0",
        80);
    EXPECT_EQ(encoded(some_transaction()), expected);
}

TEST(Transaction, ComesBackAsItWas) {
    Transaction back;
    ASSERT_TRUE(decode(encoded(some_transaction()), back));
    ASSERT_EQ(back.parts.size(), 2U);
    EXPECT_EQ(back.parts[0].first, ShardId{1});
    EXPECT_EQ(back.parts[0].second.mutations(), some_transaction().parts[0].second.mutations());
    EXPECT_EQ(back.parts[1].second.mutations(), some_transaction().parts[1].second.mutations());
}

TEST(Transaction, RefusesWhatIsCutOrTooLong) {
    std::string whole = encoded(some_transaction());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Transaction back;
        EXPECT_FALSE(decode(whole.substr(0, size), back)) << size;
    }
    Transaction back;
    EXPECT_FALSE(decode(whole + "x", back));
}

TEST(Transaction, SurvivesNoise) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 20000; ++i) {
        std::string bytes = encoded(some_transaction());
        for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
            bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        Transaction back;
        if (decode(bytes, back)) EXPECT_EQ(encoded(back), bytes);
    }
}

TEST(Transaction, HasOnePartAShard) {
    Transaction transaction;
    EXPECT_TRUE(transaction.empty());
    (void)transaction.on(ShardId{1});
    EXPECT_TRUE(transaction.empty());
    transaction.on(ShardId{1}).erase("a");
    transaction.on(ShardId{1}).erase("b");
    EXPECT_EQ(transaction.parts.size(), 1U);
    EXPECT_FALSE(transaction.empty());
}

TEST(Batch, AppendsInOrder) {
    Batch first;
    first.put("a", "1");
    Batch second;
    second.erase("b");
    first.append(std::move(second));
    ASSERT_EQ(first.mutations().size(), 2U);
    EXPECT_EQ(first.mutations()[1].key, "b");
}

}  // namespace
}  // namespace weft
