#include "sim/world/drive_processes.h"

#include "roles/drive/drive_role.h"
#include "sim/world/format.h"
#include "sim/world/network_drives.h"

#include <optional>
#include <utility>

namespace weft::sim {

// What it has in memory ends with it.
class DriveProcesses::Process {
public:
    Process(Reactor& clock, DriveService& entrance)
        : role(clock), clock_(clock), entrance_(entrance), gate_(clock) {}
    ~Process() {
        for (auto& [id, opening] : openings_) opening->end(Error{Code::cancelled, "sim.process"});
    }

    // How it came out that a drive was attached, or not yet.
    struct Opening {
        explicit Opening(Reactor& reactor) : signal(reactor) {}
        void end(Result<Done> how) {
            if (!outcome.has_value()) outcome = std::move(how);
            signal.notify_all();
        }
        std::optional<Result<Done>> outcome;
        Signal signal;
    };
    // `door`: empty where there is no network.
    std::shared_ptr<Opening> open(Reactor& reactor, DriveId drive, std::shared_ptr<Disk> disk,
                                  Network* door) {
        auto& opening = openings_[drive];
        bool failed = opening != nullptr && opening->outcome.has_value() && !opening->outcome->ok();
        if (opening != nullptr && !failed) return opening;
        opening = std::make_shared<Opening>(reactor);
        gate_.spawn(attach(this, opening, drive, std::move(disk), door));
        return opening;
    }
    void forget(DriveId drive) { openings_.erase(drive); }

    drive::DriveRole role;

private:
    struct Served {
        Served(Reactor& reactor, std::unique_ptr<Stream> stream, DriveService& drives)
            : server(drives), peer(reactor, std::move(stream), &server) {}
        remote::DriveServer server;
        rpc::Peer peer;
    };
    static Task<Done> attach(Process* self, std::shared_ptr<Opening> opening, DriveId drive,
                             std::shared_ptr<Disk> disk, Network* door) {
        auto attached = co_await self->role.attach(std::move(disk), kClusterNumber);
        Result<Done> outcome = Done{};
        if (!attached.ok()) outcome = attached.error();
        if (attached.ok() && door != nullptr && self->listener_ == nullptr) {
            self->listen(host_of(drive), door);
        }
        opening->end(outcome);
        co_return Done{};
    }
    void listen(const std::string& host, Network* door) {
        auto listening = door->listen(host + ":1");
        CHECK(listening.ok());
        listener_ = std::move(listening).value();
        gate_.spawn(accept_all(this));
    }
    static Task<Done> accept_all(Process* self) {
        for (;;) {
            auto stream = co_await or_return(co_await self->listener_->accept());
            self->gate_.spawn(
                serve(std::make_unique<Served>(self->clock_, std::move(stream), self->entrance_)));
        }
    }
    static Task<Done> serve(std::unique_ptr<Served> served) {
        co_return co_await served->peer.run();
    }

    Reactor& clock_;
    DriveService& entrance_;
    std::map<DriveId, std::shared_ptr<Opening>> openings_;
    std::unique_ptr<Listener> listener_;
    Gate gate_;
};

DriveProcesses::DriveProcesses(SimulatedReactor& reactor, ClientNetwork* network,
                               DriveService& entrance)
    : reactor_(reactor), network_(network), entrance_(entrance) {}

DriveProcesses::~DriveProcesses() = default;

Reactor& DriveProcesses::clock_of(DriveId drive) {
    if (network_ == nullptr) return reactor_;
    return network_->drive_process(host_of(drive));
}

Task<Done> DriveProcesses::attach(DriveId drive, std::shared_ptr<Disk> disk) {
    auto& process = processes_[key(drive)];
    if (process == nullptr) process = std::make_unique<Process>(clock_of(drive), entrance_);
    Network* door = network_ != nullptr ? &network_->wires().at(host_of(drive)) : nullptr;
    auto opening = process->open(reactor_, drive, std::move(disk), door);
    while (!opening->outcome.has_value()) co_await opening->signal.wait();
    co_return *opening->outcome;
}

Task<Done> DriveProcesses::detach(DriveId drive) {
    auto found = processes_.find(key(drive));
    if (found == processes_.end()) co_return Done{};
    found->second->forget(drive);
    co_return co_await found->second->role.detach(drive);
}

void DriveProcesses::end(DriveId drive) {
    processes_.erase(key(drive));
    if (network_ != nullptr) network_->drive_process(host_of(drive)).pause_until(0);
}

void DriveProcesses::end_all() {
    while (!processes_.empty()) end(processes_.begin()->first);
}

void DriveProcesses::pause(DriveId drive, Nanos duration) {
    CHECK(network_ != nullptr);
    network_->drive_process(host_of(drive)).pause_until(reactor_.now() + duration);
}

DriveService& DriveProcesses::role(DriveId drive) {
    auto found = processes_.find(key(drive));
    CHECK(found != processes_.end());
    return found->second->role;
}

}  // namespace weft::sim
