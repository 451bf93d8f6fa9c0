#pragma once

#include "sim/world/mounts.h"

#include <map>
#include <optional>
#include <random>
#include <string>

namespace weft::sim {

// A program that uses one mount: one system call after another.
class Program {
public:
    Program(Mounts& mounts, std::uint32_t mount, std::uint32_t number, std::uint64_t seed);

    Task<Done> act();
    // The register's value as this program sees it.
    // `*since`: see Kernel::read.
    Task<std::uint64_t> look(Mounts::Register* at, Mounts::Moment* since);
    Task<bool> sees(std::string name);
    // Whatever happened to the mount's session meanwhile, until it is known.
    Task<std::uint64_t> look_surely(Mounts::Register* at);
    Task<bool> sees_surely(std::string name);
    Task<Done> close_all();
    // Removes the name, whatever it is.
    Task<Done> clear(std::string name);
    // Its process has ended.
    void forget();
    // What it sees or believes is judged: not while its session is over.
    bool is_judged() const { return !mount().host().session_is_over(); }
    bool still_has(const Mounts::Grip& grip) const {
        return is_judged() && grip.sessions == mount().host().sessions();
    }
    // Something, the same as long as all that is seen here has to be what there is: the session
    // lasts, and no name stays in the kernel although its notice is there.
    std::optional<std::uint64_t> sure() const {
        if (!is_judged() || kernel().is_late()) return std::nullopt;
        return mount().host().sessions() + kernel().late_changes();
    }
    bool sure_since(std::optional<std::uint64_t> since) const {
        return since.has_value() && since == sure();
    }

private:
    using Register = Mounts::Register;
    using Kind = Mounts::Kind;
    using Moment = Mounts::Moment;

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    Mount& mount() const { return *mounts_.mounts_[mount_]; }
    Kernel& kernel() const { return mount().kernel(); }
    bool goes_on(Code code, const char* what);

    Task<InodePtr> directory();
    Task<KernelFilePtr> file(std::string name, bool writes);
    Task<Done> drop(std::string name);
    Task<Done> step();
    Task<Done> read(Register* at);
    Task<Done> write(Register* at);
    Task<Done> send(Register* at, std::uint64_t value);
    Task<Done> set_mtime(Register* at, std::uint64_t value);
    Task<Done> replace_name(Register* at);
    Task<Done> use_life(Mounts::Life* life);
    Task<Done> make(Mounts::Life* life);
    Task<Done> remove(Mounts::Life* life);
    Task<Done> list();
    Task<Done> sync(Register* at);
    Task<Done> use_lock();

    Mounts& mounts_;
    std::uint32_t mount_;
    std::uint32_t number_;
    std::mt19937_64 random_;
    std::map<std::string, KernelFilePtr> open_;  // By name, with a '+' behind it if for writing.
};

}  // namespace weft::sim
