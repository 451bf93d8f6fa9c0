#pragma once

#include "model/ids/ids.h"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace weft::leases {

enum class Mode : std::uint8_t { none = 0, read = 1, write = 2 };

struct Limits {
    std::size_t cells = 1 << 16;         // A power of two; 8 bytes each.
    std::size_t absent_most = 1 << 16;   // Exact knowledge of who does not hold.
    std::size_t writers_most = 1 << 16;  // Write leases at a time.
    std::size_t sessions_most = 4096;
};

// What one session must give up before an operation may go on.
struct Recalled {
    SessionId session;
    Mode keep = Mode::none;
    friend bool operator==(const Recalled&, const Recalled&) = default;
};

// Who may cache which inode of one core's shards.
//
// Any number of read leases in bounded memory: inodes hash into cells, and a cell has one bit
// for each of 64 groups of sessions (with 64 sessions or less a group is one session). A bit
// says that a session of the group may hold a read lease on some inode of the cell. Beside it
// a bounded set knows exactly who does not hold what, from recalls and releases. So knowledge
// errs on one side only: a recall may be needless, but never missing.
// Write leases are exact.
//
// With a single session nothing is ever to be recalled, and nothing is written down but bits.
//
// Pure: the caller sends the recalls, and reports each with release().
// Invariant: while a session has a write lease, recalls_for_look() of others names it.
class LeaseTable {
public:
    explicit LeaseTable(Limits limits = {});

    // False: too many sessions.
    bool open_session(SessionId session);
    // All its leases go.
    void end_session(SessionId session);

    // Never refused to a known session; that nobody else writes is the caller's to see to, by
    // recalls_for_look().
    void grant_read(SessionId session, FileId file);
    // False if somebody else may hold a lease on it, or there are too many.
    bool grant_write(SessionId session, FileId file);
    // What the session may hold. `write` is exact; `read` may be said of one that holds none.
    Mode held(SessionId session, FileId file) const;
    // The session holds no more than `keep` now.
    void release(SessionId session, FileId file, Mode keep);

    // Before `by` changes the inode or its content: nobody else may cache it.
    std::vector<Recalled> recalls_for_change(SessionId by, FileId file) const;
    // Before `by` looks at it: nobody else may know better.
    std::vector<Recalled> recalls_for_look(SessionId by, FileId file) const;

    std::size_t session_count() const { return groups_.size(); }

private:
    struct Holding {
        SessionId session;
        FileId file;
        friend bool operator==(const Holding&, const Holding&) = default;
    };
    struct HashHolding {
        std::size_t operator()(const Holding& holding) const noexcept {
            return std::hash<FileId>{}(holding.file) * 31 + std::hash<SessionId>{}(holding.session);
        }
    };
    static constexpr std::size_t kGroups = 64;

    std::uint64_t& cell(FileId file);
    std::uint64_t cell(FileId file) const;
    void note_absent(const Holding& holding);

    Limits limits_;
    std::vector<std::uint64_t> cells_;
    std::map<SessionId, std::size_t> groups_;
    std::array<std::vector<SessionId>, kGroups> members_;
    std::unordered_set<Holding, HashHolding> absent_;
    std::deque<Holding> absent_order_;  // First in, first out; may name what is granted again.
    std::unordered_map<FileId, SessionId> writers_;
};

}  // namespace weft::leases
