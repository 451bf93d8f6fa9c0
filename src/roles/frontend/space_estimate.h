#pragma once

#include "model/services/compute_service.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace weft::frontend {

// Whether there is surely room for what is acknowledged before it is written. Other clients
// write too, so the answer is a guess with a wide margin: near the end of the space writes are
// no longer deferred, and ENOSPC comes from compute to the very write that it belongs to.
class SpaceEstimate {
public:
    void learn(const FilesystemUsage& usage, Nanos now) {
        free_bytes_ = usage.free_blocks * kBlockBytes;
        promised_bytes_ = 0;
        learned_ = now;
        failed_ = false;
    }
    // The last write that was deferred did not fit: not again before the next learn().
    void note_full() { failed_ = true; }
    bool wants_refresh(Nanos now) const {
        return !learned_.has_value() || now - *learned_ >= kRefreshAfter;
    }
    bool known() const { return learned_.has_value(); }
    // Whether `bytes` more may be deferred. `pending_bytes` are deferred and not yet written.
    bool covers(std::uint64_t bytes, std::uint64_t pending_bytes) const {
        if (!learned_.has_value() || failed_) return false;
        return free_bytes_ >= kMargin + 2 * (promised_bytes_ + pending_bytes + bytes);
    }
    void promise(std::uint64_t bytes) { promised_bytes_ += bytes; }

private:
    static constexpr Nanos kRefreshAfter = 1 * kSecond;
    static constexpr std::uint64_t kMargin = 16 * kMiB;

    std::uint64_t free_bytes_ = 0;
    std::uint64_t promised_bytes_ = 0;  // Since learned.
    std::optional<Nanos> learned_;
    bool failed_ = false;
};

}  // namespace weft::frontend
