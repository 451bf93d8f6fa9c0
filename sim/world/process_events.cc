#include "sim/world/commons.h"
#include "sim/world/network.h"
#include "sim/world/world_internal.h"

#include <string>

// Processes of drives end, or do nothing for a while, and compute's goes on; or it is the one that
// does nothing. Each event leaves all of them running.

namespace weft::sim {
namespace {

constexpr Nanos kAwayLeast = 50 * kMicrosecond;
constexpr std::uint64_t kAwayDoublings = 19;  // 13 s and more.
constexpr std::uint64_t kTimesMost = 3;

}  // namespace

Nanos World::draw_away() {
    Nanos least = kAwayLeast << chance_->below(kAwayDoublings);
    return least + static_cast<Nanos>(chance_->below(static_cast<std::uint64_t>(least)));
}

// Anywhere; until raise_drives(), or for as long.
void World::let_down(DriveId drive, Nanos duration) {
    std::string name = "the process of drive " + std::to_string(drive.value);
    if (chance_->one_in(2)) {
        say(name + " does nothing for " + std::to_string(duration / kMicrosecond) + " us");
        return drives_->pause(drive, duration);
    }
    say(name + " ends");
    drives_->end(drive);
    down_.insert(drive);
}

bool World::raise_drives() {
    for (DriveId drive : std::exchange(down_, {})) {
        say("the process of drive " + std::to_string(drive.value) + " starts");
        std::shared_ptr<Disk> disk = disks_[drive.value];
        if (!finish_done(drives_->attach(drive, std::move(disk)), "start of a drive's process")) {
            return false;
        }
    }
    return true;
}

// Up to m of them, again and again, and perhaps compute's own as well.
bool World::drives_end() {
    if (!become_whole()) return false;
    auto victims = choose_drives(1 + chance_->below(settings_.parity_width));
    work();
    std::uint64_t times = 1 + chance_->below(kTimesMost);
    for (std::uint64_t i = 0; i < times && failure_.empty(); ++i) {
        aim();
        if (!failure_.empty()) return false;
        Nanos away = draw_away();
        for (std::size_t victim : victims) {
            bool falls = i == 0 || chance_->one_in(2);
            if (falls) let_down(map_.drives[victim].id, away);
        }
        if (chance_->one_in(4) && !start_again(Lost::process)) return false;
        let_pass(away);
        if (!nobody_waits() || !hear_of_clients() || !raise_drives()) return false;
        if (pausing_ && !close_cleanly()) return false;
        work();
    }
    return failure_.empty() && close_cleanly() && have_drives_back("a map after drives' processes");
}

// It hears of nothing, and its deadlines pass.
bool World::pause_compute() {
    work();
    if (!failure_.empty()) return false;
    aim();
    if (!failure_.empty()) return false;
    Nanos away = draw_away();
    say("compute's process does nothing for " + std::to_string(away / kMicrosecond) + " us");
    network_->compute_process(turn_).pause_until(reactor_.now() + away);
    let_pass(away);
    say("it goes on");
    if (!hear_of_clients() || !work_again()) return false;
    if (settings_.network.drives) return have_drives_back("a map after a pause");
    return settle(Lost::nothing);
}

}  // namespace weft::sim
