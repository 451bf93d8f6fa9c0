#include "roles/compute/journal_record_internal.h"

#include <gtest/gtest.h>

namespace weft::compute {
namespace {

ManifestRecord manifest() {
    ManifestRecord record;
    record.shard = ShardId{3};
    record.covers = Lsn{9};
    record.manifest = "m";
    SegmentRecord segment;
    segment.data_width = 1;
    segment.parity_width = 1;
    segment.slots.resize(2);
    record.segments.emplace_back(SegmentId{5}, segment);
    record.accounts.add("k", -2);
    return record;
}

// The bytes of docs/formats/journal-records.md: a change here is a change of format.
TEST(JournalRecord, HasTheBytesOfItsFormat) {
    Transaction transaction;
    transaction.on(ShardId{2}).put("k", "v");
    const std::string expected("\1\1\0\0\0\2\0\0\0\1\0\0\0\1\1\0\0\0k\1\0\0\0v", 24);
    EXPECT_EQ(encode_record(transaction), expected);
    const std::string head("\2\3\0\0\0\11\0\0\0\0\0\0\0\1\0\0\0m\1\0\0\0\5\0\0\0\0\0\0\0", 30);
    EXPECT_EQ(encode_record(manifest()).substr(0, head.size()), head);
}

TEST(JournalRecord, SurvivesItsBytes) {
    auto decoded = decode_record(encode_record(manifest()));
    ASSERT_TRUE(decoded.has_value());
    const auto& record = std::get<ManifestRecord>(*decoded);
    EXPECT_EQ(record.shard, ShardId{3});
    EXPECT_EQ(record.covers, Lsn{9});
    EXPECT_EQ(record.manifest, "m");
    EXPECT_EQ(record.segments, manifest().segments);
    EXPECT_EQ(record.accounts.mutations(), manifest().accounts.mutations());
}

TEST(JournalRecord, RefusesWhatIsCutOrForeign) {
    std::string bytes = encode_record(manifest());
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_FALSE(decode_record(std::string_view(bytes).substr(0, length)).has_value());
    }
    EXPECT_FALSE(decode_record(bytes + "x").has_value());
    bytes[0] = 9;
    EXPECT_FALSE(decode_record(bytes).has_value());
}

}  // namespace
}  // namespace weft::compute
