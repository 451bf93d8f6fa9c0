#include "engines/locks/lock_table.h"

#include "platform/base/check.h"
#include "platform/base/planted.h"

#include <algorithm>
#include <set>

namespace weft::locks {
namespace {

bool in_the_way(const Lock& held, const Lock& wanted) {
    bool compatible = held.mode == Mode::shared && wanted.mode == Mode::shared;
    if (planted(Bug::lock_ignores_readers)) compatible = held.mode == Mode::shared;
    return held.owner != wanted.owner && !compatible && held.range.overlaps(wanted.range);
}

bool touches(const Range& low, const Range& high) {
    return low.to != UINT64_MAX && low.to + 1 == high.from;
}

void remove_ticket(std::vector<Ticket>& tickets, Ticket ticket) {
    tickets.erase(std::remove(tickets.begin(), tickets.end(), ticket), tickets.end());
}

// What is left of `lock` without `range`: none, one or two pieces.
void append_without(const Lock& lock, const Range& range, std::vector<Lock>& out) {
    if (lock.range.from < range.from) {
        Lock left = lock;
        left.range.to = range.from - 1;
        out.push_back(left);
    }
    if (lock.range.to > range.to) {
        Lock right = lock;
        right.range.from = range.to + 1;
        out.push_back(right);
    }
}

// Joins neighbours of one owner and mode, in locks sorted by owner and range.
void merge_neighbours(std::vector<Lock>& sorted) {
    std::vector<Lock> merged;
    for (Lock& lock : sorted) {
        if (!merged.empty()) {
            Lock& last = merged.back();
            bool same = last.owner == lock.owner && last.mode == lock.mode;
            if (same && touches(last.range, lock.range)) {
                last.range.to = lock.range.to;
                last.pid = lock.pid;
                continue;
            }
        }
        merged.push_back(lock);
    }
    sorted = std::move(merged);
}

// Whether the owner holds what reaches over both ends of the range: it is two locks without it.
bool splits(const std::vector<Lock>& held, const Owner& owner, const Range& range) {
    return std::ranges::any_of(held, [&](const Lock& lock) {
        bool around = lock.range.from < range.from && range.to < lock.range.to;
        return lock.owner == owner && around;
    });
}

}  // namespace

const Lock* LockTable::conflict(const Place& place, const Lock& wanted) const {
    auto found = held_.find(place);
    if (found == held_.end()) return nullptr;
    const Lock* first = nullptr;
    for (const Lock& lock : found->second) {
        if (!in_the_way(lock, wanted)) continue;
        if (first == nullptr || lock.range.from < first->range.from) first = &lock;
    }
    return first;
}

bool LockTable::fits(std::size_t more) const {
    return held_count_ + waiting_.size() + more <= limits_.locks_most;
}

void LockTable::set(const Place& place, Owner owner, Range range, std::optional<Mode> mode,
                    std::uint32_t pid) {
    Held& locks = held_[place];
    held_count_ -= locks.size();
    Held next;
    next.reserve(locks.size() + 2);
    for (const Lock& lock : locks) {
        if (lock.owner == owner && lock.range.overlaps(range)) {
            append_without(lock, range, next);
        } else {
            next.push_back(lock);
        }
    }
    if (mode.has_value()) next.push_back({owner, range, *mode, pid});
    std::sort(next.begin(), next.end(), [](const Lock& a, const Lock& b) {
        return std::tie(a.owner, a.range) < std::tie(b.owner, b.range);
    });
    merge_neighbours(next);
    locks = std::move(next);
    held_count_ += locks.size();
    if (locks.empty()) held_.erase(place);
}

void LockTable::add_blockers(const Place& place, const Lock& wanted,
                             std::vector<Owner>& found) const {
    auto held = held_.find(place);
    if (held == held_.end()) return;
    for (const Lock& lock : held->second) {
        if (in_the_way(lock, wanted)) found.push_back(lock.owner);
    }
}

// Whether an owner in the way of `wanted` waits, by however many steps, for its owner. Bounded
// by the number of waiting requests: each owner is looked at once.
bool LockTable::would_deadlock(const Place& place, const Lock& wanted) const {
    std::vector<Owner> open;
    std::set<Owner> seen;
    add_blockers(place, wanted, open);
    while (!open.empty()) {
        Owner owner = open.back();
        open.pop_back();
        if (owner == wanted.owner) return true;
        if (!seen.insert(owner).second) continue;
        auto tickets = waiting_of_.find(owner);
        if (tickets == waiting_of_.end()) continue;
        for (Ticket ticket : tickets->second) {
            const Waiting& request = waiting_.at(ticket);
            if (request.place.family != Family::byte_range) continue;
            add_blockers(request.place, request.wanted, open);
        }
    }
    return false;
}

// A grant can be a downgrade of what its owner held, and so let in one that came before: hence
// from the start again after each. Each round grants one, so it ends.
std::vector<Ticket> LockTable::grant_waiting(const Place& place) {
    std::vector<Ticket> granted;
    for (;;) {
        auto queue = queues_.find(place);
        if (queue == queues_.end()) return granted;
        auto free = [&](Ticket ticket) {
            return conflict(place, waiting_.at(ticket).wanted) == nullptr;
        };
        auto first = std::find_if(queue->second.begin(), queue->second.end(), free);
        if (first == queue->second.end()) return granted;
        Ticket ticket = *first;
        Lock wanted = waiting_.at(ticket).wanted;
        CHECK(cancel(ticket));
        set(place, wanted.owner, wanted.range, wanted.mode, wanted.pid);
        granted.push_back(ticket);
    }
}

Outcome LockTable::queue(const Place& place, const Lock& wanted) {
    Outcome outcome;
    if (!fits(1) || waiting_.size() >= limits_.waiting_most) {
        outcome.kind = Outcome::Kind::limit_reached;
        return outcome;
    }
    outcome.kind = Outcome::Kind::waiting;
    outcome.ticket = ++last_ticket_;
    waiting_.emplace(outcome.ticket, Waiting{place, wanted});
    queues_[place].push_back(outcome.ticket);
    waiting_of_[wanted.owner].push_back(outcome.ticket);
    return outcome;
}

Outcome LockTable::lock(FileId file, Family family, Lock wanted, bool wait) {
    CHECK(wanted.range.from <= wanted.range.to);
    if (family == Family::whole_file) wanted.range = {};
    Place place{file, family};
    Outcome outcome;
    // A lock may split what the owner holds: two pieces and itself.
    if (!fits(2)) {
        outcome.kind = Outcome::Kind::limit_reached;
        return outcome;
    }
    if (conflict(place, wanted) == nullptr) {
        set(place, wanted.owner, wanted.range, wanted.mode, wanted.pid);
        outcome.woken = grant_waiting(place);  // A downgrade lets others in.
        return outcome;
    }
    std::vector<Ticket> woken;
    if (family == Family::whole_file) {
        set(place, wanted.owner, wanted.range, std::nullopt, 0);
        woken = grant_waiting(place);
    }
    if (!wait) {
        outcome.kind = Outcome::Kind::would_block;
    } else if (family == Family::byte_range && would_deadlock(place, wanted)) {
        outcome.kind = Outcome::Kind::deadlock;
    } else {
        outcome = queue(place, wanted);
    }
    outcome.woken = std::move(woken);
    return outcome;
}

Outcome LockTable::unlock(FileId file, Family family, Owner owner, Range range) {
    CHECK(range.from <= range.to);
    if (family == Family::whole_file) range = {};
    Place place{file, family};
    Outcome outcome;
    if (splits(held(file, family), owner, range) && !fits(1)) {
        outcome.kind = Outcome::Kind::limit_reached;
        return outcome;
    }
    set(place, owner, range, std::nullopt, 0);
    if (!planted(Bug::lock_wakes_nobody)) outcome.woken = grant_waiting(place);
    return outcome;
}

std::optional<Lock> LockTable::test(FileId file, Family family, const Lock& wanted) const {
    const Lock* found = conflict({file, family}, wanted);
    if (found == nullptr) return std::nullopt;
    return *found;
}

std::optional<Ticket> LockTable::waiting(FileId file, Family family, Owner owner,
                                         Range range) const {
    if (family == Family::whole_file) range = {};
    auto tickets = waiting_of_.find(owner);
    if (tickets == waiting_of_.end()) return std::nullopt;
    for (Ticket ticket : tickets->second) {
        const Waiting& request = waiting_.at(ticket);
        if (request.place == Place{file, family} && request.wanted.range == range) return ticket;
    }
    return std::nullopt;
}

bool LockTable::cancel(Ticket ticket) {
    auto found = waiting_.find(ticket);
    if (found == waiting_.end()) return false;
    auto queue = queues_.find(found->second.place);
    remove_ticket(queue->second, ticket);
    if (queue->second.empty()) queues_.erase(queue);
    auto of_owner = waiting_of_.find(found->second.wanted.owner);
    remove_ticket(of_owner->second, ticket);
    if (of_owner->second.empty()) waiting_of_.erase(of_owner);
    waiting_.erase(found);
    return true;
}

std::vector<Ticket> LockTable::end_session(SessionId session) {
    std::vector<Ticket> own;
    for (const auto& [ticket, request] : waiting_) {
        if (request.wanted.owner.session == session) own.push_back(ticket);
    }
    for (Ticket ticket : own) (void)cancel(ticket);

    std::vector<std::pair<Place, Owner>> owned;
    for (const auto& [place, locks] : held_) {
        for (const Lock& lock : locks) {
            bool known = !owned.empty() && owned.back() == std::pair(place, lock.owner);
            if (lock.owner.session == session && !known) owned.emplace_back(place, lock.owner);
        }
    }
    for (const auto& [place, owner] : owned) set(place, owner, {}, std::nullopt, 0);
    std::vector<Ticket> woken;
    for (const auto& [place, owner] : owned) {
        std::vector<Ticket> granted = grant_waiting(place);
        woken.insert(woken.end(), granted.begin(), granted.end());
    }
    return woken;
}

const std::vector<Lock>& LockTable::held(FileId file, Family family) const {
    static const Held kNone;
    auto found = held_.find({file, family});
    return found == held_.end() ? kNone : found->second;
}

}  // namespace weft::locks
