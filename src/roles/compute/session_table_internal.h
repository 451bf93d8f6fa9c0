#pragma once

#include "engines/locks/lock_table.h"
#include "model/services/compute_service.h"
#include "platform/runtime/gate.h"
#include "platform/runtime/sync.h"
#include "roles/compute/inode_table_internal.h"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <variant>

namespace weft::compute {

using Reply = std::variant<Done, Node, Opened, std::uint64_t>;

// What a session was answered, so that a request that is sent again is not done again.
class ReplyCache {
public:
    struct Slot {
        explicit Slot(Reactor& reactor) : ended(reactor) {}
        std::optional<Result<Reply>> reply;  // Empty while the first request is in flight.
        Signal ended;
    };

    explicit ReplyCache(std::size_t most) : most_(most) {}

    // The request's slot, and whether it is new. nullptr: so old that its reply is forgotten.
    std::pair<std::shared_ptr<Slot>, bool> begin(Reactor& reactor, std::uint64_t seq);
    // The request had no effect, or was not begun: it may be sent again, however many others come
    // before that.
    void put_off(std::uint64_t seq);
    // It has been begun, and is not to be done anew.
    bool knows(std::uint64_t seq) const { return slots_.contains(seq) || is_forgotten(seq); }

private:
    bool is_forgotten(std::uint64_t seq) const { return seq < oldest_ && !put_off_.contains(seq); }

    std::size_t most_;
    std::uint64_t oldest_ = 0;  // Below it everything is forgotten, but for what was put off.
    std::map<std::uint64_t, std::shared_ptr<Slot>> slots_;
    std::set<std::uint64_t> put_off_;  // most_ of them at most; none has a slot.
};

struct Session {
    Session(Reactor& reactor, SessionId with_id, LeaseHolder* with_holder, Client of,
            std::size_t replies_kept)
        : id(with_id),
          holder(with_holder),
          client(of),
          replies(replies_kept),
          moved(reactor),
          recalls(reactor) {}

    // How long compute itself has kept requests of it waiting, all in all.
    Nanos held_up(Nanos now) const { return held_before + (held == 0 ? 0 : now - held_since); }

    SessionId id;
    LeaseHolder* holder;
    Client client;
    bool ended = false;
    bool may_cache = false;           // A restart will know of it.
    std::uint64_t reclaims_left = 0;  // Locks that its client held before a restart.
    ReplyCache replies;
    std::map<std::uint64_t, InodePin> handles;
    std::size_t held = 0;   // Its requests that compute keeps waiting now: HeldUp.
    Nanos held_since = 0;   // When the first of these began to.
    Nanos held_before = 0;  // How long there were such, before.
    // For its recalls: one is answered, nothing is held up any more, or it has ended.
    Signal moved;
    Gate recalls;  // Calls of `holder` that have not come back.
};

// Of a client that comes back under its number.
struct ClientUse {
    std::size_t sessions = 0;
    Nanos last_ended = 0;
};

// A lock() that waits for its turn.
struct LockWait {
    LockWait(Reactor& reactor, SessionId by) : session(by), ended(reactor) {}
    SessionId session;
    Code outcome = Code::would_block;  // ok once granted; interrupted if called off.
    Signal ended;
};

}  // namespace weft::compute
