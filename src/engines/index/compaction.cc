#include "engines/index/compaction_internal.h"
#include "platform/base/planted.h"

#include <algorithm>

namespace weft::index {
namespace {

// Of merged bytes, between letting other work of the core run.
constexpr std::uint64_t kYieldBytes = 64 * kKiB;
// Fewer tombstones in a run are not worth a merge of their own.
constexpr std::uint64_t kErasesLeast = 1000;

std::uint64_t bytes_of_level(const std::vector<RunPtr>& level) {
    std::uint64_t bytes = 0;
    for (const RunPtr& run : level) bytes += run->bytes();
    return bytes;
}

// 1 or more: a merge is due.
double score(const Version& version, const IndexSettings& settings, std::size_t level) {
    const auto& runs = version.levels[level];
    if (level == 0) return static_cast<double>(runs.size()) / settings.fanout;
    double room = static_cast<double>(settings.memtable_bytes_most);
    for (std::size_t i = 0; i <= level; ++i) room *= settings.fanout;
    // Above the room, not at it: an empty level below never asks for anything.
    return static_cast<double>(bytes_of_level(runs)) / room;
}

bool is_mostly_erased(const Run& run) {
    const RunRecord& record = run.record();
    return record.erases >= kErasesLeast && record.erases * 2 > record.entries;
}

// The run whose merge rewrites least below for what it brings.
RunPtr least_overlap(const std::vector<RunPtr>& level, const std::vector<RunPtr>& below) {
    RunPtr best;
    double best_ratio = 0;
    for (const RunPtr& run : level) {
        std::uint64_t overlap = 0;
        for (const RunPtr& other : below) {
            if (other->overlaps(*run)) overlap += other->bytes();
        }
        double ratio = static_cast<double>(overlap) / static_cast<double>(run->bytes());
        if (best == nullptr || ratio < best_ratio) {
            best = run;
            best_ratio = ratio;
        }
    }
    return best;
}

// From the first key of some runs to their last.
class KeyRange {
public:
    void include(const std::vector<RunPtr>& runs) {
        for (const RunPtr& run : runs) {
            const RunRecord& record = run->record();
            if (last_.empty() || record.first_key < first_) first_ = record.first_key;
            if (record.last_key > last_) last_ = record.last_key;
        }
    }
    std::vector<RunPtr> touched(const std::vector<RunPtr>& level) const {
        std::vector<RunPtr> found;
        for (const RunPtr& run : level) {
            const RunRecord& record = run->record();
            if (first_ <= record.last_key && record.first_key <= last_) found.push_back(run);
        }
        return found;
    }

private:
    std::string first_;
    std::string last_;
};

// `run` of `level`, or all runs of level 0, into the level below.
CompactionPlan plan_down(const Version& version, std::size_t level, const RunPtr& run) {
    CompactionPlan plan;
    plan.level = static_cast<std::uint8_t>(level + 1);
    if (level > 0) {
        plan.sources.push_back({run});
    } else {
        for (const RunPtr& newest : version.levels[0]) plan.sources.push_back({newest});
    }
    KeyRange range;
    for (const auto& source : plan.sources) range.include(source);
    std::vector<RunPtr> overlapped = range.touched(version.levels[level + 1]);
    if (!overlapped.empty()) {
        // They reach beyond what touches them, and so may what lies under them.
        range.include(overlapped);
        plan.sources.push_back(std::move(overlapped));
    }
    for (std::size_t i = level + 2; i < kLevelCount; ++i) {
        std::vector<RunPtr> runs = range.touched(version.levels[i]);
        plan.older.insert(plan.older.end(), runs.begin(), runs.end());
    }
    return plan;
}

}  // namespace

std::vector<RunPtr> CompactionPlan::inputs() const {
    std::vector<RunPtr> all;
    for (const auto& source : sources) all.insert(all.end(), source.begin(), source.end());
    return all;
}

bool CompactionPlan::is_move() const {
    if (sources.size() != 1 || sources.front().size() != 1) return false;
    // Where nothing lies below, a merge drops the tombstones.
    return !older.empty() || sources.front().front()->record().erases == 0;
}

bool needs_compaction(const Version& version, const IndexSettings& settings) {
    for (std::size_t level = 0; level + 1 < kLevelCount; ++level) {
        if (score(version, settings, level) >= 1) return true;
        const auto& runs = version.levels[level];
        bool erased = std::any_of(runs.begin(), runs.end(),
                                  [](const RunPtr& run) { return is_mostly_erased(*run); });
        if (level > 0 && erased) return true;
    }
    return false;
}

std::optional<CompactionPlan> plan_compaction(const Version& version,
                                              const IndexSettings& settings) {
    std::size_t level = 0;
    double highest = 0;
    for (std::size_t i = 0; i + 1 < kLevelCount; ++i) {
        double at = score(version, settings, i);
        if (at > highest) {
            highest = at;
            level = i;
        }
    }
    if (highest >= 1 && level > 0) {
        return plan_down(version, level,
                         least_overlap(version.levels[level], version.levels[level + 1]));
    }
    if (highest >= 1) return plan_down(version, 0, nullptr);
    for (level = 1; level + 1 < kLevelCount; ++level) {
        for (const RunPtr& run : version.levels[level]) {
            if (is_mostly_erased(*run)) return plan_down(version, level, run);
        }
    }
    return std::nullopt;
}

Compaction::Compaction(CompactionPlan plan, PageReader& reader, RunStore& store,
                       BlockCache::State& cache, const DropFilter& drop,
                       std::uint64_t run_bytes_most)
    : plan_(std::move(plan)),
      reader_(reader),
      drop_(drop),
      merge_(CursorRange()),
      series_(store, cache, reader.counters(), run_bytes_most) {
    for (const auto& source : plan_.sources) merge_.add(reader_, source, PageUse::once);
}

bool Compaction::older_may_hold(std::string_view key) {
    if (planted(Bug::merge_drops_tombstones)) return false;
    return std::any_of(plan_.older.begin(), plan_.older.end(),
                       [key](const RunPtr& run) { return run->may_hold(key); });
}

void Compaction::emit() {
    std::string_view key = merge_.key();
    std::optional<EntryKind> kind = merge_.fold().finish();
    if (!kind.has_value() || (drop_ && drop_(key))) return;
    if (*kind == EntryKind::erase && !older_may_hold(key)) return;
    series_.add(*kind, key, merge_.fold().value());
}

Task<bool> Compaction::step(std::uint64_t bytes) {
    if (!std::exchange(started_, true)) co_await or_return(co_await merge_.start());
    std::uint64_t until = merge_.bytes_taken() + bytes;
    std::uint64_t yield_at = merge_.bytes_taken() + kYieldBytes;
    while (merge_.valid()) {
        if (merge_.bytes_taken() >= until) co_return false;
        emit();
        if (series_.flush_due()) co_await or_return(co_await series_.flush());
        if (merge_.bytes_taken() >= yield_at) {
            co_await yield(reader_.reactor());
            yield_at = merge_.bytes_taken() + kYieldBytes;
        }
        if (!merge_.next()) co_await or_return(co_await merge_.load());
    }
    co_await or_return(co_await series_.finish());
    co_return true;
}

}  // namespace weft::index
