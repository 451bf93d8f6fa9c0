#pragma once

#include "platform/base/result.h"
#include "platform/base/types.h"
#include "sim/model/operation.h"
#include "sim/world/settings.h"

#include <array>
#include <cstdint>

namespace weft::sim {

// What a run has come by, for `./dev sim --hours`.
struct Tally {
    std::uint64_t operations = 0;
    std::uint64_t crashes = 0;
    Nanos simulated = 0;
    std::array<std::uint64_t, Operation::kKinds> kinds{};
    std::array<std::uint64_t, kEvents> events{};
    std::array<std::uint64_t, static_cast<std::size_t>(Code::io_failed) + 1> codes{};

    // An answer to a client, of which kind ever, or of a drive.
    void count(Code code) { ++codes[static_cast<std::size_t>(code)]; }
    void count(Operation::Kind kind, Code code) {
        ++operations;
        ++kinds[static_cast<std::size_t>(kind)];
        count(code);
    }
};

}  // namespace weft::sim
