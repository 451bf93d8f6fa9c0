#pragma once

#include "platform/base/planted.h"

#include <optional>
#include <string_view>

namespace weft::sim {

// What a planted bug is called, and what the product does wrong with it.
struct BugText {
    Bug bug;
    std::string_view name;
    std::string_view meaning;
};

// By number, from 0 to bug_count() - 1.
std::size_t bug_count();
const BugText& bug_at(std::size_t index);
std::optional<Bug> bug_named(std::string_view name);

// Whether this build has them at all.
constexpr bool has_planted_bugs() {
#ifdef WEFT_PLANTED_BUGS
    return true;
#else
    return false;
#endif
}
// From now on this one acts. Only where has_planted_bugs().
void plant(Bug bug);

}  // namespace weft::sim
