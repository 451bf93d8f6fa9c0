#include "sim/world/commons.h"
#include "sim/world/format.h"
#include "sim/world/mounts.h"
#include "sim/world/world_internal.h"

#include <algorithm>
#include <cstdio>

// What happens to a world between two stretches of work. Each leaves it serving and whole.

namespace weft::sim {
namespace {

constexpr FilesystemId kFilesystem{1};
constexpr int kFlipsMost = 200;
constexpr std::uint64_t kRuinedFromMost = 32 * kMiB;
constexpr Nanos kRest = 3 * kSecond;  // In which duties end what they do.
constexpr std::uint64_t kRebuildCallsMost = 16;
constexpr Nanos kAimMost = kSecond / 2;
constexpr int kAimSteps = 20'000;
constexpr std::uint64_t kFurtherDoublings = 9;
constexpr int kEarlyEndsMost = 3;
// Behind a drive's tables, which have copies of their own.
constexpr std::uint64_t kSlotsBegin = 4 * kMiB;

Task<Done> open_over(compute::ComputeRole* compute, ClusterMap map, Epoch epoch) {
    co_await or_return(co_await compute->open(std::move(map), epoch));
    co_return co_await compute->create_filesystem(kFilesystem);
}

}  // namespace

void World::say(std::string_view what) const {
    if (!telling_) return;
    auto microseconds = static_cast<long long>(reactor_.now() / kMicrosecond);
    std::fprintf(stderr, "%12lld us: %.*s\n", microseconds, static_cast<int>(what.size()),
                 what.data());
}

bool World::event(std::uint32_t round) {
    Event kind = settings_.events[chance_->below(settings_.events.size())];
    before_.reset();
    far_drives_before_.reset();
    if (network_ != nullptr) network_->forget();
    if (cuts_.events.contains(round)) return close_cleanly() && settle(Lost::nothing);
    ++tally_.events[static_cast<std::size_t>(kind)];
    say(name_of(kind));
    set_clock();
    return happen(kind);
}

// Somebody sets the wall clock of the servers, half the time.
void World::set_clock() {
    if (settings_.wall_jump_most == 0 || !chance_->one_in(2)) return;
    auto most = static_cast<std::uint64_t>(settings_.wall_jump_most);
    auto jump = static_cast<Nanos>(chance_->below(most));
    if (chance_->one_in(2) && settings_.wall_goes_back) jump = -jump;
    say("the wall clock jumps by " + std::to_string(jump / kMillisecond) + " ms");
    reactor_.jump_wall(jump);
}

bool World::happen(Event kind) {
    switch (kind) {
        case Event::crash:
            return start_again(Lost::process);
        case Event::power_loss:
            return start_again(Lost::power);
        case Event::stop:
            return stop_and_start(!settings_.network.drives || chance_->one_in(2));
        case Event::lose_drives:
            return lose_drives();
        case Event::crash_degraded:
            return crash_degraded();
        case Event::outage:
            return outage();
        case Event::rot:
            return rot();
        case Event::take_over:
            return take_over();
        case Event::damage:
            return damage();
        case Event::reset:
            return reset_connections();
        case Event::partition:
            return partition();
        case Event::slow_link:
            return slow_link();
        case Event::drives_cut:
            return cut_drives();
        case Event::lies:
            return lies();
        case Event::slow_drives:
            return slow_drives();
        case Event::full_drives:
            return full_drives();
        case Event::outlive:
            return outlive();
        case Event::pause:
            return pause_compute();
        case Event::drives_end:
            return drives_end();
    }
    return true;
}

bool World::start_again(Lost lost) {
    aim();
    return failure_.empty() && end_and_start(lost);
}

bool World::end_and_start(Lost lost) {
    bool power = lost == Lost::power && !settings_.power_safe;
    crash(power);
    Lost in_all = power ? Lost::power : Lost::process;
    return start_in_the_end(power, &in_all) && settle(in_all);
}

// Half the time up to a call to the drives of a rare kind, and a little further: what they leave
// half done is so for a moment only.
void World::aim() {
    if (!chance_->one_in(2)) return;
    aim_at(static_cast<DriveWatch::Call>(chance_->below(DriveWatch::kCalls)));
}

void World::aim_at(DriveWatch::Call call) {
    std::uint64_t further = chance_->below(1ULL << chance_->below(kFurtherDoublings));
    std::uint64_t before = watch_.calls(call);
    auto step = [this] {
        if (failure_.empty() && !reactor_.step()) fail("liveness", "nobody has anything to do");
        return failure_.empty();
    };
    Nanos until = reactor_.now() + kAimMost;
    for (int i = 0; i < kAimSteps && watch_.calls(call) == before && reactor_.now() < until; ++i) {
        if (!step()) return;
    }
    for (std::uint64_t i = 0; i < further; ++i) {
        if (!step()) return;
    }
    hear_of_clients();
}

// The process starts, and sometimes ends in the midst of that, again and again; the power may go
// with it.
bool World::start_in_the_end(bool power, Lost* lost) {
    for (int i = 0; i < kEarlyEndsMost && chance_->one_in(3); ++i) {
        bool with_power = power && chance_->one_in(2);
        if (!start_and_end(with_power)) return false;
        if (with_power) *lost = Lost::power;
    }
    return start();
}

bool World::start_and_end(bool power) {
    prepare_start();
    if (!start_in_part()) return false;
    crash(power);
    return true;
}

// What it leaves has to be safe from loss of power.
bool World::stop_and_start(bool with_drives) {
    if (!close_cleanly() || !stop()) return false;
    crash(with_drives);
    return start() && settle(Lost::process);
}

bool World::work_and_pause() {
    work();
    return failure_.empty() && close_cleanly();
}

// Distinct indexes into the map.
std::vector<std::size_t> World::choose_drives(std::size_t count) {
    std::vector<std::size_t> chosen;
    while (chosen.size() < count) {
        std::size_t index = chance_->below(map_.drives.size());
        if (std::ranges::find(chosen, index) == chosen.end()) chosen.push_back(index);
    }
    return chosen;
}

void World::set_gone(const std::vector<std::size_t>& victims, bool gone) {
    for (std::size_t victim : victims) {
        DriveId id = map_.drives[victim].id;
        say("drive " + std::to_string(id.value) + (gone ? " goes away" : " comes back"));
        disks_[id.value]->set_gone(gone);
    }
}

// Management notices.
bool World::tell_of_loss(const std::vector<std::size_t>& victims) {
    for (std::size_t victim : victims) {
        map_.drives[victim].state = DriveState::failed;
        if (!finish_done(drives_->detach(map_.drives[victim].id), "detach")) return false;
    }
    ++map_.epoch.value;
    return finish_done(compute_->set_map(map_), "a map without the drives");
}

// Somebody brings empty drives.
bool World::replace(const std::vector<std::size_t>& victims) {
    for (std::size_t victim : victims) {
        DriveId fresh{map_.drives_made++};
        Result<DriveEntry> entry = Error{Code::invalid, "sim"};
        if (!make_drive(fresh, &entry)) return false;
        entry.value().domain = map_.drives[victim].domain;
        map_.drives[victim] = entry.value();
        std::shared_ptr<Disk> disk = disks_.back();
        if (!finish_done(drives_->attach(fresh, std::move(disk)), "attach")) return false;
    }
    ++map_.epoch.value;
    return finish_done(compute_->set_map(map_), "a map with new drives");
}

// Drives may be taken away again.
bool World::become_whole() {
    return close_cleanly() && finish_done(until_whole(), "redundancy");
}

bool World::lose_drives() {
    if (!become_whole()) return false;
    auto victims = choose_drives(1 + chance_->below(settings_.parity_width));
    work();
    set_gone(victims, true);
    if (!failure_.empty() || !work_and_pause()) return false;
    if (!tell_of_loss(victims) || !work_and_pause()) return false;
    if (chance_->one_in(3)) return rebuild_again(victims);
    if (!replace(victims) || !work_and_pause()) return false;
    return finish_done(until_whole(), "rebuild") && settle(Lost::nothing);
}

// The power is lost in the midst of a rebuild, while nothing else goes on. What it then calls
// whole has to be so: others may vanish.
bool World::rebuild_again(const std::vector<std::size_t>& victims) {
    if (!finish_done(sync_and_rest(), "sync")) return false;
    if (!replace(victims)) return false;
    // A chunk is made again: a slot is taken, written and flushed, and then the old one is free.
    auto call = chance_->one_in(2) ? DriveWatch::Call::allocate : DriveWatch::Call::flush;
    for (std::uint64_t i = chance_->below(kRebuildCallsMost); i > 0; --i) {
        aim_at(call);
        if (!failure_.empty()) return false;
    }
    if (!end_and_start(Lost::power) || !finish_done(until_whole(), "rebuild")) return false;
    return survive_loss();
}

// What calls itself whole is: any m drives may vanish.
bool World::survive_loss() {
    auto victims = choose_drives(settings_.parity_width);
    set_gone(victims, true);
    if (!settle(Lost::nothing) || !tell_of_loss(victims) || !replace(victims)) return false;
    return finish_done(until_whole(), "rebuild") && settle(Lost::nothing);
}

Task<Done> World::sync_and_rest() {
    NoSharer nobody;
    Caller caller;
    caller.session = co_await or_return(compute_->open_session(&nobody));
    co_await or_return(co_await compute_->sync(caller, kFilesystem));
    co_await or_return(co_await compute_->close_session(caller.session));
    co_await sleep(reactor_, kRest);
    co_return Done{};
}

bool World::crash_degraded() {
    if (!become_whole()) return false;
    work();
    if (!failure_.empty()) return false;
    bool power = chance_->one_in(2) && !settings_.power_safe;
    aim();
    if (!failure_.empty()) return false;
    crash(power);
    auto victims = choose_drives(1 + chance_->below(settings_.parity_width));
    set_gone(victims, true);
    Lost lost = power ? Lost::power : Lost::process;
    if (!start_in_the_end(power, &lost) || !settle(lost)) return false;
    if (!work_and_pause()) return false;
    if (!tell_of_loss(victims) || !replace(victims) || !work_and_pause()) return false;
    return finish_done(until_whole(), "rebuild") && settle(Lost::nothing);
}

bool World::outage() {
    if (!become_whole()) return false;
    auto victims = choose_drives(1 + chance_->below(settings_.parity_width));
    work();
    if (!failure_.empty()) return false;
    // Before the process does, or with it: then a drive may have what no other has.
    bool at_once = chance_->one_in(3);
    if (at_once) crash(false);
    set_gone(victims, true);
    if (!at_once && !work_and_pause()) return false;
    bool crashes = at_once || chance_->one_in(3);
    if (crashes && !at_once) crash(false);
    Lost lost = Lost::process;
    bool again = crashes && start_in_the_end(false, &lost) && settle(lost) && work_and_pause();
    if (crashes && !again) return false;
    set_gone(victims, false);
    // Who was away at the start is attached now.
    for (std::size_t victim : victims) {
        DriveId id = map_.drives[victim].id;
        std::shared_ptr<Disk> disk = disks_[id.value];
        if (!crashes) continue;
        bool attached = finish_done(drives_->attach(id, std::move(disk)), "attach after an outage");
        if (!attached) return false;
    }
    ++map_.epoch.value;
    if (!finish_done(compute_->set_map(map_), "a map after an outage")) return false;
    if (!work_and_pause()) return false;
    if (chance_->one_in(3) && !start_again(Lost::process)) return false;
    return finish_done(until_whole(), "redundancy after an outage") && settle(Lost::nothing);
}

// Where something was written.
void World::spoil(std::size_t victim) {
    SimulatedDisk& disk = *disks_[map_.drives[victim].id.value];
    auto somewhere = [&] {
        std::uint64_t from = chance_->below(disk.size_bytes() - kSlotsBegin) + kSlotsBegin;
        return disk.stored_at_or_behind(from).value_or(from / kBlockBytes * kBlockBytes);
    };
    for (int i = 0; i < kFlipsMost; ++i) {
        std::uint64_t at = somewhere() + chance_->below(kBlockBytes);
        if (chance_->one_in(3)) {
            disk.make_unreadable(at);
        } else {
            disk.flip_bit(at, static_cast<int>(chance_->below(8)));
        }
    }
}

// The stop puts the journal, which no scrub reads, into stripes.
bool World::rot() {
    if (!become_whole()) return false;
    if (chance_->one_in(2) && !rot_of_tables()) return false;
    auto chosen = choose_drives(1 + settings_.parity_width);
    std::size_t victim = chosen.back();
    chosen.pop_back();
    spoil(victim);
    if (!work_and_pause() || !stop_and_start(true)) return false;
    if (!check_findings()) return false;
    set_gone(chosen, true);
    if (!settle(Lost::nothing) || !tell_of_loss(chosen) || !replace(chosen)) return false;
    return finish_done(until_whole(), "rebuild") && settle(Lost::nothing);
}

// Noise, or the end of the drive, from somewhere on; or all of it vanishes. Nobody is told.
void World::ruin(std::size_t victim) {
    DriveId id = map_.drives[victim].id;
    SimulatedDisk& disk = *disks_[id.value];
    std::uint64_t from =
        chance_->one_in(2) ? 0 : chance_->below(std::min(kRuinedFromMost, disk.size_bytes()));
    std::string name = "drive " + std::to_string(id.value);
    ruined_.insert(id);
    switch (chance_->below(3)) {
        case 0:
            say(name + " vanishes");
            return disk.set_gone(true);
        case 1:
            say(name + " is noise from byte " + std::to_string(from) + " on");
            return disk.overwrite_with_noise(from, chance_->draw());
        default:
            say(name + " ends at byte " + std::to_string(from));
            return disk.cut_short(from);
    }
}

bool World::crash_unnoticed() {
    work();
    if (!failure_.empty()) return false;
    bool power = chance_->one_in(2) && !settings_.power_safe;
    crash(power);
    return start() && settle(power ? Lost::power : Lost::process);
}

// One after the other, in the midst of work, and noticed one after the other.
bool World::damage() {
    if (!become_whole()) return false;
    auto victims = choose_drives(1 + chance_->below(settings_.parity_width));
    for (std::size_t victim : victims) {
        work();
        if (!failure_.empty()) return false;
        ruin(victim);
    }
    if (!work_and_pause() || !settle(Lost::nothing)) return false;
    if (chance_->one_in(3) && !crash_unnoticed()) return false;
    return give_up(victims);
}

// The one before goes on until the next event, with all its duties, but without clients; half the
// time it has done nothing for a while, and does not know of the other when it goes on.
bool World::begin_successor() {
    Nanos away = 0;
    if (network_ != nullptr && chance_->one_in(2)) away = draw_away();
    if (away > 0) {
        say("compute's process does nothing for " + std::to_string(away / kMicrosecond) + " us");
        network_->compute_process(turn_).pause_until(reactor_.now() + away);
    }
    before_ = std::move(compute_);
    far_drives_before_ = std::move(far_drives_);
    turn_ = (turn_ + 1) % kComputeProcesses;
    ++map_.epoch.value;
    make_compute();
    return finish_done(open_over(compute_.get(), map_, map_.epoch), "taking over");
}

bool World::take_over() {
    being_left_ = true;
    commons_->be_left(true);
    mounts_->be_left(true);
    if (!begin_successor()) return false;
    gate_ = std::make_unique<Gate>(reactor_);
    working_ = false;
    leave_clients();
    if (network_ != nullptr) {
        network_->end_server();
        network_->serve(*compute_, turn_);
    }
    being_left_ = false;
    commons_->be_left(false);
    mounts_->be_left(false);
    ++tally_.crashes;
    return open_clients() && settle(Lost::process);
}

}  // namespace weft::sim
