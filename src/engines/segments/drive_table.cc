#include "engines/segments/drive_table.h"

#include "platform/base/check.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <set>
#include <utility>

namespace weft::segments {
namespace {

constexpr Nanos kSuspectedFor = 5 * kSecond;
constexpr unsigned kDoublingsMost = 6;

}  // namespace

void DriveTable::set_map(const ClusterMap& map) {
    std::map<DriveId, Drive> next;
    for (const DriveEntry& entry : map.drives) {
        Drive drive;
        if (const Drive* old = find(entry.id)) {
            drive = *old;
        } else {
            ever_refreshed_ = false;
        }
        if (drive.state != entry.state) drive.suspected = false;
        drive.domain = entry.domain;
        drive.state = entry.state;
        next[entry.id] = drive;
    }
    known_ = std::move(next);
    ++changes_;
}

const DriveTable::Drive* DriveTable::find(DriveId drive) const {
    auto found = known_.find(drive);
    return found == known_.end() ? nullptr : &found->second;
}

DriveTable::Drive* DriveTable::find(DriveId drive) {
    return const_cast<Drive*>(std::as_const(*this).find(drive));
}

bool DriveTable::readable(DriveId drive) const {
    const Drive* known = find(drive);
    return known != nullptr && known->state != DriveState::failed;
}

bool DriveTable::writable(DriveId drive) const {
    const Drive* known = find(drive);
    return known != nullptr && known->state == DriveState::active;
}

FailureDomainId DriveTable::domain(DriveId drive) const {
    const Drive* known = find(drive);
    CHECK(known != nullptr);
    return known->domain;
}

std::vector<DriveId> DriveTable::readable_drives() const {
    std::vector<DriveId> drives;
    for (const auto& [id, drive] : known_) {
        if (drive.state != DriveState::failed) drives.push_back(id);
    }
    return drives;
}

void DriveTable::suspect(DriveId drive) {
    Drive* known = find(drive);
    if (known == nullptr) return;
    ++changes_;
    known->answered = false;
    if (known->suspected && reactor_.now() < known->suspected_until) return;
    known->suspected = true;
    known->suspected_until = reactor_.now() + (kSuspectedFor << known->failures);
    known->failures = std::min(known->failures + 1, kDoublingsMost);
}

void DriveTable::trust(DriveId drive) {
    Drive* known = find(drive);
    if (known == nullptr || (known->answered && known->failures == 0)) return;
    ++changes_;
    known->answered = true;
    known->suspected = false;
    known->failures = 0;
}

bool DriveTable::suspected(DriveId drive) const {
    const Drive* known = find(drive);
    return known != nullptr && known->suspected;
}

void DriveTable::took_slot(DriveId drive) {
    Drive* known = find(drive);
    if (known != nullptr && known->free_slots > 0) --known->free_slots;
    ++slot_changes_;
}

void DriveTable::gave_slot(DriveId drive) {
    if (Drive* known = find(drive)) ++known->free_slots;
    ++slot_changes_;
}

void DriveTable::found_full(DriveId drive) {
    if (Drive* known = find(drive)) known->free_slots = 0;
    ++slot_changes_;
}

std::vector<Candidate> DriveTable::candidates(bool with_suspects) const {
    std::vector<Candidate> found;
    for (const auto& [id, drive] : known_) {
        if (drive.state != DriveState::active) continue;
        if (with_suspects ? !drive.answered : drive.suspected) continue;
        found.push_back({id, drive.domain, drive.free_slots});
    }
    return found;
}

std::uint64_t DriveTable::slot_count() const {
    if (slot_count_.as_of == changes_) return slot_count_.slots;
    slot_count_ = {changes_, 0};
    for (const auto& [id, drive] : known_) {
        if (drive.state == DriveState::active) slot_count_.slots += drive.slot_count;
    }
    return slot_count_.slots;
}

std::uint64_t DriveTable::segments_free(unsigned width, bool with_suspects) const {
    bool known = free_.as_of == changes_ && free_.slots_as_of == slot_changes_ &&
                 free_.width == width && free_.with_suspects == with_suspects;
    if (!known) {
        auto counted = candidates(with_suspects);
        free_ = {changes_, slot_changes_, width, with_suspects, segments_that_fit(counted, width)};
    }
    return free_.segments - std::min(free_.segments, promised());
}

std::uint64_t DriveTable::segments_in_all(unsigned width) const {
    if (in_all_.as_of == changes_ && in_all_.width == width) return in_all_.segments;
    std::vector<Candidate> empty;
    for (const auto& [id, drive] : known_) {
        bool counts = drive.state == DriveState::active && drive.slot_count > 0;
        if (counts) empty.push_back({id, drive.domain, drive.slot_count});
    }
    in_all_ = {changes_, 0, width, false, segments_that_fit(empty, width)};
    return in_all_.segments;
}

unsigned DriveTable::active_domains() const {
    if (domains_.as_of == changes_) return domains_.width;
    std::set<FailureDomainId> domains;
    for (const auto& [id, drive] : known_) {
        // Where a drive has never answered, nothing is known of its room.
        bool counts = drive.state == DriveState::active && drive.slot_count > 0;
        if (counts) domains.insert(drive.domain);
    }
    domains_ = {changes_, 0, static_cast<unsigned>(domains.size()), false, 0};
    return domains_.width;
}

bool DriveTable::older_than(Nanos age) const {
    return !ever_refreshed_ || reactor_.now() - refreshed_at_ >= age;
}

Task<Done> DriveTable::refresh(Nanos age) {
    if (!older_than(age)) co_return Done{};
    auto lock = co_await or_return(co_await refreshing_.lock());
    if (!older_than(age)) co_return Done{};

    std::vector<DriveId> asked = readable_drives();
    std::vector<Task<DriveStatus>> questions;
    for (DriveId drive : asked) questions.push_back(drives_.status(drive));
    ever_refreshed_ = true;  // A map that comes meanwhile with new drives clears it again.
    auto answers = co_await join(questions);

    refreshed_at_ = reactor_.now();
    ++changes_;
    for (std::size_t i = 0; i < asked.size(); ++i) {
        Drive* drive = find(asked[i]);
        if (drive == nullptr) continue;
        drive->answered = answers[i].ok();
        if (drive->answered) {
            drive->slot_count = answers[i].value().slot_count;
            drive->free_slots = answers[i].value().free_slots;
            if (reactor_.now() >= drive->suspected_until) drive->suspected = false;
        } else {
            suspect(asked[i]);
        }
    }
    co_return Done{};
}

}  // namespace weft::segments
