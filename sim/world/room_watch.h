#pragma once

#include "model/services/compute_service.h"
#include "platform/base/result.h"

#include <algorithm>
#include <cstdint>
#include <map>

namespace weft::sim {

// Whether a client may be told that the filesystem is full. Others take and free room while it
// waits, so there is no one number: what is used is known whenever an operation of any client
// begins or ends, and in between it is more by no more than what is under way.
class RoomWatch {
public:
    // `wants`: the most blocks that the operation takes. Where nobody knows the usage, it is any.
    void begin(std::uint32_t client, std::uint64_t wants, const Result<FilesystemUsage>& usage) {
        under_way_[client] = {wants, UINT64_MAX, 0};
        look(usage);
    }
    // Whether the filesystem may have been too full for the operation at some moment.
    bool end(std::uint32_t client, const Result<FilesystemUsage>& usage) {
        look(usage);
        Operation ended = under_way_[client];
        under_way_.erase(client);
        return ended.least_free < ended.most_wanted;
    }
    // What was under way never ends.
    void forget() { under_way_.clear(); }

private:
    struct Operation {
        std::uint64_t wants = 0;
        std::uint64_t least_free = 0;
        std::uint64_t most_wanted = 0;  // By all that were under way at once.
    };
    void look(const Result<FilesystemUsage>& usage) {
        std::uint64_t wanted = 0;
        for (const auto& [client, each] : under_way_) wanted += each.wants;
        std::uint64_t free = usage.ok() ? usage.value().free_blocks : 0;
        for (auto& [client, each] : under_way_) {
            each.least_free = std::min(each.least_free, free);
            each.most_wanted = std::max(each.most_wanted, wanted);
        }
    }

    std::map<std::uint32_t, Operation> under_way_;  // By client.
};

}  // namespace weft::sim
