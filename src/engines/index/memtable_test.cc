#include "engines/index/memtable_internal.h"

#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace weft::index {
namespace {

std::string text(std::size_t number) {
    return "key " + std::to_string(number);
}

void expect_same(const Memtable& table, const std::map<std::string, std::string>& model) {
    auto expected = model.begin();
    for (Memtable::Cursor cursor(table, {}); cursor.valid(); cursor.next(), ++expected) {
        ASSERT_NE(expected, model.end());
        EXPECT_EQ(cursor.entry().key, expected->first);
        EXPECT_EQ(cursor.entry().value, expected->second);
    }
    EXPECT_EQ(expected, model.end());
}

TEST(Memtable, HoldsTheNewestValueOfEachKeyInOrder) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937_64 random(seed);
        Memtable table;
        std::map<std::string, std::string> model;
        for (int i = 0; i < 3000; ++i) {
            Batch batch;
            std::string key = text(random() % 500);
            std::string value(random() % 60, static_cast<char>('a' + random() % 26));
            model[key] = value;
            batch.put(key, value);
            table.apply(batch);
        }
        expect_same(table, model);
        EXPECT_EQ(table.entries(), model.size());
        for (std::size_t i = 0; i < 600; ++i) {
            auto found = table.find(text(i));
            auto expected = model.find(text(i));
            ASSERT_EQ(found.has_value(), expected != model.end());
            if (found.has_value()) EXPECT_EQ(found->value, expected->second);
            Memtable::Cursor cursor(table, text(i));
            auto after = model.lower_bound(text(i));
            ASSERT_EQ(cursor.valid(), after != model.end());
            if (cursor.valid()) EXPECT_EQ(cursor.entry().key, after->first);
        }
    }
}

TEST(Memtable, KeepsErasesAndSums) {
    Memtable table;
    Batch batch;
    batch.put("a", "1");
    batch.erase("a");
    batch.erase("b");
    batch.add("c", 5);
    batch.add("c", -7);
    batch.add("d", 1);
    batch.add("d", -1);
    table.apply(batch);
    EXPECT_EQ(table.find("a")->kind, EntryKind::erase);
    EXPECT_EQ(table.find("b")->kind, EntryKind::erase);
    EXPECT_EQ(table.find("c")->kind, EntryKind::add);
    EXPECT_EQ(static_cast<std::int64_t>(counter_of(table.find("c")->value)), -2);
    EXPECT_EQ(counter_of(table.find("d")->value), 0U);
    EXPECT_FALSE(table.find("e").has_value());
}

TEST(Memtable, PassesOverWhatIsNotForTheIndex) {
    Memtable table;
    Batch batch;
    batch.push({Mutation::Kind::stage, "a", "bytes", 0});
    batch.push({Mutation::Kind::unstage, "a", {}, 7});
    table.apply(batch);
    EXPECT_TRUE(table.empty());
}

TEST(Memtable, DoesNotGrowWhenAKeyIsWrittenAgain) {
    Memtable table;
    Batch batch;
    batch.put("inode", std::string(120, 'x'));
    table.apply(batch);
    std::size_t before = table.used_bytes();
    for (int i = 0; i < 10000; ++i) table.apply(batch);
    EXPECT_EQ(table.used_bytes(), before);
}

TEST(Memtable, CountsItsMemory) {
    Memtable table;
    EXPECT_LT(table.allocated_bytes(), 8 * kKiB);
    Batch batch;
    batch.put("large", std::string(kValueBytesMost, 'x'));
    table.apply(batch);
    EXPECT_GT(table.used_bytes(), kValueBytesMost);
    EXPECT_GT(table.allocated_bytes(), kValueBytesMost);
    EXPECT_LT(table.allocated_bytes(), kValueBytesMost + 16 * kKiB);
}

}  // namespace
}  // namespace weft::index
