#pragma once

#include "model/cluster/cluster_map.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_disk.h"
#include "platform/simulated/simulated_reactor.h"
#include "roles/compute/compute_role.h"
#include "roles/drive/drive_role.h"
#include "sim/world/client.h"
#include "sim/world/history.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace weft::sim {

// What a run is like; drawn from its seed.
struct WorldSettings {
    std::uint32_t drive_count = 6;
    std::uint64_t drive_bytes = 96 * kMiB;
    std::uint8_t data_width = 4;
    std::uint8_t parity_width = 2;
    std::uint32_t shard_count = 4;
    std::uint32_t client_count = 3;
    std::uint64_t file_bytes_most = 3 * kMiB;
    std::uint32_t rounds = 6;              // Of work and one event each.
    std::uint64_t work_steps_most = 4000;  // Reactor steps a round.
    bool power_safe = false;
    compute::ComputeSettings compute;
};
WorldSettings random_settings(Chance& chance);

// A whole cluster of the product's own code in one thread, and clients that use it, under one
// seed: drives that lose power and flip bits, drives that vanish for good and are replaced, the
// process that crashes at any await and starts again. After each event what is there is held
// against each client's history, and at the end every invariant against every other.
class World {
public:
    explicit World(std::uint64_t seed);
    ~World();

    // Empty if all was well, else what was not: the first finding ends the run.
    std::string run();
    // The same for the same seed, in every build: of all answers and the times they came.
    std::uint64_t trace_hash() const { return trace_; }
    std::uint64_t operations() const { return operations_; }
    std::uint64_t crashes() const { return crashes_; }

private:
    struct Actor;
    class ReactorChance;

    bool make_cluster();
    bool start();
    void crash(bool power_loss);
    bool close_cleanly();
    void work(std::uint64_t steps);
    bool event();
    bool lose_and_replace_drive();
    void flip_bits();
    Task<Done> until_whole();
    bool settle_clients(bool power_loss);
    bool open_clients();
    bool check_all();
    void note(std::uint64_t value);
    // The oracle's name, and what it has to say.
    bool fail(std::string oracle, std::string what);
    template <class T>
    bool finish(Task<T> task, Result<T>* result, const char* what);
    Task<Done> act(Actor* actor);
    Task<Done> make_homes();
    Task<Done> start_roles();
    void add_disk();
    ClusterMap make_map() const;

    SimulatedReactor reactor_;
    std::unique_ptr<ReactorChance> chance_;
    WorldSettings settings_;
    ClusterMap map_;
    std::vector<std::shared_ptr<SimulatedDisk>> disks_;  // By drive number.
    std::unique_ptr<drive::DriveRole> drives_;
    std::unique_ptr<compute::ComputeRole> compute_;
    std::vector<std::unique_ptr<Actor>> actors_;
    std::unique_ptr<Gate> gate_;
    bool pausing_ = false;  // Clients stop between operations.
    std::string failure_;
    std::uint64_t trace_ = 0;
    std::uint64_t operations_ = 0;
    std::uint64_t crashes_ = 0;
};

}  // namespace weft::sim
