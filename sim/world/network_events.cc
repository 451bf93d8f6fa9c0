#include "sim/world/commons.h"
#include "sim/world/mounts.h"
#include "sim/world/network.h"
#include "sim/world/world_internal.h"

#include <algorithm>

// What happens to the network between a client and compute while they work. Each leaves it as it
// was.

namespace weft::sim {
namespace {

constexpr Nanos kPartitionLeast = 100 * kMicrosecond;
constexpr std::uint64_t kPartitionDoublings = 18;   // 13 s and more: longer than any silence.
constexpr std::uint64_t kDrivesAwayDoublings = 19;  // 26 s.
constexpr Nanos kAnswersIn = 15 * kSecond;          // While drives do not answer.
constexpr Nanos kSlowPause = 30 * kMillisecond;
constexpr Nanos kTermsMost = 4 * kSecond;  // About what leases and sessions last.

}  // namespace

// One of those who come over the network.
std::string World::choose_host() {
    std::uint64_t count = actors_.size() + settings_.sharers + settings_.mounts.count;
    std::uint64_t index = chance_->below(count);
    if (index < actors_.size()) return actors_[index]->name;
    index -= actors_.size();
    if (index < settings_.sharers) return "sharer" + std::to_string(index);
    return "mount" + std::to_string(index - settings_.sharers);
}

bool World::reset_connections() {
    std::uint64_t count = 1 + chance_->below(5);
    for (std::uint64_t i = 0; i < count && failure_.empty(); ++i) {
        std::string host = choose_host();
        say("the connection of " + host + " breaks");
        network_->reset(host);
        work();
    }
    return failure_.empty() && close_cleanly() && settle(Lost::nothing);
}

// Where others would do too much meanwhile, they pause, or get slow: what sharers cache counts
// then, and until when.
void World::let_pass(Nanos duration) {
    Nanos until = reactor_.now() + duration;
    std::uint64_t steps = 1 + chance_->below(settings_.work_steps_most);
    for (std::uint64_t i = 0; i < kStepsMost && reactor_.now() < until; ++i) {
        if (i == steps) {
            pausing_ = true;
            commons_->pause_between(std::max(settings_.pause_most, kSlowPause));
            mounts_->pause();
        }
        if (!reactor_.step()) break;
    }
    commons_->pause_between(settings_.pause_most);
    working_ = !pausing_;
}

// Nothing passes for a while, one way or both; then all of it, or the connection breaks.
bool World::partition() {
    std::string host = choose_host();
    std::uint64_t ways = chance_->below(3);
    bool breaks = chance_->one_in(3);
    Nanos least = kPartitionLeast << chance_->below(kPartitionDoublings);
    Nanos duration = least + static_cast<Nanos>(chance_->below(static_cast<std::uint64_t>(least)));
    if (chance_->one_in(2)) duration = static_cast<Nanos>(chance_->below(kTermsMost));
    say("nothing passes " +
        std::string(ways == 0   ? "from "
                    : ways == 1 ? "to "
                                : "from and to ") +
        host + " for " + std::to_string(duration / kMicrosecond) + " us");
    network_->cut(host, ways != 1, ways != 0);
    let_pass(duration);
    if (breaks) network_->reset(host);
    network_->mend(host);
    say("it passes again");
    if (!hear_of_clients()) return false;
    return failure_.empty() && work_again() && settle(Lost::nothing);
}

// Those who pause end what they do before they go on.
bool World::work_again() {
    if (pausing_ && !close_cleanly()) return false;
    return work_and_pause();
}

// As from far away, or over a line that many share.
bool World::slow_link() {
    std::string host = choose_host();
    SimulatedLink link = settings_.network.link;
    link.bytes_a_second = (256 * kKiB) << chance_->below(6);
    link.delay = kMillisecond << chance_->below(7);
    say("the link of " + host + " is slow: " + std::to_string(link.bytes_a_second / kKiB) +
        " KiB/s, " + std::to_string(link.delay / kMillisecond) + " ms");
    network_->set_link(host, link);
    bool good = work_and_pause();
    network_->set_link(host, settings_.network.link);
    return good && settle(Lost::nothing);
}

// For what no answer comes from, an answer comes all the same.
bool World::nobody_waits() {
    for (const auto& actor : actors_) {
        bool waits = actor->asked_at.has_value() && reactor_.now() - *actor->asked_at > kAnswersIn;
        if (waits) return fail("liveness", actor->name + " waits for drives that are out of reach");
    }
    return true;
}

// Up to m drives are out of reach; then management notices that they are back.
bool World::cut_drives() {
    if (!close_cleanly() || !finish_done(until_whole(), "redundancy")) return false;
    auto victims = choose_drives(1 + chance_->below(settings_.parity_width));
    std::uint64_t ways = chance_->below(4);  // 3: they break only.
    bool breaks = ways == 3 || chance_->one_in(2);
    Nanos duration = kPartitionLeast << chance_->below(kDrivesAwayDoublings);
    SimulatedNetwork& wires = network_->wires();
    work();
    for (std::size_t victim : victims) {
        std::string host = host_of(map_.drives[victim].id);
        say(host + " is out of reach for " + std::to_string(duration / kMicrosecond) + " us");
        if (breaks) wires.reset(kComputeHost, host);
        if (ways == 0 || ways == 2) wires.cut(kComputeHost, host);
        if (ways == 1 || ways == 2) wires.cut(host, kComputeHost);
    }
    if (failure_.empty()) let_pass(duration);
    if (!nobody_waits()) return false;
    for (std::size_t victim : victims) {
        std::string host = host_of(map_.drives[victim].id);
        wires.mend(kComputeHost, host);
        wires.mend(host, kComputeHost);
    }
    say("all drives are back");
    ++map_.epoch.value;
    if (!failure_.empty() || !finish_done(compute_->set_map(map_), "a map after a cut"))
        return false;
    if (!work_again() || !finish_done(until_whole(), "redundancy after a cut")) return false;
    if (chance_->one_in(2)) return survive_loss();
    return settle(Lost::nothing);
}

}  // namespace weft::sim
