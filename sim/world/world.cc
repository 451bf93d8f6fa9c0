#include "sim/world/world.h"

#include "platform/base/bytes.h"
#include "platform/base/siphash.h"
#include "sim/world/commons.h"
#include "sim/world/format.h"
#include "sim/world/mounts.h"
#include "sim/world/world_internal.h"

#include <algorithm>
#include <array>

namespace weft::sim {
namespace {

constexpr FilesystemId kFilesystem{1};
constexpr Nanos kWorkMost = 30 * kSecond;
constexpr std::uint64_t kShortStayOneIn = 4;  // Losses of power.
constexpr std::uint64_t kSettingsStream = 1;
constexpr std::uint64_t kNetworkStream = 2;
constexpr std::uint64_t kDriveNetworkStream = 3;
constexpr std::uint64_t kFaultsStream = 4;
constexpr std::uint64_t kClocksStream = 5;
constexpr std::uint64_t kMountsStream = 10;
constexpr std::uint64_t kOutlivingStream = 11;
constexpr std::uint64_t kSharingStream = 12;

NoSharer no_leases;

// What any client may be told at any time by a cluster in trouble, and tries again after.
bool passing(Code code) {
    return code == Code::retry_later || code == Code::refresh_map;
}

// What a process says that somebody has taken over from.
bool leaving(Code code) {
    return passing(code) || code == Code::fenced || code == Code::unavailable ||
           code == Code::cancelled;
}

bool is_of_held(const Operation& operation) {
    using Kind = Operation::Kind;
    return operation.kind == Kind::read_held || operation.kind == Kind::write_held ||
           operation.kind == Kind::link_held || operation.kind == Kind::let_go;
}

}  // namespace

World::World(std::uint64_t seed, Cuts cuts) : reactor_(seed), seed_(seed), cuts_(std::move(cuts)) {
    Stream chance(seed, kSettingsStream);
    settings_ = random_settings(chance);
    Stream network_chance(seed, kNetworkStream);
    draw_network(network_chance, settings_);
    Stream drive_chance(seed, kDriveNetworkStream);
    draw_drive_network(drive_chance, settings_);
    Stream faults_chance(seed, kFaultsStream);
    draw_faults(faults_chance, settings_);
    Stream clocks_chance(seed, kClocksStream);
    draw_clocks(clocks_chance, settings_);
    Stream mounts_chance(seed, kMountsStream);
    draw_mounts(mounts_chance, settings_);
    Stream outliving_chance(seed, kOutlivingStream);
    draw_outliving(outliving_chance, settings_);
    Stream sharing_chance(seed, kSharingStream);
    draw_sharing(sharing_chance, settings_);
    if (settings_.network.clients) {
        std::uint64_t network_seed = network_chance.draw();
        network_ = std::make_unique<ClientNetwork>(reactor_, network_seed, settings_.network);
    }
    bool small = settings_.capacity_bytes < 16 * kMiB || settings_.crowded;
    for (Shape shape : settings_.clients) {
        Mix mix = mix_of(shape, settings_.file_bytes_most);
        // What is half done when the room ends is not told apart from a mistake.
        using Kind = Operation::Kind;
        for (Kind kind : {Kind::copy_range, Kind::zero, Kind::reserve}) {
            if (small) mix.weights[static_cast<std::size_t>(kind)] = 0;
        }
        for (Kind kind : {Kind::fsync, Kind::sync}) {
            if (settings_.never_syncs) mix.weights[static_cast<std::size_t>(kind)] = 0;
        }
        auto number = static_cast<std::uint32_t>(actors_.size());
        actors_.push_back(std::make_unique<Actor>(seed, number, mix));
        actors_.back()->history.set_links_most(settings_.compute.links_most);
    }
    std::uint32_t sharers = cuts_.sharers ? 0 : settings_.sharers;
    commons_ = std::make_unique<Commons>(reactor_, seed, sharers, settings_.sharing);
    commons_->limit_locks(settings_.compute.locks.locks_most);
    commons_->count_in(&tally_);
    watch_.count_in(&tally_);
    if (cuts_.mounts) settings_.mounts.count = 0;
    settings_.mounts.links_most = settings_.compute.links_most;
    mounts_ = std::make_unique<Mounts>(reactor_, seed, settings_.mounts);
    mounts_->count_in(&tally_);
    if (settings_.never_syncs) {
        commons_->never_sync();
        mounts_->never_sync();
    }
    commons_->pause_between(settings_.pause_most);
}

World::~World() = default;

void World::tell() {
    telling_ = true;
    mounts_->tell();
}

void World::note(std::uint64_t value) {
    std::array<std::uint64_t, 3> mixed = {trace_, value,
                                          static_cast<std::uint64_t>(reactor_.now())};
    trace_ = siphash({17, 4}, std::as_bytes(std::span(mixed)));
}

bool World::fail(std::string oracle, std::string what) {
    if (failure_.empty()) failure_ = "[" + oracle + "] " + what;
    return false;
}

bool World::finish_done(Task<Done> task, const char* what) {
    Result<Done> done = Done{};
    return finish(std::move(task), &done, what);
}

bool World::make_drive(DriveId drive, Result<DriveEntry>* entry) {
    CHECK(drive.value == disks_.size());
    Reactor& clock = drives_->clock_of(drive);
    auto disk = std::make_shared<SimulatedDisk>(clock, settings_.drive_bytes);
    disk->set_power_safe(settings_.power_safe);
    set_usual_speed(*disk);
    disks_.push_back(disk);
    const NetworkSettings& network = settings_.network;
    if (network.drives) {
        network_->wires().set_link(kComputeHost, host_of(drive), network.drive_link);
    }
    return finish(format_disk(&clock, disk.get(), drive), entry, "format");
}

ClusterMap World::make_map() const {
    ClusterMap map;
    map.cluster = kClusterNumber;
    map.epoch = Epoch{1};
    map.name = "sim";
    map.data_width = settings_.data_width;
    map.parity_width = settings_.parity_width;
    map.slot_bytes = kSlotBytes;
    map.shard_count = settings_.shard_count;
    map.routing_key = {3, 5};
    FilesystemEntry filesystem;
    filesystem.id = kFilesystem;
    filesystem.name = "sim";
    filesystem.capacity_bytes = settings_.capacity_bytes;
    map.filesystems.push_back(filesystem);
    map.filesystems_made = 1;
    return map;
}

bool World::make_cluster() {
    map_ = make_map();
    ClientNetwork* between = settings_.network.drives ? network_.get() : nullptr;
    drives_ = std::make_unique<DriveProcesses>(reactor_, between, watch_);
    watch_.serve_by(drives_.get());
    for (std::uint32_t i = 0; i < settings_.drive_count; ++i) {
        Result<DriveEntry> entry = Error{Code::invalid, "sim"};
        if (!make_drive(DriveId{i}, &entry)) return false;
        map_.drives.push_back(entry.value());
    }
    map_.drives_made = settings_.drive_count;
    return start();
}

// Drives that do not answer are passed over: management has not heard of it yet.
Task<Done> World::start_roles() {
    refused_.clear();
    for (const DriveEntry& entry : map_.drives) {
        if (entry.state == DriveState::failed || down_.contains(entry.id)) continue;
        std::shared_ptr<Disk> disk = disks_[entry.id.value];
        auto attached = co_await drives_->attach(entry.id, std::move(disk));
        tally_.count(attached.code());
        bool there = attached.ok() || attached.code() == Code::unavailable;
        if (ruined_.contains(entry.id)) {  // Or not, and that is no news.
            if (!attached.ok()) refused_.insert(entry.id);
            there = true;
        }
        if (!there) co_return attached.error();
    }
    co_await or_return(co_await compute_->open(map_, map_.epoch));
    co_return co_await compute_->create_filesystem(kFilesystem);
}

Reactor& World::compute_clock() {
    if (network_ == nullptr) return reactor_;
    return network_->compute_process(turn_);
}

void World::make_compute() {
    if (network_ != nullptr) network_->compute_process(turn_).pause_until(0);
    Reactor& clock = compute_clock();
    DriveService* drives = &watch_;
    if (settings_.network.drives) {
        far_drives_ = std::make_unique<FarDrives>(clock, network_->wires(),
                                                  ClientNetwork::compute_host(turn_),
                                                  settings_.network.drive_deadline);
        drives = far_drives_.get();
    }
    compute_ = std::make_unique<compute::ComputeRole>(clock, *drives, settings_.compute);
}

// The process starts: at a new epoch, from the drives alone.
bool World::start() {
    prepare_start();
    if (!finish_done(start_roles(), "start")) return false;
    if (network_ != nullptr) network_->serve(*compute_, turn_);
    return open_clients();
}

void World::prepare_start() {
    prepare_processes();
    gate_ = std::make_unique<Gate>(reactor_);
}

void World::prepare_processes() {
    say("start");
    ++map_.epoch.value;
    make_compute();
}

Task<Done> World::make_homes() {
    for (auto& actor : actors_) {
        actor->session = co_await or_return(compute_->open_session(&no_leases));
        Caller caller;
        caller.session = actor->session;
        FileId root;
        root.filesystem = kFilesystem;
        root.inode = kRootInode;
        auto found = co_await compute_->lookup(caller, root, actor->name);
        if (found.code() == Code::not_found) {
            NewNode what;
            what.mode = 0040755;
            caller.seq = 1;
            found = co_await compute_->create(caller, root, actor->name, what);
            // From here on it counts as synced, as the empty model does.
            caller.seq = 2;
            co_await or_return(co_await compute_->sync(caller, kFilesystem));
        }
        Node node = co_await or_return(std::move(found));
        actor->home = root;
        actor->home.inode = node.inode;
        co_await or_return(co_await connect(actor.get()));
    }
    Commons::MakeWay way = [this](std::uint32_t sharer) {
        return way_of("sharer" + std::to_string(sharer));
    };
    co_await or_return(co_await commons_->open(compute_.get(), kFilesystem, std::move(way)));
    Mounts::MakeWay way_of_mount = [this](std::uint32_t mount) {
        return way_of("mount" + std::to_string(mount));
    };
    co_return co_await mounts_->open(compute_.get(), kFilesystem, std::move(way_of_mount));
}

std::unique_ptr<Way> World::way_of(const std::string& host) {
    if (network_ == nullptr) return std::make_unique<WayInPlace>(*compute_);
    return network_->connect(host);
}

// Its session so far was to make its home.
Task<Done> World::connect(Actor* actor) {
    ComputeService* compute = compute_.get();
    if (network_ != nullptr) {
        co_await or_return(co_await compute_->close_session(actor->session));
        auto way = network_->connect(actor->name);
        Reactor& clock = network_->clock_of(actor->name);
        actor->far = std::make_unique<FarCompute>(clock, std::move(way), kFilesystem);
        compute = actor->far.get();
    }
    actor->client = std::make_unique<Client>(*compute, actor->session, actor->home, actor->habits,
                                             settings_.habits);
    if (actor->far == nullptr) co_return Done{};
    FarCompute::Reclaim reclaim = [actor](ComputeService* raw) {
        return actor->client->reclaim(raw);
    };
    co_return co_await actor->far->open(std::move(reclaim));
}

// A file that is held and has no name goes with the session.
void World::note_loss(Actor* actor) {
    if (!actor->client->take_loss()) return;
    if (actor->history.now().holds_named()) {
        fail("answers", actor->name + ": a file that has a name was gone under the next session");
    }
    actor->history.forget_held();
}

bool World::open_clients() {
    return finish_done(make_homes(), "homes");
}

// A filesystem that is as full as it may be; the clients may have freed something since.
bool World::no_room_is_right(const Operation& operation, Code code) {
    using Kind = Operation::Kind;
    bool takes_room = operation.kind == Kind::write || operation.kind == Kind::append ||
                      operation.kind == Kind::write_held;
    return code == Code::out_of_space && takes_room;
}

// Holds an answer against what POSIX asks for.
bool World::judge(Actor* actor, const Operation& operation, Code code, const std::string& content) {
    using Kind = Operation::Kind;
    std::string who = actor->name + ": " + to_text(operation) + ": ";
    if (operation.kind == Kind::seek_data || operation.kind == Kind::seek_hole) {
        if (actor->history.now().seek_may_answer(operation, code, content)) return true;
        return fail("answers", who + "got " + std::string(name_of(code)) + " " + content);
    }
    if (code != actor->history.expected()) {
        return fail("answers", who + "expected " + std::string(name_of(actor->history.expected())) +
                                   ", got " + std::string(name_of(code)));
    }
    bool reads = operation.kind == Kind::read || operation.kind == Kind::read_held ||
                 operation.kind == Kind::list || operation.kind == Kind::get_xattr;
    if (reads && code == Code::ok && actor->history.now().read(operation) != content) {
        return fail("answers", who + "answered " + std::to_string(content.size()) +
                                   " bytes that are not what is there");
    }
    return true;
}

// Of the filesystem, where there is somebody who knows.
Task<FilesystemUsage> World::usage_by(compute::ComputeRole* compute) {
    if (compute == nullptr) co_return Error{Code::unavailable, "sim.usage"};
    co_return co_await compute->usage(kFilesystem);
}

// One operation after another.
Task<Done> World::act(Actor* actor) {
    Acting acting(*actor);
    while (!pausing_ && failure_.empty()) {
        Operation operation = random_operation(actor->stream, actor->mix);
        if (cuts_.kinds.contains(static_cast<std::uint32_t>(operation.kind))) {
            co_await sleep(reactor_, kMicrosecond);
            continue;
        }
        // The one that the client speaks to: another may take its place meanwhile.
        compute::ComputeRole* compute = compute_.get();
        std::uint64_t life = lives_;
        auto usage = co_await usage_by(compute);
        std::uint64_t bytes = std::min(operation.length, settings_.file_bytes_most);
        room_.begin(actor->number, bytes / kBlockBytes + 2, usage);
        actor->history.begin(operation);
        std::string content;
        actor->asked_at = reactor_.now();
        auto ran = co_await actor->client->run(operation, &content);
        actor->asked_at.reset();
        Code code = ran.value();
        tally_.count(operation.kind, code);
        note(static_cast<std::uint64_t>(code));
        if (being_left_ && leaving(code)) co_return Done{};  // It stays under way.
        if (life != lives_) compute = nullptr;
        auto after = co_await usage_by(compute);
        if (after.ok()) hold_to_capacity(after.value());
        bool full = room_.end(actor->number, after);
        bool lost = is_of_held(operation) && actor->client->held_is_lost();
        bool right = lost || (full && no_room_is_right(operation, code));
        if (!right) judge(actor, operation, code, content);
        actor->history.end(code);
        note_loss(actor);
        if (settings_.pause_most > 0) co_await sleep(reactor_, actor->pause(settings_.pause_most));
    }
    co_return Done{};
}

// For a while; it goes on until close_cleanly() or crash().
void World::work() {
    if (!std::exchange(working_, true)) {
        pausing_ = false;
        for (auto& actor : actors_) {
            if (!cuts_.clients.contains(actor->number)) gate_->spawn(act(actor.get()));
        }
        commons_->begin(gate_.get());
        mounts_->begin(gate_.get());
    }
    std::uint64_t steps = 1 + chance_->below(settings_.work_steps_most);
    Nanos begun = reactor_.now();
    for (std::uint64_t i = 0; i < steps && failure_.empty(); ++i) {
        // Those who are waited for may wait for nothing but each other's pings.
        bool waits = network_ != nullptr || settings_.pause_most > 0;
        if (waits && reactor_.now() - begun > kWorkMost) break;
        if (!reactor_.step() || reactor_.now() - begun > kStuckAfter) {
            fail("liveness", "the clients wait for something that never comes");
        }
    }
    hear_of_clients();
}

// What they have found wrong themselves.
bool World::hear_of_clients() {
    if (!commons_->failure().empty()) return fail("clients", commons_->failure());
    if (!mounts_->failure().empty()) return fail("mounts", mounts_->failure());
    return true;
}

void World::crash(bool power_loss) {
    ++tally_.crashes;
    say(power_loss ? "the process ends, and power is lost" : "the process ends");
    working_ = false;
    gate_.reset();
    leave_clients();
    end_roles(power_loss);
}

// Where drives have processes of their own these go on, half the time.
void World::end_roles(bool power_loss) {
    if (settings_.network.drives && chance_->one_in(3)) lose_what_is_on_its_way();
    if (network_ != nullptr) network_->end_server();
    before_.reset();
    compute_.reset();
    if (network_ != nullptr) network_->forget();
    far_drives_before_.reset();
    far_drives_.reset();
    bool drives_too = power_loss || !settings_.network.drives || chance_->one_in(2);
    if (drives_too) drives_->end_all();
    if (!power_loss) return;
    // Then a journal may have what says where data lies, and nobody the data.
    bool short_stay = chance_->one_in(kShortStayOneIn);
    auto kept = short_stay ? SimulatedDisk::Kept::short_writes : SimulatedDisk::Kept::by_chance;
    for (auto& disk : disks_) disk->lose_power(kept);
}

// As where compute's machine ends with its process.
void World::lose_what_is_on_its_way() {
    for (const DriveEntry& entry : map_.drives) {
        network_->wires().reset(kComputeHost, host_of(entry.id));
    }
}

// They are gone, as their processes are.
void World::leave_clients() {
    for (auto& actor : actors_) {
        actor->asked_at.reset();
        actor->client.reset();
        actor->far.reset();
    }
    commons_->forget();
    mounts_->forget();
    room_.forget();
}

// Lets the operations under way end.
bool World::close_cleanly() {
    pausing_ = true;
    working_ = false;
    commons_->pause();
    mounts_->pause();
    if (!finish_done(gate_->close(), "the last operations")) return false;
    if (!hear_of_clients()) return false;
    gate_ = std::make_unique<Gate>(reactor_);
    return true;
}

bool World::stop() {
    if (!finish_done(mounts_->leave(), "unmounting")) return false;
    bool doors = network_ != nullptr;
    compute_->will_close();
    if (doors && !finish_done(network_->stop_server(), "stop of the door")) return false;
    return finish_done(compute_->close(), "stop");
}

std::string World::run() {
    chance_ = std::make_unique<Stream>(seed_, 0);
    if (make_cluster()) {
        std::uint32_t rounds = cuts_.rounds_most.value_or(settings_.rounds);
        for (std::uint32_t round = 0; round < rounds && failure_.empty(); ++round) {
            chance_ = std::make_unique<Stream>(seed_, 100 + round);
            work();
            if (failure_.empty() && !event(round)) break;
        }
        if (failure_.empty()) check_all();
    }
    tally_.simulated = reactor_.now();
    tell_counters();
    crash(false);
    drives_->end_all();
    return failure_;
}

}  // namespace weft::sim
