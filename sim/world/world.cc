#include "sim/world/world.h"

#include "platform/base/bytes.h"
#include "platform/base/siphash.h"

#include <algorithm>
#include <array>

namespace weft::sim {
namespace {

constexpr FilesystemId kFilesystem{1};
constexpr Nanos kStuckAfter = 600 * kSecond;  // Of simulated time, for anything to end.
constexpr Nanos kLookEvery = 20 * kMillisecond;
constexpr std::uint64_t kStepsMost = 20'000'000;

class NoLeases : public LeaseHolder {
public:
    Task<Done> recall(Recall) override { co_return Done{}; }
};
NoLeases no_leases;

// What any client may be told at any time by a cluster in trouble, and tries again after.
bool passing(Code code) {
    return code == Code::retry_later || code == Code::refresh_map;
}

}  // namespace

class World::ReactorChance : public Chance {
public:
    explicit ReactorChance(SimulatedReactor& reactor) : reactor_(reactor) {}
    std::uint64_t draw() override { return reactor_.random(); }

private:
    SimulatedReactor& reactor_;
};

// One client: what it has done, and its hands.
struct World::Actor {
    std::string name;
    History history;
    SessionId session;
    FileId home;
    std::unique_ptr<Client> client;
};

WorldSettings random_settings(Chance& chance) {
    WorldSettings settings;
    settings.shard_count = 1U << chance.below(4);
    settings.client_count = 1 + static_cast<std::uint32_t>(chance.below(4));
    settings.rounds = 3 + static_cast<std::uint32_t>(chance.below(6));
    settings.power_safe = chance.one_in(4);
    auto& compute = settings.compute;
    compute.journal_bytes_most = kMiB << chance.below(4);
    compute.index.memtable_bytes_most = (16 * kKiB) << chance.below(5);
    compute.index.fanout = 2 + static_cast<std::uint32_t>(chance.below(7));
    compute.data.direct_write_bytes_least = (16 * kKiB) << chance.below(4);
    compute.data.staged_bytes_usual = (64 * kKiB) << chance.below(4);
    compute.cached_inodes_most = 16ULL << chance.below(8);
    return settings;
}

World::World(std::uint64_t seed)
    : reactor_(seed), chance_(std::make_unique<ReactorChance>(reactor_)) {
    settings_ = random_settings(*chance_);
    for (std::uint32_t i = 0; i < settings_.client_count; ++i) {
        actors_.push_back(std::make_unique<Actor>());
        actors_.back()->name = "client" + std::to_string(i);
    }
}

World::~World() = default;

void World::note(std::uint64_t value) {
    std::array<std::uint64_t, 3> mixed = {trace_, value,
                                          static_cast<std::uint64_t>(reactor_.now())};
    trace_ = siphash({17, 4}, std::as_bytes(std::span(mixed)));
}

bool World::fail(std::string oracle, std::string what) {
    if (failure_.empty()) failure_ = "[" + oracle + "] " + what;
    return false;
}

// Runs the reactor until the task has ended.
template <class T>
bool World::finish(Task<T> task, Result<T>* result, const char* what) {
    std::optional<Result<T>> ended;
    auto drive = [](Task<T>* inner, std::optional<Result<T>>* out) -> Task<Done> {
        out->emplace(co_await *inner);
        co_return Done{};
    };
    Task<Done> driver = drive(&task, &ended);
    driver.start(std::noop_coroutine());
    Nanos begun = reactor_.now();
    for (std::uint64_t steps = 0; !ended.has_value(); ++steps) {
        bool stuck = !reactor_.step() || reactor_.now() - begun > kStuckAfter || steps > kStepsMost;
        if (stuck) return fail("liveness", std::string(what) + " never ended");
    }
    *result = std::move(*ended);
    if (result->ok()) return true;
    return fail("availability", std::string(what) + ": " + std::string(name_of(result->code())) +
                                    ", " + std::string(result->error().what));
}

void World::add_disk() {
    auto disk = std::make_shared<SimulatedDisk>(reactor_, settings_.drive_bytes);
    disk->set_power_safe(settings_.power_safe);
    disks_.push_back(std::move(disk));
}

ClusterMap World::make_map() const {
    ClusterMap map;
    map.cluster = 4711;
    map.epoch = Epoch{1};
    map.name = "sim";
    map.data_width = settings_.data_width;
    map.parity_width = settings_.parity_width;
    map.slot_bytes = kMiB;
    map.shard_count = settings_.shard_count;
    map.routing_key = {3, 5};
    FilesystemEntry filesystem;
    filesystem.id = kFilesystem;
    filesystem.name = "sim";
    filesystem.capacity_bytes = settings_.drive_bytes * settings_.data_width / 2;
    map.filesystems.push_back(filesystem);
    map.filesystems_made = 1;
    return map;
}

namespace {

Task<DriveEntry> format_disk(SimulatedReactor* reactor, SimulatedDisk* disk, DriveId id) {
    drive::NewDrive made;
    made.cluster = 4711;
    made.drive = id;
    made.domain = FailureDomainId{id.value};
    made.slot_bytes = kMiB;
    co_await or_return(co_await drive::format_drive(reactor, disk, made));
    DriveEntry entry;
    entry.id = id;
    entry.domain = made.domain;
    entry.size_bytes = disk->size_bytes();
    co_return entry;
}

}  // namespace

bool World::make_cluster() {
    map_ = make_map();
    for (std::uint32_t i = 0; i < settings_.drive_count; ++i) {
        add_disk();
        Result<DriveEntry> entry = Error{Code::invalid, "sim"};
        if (!finish(format_disk(&reactor_, disks_[i].get(), DriveId{i}), &entry, "format")) {
            return false;
        }
        map_.drives.push_back(entry.value());
    }
    map_.drives_made = settings_.drive_count;
    return start();
}

Task<Done> World::start_roles() {
    for (const DriveEntry& entry : map_.drives) {
        if (entry.state == DriveState::failed) continue;
        std::shared_ptr<Disk> disk = disks_[entry.id.value];
        co_await or_return(co_await drives_->attach(std::move(disk), map_.cluster));
    }
    co_await or_return(co_await compute_->open(map_, map_.epoch));
    co_return co_await compute_->create_filesystem(kFilesystem);
}

// The process starts: at a new epoch, from the drives alone.
bool World::start() {
    ++map_.epoch.value;
    drives_ = std::make_unique<drive::DriveRole>(reactor_);
    compute_ = std::make_unique<compute::ComputeRole>(reactor_, *drives_, settings_.compute);
    gate_ = std::make_unique<Gate>(reactor_);
    Result<Done> started = Done{};
    return finish(start_roles(), &started, "start") && open_clients();
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
        actor->client = std::make_unique<Client>(*compute_, actor->session, actor->home);
    }
    co_return Done{};
}

bool World::open_clients() {
    Result<Done> made = Done{};
    return finish(make_homes(), &made, "homes");
}

// One operation after another, each held against what POSIX asks for.
Task<Done> World::act(Actor* actor) {
    while (!pausing_ && failure_.empty()) {
        Operation operation = random_operation(*chance_, settings_.file_bytes_most);
        actor->history.begin(operation);
        std::string content;
        auto ran = co_await actor->client->run(operation, &content);
        Code code = ran.value();
        ++operations_;
        note(static_cast<std::uint64_t>(code));
        if (passing(code) || code == Code::out_of_space) {
            fail("answers",
                 actor->name + ": " + to_text(operation) + ": " + std::string(name_of(code)));
            co_return Done{};
        }
        if (code != actor->history.expected()) {
            fail("answers", actor->name + ": " + to_text(operation) + ": expected " +
                                std::string(name_of(actor->history.expected())) + ", got " +
                                std::string(name_of(code)));
        }
        if (operation.kind == Operation::Kind::read && code == Code::ok &&
            actor->history.now().read(operation) != content) {
            fail("answers", actor->name + ": " + to_text(operation) + ": read " +
                                std::to_string(content.size()) +
                                " bytes that are not what was written");
        }
        actor->history.end(code);
    }
    co_return Done{};
}

void World::work(std::uint64_t steps) {
    pausing_ = false;
    for (auto& actor : actors_) gate_->spawn(act(actor.get()));
    Nanos begun = reactor_.now();
    for (std::uint64_t i = 0; i < steps && failure_.empty(); ++i) {
        if (!reactor_.step() || reactor_.now() - begun > kStuckAfter) {
            fail("liveness", "the clients wait for something that never comes");
        }
    }
}

void World::crash(bool power_loss) {
    ++crashes_;
    gate_.reset();
    for (auto& actor : actors_) actor->client.reset();
    compute_.reset();
    drives_.reset();
    if (!power_loss) return;
    for (auto& disk : disks_) disk->lose_power();
}

// Lets the operations under way end.
bool World::close_cleanly() {
    pausing_ = true;
    Result<Done> ended = Done{};
    return finish(gate_->close(), &ended, "the last operations");
}

bool World::settle_clients(bool power_loss) {
    for (auto& actor : actors_) {
        Result<std::string> described = std::string();
        if (!finish(actor->client->describe(), &described, "reading the tree")) return false;
        std::string difference;
        if (!actor->history.accept(described.value(), power_loss, &difference)) {
            return fail(power_loss ? "power" : "tree", actor->name + ": " + difference);
        }
        note(siphash({1, 1}, bytes_of(described.value())));
    }
    return true;
}

bool World::lose_and_replace_drive() {
    std::size_t victim = chance_->below(map_.drives.size());
    DriveId id = map_.drives[victim].id;
    disks_[id.value]->set_gone(true);
    work(1 + chance_->below(settings_.work_steps_most));
    if (!failure_.empty() || !close_cleanly()) return false;
    // Management notices, and later somebody brings an empty drive.
    map_.drives[victim].state = DriveState::failed;
    ++map_.epoch.value;
    Result<Done> done = Done{};
    if (!finish(drives_->detach(id), &done, "detach")) return false;
    if (!finish(compute_->set_map(map_), &done, "a map without the drive")) return false;
    gate_ = std::make_unique<Gate>(reactor_);
    work(1 + chance_->below(settings_.work_steps_most));
    if (!failure_.empty() || !close_cleanly()) return false;
    DriveId fresh{map_.drives_made++};
    add_disk();
    Result<DriveEntry> entry = Error{Code::invalid, "sim"};
    if (!finish(format_disk(&reactor_, disks_.back().get(), fresh), &entry, "format")) {
        return false;
    }
    entry.value().domain = map_.drives[victim].domain;
    map_.drives[victim] = entry.value();
    std::shared_ptr<Disk> disk = disks_.back();
    Result<DriveEntry> attached = Error{Code::invalid, "sim"};
    if (!finish(drives_->attach(std::move(disk), map_.cluster), &attached, "attach")) return false;
    ++map_.epoch.value;
    if (!finish(compute_->set_map(map_), &done, "a map with a new drive")) return false;
    gate_ = std::make_unique<Gate>(reactor_);
    work(1 + chance_->below(settings_.work_steps_most));
    if (!failure_.empty() || !close_cleanly()) return false;
    gate_ = std::make_unique<Gate>(reactor_);
    return finish(until_whole(), &done, "rebuild") && settle_clients(false);
}

// The promise is about what is lost before all is whole again.
Task<Done> World::until_whole() {
    for (;;) {
        auto report = co_await or_return(co_await compute_->report());
        if (report.segments_lost > 0) co_return Error{Code::corrupt, "sim.segments_lost"};
        if (report.segments_degraded == 0) co_return Done{};
        co_await sleep(reactor_, kLookEvery);
    }
}

// On one drive only: a row has parity for two.
void World::flip_bits() {
    std::size_t victim = chance_->below(map_.drives.size());
    SimulatedDisk& disk = *disks_[map_.drives[victim].id.value];
    // Behind the tables, which have copies of their own.
    constexpr std::uint64_t kSlotsBegin = 4 * kMiB;
    for (int i = 0; i < 40; ++i) {
        std::uint64_t at = kSlotsBegin + chance_->below(disk.size_bytes() - kSlotsBegin);
        disk.flip_bit(at, static_cast<int>(chance_->below(8)));
    }
}

// Something happens, and then the world is whole again and as it should be.
bool World::event() {
    switch (chance_->below(6)) {
        case 0:
        case 1:
            crash(false);
            return start() && settle_clients(false);
        case 2:
        case 3:
            crash(!settings_.power_safe);
            return start() && settle_clients(!settings_.power_safe);
        case 4: {
            if (!close_cleanly()) return false;
            gate_ = std::make_unique<Gate>(reactor_);
            if (chance_->one_in(2)) flip_bits();
            return lose_and_replace_drive();
        }
        default: {
            if (!close_cleanly()) return false;
            Result<Done> closed = Done{};
            if (!finish(compute_->close(), &closed, "close")) return false;
            crash(true);
            return start() && settle_clients(false);
        }
    }
}

bool World::check_all() {
    if (!close_cleanly()) return false;
    gate_ = std::make_unique<Gate>(reactor_);
    if (!settle_clients(false)) return false;
    Result<std::vector<Finding>> findings = std::vector<Finding>();
    if (!finish(compute_->check(true), &findings, "check")) return false;
    for (const Finding& finding : findings.value()) {
        return fail("check", finding.where + ": " + finding.what);
    }
    Result<Done> closed = Done{};
    return finish(compute_->close(), &closed, "close");
}

std::string World::run() {
    if (make_cluster()) {
        for (std::uint32_t round = 0; round < settings_.rounds && failure_.empty(); ++round) {
            work(1 + chance_->below(settings_.work_steps_most));
            if (failure_.empty() && !event()) break;
        }
        if (failure_.empty()) check_all();
    }
    gate_.reset();
    for (auto& actor : actors_) actor->client.reset();
    compute_.reset();
    drives_.reset();
    return failure_;
}

}  // namespace weft::sim
