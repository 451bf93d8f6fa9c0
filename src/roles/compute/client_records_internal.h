#pragma once

#include "model/layout/keys.h"
#include "platform/runtime/task.h"

#include <cstdint>
#include <map>
#include <string>

namespace weft::compute {

class Core;

// Clients that are on record in the indexes for something that a restart has to know of them. In
// memory as they are there, or will be once what is appended is committed.
class ClientRecords {
public:
    ClientRecords(Core& core, keys::Kind what_for) : core_(core), what_for_(what_for) {}

    // At the start: those of before. corrupt.
    Task<Done> load();
    const std::map<std::uint64_t, std::string>& all() const { return records_; }
    bool has(std::uint64_t client) const { return records_.contains(client); }

    // Not durable yet: flushed() waits for that. Nothing is written where nothing changes.
    void put(std::uint64_t client, std::string record);
    void erase(std::uint64_t client);
    // Ends when everything that was changed survives loss of power.
    Task<Done> flushed();

private:
    Core& core_;
    keys::Kind what_for_;
    std::map<std::uint64_t, std::string> records_;
    Lsn changed_;  // By the last change that may not be durable; 0: there is none.
};

}  // namespace weft::compute
