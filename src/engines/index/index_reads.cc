#include "engines/index/filter.h"
#include "engines/index/index_internal.h"
#include "engines/index/point_lookup_internal.h"

#include <algorithm>
#include <utility>

namespace weft::index {
namespace {

// Reads begin again when the runs they read were replaced and freed: once a merge, so that
// more than a few mean that something is wrong.
constexpr int kAttemptsMost = 16;
constexpr std::size_t kKeysPerYield = 1024;
constexpr std::size_t kKeysMoreLeast = 16;

Result<std::string> value_of(Fold& fold) {
    std::optional<EntryKind> kind = fold.finish();
    if (!kind.has_value() || *kind == EntryKind::erase) return Error{Code::not_found, "index.get"};
    return std::string(fold.value());
}

// The runs of a version that may have a key, newest first.
class Candidates {
public:
    Candidates(const Version& version, std::string_view key) : version_(version), key_(key) {}

    const RunPtr* next() {
        const auto& newest = version_.levels[0];
        while (in_newest_ < newest.size()) {
            const RunPtr& run = newest[in_newest_++];
            if (run->may_hold(key_)) return &run;
        }
        while (level_ < version_.levels.size()) {
            if (const RunPtr* run = run_of(version_.levels[level_++], key_)) return run;
        }
        return nullptr;
    }

private:
    const Version& version_;
    std::string_view key_;
    std::size_t in_newest_ = 0;
    std::size_t level_ = 1;
};

// Entries of the tables over what was found in the runs, in one go: a moment's state.
class TableMerge {
public:
    // Of `stored` (live entries of the runs, by key) everything below `limit` is there.
    TableMerge(const Memtable& table, const Memtable* frozen, std::string_view from,
               std::string_view limit, std::vector<Entry>& stored)
        : table_(table, from), limit_(limit), stored_(stored) {
        if (frozen != nullptr) frozen_ = Memtable::Cursor(*frozen, from);
    }

    // The number of live entries, at most `most`; moved into `out` unless it is null.
    std::size_t run(std::size_t most, std::vector<Entry>* out) {
        std::size_t count = 0;
        while (count < most) {
            bool in_table = table_.valid() && table_.entry().key < limit_;
            bool in_frozen = frozen_.valid() && frozen_.entry().key < limit_;
            bool in_stored = next_ < stored_.size();
            if (!in_table && !in_frozen) {
                if (!in_stored) break;
                ++count;
                if (out != nullptr) out->push_back(std::move(stored_[next_]));
                ++next_;
                continue;
            }
            std::string_view key = in_table ? table_.entry().key : frozen_.entry().key;
            if (in_frozen) key = std::min(key, frozen_.entry().key);
            if (in_stored && stored_[next_].first < key) key = stored_[next_].first;
            if (take(key, out)) ++count;
        }
        return count;
    }

private:
    // Passes over `key` everywhere. True if it is live.
    bool take(std::string_view key, std::vector<Entry>* out) {
        Fold fold;
        bool from_stored = next_ < stored_.size() && stored_[next_].first == key;
        bool from_table = table_.valid() && table_.entry().key == key;
        bool from_frozen = frozen_.valid() && frozen_.entry().key == key;
        if (from_table) fold.take(table_.entry().kind, table_.entry().value);
        if (from_frozen) fold.take(frozen_.entry().kind, frozen_.entry().value);
        if (from_stored) fold.take(EntryKind::put, stored_[next_].second);
        std::optional<EntryKind> kind = fold.finish();
        bool live = kind.has_value() && *kind != EntryKind::erase;
        if (live && out != nullptr) out->emplace_back(key, fold.value());
        if (from_table) table_.next();
        if (from_frozen) frozen_.next();
        if (from_stored) ++next_;
        return live;
    }

    Memtable::Cursor table_;
    Memtable::Cursor frozen_;
    std::string_view limit_;
    std::vector<Entry>& stored_;
    std::size_t next_ = 0;
};

}  // namespace

// What was read is being replaced: ends when something else is there.
Task<Done> Index::State::wait_for_publish() {
    SharedMutex::Lock lock = co_await or_return(co_await publishing.lock_shared());
    co_return Done{};
}

Task<std::string> Index::State::get(std::string key) {
    ++counters.gets;
    for (int attempt = 0; attempt < kAttemptsMost; ++attempt) {
        // All three of one moment: what moves from one to the next is seen once.
        Fold fold;
        if (auto entry = table->find(key)) fold.take(entry->kind, entry->value);
        if (frozen != nullptr && !fold.settled()) {
            if (auto entry = frozen->find(key)) fold.take(entry->kind, entry->value);
        }
        if (fold.settled()) co_return value_of(fold);
        VersionPtr now = version;

        Candidates candidates(*now, key);
        const RunPtr* run = candidates.next();
        if (run == nullptr) co_return value_of(fold);
        std::uint64_t hash = filter_hash(key);
        Result<Done> loaded = Done{};
        for (; run != nullptr && loaded.ok(); run = candidates.next()) {
            PointLookup lookup(reader, *run, key, hash);
            while (loaded.ok() && !lookup.step()) loaded = co_await lookup.load();
            if (!loaded.ok()) break;
            const auto& found = lookup.found();
            if (found.has_value()) fold.take(found->kind, found->value);
            if (fold.settled()) co_return value_of(fold);
        }
        if (loaded.ok()) co_return value_of(fold);
        if (loaded.code() != Code::stale) co_return loaded.error();
        co_await or_return(co_await wait_for_publish());
    }
    co_return Error{Code::unavailable, "index.get"};
}

Task<std::vector<Entry>> Index::State::scan(std::string from, std::string to, std::size_t most) {
    ++counters.scans;
    if (from >= to || most == 0) co_return std::vector<Entry>();
    CursorRange range;
    if (within_scan_prefix(from, to)) {
        range.prefix_hash = filter_hash(std::string_view(from).substr(0, kScanPrefixBytes));
    }
    range.from = std::move(from);
    range.to = std::move(to);
    for (int attempt = 0; attempt < kAttemptsMost; ++attempt) {
        auto found = co_await scan_once(&range, most);
        if (found.code() != Code::stale) co_return found;
        co_await or_return(co_await wait_for_publish());
    }
    co_return Error{Code::unavailable, "index.scan"};
}

Task<std::vector<Entry>> Index::State::scan_once(const CursorRange* range, std::size_t most) {
    std::shared_ptr<Memtable> newest = table;
    std::shared_ptr<Memtable> older = frozen;
    VersionPtr now = version;
    Merge merge(*range);
    for (const RunPtr& run : now->levels[0]) {
        if (!run->overlaps(range->from, range->to) || is_ruled_out(reader, *run, *range)) continue;
        std::vector<RunPtr> alone(1, run);
        merge.add(reader, std::move(alone), PageUse::scan);
    }
    for (std::size_t level = 1; level < now->levels.size(); ++level) {
        std::vector<RunPtr> runs = overlapping(now->levels[level], range->from, range->to);
        if (runs.size() == 1 && is_ruled_out(reader, *runs.front(), *range)) continue;
        merge.add(reader, std::move(runs), PageUse::scan);
    }
    if (!merge.empty()) co_await or_return(co_await merge.start());

    // First from the runs, with awaits; then the tables over it, without. What a table erased
    // may leave too little: then more from the runs.
    std::vector<Entry> stored;
    std::size_t wanted = most;
    std::size_t passed = 0;
    for (;;) {
        while (merge.valid() && stored.size() < wanted) {
            std::optional<EntryKind> kind = merge.fold().finish();
            if (kind.has_value() && *kind != EntryKind::erase) {
                stored.emplace_back(merge.key(), merge.fold().value());
            }
            if (!merge.next()) co_await or_return(co_await merge.load());
            if (++passed % kKeysPerYield == 0) co_await yield(reactor);
        }
        std::string_view limit = range->to;
        if (merge.valid()) limit = merge.key();
        TableMerge count(*newest, older.get(), range->from, limit, stored);
        if (!merge.valid() || count.run(most, nullptr) == most) {
            std::vector<Entry> found;
            TableMerge take(*newest, older.get(), range->from, limit, stored);
            take.run(most, &found);
            co_return std::move(found);
        }
        wanted = 2 * stored.size() + kKeysMoreLeast;
    }
}

}  // namespace weft::index
