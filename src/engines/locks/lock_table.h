#pragma once

#include "model/ids/ids.h"

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

namespace weft::locks {

// Who holds a lock: an owner as the session's kernel names it.
struct Owner {
    SessionId session;
    std::uint64_t number = 0;
    friend constexpr auto operator<=>(const Owner&, const Owner&) = default;
};

// Bytes from..to, both inclusive.
struct Range {
    std::uint64_t from = 0;
    std::uint64_t to = UINT64_MAX;
    bool overlaps(const Range& other) const { return from <= other.to && other.from <= to; }
    friend constexpr auto operator<=>(const Range&, const Range&) = default;
};

enum class Mode : std::uint8_t { shared = 1, exclusive = 2 };

// The two kinds of advisory locks; neither sees the other.
enum class Family : std::uint8_t { byte_range = 0, whole_file = 1 };

struct Lock {
    Owner owner;
    Range range;
    Mode mode = Mode::shared;
    std::uint32_t pid = 0;
    friend bool operator==(const Lock&, const Lock&) = default;
};

// Names a request that waits; never reused, never 0.
using Ticket = std::uint64_t;

struct Outcome {
    enum class Kind : std::uint8_t { granted, would_block, waiting, deadlock, limit_reached };
    Kind kind = Kind::granted;
    Ticket ticket = 0;          // If waiting.
    std::vector<Ticket> woken;  // Others' requests that are granted now, in their order.
};

struct Limits {
    std::size_t locks_most = 1'000'000;  // Held and waiting together.
    std::size_t waiting_most = 100'000;
};

// The advisory locks of the files of one core: flock (whole_file) and POSIX byte ranges.
//
// Byte ranges as in fcntl(2): a lock replaces what its owner held on the range, with split and
// merge; a wait that would close a circle of waiting owners ends with deadlock. flock as in
// flock(2): conversion gives up the old lock first, and circles are not looked for.
// Waiting requests are granted in order as soon as no held lock is in the way; a request that
// does not conflict with what is held never queues behind one that does.
//
// Pure: a call is an event, its outcome says whom to wake.
// Invariant: conflicting locks of different owners never overlap; an owner's locks on a file
// do not overlap, and touch only where their modes differ.
class LockTable {
public:
    explicit LockTable(Limits limits = {}) : limits_(limits) {}

    Outcome lock(FileId file, Family family, Lock wanted, bool wait);
    // limit_reached only where cutting a hole makes one lock more than fits.
    Outcome unlock(FileId file, Family family, Owner owner, Range range);
    // The first held lock that is in the way of `wanted`.
    std::optional<Lock> test(FileId file, Family family, const Lock& wanted) const;

    // The request of this owner that waits for exactly this range.
    std::optional<Ticket> waiting(FileId file, Family family, Owner owner, Range range) const;
    // Takes back a waiting request; false if it does not wait (any more).
    bool cancel(Ticket ticket);

    // All locks and waiting requests of the session go. Its own tickets are not in the result.
    std::vector<Ticket> end_session(SessionId session);

    const std::vector<Lock>& held(FileId file, Family family) const;
    std::size_t held_count() const { return held_count_; }
    std::size_t waiting_count() const { return waiting_.size(); }

private:
    struct Place {
        FileId file;
        Family family = Family::byte_range;
        friend constexpr auto operator<=>(const Place&, const Place&) = default;
    };
    struct Waiting {
        Place place;
        Lock wanted;
    };
    using Held = std::vector<Lock>;

    const Lock* conflict(const Place& place, const Lock& wanted) const;
    bool fits(std::size_t more) const;
    // Replaces what the owner holds on the range by `mode`, or by nothing.
    void set(const Place& place, Owner owner, Range range, std::optional<Mode> mode,
             std::uint32_t pid);
    std::vector<Ticket> grant_waiting(const Place& place);
    bool would_deadlock(const Place& place, const Lock& wanted) const;
    void add_blockers(const Place& place, const Lock& wanted, std::vector<Owner>& found) const;
    Outcome queue(const Place& place, const Lock& wanted);

    Limits limits_;
    std::map<Place, Held> held_;
    std::map<Ticket, Waiting> waiting_;                // In order of arrival.
    std::map<Place, std::vector<Ticket>> queues_;      // The same, by file.
    std::map<Owner, std::vector<Ticket>> waiting_of_;  // The same, by owner.
    std::size_t held_count_ = 0;
    Ticket last_ticket_ = 0;
};

}  // namespace weft::locks
