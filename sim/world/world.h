#pragma once

#include "model/cluster/cluster_map.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_disk.h"
#include "platform/simulated/simulated_reactor.h"
#include "roles/compute/compute_role.h"
#include "sim/world/client.h"
#include "sim/world/cuts.h"
#include "sim/world/drive_watch.h"
#include "sim/world/history.h"
#include "sim/world/room_watch.h"
#include "sim/world/settings.h"
#include "sim/world/tally.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace weft::sim {

class ClientNetwork;
class Commons;
class DriveProcesses;
class FarDrives;
class Mounts;
class Way;

// A whole cluster of the product's own code in one thread, and clients that use it, under one
// seed: drives that lose power, rot, go away and are replaced, the process that crashes at any
// await or is taken over from. After each event what is there is held against each client's
// history, and at the end every invariant against every other.
//
// What the clients and the events do comes from streams of chance of their own, so that one of
// them can be cut out and the others do what they did (`cuts`).
class World {
public:
    explicit World(std::uint64_t seed, Cuts cuts = {});
    ~World();

    // Says on standard error what happens, and when.
    void tell();
    // Empty if all was well, else "[oracle] what was not": the first finding ends the run.
    std::string run();
    // The same for the same seed, in every build: of all answers and the times they came.
    std::uint64_t trace_hash() const { return trace_; }
    const Tally& tally() const { return tally_; }
    const WorldSettings& settings() const { return settings_; }

private:
    struct Actor;
    class Acting;
    class Stream;

    // world.cc: the cluster's life.
    bool make_cluster();
    bool start();
    void prepare_start();
    void prepare_processes();
    bool open_clients();
    void crash(bool power_loss);
    void leave_clients();
    void end_roles(bool power_loss);
    bool close_cleanly();
    bool hear_of_clients();
    bool stop();
    void work();
    void note(std::uint64_t value);
    // The oracle's name, and what it has to say.
    bool fail(std::string oracle, std::string what);
    template <class T>
    bool finish(Task<T> task, Result<T>* result, const char* what);
    bool finish_done(Task<Done> task, const char* what);
    Task<Done> act(Actor* actor);
    Task<FilesystemUsage> usage_by(compute::ComputeRole* compute);
    bool judge(Actor* actor, const Operation& operation, Code code, const std::string& content);
    bool no_room_is_right(const Operation& operation, Code code);
    Task<Done> make_homes();
    Task<Done> connect(Actor* actor);
    void note_loss(Actor* actor);
    std::unique_ptr<Way> way_of(const std::string& host);
    Task<Done> start_roles();
    bool make_drive(DriveId drive, Result<DriveEntry>* entry);
    Reactor& compute_clock();
    void make_compute();
    void lose_what_is_on_its_way();
    ClusterMap make_map() const;

    // events.cc
    void say(std::string_view what) const;
    bool event(std::uint32_t round);
    void set_clock();
    bool happen(Event kind);
    bool start_again(Lost lost);
    bool end_and_start(Lost lost);
    void aim();
    void aim_at(DriveWatch::Call call);
    bool start_in_the_end(bool power, Lost* lost);
    bool start_and_end(bool power);
    bool stop_and_start(bool with_drives);
    bool lose_drives();
    bool survive_loss();
    bool rebuild_again(const std::vector<std::size_t>& victims);
    Task<Done> sync_and_rest();
    bool crash_degraded();
    bool become_whole();
    bool outage();
    bool rot();
    bool take_over();
    bool damage();
    void ruin(std::size_t victim);
    bool crash_unnoticed();
    std::vector<std::size_t> choose_drives(std::size_t count);
    void set_gone(const std::vector<std::size_t>& victims, bool gone);
    bool tell_of_loss(const std::vector<std::size_t>& victims);
    bool replace(const std::vector<std::size_t>& victims);
    void spoil(std::size_t victim);
    bool work_and_pause();

    // drive_events.cc
    bool lies();
    void let_lie(std::size_t victim);
    bool find_lies();
    bool give_up(const std::vector<std::size_t>& victims);
    bool slow_drives();
    bool full_drives();
    bool rot_of_tables();
    bool find_rot_of_tables();
    bool outlives_rot(DriveId drive);
    void spoil_tables(DriveId drive);
    struct Known;
    bool attach_and_ask(DriveId drive, Known* known);
    bool have_drives_back(const char* what);
    void set_usual_speed(SimulatedDisk& disk) const;

    // network_events.cc
    bool reset_connections();
    bool partition();
    bool slow_link();
    bool cut_drives();
    bool nobody_waits();
    std::string choose_host();
    void let_pass(Nanos duration);
    bool work_again();

    // process_events.cc
    Nanos draw_away();
    void let_down(DriveId drive, Nanos duration);
    bool raise_drives();
    bool drives_end();
    bool pause_compute();

    // outlive_events.cc
    bool outlive();
    bool outlive_crashes();
    bool outlive_power_loss();
    bool end_alone();
    void end_compute(bool power);
    bool start_in_part();
    bool start_alone();
    bool take_over_alone();
    bool end_and_start_alone(bool briefly);
    bool begin_successor();
    bool all_are_back();
    void be_down(bool briefly);
    bool let_actors_rest();

    // oracles.cc
    bool settle(Lost lost) { return settle(lost, lost); }
    // Of those with trees of their own; of the others.
    bool settle(Lost lost, Lost lost_by_sharers);
    bool hold_to_capacity(const FilesystemUsage& usage);
    Task<Done> until_whole();
    Task<Done> until_purged(std::uint64_t inodes);
    bool check_counts();
    bool check_findings();
    bool check_map();
    void tell_counters();
    bool check_all();
    std::uint64_t expected_inodes() const;

    SimulatedReactor reactor_;
    std::uint64_t seed_;
    Cuts cuts_;
    std::unique_ptr<Stream> chance_;  // Of the events.
    WorldSettings settings_;
    ClusterMap map_;
    std::vector<std::shared_ptr<SimulatedDisk>> disks_;  // By drive number.
    std::set<DriveId> ruined_;                           // May be no drives any more.
    std::set<DriveId> refused_;  // Of these, those that the last start found to be none.
    // By drive, which copy of each thing that it keeps beside its slots rots next.
    std::map<DriveId, std::uint64_t> rotting_;
    std::unique_ptr<ClientNetwork> network_;  // If the run has one.
    std::set<DriveId> down_;  // Their processes have ended, and do not start with the cluster.
    std::unique_ptr<DriveProcesses> drives_;
    DriveWatch watch_{[this](std::string what) {
        fail("drives", std::move(what));
    }};
    std::unique_ptr<Mounts> mounts_;  // Compute calls these, so it goes before they do.
    // Where drives are reached over the network: the ends of the two computes.
    std::unique_ptr<FarDrives> far_drives_before_;
    std::unique_ptr<FarDrives> far_drives_;
    std::size_t turn_ = 0;                          // Whose it is among compute's processes.
    std::unique_ptr<compute::ComputeRole> before_;  // Was taken over from, and still runs.
    std::unique_ptr<compute::ComputeRole> compute_;
    std::uint64_t lives_ = 0;  // Of compute's process that have ended.
    std::vector<std::unique_ptr<Actor>> actors_;
    std::unique_ptr<Commons> commons_;
    std::unique_ptr<Gate> gate_;
    RoomWatch room_;
    bool working_ = false;     // Clients do.
    bool pausing_ = false;     // Clients stop between operations.
    bool being_left_ = false;  // Somebody takes over: errors of the machinery are no news.
    bool telling_ = false;
    std::string failure_;
    std::uint64_t trace_ = 0;
    Tally tally_;
};

}  // namespace weft::sim
