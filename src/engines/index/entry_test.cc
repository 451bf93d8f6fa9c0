#include "engines/index/entry.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft::index {
namespace {

std::string counter(std::int64_t number) {
    std::string bytes(kCounterBytes, '\0');
    std::memcpy(bytes.data(), &number, kCounterBytes);
    return bytes;
}

struct Said {
    std::optional<EntryKind> kind;
    std::string value;
    friend bool operator==(const Said&, const Said&) = default;
};

Said fold_all(const std::vector<Said>& newest_first) {
    Fold fold;
    for (const Said& entry : newest_first) {
        if (entry.kind.has_value()) fold.take(*entry.kind, entry.value);
    }
    Said said;
    said.kind = fold.finish();
    if (said.kind.has_value()) said.value = fold.value();
    return said;
}

TEST(Fold, TheNewestPutOrEraseWins) {
    EXPECT_EQ(fold_all({{EntryKind::put, "b"}, {EntryKind::put, "a"}}),
              (Said{EntryKind::put, "b"}));
    EXPECT_EQ(fold_all({{EntryKind::erase, ""}, {EntryKind::put, "a"}}),
              (Said{EntryKind::erase, ""}));
}

TEST(Fold, AddsSumUpToTheNewestPutOrErase) {
    EXPECT_EQ(fold_all({{EntryKind::add, counter(2)}, {EntryKind::add, counter(-5)}}),
              (Said{EntryKind::add, counter(-3)}));
    EXPECT_EQ(fold_all({{EntryKind::add, counter(2)},
                        {EntryKind::put, counter(40)},
                        {EntryKind::add, counter(1000)}}),
              (Said{EntryKind::put, counter(42)}));
    EXPECT_EQ(fold_all({{EntryKind::add, counter(2)},
                        {EntryKind::erase, ""},
                        {EntryKind::add, counter(1000)}}),
              (Said{EntryKind::put, counter(2)}));
}

TEST(Fold, ASumOfZeroIsNoValue) {
    EXPECT_EQ(fold_all({{EntryKind::add, counter(2)}, {EntryKind::add, counter(-2)}}), Said());
    EXPECT_EQ(fold_all({{EntryKind::add, counter(-2)}, {EntryKind::put, counter(2)}}),
              (Said{EntryKind::erase, ""}));
}

// Goal: it does not matter which neighbours a table or a merge folds first.
TEST(Fold, IsAssociative) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 20000; ++round) {
        std::vector<Said> entries(random() % 6 + 1);
        for (Said& entry : entries) {
            auto number = static_cast<std::int64_t>(random() % 5) - 2;
            if (random() % 3 == 0) {
                entry = {EntryKind::put, counter(number == 0 ? 3 : number)};
            } else if (random() % 3 == 0) {
                entry = {EntryKind::erase, ""};
            } else {
                entry = {EntryKind::add, counter(number)};
            }
        }
        Said whole = fold_all(entries);
        auto from = static_cast<std::ptrdiff_t>(random() % entries.size());
        auto to = from + 1 +
                  static_cast<std::ptrdiff_t>(random() %
                                              (entries.size() - static_cast<std::size_t>(from)));
        std::vector<Said> grouped(entries.begin(), entries.begin() + from);
        grouped.push_back(fold_all({entries.begin() + from, entries.begin() + to}));
        grouped.insert(grouped.end(), entries.begin() + to, entries.end());
        ASSERT_EQ(fold_all(grouped), whole) << round;
    }
}

}  // namespace
}  // namespace weft::index
