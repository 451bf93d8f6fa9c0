#include "model/layout/batch.h"

#include "platform/base/bytes.h"

#include <algorithm>
#include <iterator>

namespace weft {
namespace {

using Kind = Mutation::Kind;

bool has_value(Kind kind) {
    return kind == Kind::put || kind == Kind::stage;
}
bool has_delta(Kind kind) {
    return kind == Kind::add || kind == Kind::unstage;
}

bool decode_mutation(ByteReader& reader, Mutation& mutation) {
    auto kind = reader.number<std::uint8_t>();
    if (kind < 1 || kind > static_cast<std::uint8_t>(Kind::unstage)) return false;
    mutation.kind = static_cast<Kind>(kind);
    mutation.key = reader.text();
    if (has_value(mutation.kind)) mutation.value = reader.text();
    if (has_delta(mutation.kind)) mutation.delta = reader.number<std::int64_t>();
    return reader.ok();
}

}  // namespace

void Batch::append(Batch other) {
    mutations_.insert(mutations_.end(), std::make_move_iterator(other.mutations_.begin()),
                      std::make_move_iterator(other.mutations_.end()));
}

Batch& Transaction::on(ShardId shard) {
    auto same = [shard](const auto& part) {
        return part.first == shard;
    };
    auto found = std::find_if(parts.begin(), parts.end(), same);
    if (found != parts.end()) return found->second;
    return parts.emplace_back(shard, Batch{}).second;
}

bool Transaction::empty() const {
    return std::all_of(parts.begin(), parts.end(),
                       [](const auto& part) { return part.second.empty(); });
}

void encode(const Transaction& transaction, std::string& out) {
    ByteWriter writer(out);
    writer.number(static_cast<std::uint32_t>(transaction.parts.size()));
    for (const auto& [shard, batch] : transaction.parts) {
        writer.number(shard.value);
        writer.number(static_cast<std::uint32_t>(batch.mutations().size()));
        for (const Mutation& mutation : batch.mutations()) {
            writer.number(static_cast<std::uint8_t>(mutation.kind));
            writer.text(mutation.key);
            if (has_value(mutation.kind)) writer.text(mutation.value);
            if (has_delta(mutation.kind)) writer.number(mutation.delta);
        }
    }
}

bool decode(std::string_view in, Transaction& transaction) {
    ByteReader reader(in);
    auto part_count = reader.number<std::uint32_t>();
    for (std::uint32_t i = 0; i < part_count && reader.ok(); ++i) {
        ShardId shard{reader.number<std::uint32_t>()};
        auto mutation_count = reader.number<std::uint32_t>();
        Batch& batch = transaction.parts.emplace_back(shard, Batch{}).second;
        for (std::uint32_t j = 0; j < mutation_count; ++j) {
            Mutation mutation;
            if (!decode_mutation(reader, mutation)) return false;
            batch.push(std::move(mutation));
        }
    }
    return reader.done();
}

}  // namespace weft
