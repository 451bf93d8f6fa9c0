#include "engines/journal/journal.h"

#include "engines/journal/settings.h"
#include "engines/journal/state_internal.h"
#include "platform/base/check.h"
#include "platform/base/planted.h"

#include <algorithm>
#include <utility>

namespace weft::journal {
namespace {

// Attempts at a commit while drives are full, about a minute of them.
constexpr int kTriesWhenFull = 64;
constexpr Nanos kPauseLeast = 10 * kMillisecond;
constexpr Nanos kPauseMost = kSecond;

}  // namespace

void LiveBytes::add(Lsn last, std::uint64_t bytes) {
    total_ += bytes;
    if (steps_.empty() || steps_.back().bytes >= kStepBytes) steps_.push_back(Step{last, 0});
    steps_.back().last = last;
    steps_.back().bytes += bytes;
}

void LiveBytes::trim(Lsn lsn) {
    while (!steps_.empty() && steps_.front().last <= lsn) {
        total_ -= steps_.front().bytes;
        steps_.pop_front();
    }
}

Journal::State::State(Reactor& reactor_in, DriveService& service, JournalId id_in)
    : reactor(reactor_in),
      id(id_in),
      drives(reactor_in, service, OwnerId::of(id_in)),
      committed_even(reactor_in),
      committed_odd(reactor_in),
      room(reactor_in),
      flush_ended(reactor_in),
      trim_ended(reactor_in),
      writer(reactor_in, drives, id_in, counters, gate),
      gate(reactor_in) {}

void Journal::State::set_map(const ClusterMap& map) {
    drives.set_map(map);
    writer.note_drives_changed();
}

// Everybody who waits learns of it; what is queued is never written.
void Journal::State::fail(Error error) {
    if (!failed.has_value()) failed = error;
    for (Signal* signal : {&committed_even, &committed_odd, &room, &flush_ended, &trim_ended}) {
        signal->notify_all();
    }
}

Lsn Journal::State::append(std::string record) {
    CHECK(opened && !closing && record.size() <= kRecordBytesMost);
    ++last_appended.value;
    if (failed.has_value()) return last_appended;
    ++counters.records;
    counters.record_bytes += record.size();
    queued_bytes += record.size();
    queue.push_back(std::move(record));
    start_commits();
    return last_appended;
}

void Journal::State::start_commits() {
    if (committing || failed.has_value()) return;
    committing = true;
    gate.spawn(commit_loop());
}

Task<Done> Journal::State::commit_loop() {
    co_await yield(reactor);  // What is appended in the same breath goes along.
    while (commit_due() && !failed.has_value()) {
        gather();
        auto written = co_await commit_batch();
        if (written.ok())
            finish_commit();
        else
            fail(written.error());
    }
    committing = false;
    room.notify_all();
    co_return Done{};
}

// When drives are full, space comes from a trim or from the cleaner; the trim needs a mark.
Task<Done> Journal::State::commit_batch() {
    Nanos pause = kPauseLeast;
    for (int tries = 1;; ++tries) {
        CommitWriter::Facts facts{last_flushed, trimmed};
        batch_trimmed = trimmed;
        auto written = co_await writer.write(&batch, facts);
        if (written.code() != Code::out_of_space || tries == kTriesWhenFull) co_return written;
        if (mark_due()) {
            auto squeezed = co_await squeeze_mark();
            if (squeezed.ok()) continue;
            if (squeezed.code() != Code::out_of_space) co_return squeezed;
        }
        co_await sleep(reactor, pause);
        pause = std::min(2 * pause, kPauseMost);
    }
}

// A mark before the batch, which has no place yet, in what is reserved for that.
Task<Done> Journal::State::squeeze_mark() {
    Commit mark;
    mark.number = batch.number;
    mark.first_lsn = batch.first_lsn;
    mark.continues = batch.continues;
    CommitWriter::Facts facts{last_flushed, trimmed};
    auto written = co_await writer.write(&mark, facts);
    co_await or_return(std::move(written));
    batch.number = next_commit++;
    note_committed(mark.number, facts.trimmed);
    co_return Done{};
}

void Journal::State::note_committed(std::uint64_t number, Lsn trimmed_in_it) {
    last_commit = number;
    last_commit_trimmed = trimmed_in_it;
    last_commit_segment = writer.segment();
    committed_signal(number).notify_all();
}

// Whole records while they fit; one that fits into no commit goes in parts.
void Journal::State::gather() {
    std::uint32_t most = writer.payload_most();
    batch.clear();
    batch.number = next_commit++;
    batch.first_lsn = Lsn{last_appended.value + 1 - queue.size()};
    batch.continues = front_used > 0;
    batch_part = 0;
    std::size_t used = front_used;
    for (const std::string& record : queue) {
        std::string_view rest = std::string_view(record).substr(std::exchange(used, 0));
        std::size_t free = most - batch.payload_bytes;
        if (free <= kEntryHeadBytes) return;
        free -= kEntryHeadBytes;
        if (rest.size() <= free) {
            batch.add(Entry{rest, false});
            continue;
        }
        if (rest.size() + kEntryHeadBytes <= most) return;
        batch.add(Entry{rest.substr(0, free), true});
        batch_part = free;
        return;
    }
}

void Journal::State::finish_commit() {
    std::size_t whole = batch.entries.size() - (batch_part > 0 ? 1 : 0);
    std::uint64_t bytes = 0;
    for (const Entry& entry : batch.entries) bytes += entry.bytes.size();
    for (std::size_t i = 0; i < whole; ++i) queue.pop_front();
    if (whole > 0) front_used = 0;
    front_used += batch_part;
    queued_bytes -= bytes;
    live.add(batch.last_lsn(), bytes);
    last_committed = batch.last_whole_lsn();
    // Drives that keep what they wrote need no flush.
    if (!flushing && !drives.dirty()) last_flushed = last_committed;
    note_committed(batch.number, batch_trimmed);
    room.notify_all();
}

Task<Done> Journal::State::committed(Lsn lsn) {
    CHECK(lsn <= last_appended);
    if (planted(Bug::journal_acks_before_write)) co_return Done{};
    while (lsn > last_committed) {
        if (failed.has_value()) co_return *failed;
        // The commit in flight may end it; else one that comes.
        bool in_flight = batch.number > last_commit && lsn <= batch.last_whole_lsn();
        std::uint64_t number = in_flight ? batch.number : next_commit;
        co_await committed_signal(number).wait();
    }
    co_return Done{};
}

Task<Done> Journal::State::admit() {
    while (queued_bytes > kQueuedBytesMost.usual) {
        if (failed.has_value()) co_return *failed;
        co_await room.wait();
    }
    if (failed.has_value()) co_return *failed;
    co_return Done{};
}

// Ends when the last commit, which may have no records, says what is trimmed.
Task<Done> Journal::State::commit_mark() {
    mark_wanted = true;
    while (mark_due()) {
        if (failed.has_value()) co_return *failed;
        start_commits();
        co_await committed_signal(last_commit + 1).wait();
    }
    mark_wanted = false;
    co_return Done{};
}

Task<Done> Journal::State::flushed(Lsn lsn) {
    co_await or_return(co_await committed(lsn));
    bool all = !drives.dirty() && !drives.debt_due();
    if (lsn <= last_flushed && !flushing && all) co_return Done{};
    co_return co_await flush_round();
}

// Ends with the first round that begins from now on.
Task<Done> Journal::State::flush_round() {
    std::uint64_t round = rounds_begun + 1;
    rounds_wanted = round;
    if (!flushing && !failed.has_value()) {
        flushing = true;
        gate.spawn(flush_loop());
    }
    while (rounds_ended < round) {
        if (failed.has_value()) co_return *failed;
        co_await flush_ended.wait();
    }
    co_return Done{};
}

Task<Done> Journal::State::flush_loop() {
    co_await yield(reactor);
    while (rounds_begun < rounds_wanted && !failed.has_value()) {
        auto flushed = co_await flush_once();
        if (!flushed.ok()) fail(flushed.error());
        flush_ended.notify_all();
    }
    flushing = false;
    co_return Done{};
}

// A drive that can't flush counts as lost, with what was written to it since its last flush.
// That is no error as long as the other drives hold enough of every commit since then, and
// enough chunks, by their parity, of what others wrote.
Task<Done> Journal::State::flush_drives() {
    std::vector<CommitWriter::DriveGroup> groups = writer.take_unflushed();
    auto flushed = co_await or_return(co_await drives.flush());
    if (flushed.failed.empty()) co_return Done{};
    writer.note_drives_changed();
    bool enough = flushed.domains_failed_to_others <= drives.parity_width();
    for (const CommitWriter::DriveGroup& group : groups) {
        auto held = std::count_if(group.drives.begin(), group.drives.end(), [&](DriveId drive) {
            return std::find(flushed.failed.begin(), flushed.failed.end(), drive) ==
                   flushed.failed.end();
        });
        enough = enough && held >= group.needed;
    }
    if (!enough) co_return Error{Code::unavailable, "journal.flush"};
    co_return Done{};
}

Task<Done> Journal::State::flush_once() {
    ++rounds_begun;
    ++counters.flushes;
    Lsn target = last_committed;
    if (planted(Bug::journal_claims_flush_too_early)) last_flushed = last_appended;
    SegmentId holder = last_commit_segment;
    co_await or_return(co_await flush_drives());
    last_flushed = std::max(last_flushed, target);
    trimmed = std::max(trimmed, std::min(trim_wanted, last_flushed));
    writer.free_left(holder);
    rounds_ended = rounds_begun;
    co_return Done{};
}

Task<Done> Journal::State::trim(Lsn lsn) {
    if (failed.has_value()) co_return *failed;
    if (lsn > last_committed) co_return Error{Code::invalid, "journal.trim"};
    trim_wanted = std::max(trim_wanted, lsn);
    live.trim(lsn);
    if (trim_due() && !trimming) {
        trimming = true;
        gate.spawn(trim_loop());
    }
    while (trimming) {
        co_await trim_ended.wait();
        if (failed.has_value()) co_return *failed;
    }
    co_return Done{};
}

bool Journal::State::trim_due() const {
    return writer.can_free(trim_wanted, last_commit_segment) || writer.newest_exposed();
}

Task<Done> Journal::State::trim_loop() {
    while (trim_due() && !failed.has_value()) {
        auto done = co_await trim_once(trim_wanted);
        if (!done.ok()) fail(done.error());
    }
    trimming = false;
    trim_ended.notify_all();
    co_return Done{};
}

// A segment may go once a flushed commit in a later one says that nothing in it is needed.
Task<Done> Journal::State::trim_once(Lsn target) {
    bool flushes = !planted(Bug::trim_before_flush);
    if (flushes && last_flushed < target) co_await or_return(co_await flush_round());
    trimmed = std::max(trimmed, target);
    co_await or_return(co_await commit_mark());
    SegmentId holder = last_commit_segment;
    if (flushes) co_await or_return(co_await flush_round());
    co_await or_return(co_await writer.free_up_to(target, holder));
    co_return co_await hold_reserve();
}

// What waits now is ended first: the gate takes nothing on once it is closed.
Task<Done> Journal::State::close() {
    if (failed.has_value()) co_return *failed;
    closing = true;
    while (committing && !failed.has_value()) co_await room.wait();
    while (trimming && !failed.has_value()) co_await trim_ended.wait();
    co_await or_return(co_await gate.close());
    if (failed.has_value()) co_return *failed;
    co_return co_await writer.release();
}

Journal::Journal(Reactor& reactor, DriveService& drives, JournalId id)
    : state_(std::make_unique<State>(reactor, drives, id)) {}

Journal::~Journal() = default;

void Journal::set_map(const ClusterMap& map) {
    state_->set_map(map);
}

Task<Done> Journal::open(Epoch epoch, Visit visit, Verify verify) {
    auto opened = co_await state_->open(epoch, std::move(visit), std::move(verify));
    if (!opened.ok()) state_->fail(opened.error());
    co_return opened;
}

Task<Done> Journal::close() {
    return state_->close();
}

Lsn Journal::append(std::string record) {
    return state_->append(std::move(record));
}

Task<Done> Journal::admit() {
    return state_->admit();
}

Task<Done> Journal::committed(Lsn lsn) {
    return state_->committed(lsn);
}

Task<Done> Journal::flushed(Lsn lsn) {
    return state_->flushed(lsn);
}

void Journal::note_written(DriveId drive) {
    state_->drives.note_written_by_others(drive);
}

Lsn Journal::last_appended() const {
    return state_->last_appended;
}

Lsn Journal::last_committed() const {
    return state_->last_committed;
}

Lsn Journal::last_flushed() const {
    return state_->last_flushed;
}

Task<Done> Journal::trim(Lsn lsn) {
    return state_->trim(lsn);
}

std::uint64_t Journal::live_bytes() const {
    return state_->live.total();
}

JournalHealth Journal::health() const {
    return state_->writer.health();
}

std::uint64_t Journal::segments_taken() const {
    return state_->writer.segments_taken();
}

const JournalCounters& Journal::counters() const {
    return state_->counters;
}

}  // namespace weft::journal
