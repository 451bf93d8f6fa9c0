#include "engines/journal/drive_set_internal.h"
#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <set>
#include <utility>

namespace weft::journal {
namespace {

constexpr int kTriesMost = 3;  // Of a call that ends with retry_later.
constexpr Nanos kPause = 20 * kMillisecond;
constexpr Nanos kAvoidFor = 5 * kSecond;

}  // namespace

void DriveSet::set_map(const ClusterMap& map) {
    data_width_ = map.data_width;
    parity_width_ = map.parity_width;
    for (auto& [id, drive] : drives_) drive.in_map = false;
    for (const DriveEntry& entry : map.drives) {
        Drive& drive = drives_[entry.id];
        drive.entry = entry;
        drive.in_map = true;
    }
    std::erase_if(drives_,
                  [](const auto& item) { return !item.second.in_map && !item.second.dirty; });
}

std::uint32_t DriveSet::copies_wanted() const {
    std::set<FailureDomainId> domains;
    for (const auto& [id, drive] : drives_) {
        if (active(drive)) domains.insert(drive.entry.domain);
    }
    return std::min(parity_width_ + 1, static_cast<std::uint32_t>(domains.size()));
}

Task<std::vector<FoundSlot>> DriveSet::take_over(Epoch epoch) {
    fence_.epoch = epoch;
    std::vector<Task<std::vector<FoundSlot>>> tasks;
    for (auto& [id, drive] : drives_) {
        drive.taken_over = false;
        drive.unreadable = false;
        if (drive.in_map) tasks.push_back(take_over_drive(id));
    }
    auto results = co_await join(tasks);
    std::vector<FoundSlot> found;
    for (auto& result : results) {
        if (result.code() == Code::fenced) co_return result.error();
        if (!result.ok()) continue;
        found.insert(found.end(), result.value().begin(), result.value().end());
    }
    for (const auto& [id, drive] : drives_) {
        if (!drive.taken_over) continue;
        if (slot_blocks_ == 0 || drive.slot_blocks < slot_blocks_) {
            slot_blocks_ = drive.slot_blocks;
        }
    }
    co_return found;
}

Task<std::vector<FoundSlot>> DriveSet::take_over_drive(DriveId id) {
    for (int tries = 1;; ++tries) {
        auto found = co_await try_take_over(id);
        if (found.code() != Code::retry_later || tries == kTriesMost) co_return found;
        co_await sleep(reactor_, kPause);
    }
}

// A failed drive is fenced too if it can be: an earlier owner that does not know of the
// failure must not find enough drives to commit on.
Task<std::vector<FoundSlot>> DriveSet::try_take_over(DriveId id) {
    if (!planted(Bug::journal_takes_over_without_fence)) {
        co_await or_return(co_await service_.fence(id, fence_));
    }
    std::vector<FoundSlot> found;
    if (drives_[id].entry.state == DriveState::failed) co_return found;
    auto slots = co_await or_return(co_await service_.list(id, fence_.owner));
    co_await or_return(co_await refresh(id));
    drives_[id].taken_over = true;
    for (const SlotInfo& info : slots) {
        SegmentSlot slot{id, info.slot, info.generation};
        found.push_back(FoundSlot{info.segment, SegmentPart{slot, info.chunk}});
    }
    co_return found;
}

std::uint32_t DriveSet::domains_missing() const {
    std::set<FailureDomainId> missing;
    for (const auto& [id, drive] : drives_) {
        bool wanted = drive.in_map && drive.entry.state != DriveState::failed;
        bool read = drive.taken_over && !drive.unreadable;
        if (wanted && !read) missing.insert(drive.entry.domain);
    }
    return static_cast<std::uint32_t>(missing.size());
}

Task<Done> DriveSet::refresh(DriveId id) {
    DriveStatus status = co_await or_return(co_await service_.status(id));
    Drive& drive = drives_[id];
    drive.answers = true;
    drive.power_safe = status.power_safe;
    drive.free_slots = status.free_slots;
    drive.slot_blocks = status.slot_blocks;
    co_return Done{};
}

// A drive that is new, or was away while the journal was opened: fence it, and free what it
// still holds of segments that are gone.
Task<Done> DriveSet::take_back(DriveId id) {
    auto slots = co_await or_return(co_await try_take_over(id));
    std::vector<SegmentPart> strays;
    for (const FoundSlot& found : slots) {
        bool in_use = in_use_(found.segment) || allocating_.contains(found.segment);
        if (!in_use) strays.push_back(found.part);
    }
    co_return co_await free(std::move(strays));
}

Task<Done> DriveSet::refresh_active() {
    std::vector<DriveId> ids;
    std::vector<Task<Done>> tasks;
    for (const auto& [id, drive] : drives_) {
        if (!active(drive) || (!drive.taken_over && !in_use_)) continue;
        ids.push_back(id);
        tasks.push_back(drive.taken_over ? refresh(id) : take_back(id));
    }
    auto results = co_await join(tasks);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (results[i].code() == Code::fenced) co_return results[i].error();
        drives_[ids[i]].answers = results[i].ok();
    }
    co_return Done{};
}

// Who failed longest ago may be well again; who fails again goes to the end.
bool DriveSet::better(const Pick& a, const Pick& b) {
    if (a.failed != b.failed) return a.failed < b.failed;
    return a.free_slots != b.free_slots ? a.free_slots > b.free_slots : a.drive < b.drive;
}

// Of avoided ones as few as will do: one that fails, fails the segment.
std::vector<DriveSet::Pick> DriveSet::choose(bool avoided_too) const {
    std::map<FailureDomainId, Pick> best;
    for (const auto& [id, drive] : drives_) {
        bool usable =
            active(drive) && drive.taken_over && drive.answers && drive.slot_blocks >= slot_blocks_;
        if (!usable || (!avoided_too && !writable(id))) continue;
        Pick pick{id, drive.free_slots, writable(id) ? 0 : drive.avoid_until};
        auto [place, fresh] = best.try_emplace(drive.entry.domain, pick);
        if (!fresh && better(pick, place->second)) place->second = pick;
    }
    std::vector<Pick> picks;
    for (const auto& [domain, pick] : best) {
        if (pick.free_slots > 0) picks.push_back(pick);
    }
    std::sort(picks.begin(), picks.end(), better);
    std::uint32_t most = avoided_too ? copies_wanted() : data_width_ + parity_width_;
    if (picks.size() > most) picks.resize(most);
    return picks;
}

// Nobody else knows of the segment until it ends.
Task<DriveSet::Allocated> DriveSet::allocate(SegmentId segment) {
    allocating_.insert(segment);
    auto allocated = co_await allocate_now(segment);
    allocating_.erase(segment);
    co_return allocated;
}

Task<DriveSet::Allocated> DriveSet::allocate_now(SegmentId segment) {
    co_await or_return(co_await refresh_active());
    std::vector<Pick> picks = choose(false);
    // An avoided drive that answers is better than a copy less.
    if (picks.size() < copies_wanted()) picks = choose(true);
    std::vector<Task<SegmentSlot>> tasks;
    for (std::uint16_t chunk = 0; chunk < picks.size(); ++chunk) {
        tasks.push_back(service_.allocate(picks[chunk].drive, fence_, segment, chunk));
    }
    auto results = co_await join(tasks);
    Allocated allocated;
    bool fenced = false;
    for (std::uint16_t chunk = 0; chunk < picks.size(); ++chunk) {
        const auto& result = results[chunk];
        if (result.ok()) {
            allocated.parts.push_back(SegmentPart{result.value(), chunk});
        } else if (result.code() == Code::out_of_space) {
            allocated.some_full = true;
        } else {
            fenced |= result.code() == Code::fenced;
            note_failed(picks[chunk].drive);
        }
    }
    for (const auto& [id, drive] : drives_) {
        allocated.some_full |= active(drive) && drive.answers && drive.free_slots == 0;
    }
    if (fenced) co_return Error{Code::fenced, "journal.allocate"};
    co_return allocated;
}

Task<Done> DriveSet::free(std::vector<SegmentPart> parts) {
    std::vector<Task<Done>> tasks;
    for (const SegmentPart& part : parts) {
        const SegmentSlot& slot = part.slot;
        tasks.push_back(service_.free(slot.drive, fence_, slot.slot, slot.generation));
    }
    auto results = co_await join(tasks);
    for (std::size_t i = 0; i < results.size(); ++i) {
        if (results[i].code() == Code::fenced) co_return results[i].error();
        // It is taken over again, and its slots seen again, before it is used next.
        if (!results[i].ok()) drives_[parts[i].slot.drive].taken_over = false;
    }
    co_return Done{};
}

void DriveSet::note_failed(DriveId drive) {
    drives_[drive].avoid_until = reactor_.now() + kAvoidFor;
}

bool DriveSet::in_service(DriveId id) const {
    auto found = drives_.find(id);
    return found != drives_.end() && active(found->second);
}

bool DriveSet::writable(DriveId id) const {
    auto found = drives_.find(id);
    return found != drives_.end() && active(found->second) &&
           found->second.avoid_until <= reactor_.now();
}

void DriveSet::note_written(DriveId id) {
    Drive& drive = drives_[id];
    if (drive.power_safe || std::exchange(drive.dirty, true)) return;
    ++dirty_count_;
}

void DriveSet::note_written_by_others(DriveId id) {
    note_written(id);
    drives_[id].dirty_by_others = drives_[id].dirty;
}

std::uint32_t DriveSet::owing() const {
    auto count = std::count_if(drives_.begin(), drives_.end(),
                               [this](const auto& item) { return owes(item.second); });
    return static_cast<std::uint32_t>(count);
}

bool DriveSet::debt_due() const {
    return std::any_of(drives_.begin(), drives_.end(), [this](const auto& item) {
        return owes(item.second) && writable(item.first);
    });
}

Task<Done> DriveSet::flush_drive(DriveId id) {
    for (int tries = 1;; ++tries) {
        auto flushed = co_await service_.flush(id);
        if (flushed.code() != Code::retry_later || tries == kTriesMost) co_return flushed;
        co_await sleep(reactor_, kPause);
    }
}

Task<DriveSet::Flushed> DriveSet::flush() {
    struct Target {
        DriveId id;
        bool noted = false;
        bool by_others = false;
    };
    std::vector<Target> targets;
    std::vector<Task<Done>> tasks;
    for (auto& [id, drive] : drives_) {
        bool by_others = std::exchange(drive.dirty_by_others, false);
        bool noted = std::exchange(drive.dirty, false);
        if (!noted && !(owes(drive) && writable(id))) continue;
        if (planted(Bug::journal_forgets_to_flush_a_drive) && id.value % 2 == 0) continue;
        targets.push_back(Target{id, noted, by_others});
        tasks.push_back(flush_drive(id));
    }
    dirty_count_ = 0;
    auto results = co_await join(tasks);
    Flushed flushed;
    std::set<std::pair<bool, std::uint32_t>> domains;  // In the map: by domain, else by drive.
    std::set<std::pair<bool, std::uint32_t>> others;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        DriveId id = targets[i].id;
        Drive& drive = drives_[id];
        drive.owes_flush = !results[i].ok();
        if (results[i].ok()) continue;
        note_failed(id);
        if (!targets[i].noted) continue;
        flushed.failed.push_back(id);
        std::pair domain(drive.in_map, drive.in_map ? drive.entry.domain.value : id.value);
        domains.insert(domain);
        if (targets[i].by_others) others.insert(domain);
    }
    flushed.domains_failed = static_cast<std::uint32_t>(domains.size());
    flushed.domains_failed_to_others = static_cast<std::uint32_t>(others.size());
    co_return flushed;
}

}  // namespace weft::journal
