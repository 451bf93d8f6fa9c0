#pragma once

#include "model/ids/ids.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft {

// What a record does to one shard's index. Mutations apply in order. Replaying a batch is
// applying it again to the state before it: no mutation reads anything.
struct Mutation {
    enum class Kind : std::uint8_t {
        put = 1,      // key := value
        erase = 2,    // key := nothing
        add = 3,      // counter at key += delta (a missing counter is 0)
        stage = 4,    // bytes of a file that no segment holds yet; key is a staged-bytes key
        unstage = 5,  // those bytes lie in segments now, up to the lsn in `delta`
    };
    Kind kind = Kind::put;
    std::string key;
    std::string value;
    std::int64_t delta = 0;
    friend bool operator==(const Mutation&, const Mutation&) = default;
};

class Batch {
public:
    void put(std::string key, std::string value) {
        mutations_.push_back({Mutation::Kind::put, std::move(key), std::move(value), 0});
    }
    void erase(std::string key) {
        mutations_.push_back({Mutation::Kind::erase, std::move(key), {}, 0});
    }
    void add(std::string key, std::int64_t delta) {
        mutations_.push_back({Mutation::Kind::add, std::move(key), {}, delta});
    }
    void push(Mutation mutation) { mutations_.push_back(std::move(mutation)); }
    void append(Batch other);

    bool empty() const { return mutations_.empty(); }
    const std::vector<Mutation>& mutations() const { return mutations_; }

private:
    std::vector<Mutation> mutations_;
};

// All that one journal record does, atomically, to the shards of one core.
// Format: docs/formats/journal.md.
struct Transaction {
    std::vector<std::pair<ShardId, Batch>> parts;

    Batch& on(ShardId shard);  // The shard's batch, made on first use.
    bool empty() const;
};

// Encoded form, and back; decode gives false on anything malformed.
void encode(const Transaction& transaction, std::string& out);
bool decode(std::string_view in, Transaction& transaction);

}  // namespace weft
