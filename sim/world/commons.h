#pragma once

#include "model/services/compute_service.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_reactor.h"
#include "roles/compute/compute_role.h"
#include "sim/model/register_history.h"
#include "sim/world/history.h"
#include "sim/world/settings.h"
#include "sim/world/tally.h"
#include "sim/world/way.h"

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace weft::sim {

class Sharer;

inline constexpr std::uint64_t kRecordBytes = 47'008;  // As `ior` has them: no multiple of blocks.
inline constexpr std::uint32_t kRecordsOfEach = 2;
inline constexpr std::uint64_t kSmallFileBytes = 3901;  // As `mdtest` has them.

// Caches nothing.
class NoSharer : public LeaseHolder {
public:
    Task<Done> recall(Recall) override { co_return Done{}; }
};

// One directory that several clients work in at once, each with caches under leases and writes
// that it buffers, as frontends do. What they share are registers: bytes of a file, its mtime,
// an xattr, and what a name that is replaced by renames leads to. Every register has to be
// linearizable, locks have to exclude, and who waits has to be let in.
class Commons {
public:
    enum class Kind { data, record, mtime, xattr, name };
    struct Register {
        Kind kind = Kind::data;
        std::string name;          // In the directory.
        FileId file;               // Not of a Kind::name.
        std::uint64_t offset = 0;  // Of a Kind::data or record.
        std::uint32_t owner = 0;   // Of a Kind::record: who alone writes it.
        RegisterHistory history{0};
    };
    // One that its owner makes with content, and removes: a name that is never used again.
    struct SmallFile {
        enum class State { making, there, going, gone, unsure };
        std::string name;
        std::uint32_t owner = 0;
        std::uint64_t value = 0;  // Its content is fill(value, at).
        State state = State::making;
        RegisterHistory::Moment changed = 0;  // When its owner heard of that.
    };
    // A lock that a sharer believes it has.
    struct Grip {
        Sharer* by = nullptr;
        LockRequest request;
        SessionId session;  // In which it was given it,
        SessionId asked;    // and asked for it again last, if it has.
    };

    Commons(SimulatedReactor& reactor, std::uint64_t seed, std::uint32_t sharers, Sharing sharing);
    ~Commons();

    // Makes the directory if it is not there, and a session for each sharer, who come by the
    // ways of `make_way`.
    using MakeWay = std::function<std::unique_ptr<Way>(std::uint32_t sharer)>;
    Task<Done> open(compute::ComputeRole* compute, FilesystemId filesystem, MakeWay make_way);
    // Compute's process ends, or begins to; it has started again, and who held locks may take them
    // back until then.
    void compute_ends();
    void compute_begins(compute::ComputeRole* compute, Nanos lock_grace_ends);
    // What was not synced may never have been, nor what is under way.
    void lose_power();
    // Each goes on until pause().
    void begin(Gate* gate);
    void pause() { pausing_ = true; }
    void never_sync() { never_syncs_ = true; }
    // So many are granted or waited for at once; who asks for more may be refused.
    void limit_locks(std::size_t most);
    // Of what sharers are told.
    void count_in(Tally* tally) { tally_ = tally; }
    // Each waits up to `most` before its next step.
    void pause_between(Nanos most) { pause_most_ = most; }
    // The process is gone, with all sessions: nothing is cached or buffered any more.
    void forget();
    // Errors of the machinery are no news: somebody takes over.
    void be_left(bool left) { left_ = left; }
    // Reads every register by every sharer, and holds all of it against each history.
    Task<Done> settle(Lost lost);

    // Empty, or the first thing that was wrong.
    const std::string& failure() const { return failure_; }
    std::uint64_t inode_count() const { return inode_count_; }
    std::uint64_t moment() const { return moment_; }

private:
    friend class Sharer;

    Task<Done> make(SessionId session);
    Task<Done> make_register(Caller caller, Register* made);
    // All names in the directory.
    Task<std::set<std::string>> list(ComputeService* compute, Caller caller);
    Task<Done> settle_small_files(Lost lost);
    RegisterHistory::Moment tick() { return ++moment_; }
    void fail(std::string what) {
        if (failure_.empty()) failure_ = std::move(what);
    }

    SimulatedReactor& reactor_;
    compute::ComputeRole* compute_ = nullptr;
    FileId directory_;
    std::vector<Register> registers_;
    std::vector<std::unique_ptr<Sharer>> sharers_;
    std::vector<Grip> grips_;
    std::size_t waiting_ = 0;  // Who hold one lock and wait for another.
    bool locks_run_out_ = false;
    Sharing sharing_;
    std::deque<SmallFile> small_files_;
    std::set<std::string> names_;  // At the last settle().
    Tally* tally_ = nullptr;
    Nanos lock_grace_ends_ = 0;
    bool pausing_ = false;
    bool left_ = false;
    bool never_syncs_ = false;
    Nanos pause_most_ = 0;
    std::string failure_;
    std::uint64_t moment_ = 0;
    RegisterHistory::Moment synced_ = 0;  // What ended before survives loss of power.
    std::uint64_t power_losses_ = 0;
    std::uint64_t last_value_ = 0;
    std::uint64_t inode_count_ = 0;
};

}  // namespace weft::sim
