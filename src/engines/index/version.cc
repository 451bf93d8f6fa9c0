#include "engines/index/version_internal.h"

#include <algorithm>

namespace weft::index {

Version apply(const Version& version, const VersionEdit& edit) {
    Version next = version;
    for (const RunPtr& run : edit.removed) {
        std::size_t found = 0;
        for (auto& level : next.levels) found += std::erase(level, run);
        CHECK(found == 1);
    }
    auto& level = next.levels[edit.level];
    if (edit.level == 0) {
        level.insert(level.begin(), edit.added.begin(), edit.added.end());
        return next;
    }
    level.insert(level.end(), edit.added.begin(), edit.added.end());
    std::sort(level.begin(), level.end(), [](const RunPtr& a, const RunPtr& b) {
        return a->record().first_key < b->record().first_key;
    });
    for (std::size_t i = 1; i < level.size(); ++i) {
        CHECK(level[i - 1]->record().last_key < level[i]->record().first_key);
    }
    return next;
}

namespace {

// The first run that ends at or after `key`.
auto first_ending_after(const std::vector<RunPtr>& level, std::string_view key) {
    return std::lower_bound(
        level.begin(), level.end(), key,
        [](const RunPtr& run, std::string_view at) { return run->record().last_key < at; });
}

}  // namespace

std::vector<RunPtr> overlapping(const std::vector<RunPtr>& level, std::string_view from,
                                std::string_view to) {
    std::vector<RunPtr> found;
    auto run = first_ending_after(level, from);
    for (; run != level.end() && (*run)->record().first_key < to; ++run) found.push_back(*run);
    return found;
}

const RunPtr* run_of(const std::vector<RunPtr>& level, std::string_view key) {
    auto run = first_ending_after(level, key);
    return run != level.end() && (*run)->may_hold(key) ? &*run : nullptr;
}

Manifest manifest_of(const Version& version, Lsn covers, const Run* moved,
                     const RunRecord& moved_record) {
    Manifest manifest;
    manifest.covers = covers;
    for (std::size_t level = 0; level < version.levels.size(); ++level) {
        for (const RunPtr& run : version.levels[level]) {
            manifest.runs.push_back(run.get() == moved ? moved_record : run->record());
            manifest.runs.back().level = static_cast<std::uint8_t>(level);
        }
    }
    return manifest;
}

}  // namespace weft::index
