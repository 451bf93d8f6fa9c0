#include "engines/journal/commit_format.h"
#include "input.h"
#include "platform/base/check.h"
#include "platform/isal/crc32c.h"

#include <cstring>
#include <string>

// A checksum is no lock: the header gets the right one, so that what lies behind it is reached.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using weft::journal::CommitHeader;
    std::string block(weft::fuzz::text(data, size));
    if (block.size() < sizeof(CommitHeader)) return 0;
    std::memcpy(block.data(), &weft::journal::kCommitMagic, sizeof(weft::journal::kCommitMagic));
    constexpr std::size_t kCovered = offsetof(CommitHeader, piece_crc);
    auto bytes = std::as_bytes(std::span(block));
    std::uint32_t crc = weft::crc32c(bytes.subspan(kCovered, sizeof(CommitHeader) - kCovered));
    std::memcpy(block.data() + offsetof(CommitHeader, header_crc), &crc, sizeof(crc));

    auto header = weft::journal::decode_commit_header(bytes);
    std::uint32_t count = header ? header->entry_count : static_cast<std::uint32_t>(data[0]);
    if (header) {
        CHECK(header->pieces() >= header->pieces_needed() && header->pieces_needed() > 0);
        CHECK(header->blocks() > 0);
    }
    auto payload = bytes.subspan(sizeof(CommitHeader));
    auto entries = weft::journal::decode_records(payload, count);
    if (!entries) return 0;
    std::size_t used = 0;
    for (const auto& entry : *entries) used += weft::journal::kEntryHeadBytes + entry.bytes.size();
    CHECK(entries->size() == count && used == payload.size());
    return 0;
}
