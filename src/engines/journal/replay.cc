#include "engines/journal/replay_internal.h"

#include <utility>

namespace weft::journal {

Replay::Replay(const Recovery& recovery, Journal::Visit visit, Journal::Verify verify)
    : recovery_(recovery),
      visit_(std::move(visit)),
      verify_(std::move(verify)),
      next_(recovery.begin_lsn()),
      skipping_(recovery.begins_inside_record()) {}

bool Replay::begin(const CommitHeader& header) {
    if (header.first_lsn != next_) return false;
    if (header.continues()) return inside_ || skipping_ || header.entry_count == 0;
    // A later owner went on here without the rest of the record.
    inside_ = skipping_ = false;
    part_.clear();
    return true;
}

bool Replay::in_prefix(Lsn lsn, const Entry& entry) const {
    Recovery::Cap cap = recovery_.cap();
    return lsn < cap.lsn || (lsn == cap.lsn && cap.continues && entry.goes_on);
}

Task<bool> Replay::take(const ReadCommit* commit) {
    entries_ = 0;
    bool discarded =
        !commit->entries.empty() && !in_prefix(commit->header.first_lsn, commit->entries.front());
    if (discarded) co_return true;
    if (!begin(commit->header)) co_return Error{Code::corrupt, "journal.order"};
    for (const Entry& entry : commit->entries) {
        Lsn lsn = next_;
        if (!in_prefix(lsn, entry)) break;
        if (!skipping_ && (inside_ || entry.goes_on)) part_.append(entry.bytes);
        if (part_.size() > Journal::kRecordBytesMost) {
            co_return Error{Code::corrupt, "journal.record_size"};
        }
        if (entry.goes_on) {
            ++entries_;
            inside_ = !skipping_;
            break;
        }
        bool wanted = !skipping_ && lsn > recovery_.trimmed();
        std::string_view record = inside_ ? std::string_view(part_) : entry.bytes;
        if (wanted) {
            bool kept = co_await or_return(co_await deliver(lsn, record));
            if (!kept) co_return false;
        }
        inside_ = skipping_ = false;
        part_.clear();
        next_ = Lsn{lsn.value + 1};
        ++entries_;
    }
    co_return true;
}

Task<bool> Replay::deliver(Lsn lsn, std::string_view record) {
    if (lsn > recovery_.flushed()) {
        bool there = co_await or_return(co_await verify_(lsn, record));
        if (!there) co_return false;
    }
    bytes_ += record.size();
    co_await or_return(co_await visit_(lsn, record));
    co_return true;
}

}  // namespace weft::journal
