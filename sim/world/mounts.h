#pragma once

#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_reactor.h"
#include "roles/compute/compute_role.h"
#include "sim/model/register_history.h"
#include "sim/world/history.h"
#include "sim/world/mount.h"
#include "sim/world/settings.h"
#include "sim/world/tally.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weft::sim {

class Program;

// Several mounts of one filesystem, each the product's frontend behind a simulated kernel with its
// caches, and programs that use one directory through all of them at once. What they share are
// registers: bytes, sizes and times of files, and what names lead to. Each has to be linearizable
// over all mounts. What a program wrote to a file may be lost with its mount's process, or with
// power, until an fsync has returned; everything else only with power.
class Mounts {
public:
    enum class Kind { data, size, mtime, name };
    using Moment = RegisterHistory::Moment;
    struct Register {
        Kind kind = Kind::data;
        std::string name;
        std::uint64_t offset = 0;  // Of a Kind::data.
        Moment synced = 0;         // What ended before survives loss of power.
        RegisterHistory history{0};
    };
    // A name that is made once and removed once, and what is known of both.
    struct Life {
        std::string name;
        bool is_directory = false;
        bool is_link = false;  // Another name of "m".
        bool busy = false;     // Somebody makes or removes it.
        bool made = false;
        bool gone = false;
        Moment there_from = RegisterHistory::kNever;  // It is there behind this,
        Moment there_to = RegisterHistory::kNever;    // until this;
        Moment gone_from = RegisterHistory::kNever;   // and is gone behind this.
    };
    // A lock that a program believes it has.
    struct Grip {
        const Program* by = nullptr;
        std::uint64_t sessions = 0;  // Of its mount, when it was given it.
        bool flock = false;
        bool shared = false;
        std::uint64_t from = 0;
        std::uint64_t to = 0;
    };

    Mounts(SimulatedReactor& reactor, std::uint64_t seed, const MountSettings& settings);
    ~Mounts();

    // Makes the directory if it is not there, and mounts by the ways of `make_way`.
    using MakeWay = std::function<std::unique_ptr<Way>(std::uint32_t mount)>;
    Task<Done> open(compute::ComputeRole* compute, FilesystemId filesystem, MakeWay make_way);
    // Each program goes on until pause().
    void begin(Gate* gate);
    void pause() { pausing_ = true; }
    void never_sync() { never_syncs_ = true; }
    // Of what programs are told.
    void count_in(Tally* tally) { tally_ = tally; }
    // Says on standard error what each program saw and did.
    void tell() { telling_ = true; }
    // Compute's process has started again, and they come back to it.
    void compute_begins(compute::ComputeRole* compute) { compute_ = compute; }
    // The processes of the mounts have ended.
    void forget();
    void be_left(bool left) { left_ = left; }
    // Reads every register through every mount, and holds all of it against each history.
    Task<Done> settle(Lost lost);
    // Unmounts: nothing may be left. They come back by open().
    Task<Done> leave();

    // Empty, or the first thing that was wrong.
    const std::string& failure() const { return failure_; }
    std::uint64_t inode_count() const { return inode_count_; }
    std::uint64_t moment() const { return moment_; }

private:
    friend class Program;

    static std::vector<Register> make_registers();
    Task<Done> make(SessionId session);
    Task<Done> make_register(Caller caller, Register* made);
    Task<Done> count_inodes();
    Task<Done> settle_register(Register* at, Lost lost);
    Task<Done> settle_lives(Lost lost);
    Task<Done> begin_mount(std::unique_ptr<Way> way);
    void probed(Life& life, bool there, Moment begin, Moment end);
    void renew(Life& life);
    // With this one that is being made.
    bool may_have_too_many_links() const;
    // Sessions were lost, and what was written behind perhaps with them.
    void note_losses();
    bool has_lost_sessions(std::uint32_t mount) const {
        return hosts_in_use_[mount]->sessions() > 1 || hosts_in_use_[mount]->session_is_over();
    }
    // How many sessions there were, as long as none is over.
    std::optional<std::uint64_t> all_sessions() const;
    // Another program has paused, and what it wrote has been sent.
    void note_pause();
    void interrupt_later(std::uint32_t mount, std::shared_ptr<std::uint64_t> request,
                         std::uint64_t after);
    Task<Done> interrupt(Mount* mount, std::shared_ptr<std::uint64_t> request, Nanos after);
    Moment tick() { return ++moment_; }
    void say(std::uint32_t mount, const Register& at, const char* what, std::uint64_t value) const;
    void fail(std::string what) {
        if (failure_.empty()) failure_ = std::move(what);
    }

    SimulatedReactor& reactor_;
    MountSettings settings_;
    std::uint64_t seed_;
    compute::ComputeRole* compute_ = nullptr;
    FileId directory_;
    std::vector<Register> registers_;
    std::vector<Life> lives_;
    std::vector<std::string> former_names_;  // Of lives, since what was lost was last looked at.
    std::vector<std::unique_ptr<MountHost>> hosts_;  // Also those of mounts that have ended.
    std::vector<MountHost*> hosts_in_use_;           // By mount.
    std::vector<std::uint64_t> sessions_seen_;       // By mount.
    std::vector<std::unique_ptr<Mount>> mounts_;
    std::vector<std::unique_ptr<Program>> programs_;
    std::vector<Grip> grips_;
    std::map<std::uint64_t, std::uint32_t> being_written_;  // Values, with their mount.
    Gate* gate_ = nullptr;
    std::size_t paused_ = 0;
    bool pausing_ = false;
    bool left_ = false;
    bool never_syncs_ = false;
    Tally* tally_ = nullptr;
    bool telling_ = false;
    std::string failure_;
    Moment moment_ = 0;
    Moment sent_ = 0;  // What was written before has reached compute.
    std::uint64_t last_value_ = 0;
    std::uint64_t last_client_ = 1ULL << 40;
    std::uint64_t inode_count_ = 0;
};

}  // namespace weft::sim
