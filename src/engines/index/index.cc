#include "engines/index/index.h"

#include "engines/index/index_internal.h"
#include "engines/index/run_series_internal.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <utility>

namespace weft::index {
namespace {

constexpr std::size_t kOpenReadsMost = 16;     // Heads of runs read side by side.
constexpr std::size_t kEntriesPerYield = 512;  // Of a table being written.

bool contains(const std::vector<RunPtr>& runs, const RunPtr& run) {
    return std::find(runs.begin(), runs.end(), run) != runs.end();
}

// The blocks of those of `runs` that are not in `others`: a run that only changes its level is
// both added and removed.
void append_blocks(const std::vector<RunPtr>& runs, const std::vector<RunPtr>& others,
                   std::vector<BlockRun>& out) {
    for (const RunPtr& run : runs) {
        if (contains(others, run)) continue;
        std::vector<BlockRun> blocks = run->blocks();
        out.insert(out.end(), blocks.begin(), blocks.end());
    }
}

}  // namespace

Index::State::State(Reactor& on, RunStore& runs, BlockCache& shared, IndexSettings chosen)
    : reactor(on),
      store(runs),
      cache(shared.state()),
      settings(chosen),
      reader(on, store, cache, counters),
      checkpoints(on),
      maintenance(on),
      publishing(on) {
    CHECK(settings.fanout >= 2 && settings.memtable_bytes_most > 0);
}

Task<Done> Index::State::open(std::string manifest) {
    CHECK(applied == Lsn() && version->levels[0].empty());
    if (manifest.empty()) co_return Done{};
    auto decoded = co_await or_return(decode_manifest(manifest));
    auto opened = std::make_shared<Version>();
    for (std::size_t next = 0; next < decoded.runs.size();) {
        std::vector<Task<RunPtr>> reads;
        for (; next < decoded.runs.size() && reads.size() < kOpenReadsMost; ++next) {
            reads.push_back(reader.open(std::move(decoded.runs[next])));
        }
        auto results = co_await join(reads);
        co_await or_return(first_error(results));
        for (auto& run : results) {
            opened->levels[run.value()->record().level].push_back(run.value());
        }
    }
    counters.runs = decoded.runs.size();
    version = std::move(opened);
    applied = covered = opened_at = decoded.covers;
    co_return Done{};
}

Task<Done> Index::State::close() {
    closed = true;
    SharedMutex::Lock no_checkpoint = co_await or_return(co_await checkpoints.lock());
    SharedMutex::Lock no_maintenance = co_await or_return(co_await maintenance.lock());
    abandon_compaction();
    co_return Done{};
}

void Index::State::apply(const Batch& batch, Lsn lsn) {
    if (lsn <= opened_at) return;  // A replay that begins early: the runs have it.
    table->apply(batch);
    applied = std::max(applied, lsn);
}

Task<Done> Index::State::publish(Change change) {
    SharedMutex::Lock lock = co_await or_return(co_await publishing.lock());
    const VersionEdit& edit = change.edit;
    auto next = std::make_shared<const Version>(index::apply(*version, edit));
    Lsn covers = std::max(covered, change.covers);
    append_blocks(edit.added, edit.removed, change.added);
    append_blocks(edit.removed, edit.added, change.dropped);
    std::vector<RunPtr> leaving;
    for (const RunPtr& run : edit.removed) {
        if (!contains(edit.added, run)) leaving.push_back(run);
    }
    if (change.moved != nullptr) leaving.push_back(change.moved);

    Manifest manifest = manifest_of(*next, covers, change.moved.get(), change.moved_record);
    for (const RunPtr& run : leaving) run->set_leaving(true);
    auto published = co_await store.publish(encode(manifest), covers, std::move(change.added),
                                            std::move(change.dropped));
    if (!published.ok()) {
        for (const RunPtr& run : leaving) run->set_leaving(false);
        co_return published.error();
    }
    if (change.moved != nullptr) {
        change.moved->move_to(std::move(change.moved_record), std::move(change.moved_places));
        change.moved->set_leaving(false);
    }
    counters.runs += edit.added.size();
    counters.runs -= edit.removed.size();
    version = std::move(next);
    covered = covers;
    // In the same moment as the version that has its entries becomes the present one.
    if (frozen != nullptr && frozen_covers <= covered) frozen = nullptr;
    co_return Done{};
}

void Index::State::abandon(std::vector<BlockRun> appended) {
    if (!appended.empty()) store.abandon(std::move(appended));
}

Task<Done> Index::State::write_table(std::shared_ptr<Memtable> source, RunSeries* series) {
    std::size_t passed = 0;
    for (Memtable::Cursor cursor(*source, {}); cursor.valid(); cursor.next()) {
        EntryView entry = cursor.entry();
        Fold fold;
        fold.take(entry.kind, entry.value);
        std::optional<EntryKind> kind = fold.finish();
        if (!kind.has_value()) continue;  // Adds that came to nothing.
        series->add(*kind, entry.key, fold.value());
        if (series->flush_due()) co_await or_return(co_await series->flush());
        if (++passed % kEntriesPerYield == 0) co_await yield(reactor);
    }
    co_return co_await series->finish();
}

// Writes the frozen table as runs of level 0 and publishes them.
Task<Done> Index::State::write_frozen() {
    RunSeries series(store, cache, counters, settings.run_bytes_most);
    auto written = co_await write_table(frozen, &series);
    if (!written.ok()) {
        abandon(series.appended());
        co_return written.error();
    }
    Change change;
    change.covers = frozen_covers;
    change.edit.added = series.runs();
    co_return co_await publish(std::move(change));
}

Task<Done> Index::State::checkpoint() {
    Lsn wanted = applied;
    SharedMutex::Lock lock = co_await or_return(co_await checkpoints.lock());
    // A table that an earlier checkpoint could not write goes first.
    while (frozen != nullptr || covered < wanted) {
        if (closed) co_return Error{Code::cancelled, "index.checkpoint"};
        if (frozen == nullptr) {
            frozen = std::exchange(table, std::make_shared<Memtable>());
            frozen_covers = applied;
            if (planted(Bug::checkpoint_covers_too_much)) ++frozen_covers.value;
        }
        co_await or_return(co_await write_frozen());
    }
    co_return Done{};
}

std::uint64_t Index::State::memory_bytes() const {
    std::uint64_t bytes = sizeof(*this) + table->allocated_bytes();
    if (frozen != nullptr) bytes += frozen->allocated_bytes();
    for (const auto& level : version->levels) {
        for (const RunPtr& run : level) bytes += run->memory_bytes();
    }
    if (compaction != nullptr) bytes += compaction->memory_bytes();
    return bytes;
}

Index::Index(Reactor& reactor, RunStore& store, BlockCache& cache, IndexSettings settings)
    : state_(std::make_unique<State>(reactor, store, cache, settings)) {}
Index::~Index() = default;

Task<Done> Index::open(std::string manifest) {
    return state_->open(std::move(manifest));
}
Task<Done> Index::close() {
    return state_->close();
}
void Index::apply(const Batch& batch, Lsn lsn) {
    state_->apply(batch, lsn);
}
Task<std::string> Index::get(std::string key) {
    return state_->get(std::move(key));
}
Task<std::vector<Entry>> Index::scan(std::string from, std::string to, std::size_t most) {
    return state_->scan(std::move(from), std::move(to), most);
}
bool Index::needs_checkpoint() const {
    // Also if a checkpoint has failed: its table still waits.
    if (state_->frozen != nullptr && state_->checkpoints.idle()) return true;
    return state_->table->used_bytes() >= state_->settings.memtable_bytes_most;
}
Task<Done> Index::checkpoint() {
    return state_->checkpoint();
}
std::size_t Index::fresh_runs() const {
    return state_->version->levels[0].size();
}
bool Index::is_behind() const {
    constexpr std::uint64_t kTablesMost = 3;
    constexpr std::uint64_t kFreshRunsMost = 3;  // Times as many as start a merge.
    const IndexSettings& settings = state_->settings;
    return state_->table->used_bytes() >= kTablesMost * settings.memtable_bytes_most ||
           fresh_runs() >= kFreshRunsMost * settings.fanout;
}
Lsn Index::covered_lsn() const {
    return state_->covered;
}
Task<bool> Index::compact_step() {
    return state_->compact_step();
}
bool Index::needs_merge() const {
    return state_->compaction != nullptr || needs_compaction(*state_->version, state_->settings);
}
void Index::set_drop_filter(std::function<bool(std::string_view key)> drop) {
    state_->drop = std::move(drop);
}
std::vector<BlockRun> Index::blocks() const {
    std::vector<BlockRun> all;
    for (const auto& level : state_->version->levels) {
        for (const RunPtr& run : level) {
            std::vector<BlockRun> blocks = run->blocks();
            all.insert(all.end(), blocks.begin(), blocks.end());
        }
    }
    return all;
}
Task<Done> Index::move_out_of(SegmentId segment) {
    return state_->move_out_of(segment);
}
Task<std::uint64_t> Index::verify(SegmentId segment) {
    return state_->verify(segment);
}
std::uint64_t Index::memory_bytes() const {
    return state_->memory_bytes();
}
const IndexCounters& Index::counters() const {
    return state_->counters;
}

}  // namespace weft::index
