#include "engines/journal/commit_format.h"

#include "engines/journal/commit_internal.h"
#include "platform/base/bytes.h"
#include "platform/simulated/simulated_reactor.h"

#include <bit>
#include <string>

#include <gtest/gtest.h>

namespace weft::journal {
namespace {

CommitHeader prototype(std::uint32_t slots) {
    CommitHeader header;
    header.epoch = Epoch{3};
    header.segment = SegmentName{SegmentId{5}, 0x1122334455667788};
    header.previous = SegmentName{SegmentId{4}, 0x99aabbccddeeff00};
    header.flushed_lsn = Lsn{40};
    header.trimmed_lsn = Lsn{20};
    header.journal = JournalId{7};
    header.chunks = (1U << slots) - 1;
    return header;
}

Commit commit_of(const std::vector<std::string>& records) {
    Commit commit;
    commit.number = 9;
    commit.first_lsn = Lsn{42};
    for (const std::string& record : records) commit.add(Entry{record, false});
    return commit;
}

std::string hex(ConstBytes bytes) {
    std::string out;
    for (std::byte byte : bytes) {
        char digits[3];
        std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned>(byte));
        out += digits;
    }
    return out;
}

// The worked example of docs/formats/journal.md.
TEST(CommitFormat, HasTheBytesThatAreDocumented) {
    RowCode code;
    EncodedCommit encoded = encode_commit(prototype(5), commit_of({"hello", "weft"}), 2, code);
    ASSERT_EQ(encoded.bytes.size(), kBlockBytes);
    EXPECT_EQ(hex(encoded.piece(0).first(160)),
              "57544a3194d280814a91790b0100000003000000000000000500000000000000"
              "8877665544332211040000000000000000ffeeddccbbaa990900000000000000"
              "2a0000000000000028000000000000001400000000000000070000001f000000"
              "0200000011000000110000000000030000000000000000000000000000000000"
              "0500000068656c6c6f0400000077656674000000000000000000000000000000");
    for (std::byte byte : encoded.piece(0).subspan(145)) ASSERT_EQ(byte, std::byte{0});
}

TEST(CommitFormat, MirroredCommitsComeBack) {
    RowCode code;
    std::vector<std::string> records = {"a", "", std::string(5000, 'x'), "b"};
    EncodedCommit encoded = encode_commit(prototype(5), commit_of(records), 2, code);
    auto header = decode_commit_header(encoded.piece(0));
    ASSERT_TRUE(header.has_value());
    EXPECT_TRUE(header->mirrored());
    EXPECT_EQ(header->pieces(), 3U);
    EXPECT_EQ(header->blocks(), 2U);
    ConstBytes payload = encoded.piece(0).subspan(sizeof(CommitHeader), header->payload_bytes);
    auto entries = decode_records(payload, header->entry_count);
    ASSERT_TRUE(entries.has_value());
    ASSERT_EQ(entries->size(), records.size());
    for (std::size_t i = 0; i < records.size(); ++i) EXPECT_EQ((*entries)[i].bytes, records[i]);
}

// Every choice of m lost pieces of a row.
TEST(CommitFormat, RowsComeBackFromAnyPiecesThatAreEnough) {
    for (std::uint32_t slots = 4; slots <= 9; ++slots) {
        for (std::size_t size : {33'000UL, 70'001UL, 1'000'000UL}) {
            RowCode code;
            std::vector<std::string> records = {std::string(size, 'q'), "tail"};
            EncodedCommit encoded = encode_commit(prototype(slots), commit_of(records), 2, code);
            ASSERT_EQ(encoded.header.pieces(), slots);
            for (std::uint32_t lost = 0; lost < 1U << slots; ++lost) {
                if (std::popcount(lost) > 2) continue;
                std::vector<ConstBytes> bodies(slots);
                for (std::uint32_t i = 0; i < slots; ++i) {
                    if ((lost >> i & 1) != 0) continue;
                    bodies[i] =
                        encoded.piece(i).subspan(sizeof(CommitHeader), encoded.header.piece_bytes);
                }
                Payload payload = join_row(encoded.header, bodies, code);
                auto entries = decode_records(payload.used, encoded.header.entry_count);
                ASSERT_TRUE(entries.has_value());
                ASSERT_EQ((*entries)[0].bytes, records[0]);
                ASSERT_EQ((*entries)[1].bytes, records[1]);
            }
        }
    }
}

TEST(CommitFormat, RefusesAnyChangedBitOfTheHeader) {
    RowCode code;
    EncodedCommit encoded = encode_commit(prototype(5), commit_of({"hello"}), 2, code);
    std::string bytes(text_of(encoded.piece(0).first(sizeof(CommitHeader))));
    ASSERT_TRUE(decode_commit_header(bytes_of(bytes)).has_value());
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::string changed = bytes;
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
        EXPECT_FALSE(decode_commit_header(bytes_of(changed)).has_value()) << "bit " << bit;
    }
    EXPECT_FALSE(decode_commit_header(bytes_of(bytes).first(127)).has_value());
}

TEST(CommitFormat, DecodesNoRecordsFromNoise) {
    SimulatedReactor reactor(5);
    for (int round = 0; round < 20'000; ++round) {
        std::string noise(reactor.random() % 64, '\0');
        for (char& byte : noise) {
            byte = static_cast<char>(reactor.random() % 4 == 0 ? reactor.random() : 0);
        }
        auto count = static_cast<std::uint32_t>(reactor.random() % 8);
        auto entries = decode_records(bytes_of(noise), count);
        if (!entries.has_value()) continue;
        std::size_t total = 0;
        for (const Entry& entry : *entries) total += kEntryHeadBytes + entry.bytes.size();
        EXPECT_EQ(total, noise.size());
        EXPECT_EQ(entries->size(), count);
    }
    EXPECT_FALSE(decode_records({}, 0xffffffff).has_value());
}

}  // namespace
}  // namespace weft::journal
