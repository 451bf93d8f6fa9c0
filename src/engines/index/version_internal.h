#pragma once

#include "engines/index/manifest.h"
#include "engines/index/run_internal.h"

#include <array>
#include <memory>
#include <vector>

namespace weft::index {

// The runs of an index at one time. Never changes once shared: who reads keeps the version it
// began with.
struct Version {
    // By level, ordered as in the manifest.
    std::array<std::vector<RunPtr>, kLevelCount> levels;
};

using VersionPtr = std::shared_ptr<const Version>;

// What a checkpoint or a merge does to the runs.
struct VersionEdit {
    std::uint8_t level = 0;     // Of what is added.
    std::vector<RunPtr> added;  // By key.
    std::vector<RunPtr> removed;
};
Version apply(const Version& version, const VersionEdit& edit);

// The runs of `level` that may have keys in [from, to); of a level behind 0.
std::vector<RunPtr> overlapping(const std::vector<RunPtr>& level, std::string_view from,
                                std::string_view to);
// The run of a level behind 0 that may have `key`, or null.
const RunPtr* run_of(const std::vector<RunPtr>& level, std::string_view key);

// `moved`, if not null, has `moved_record` from now on.
Manifest manifest_of(const Version& version, Lsn covers, const Run* moved,
                     const RunRecord& moved_record);

}  // namespace weft::index
