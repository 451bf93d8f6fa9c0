#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace weft::sim {

// What is left out of a run, so that a failing one can be made small (`./dev sim --shrink`).
struct Cuts {
    std::set<std::uint32_t> clients;  // By number.
    bool sharers = false;
    bool mounts = false;
    std::set<std::uint32_t> events;  // By round.
    std::set<std::uint32_t> kinds;   // Of operations, by number.
    std::optional<std::uint32_t> rounds_most;
    bool empty() const {
        bool nobody = clients.empty() && !sharers && !mounts;
        return nobody && events.empty() && kinds.empty() && !rounds_most;
    }
};

// "client0,sharers,mounts,event2,kind7,rounds3"; empty text is no cut.
std::optional<Cuts> parse_cuts(std::string_view text);

}  // namespace weft::sim
