#include "roles/compute/core_internal.h"

#include <utility>

namespace weft::compute {

Task<Done> ClientRecords::load() {
    std::string from = keys::client_prefix(what_for_);
    std::string to = keys::after_prefix(from);
    for (auto& [id, each] : core_.shards) {
        std::size_t most = core_.settings.sessions_most;
        auto found = co_await or_return(co_await each->index.scan(from, to, most));
        for (auto& [key, record] : found) {
            auto client = keys::parse_client(what_for_, key);
            if (!client.has_value()) co_return Error{Code::corrupt, "compute.client_record"};
            records_[*client] = std::move(record);
        }
    }
    co_return Done{};
}

void ClientRecords::put(std::uint64_t client, std::string record) {
    auto known = records_.find(client);
    if (known != records_.end() && known->second == record) return;
    records_[client] = record;
    Transaction transaction;
    transaction.on(core_.shard_of_client(client))
        .put(keys::client(what_for_, client), std::move(record));
    changed_ = core_.commit(std::move(transaction));
}

void ClientRecords::erase(std::uint64_t client) {
    if (records_.erase(client) == 0) return;
    Transaction transaction;
    transaction.on(core_.shard_of_client(client)).erase(keys::client(what_for_, client));
    changed_ = core_.commit(std::move(transaction));
}

Task<Done> ClientRecords::flushed() {
    while (changed_ != Lsn{}) {
        Lsn changed = changed_;
        co_await or_return(co_await core_.flushed(changed));
        if (changed_ == changed) changed_ = Lsn{};
    }
    co_return Done{};
}

}  // namespace weft::compute
