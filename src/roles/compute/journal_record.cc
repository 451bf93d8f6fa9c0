#include "platform/base/bytes.h"
#include "roles/compute/journal_record_internal.h"

namespace weft::compute {
namespace {

enum class Kind : std::uint8_t { transaction = 1, manifest = 2 };

std::string begin(Kind kind) {
    std::string out;
    out.push_back(static_cast<char>(kind));
    return out;
}

std::optional<JournalRecord> decode_transaction(std::string_view body) {
    Transaction transaction;
    if (!decode(body, transaction)) return std::nullopt;
    return transaction;
}

// The accounts travel as a transaction of one part at most.
bool take_accounts(std::string_view body, ManifestRecord& manifest) {
    Transaction accounts;
    if (!decode(body, accounts) || accounts.parts.size() > 1) return false;
    if (accounts.parts.empty()) return true;
    if (accounts.parts[0].first != manifest.shard) return false;
    manifest.accounts = std::move(accounts.parts[0].second);
    return true;
}

std::optional<JournalRecord> decode_manifest(std::string_view body) {
    ByteReader reader(body);
    ManifestRecord manifest;
    manifest.shard.value = reader.number<std::uint32_t>();
    manifest.covers.value = reader.number<std::uint64_t>();
    manifest.manifest = reader.text();
    auto count = reader.number<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
        SegmentId id{reader.number<std::uint64_t>()};
        auto record = decode_segment(reader.text());
        if (!record.has_value()) return std::nullopt;
        manifest.segments.emplace_back(id, std::move(*record));
    }
    if (!take_accounts(reader.text(), manifest) || !reader.done()) return std::nullopt;
    return manifest;
}

}  // namespace

std::string encode_record(const Transaction& transaction) {
    std::string out = begin(Kind::transaction);
    encode(transaction, out);
    return out;
}

std::string encode_record(const ManifestRecord& manifest) {
    std::string out = begin(Kind::manifest);
    ByteWriter writer(out);
    writer.number(manifest.shard.value);
    writer.number(manifest.covers.value);
    writer.text(manifest.manifest);
    writer.number(static_cast<std::uint32_t>(manifest.segments.size()));
    for (const auto& [id, record] : manifest.segments) {
        writer.number(id.value);
        writer.text(encode(record));
    }
    Transaction accounts;
    accounts.on(manifest.shard) = manifest.accounts;
    std::string body;
    encode(accounts, body);
    writer.text(body);
    return out;
}

std::optional<JournalRecord> decode_record(std::string_view in) {
    if (in.empty()) return std::nullopt;
    std::string_view body = in.substr(1);
    switch (static_cast<Kind>(in[0])) {
        case Kind::transaction:
            return decode_transaction(body);
        case Kind::manifest:
            return decode_manifest(body);
    }
    return std::nullopt;
}

}  // namespace weft::compute
