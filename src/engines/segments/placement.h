#pragma once

#include "model/ids/ids.h"
#include "platform/runtime/reactor.h"

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace weft::segments {

// A drive that may take a slot.
struct Candidate {
    DriveId drive;
    FailureDomainId domain;
    std::uint32_t free_slots = 0;
};

// How many segments of `width` slots on distinct domains fit at the same time.
std::uint64_t segments_that_fit(std::span<const Candidate> candidates, unsigned width);

// Drives for `width` slots, on distinct domains and none in `taken`: the domains with the most
// free slots (ties by chance), and in each the better of two drives drawn by free slots.
// Empty if fewer domains have a free slot.
std::optional<std::vector<DriveId>> choose_drives(std::span<const Candidate> candidates,
                                                  unsigned width,
                                                  const std::set<FailureDomainId>& taken,
                                                  Reactor& reactor);

}  // namespace weft::segments
