#include "engines/journal/recovery_internal.h"
#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

namespace weft::journal {
namespace {

constexpr int kTriesMost = 3;  // Of a read that ends with retry_later.
constexpr Nanos kPause = 20 * kMillisecond;

bool newer(const CommitHeader& a, const CommitHeader& b) {
    if (a.epoch != b.epoch) return a.epoch > b.epoch;
    return a.segment.id > b.segment.id;
}

}  // namespace

Error Recovery::lost(std::string_view what) const {
    bool may_come_back = unreadable_ || drives_.domains_missing() > 0;
    Code code = may_come_back ? Code::unavailable : Code::corrupt;
    return Error{code, what};
}

Task<Done> Recovery::find(std::vector<FoundSlot> slots) {
    std::map<SegmentId, std::vector<SegmentPart>> by_segment;
    for (const FoundSlot& found : slots) {
        if (found.part.chunk >= 32) continue;  // Nobody of ours allocated that.
        by_segment[found.segment].push_back(found.part);
        highest_ = std::max(highest_, found.segment);
    }
    for (auto& [id, parts] : by_segment) {
        std::sort(parts.begin(), parts.end(),
                  [](const auto& a, const auto& b) { return a.chunk < b.chunk; });
        (void)co_await read_heads(id, std::move(parts));
    }
    // With more domains gone than the promise covers, the newest segment may be on just those.
    if (drives_.domains_missing() > drives_.parity_width()) {
        co_return Error{Code::unavailable, "journal.drives"};
    }
    if (candidates_.empty()) co_return Done{};
    co_return co_await build_chain();
}

Task<Done> Recovery::read_block(SegmentSlot slot, Bytes into) {
    for (int tries = 1;; ++tries) {
        auto read = co_await drives_.service().read(slot, 0, into);
        if (read.code() != Code::retry_later || tries == kTriesMost) co_return read;
        co_await sleep(reactor_, kPause);
    }
}

// Usually all slots agree. Where a journal lived on too few drives, two segments of different
// owners may have one number: their nonces tell them apart.
Task<Done> Recovery::read_heads(SegmentId id, std::vector<SegmentPart> parts) {
    std::vector<Buffer> blocks;
    for (std::size_t i = 0; i < parts.size(); ++i) blocks.emplace_back(kBlockBytes);
    std::vector<Task<Done>> reads;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        reads.push_back(read_block(parts[i].slot, blocks[i].bytes()));
    }
    auto results = co_await join(reads);
    bool any_read =
        std::any_of(results.begin(), results.end(), [](const auto& r) { return r.ok(); });
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (!results[i].ok()) {
            unreadable_ = true;
            // The others tell what the segment is.
            if (!any_read) drives_.note_unreadable(parts[i].slot.drive);
            continue;
        }
        auto head = decode_commit_header(blocks[i].bytes());
        if (!head.has_value() || head->journal != journal_ || head->segment.id != id) continue;
        if (named(head->segment) != nullptr) continue;
        Candidate candidate;
        candidate.head = *head;
        Segment& segment = candidate.segment;
        segment.name = head->segment;
        segment.previous = head->previous;
        segment.epoch = head->epoch;
        segment.of_copies = head->of_copies();
        segment.chunks = head->chunks;
        segment.block_count = drives_.slot_blocks();
        for (const SegmentPart& part : parts) {
            if ((head->chunks >> part.chunk & 1) != 0) segment.parts.push_back(part);
        }
        candidates_.push_back(std::move(candidate));
    }
    co_return Done{};
}

const Recovery::Candidate* Recovery::named(SegmentName name) const {
    for (const Candidate& candidate : candidates_) {
        if (candidate.segment.name == name) return &candidate;
    }
    return nullptr;
}

bool Recovery::is_spare(SegmentId id) const {
    auto same = [id](const Candidate& found) {
        return found.segment.name.id == id;
    };
    bool in_chain = std::any_of(chain_.begin(), chain_.end(), same);
    bool could_count = std::any_of(candidates_.begin(), candidates_.end(), [&](const auto& found) {
        return same(found) && !found.head.of_copies();
    });
    return !in_chain && !could_count;
}

// Nothing before this segment is needed.
bool Recovery::covers(const CommitHeader& head) const {
    return head.first_lsn.value + (head.continues() ? 1 : 0) <= trimmed_.value + 1;
}

void Recovery::note(Lsn flushed, Lsn trimmed) {
    flushed_ = std::max(flushed_, flushed);
    trimmed_ = std::max(trimmed_, trimmed);
}

// A predecessor may be missing without damage: power was lost, and what was written last
// survived while something before it did not. Then the journal ends before that, with the next
// newest segment, unless it is claimed that more was flushed: judge_hole() sees to that.
Task<Done> Recovery::build_chain() {
    std::sort(candidates_.begin(), candidates_.end(),
              [](const auto& a, const auto& b) { return newer(a.head, b.head); });
    bool scanned = false;
    for (const Candidate& last : candidates_) {
        if (last.head.of_copies()) continue;
        note(last.head.flushed_lsn, last.head.trimmed_lsn);
        if (!std::exchange(scanned, true)) {
            SegmentReader scan(reactor_, drives_.service(), journal_, last.segment);
            auto claims = co_await or_return(co_await scan.claims());
            note(claims.flushed, claims.trimmed);
        }
        if (!link_back(last)) continue;
        number_ = chain_.front().head.number;
        open_reader();
        co_return Done{};
    }
    co_return lost("journal.chain");
}

// Back to where everything before is trimmed. False if a segment on the way is missing.
bool Recovery::link_back(const Candidate& last) {
    chain_.clear();
    const Candidate* segment = &last;
    while (chain_.size() < candidates_.size()) {
        chain_.push_front(*segment);
        if (covers(segment->head)) return true;
        segment = named(segment->segment.previous);
        if (segment == nullptr) return false;
    }
    return false;  // A circle.
}

void Recovery::open_reader() {
    reader_ =
        std::make_unique<SegmentReader>(reactor_, drives_.service(), journal_, chain_[at_].segment);
}

Recovery::Cap Recovery::cap() const {
    if (at_ + 1 >= chain_.size() || planted(Bug::journal_reads_behind_mark)) return Cap{};
    const CommitHeader& next = chain_[at_ + 1].head;
    return Cap{next.first_lsn, next.continues()};
}

Task<std::optional<ReadCommit>> Recovery::next(Lsn next_lsn) {
    std::optional<ReadCommit> none;
    if (chain_.empty()) co_return none;
    while (at_ + 1 < chain_.size() && number_ == chain_[at_ + 1].head.number) {
        ++at_;
        open_reader();
    }
    auto commit = co_await or_return(co_await reader_->read(number_));
    if (!commit.has_value()) {
        co_await or_return(judge_hole(next_lsn));
        co_return none;
    }
    ++number_;
    note(commit->header.flushed_lsn, commit->header.trimmed_lsn);
    co_return commit;
}

// Nothing follows here. Commits are acked in order, so what was acked is missing only if
//  - some header says that a record from here on was flushed, or trimmed: damage; or
//  - as many slots can't be read as an acked commit has copies: it may be there.
// Otherwise the commit was not acked, or not flushed and power was lost, and all after it too.
Result<Done> Recovery::judge_hole(Lsn next_lsn) const {
    if (flushed_ >= next_lsn || trimmed_ >= next_lsn) return lost("journal.hole");
    auto slots = static_cast<std::uint32_t>(std::popcount(segment().chunks));
    std::uint32_t copies = std::min(drives_.parity_width() + 1, slots);
    if (reader_->unreadable() >= copies) return Error{Code::unavailable, "journal.tail"};
    return Done{};
}

}  // namespace weft::journal
