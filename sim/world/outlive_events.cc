#include "sim/world/commons.h"
#include "sim/world/mounts.h"
#include "sim/world/network.h"
#include "sim/world/world_internal.h"

#include <string>

// Compute's process ends alone. Its clients are in others, and live on: they come back to the next
// one, and go on where they were.

namespace weft::sim {
namespace {

constexpr std::uint64_t kEndsMost = 3;
constexpr Nanos kDownLeast = 20 * kMicrosecond;
constexpr std::uint64_t kDownDoublings = 18;     // 2.6 s and more.
constexpr std::uint64_t kBrieflyDoublings = 12;  // 40 ms and more.
constexpr std::uint64_t kBriefSteps = 20'000;
constexpr std::uint64_t kRestSteps = 2000;
constexpr std::uint64_t kStartDoublings = 13;  // Of steps: more than most starts take.
// A connect that hears nothing takes 2 s, and half of one passes until the next.
constexpr Nanos kBackWithin = 20 * kSecond;

}  // namespace

void World::end_compute(bool power) {
    commons_->compute_ends();
    ++tally_.crashes;
    ++lives_;
    say(power ? "compute's process ends, and power is lost" : "compute's process ends");
    end_roles(power);
}

// As asked, or anywhere.
bool World::end_alone() {
    if (chance_->one_in(4)) {
        say("compute stops");
        commons_->compute_ends();
        compute_->will_close();
        if (!finish_done(network_->stop_server(), "stop of the door")) return false;
        if (!finish_done(compute_->close(), "stop")) return false;
    } else {
        aim();
    }
    end_compute(false);
    return failure_.empty();
}

// As far as it comes.
bool World::start_in_part() {
    std::uint64_t steps = 1 + chance_->below(1ULL << chance_->below(kStartDoublings));
    std::optional<Result<Done>> ended;
    auto drive = [](Task<Done> starting, std::optional<Result<Done>>* out) -> Task<Done> {
        out->emplace(co_await starting);
        co_return Done{};
    };
    Task<Done> driver = drive(start_roles(), &ended);
    driver.start(std::noop_coroutine());
    for (std::uint64_t i = 0; i < steps && !ended.has_value(); ++i) {
        if (!reactor_.step()) return fail("liveness", "a start never ended");
    }
    if (ended.has_value() && !ended->ok()) {
        return fail("availability", "start: " + std::string(name_of(ended->code())) + ", " +
                                        std::string(ended->error().what));
    }
    return true;
}

// Sometimes it ends again in the midst of that.
bool World::start_alone() {
    while (chance_->one_in(4)) {
        prepare_processes();
        if (!start_in_part()) return false;
        end_compute(false);
    }
    prepare_processes();
    Nanos begun = reactor_.now();
    if (!finish_done(start_roles(), "start")) return false;
    network_->serve(*compute_, turn_);
    mounts_->compute_begins(compute_.get());
    commons_->compute_begins(compute_.get(), begun + settings_.compute.lock_grace);
    return true;
}

// The one before goes on, without its clients.
bool World::take_over_alone() {
    say("another process takes over");
    before_.reset();
    far_drives_before_.reset();
    network_->forget();
    commons_->compute_ends();
    ++tally_.crashes;
    ++lives_;
    network_->end_server();
    Nanos begun = reactor_.now();
    if (!begin_successor()) return false;
    network_->serve(*compute_, turn_);
    mounts_->compute_begins(compute_.get());
    commons_->compute_begins(compute_.get(), begun + settings_.compute.lock_grace);
    return true;
}

// Whoever can reach it has found it by then.
bool World::all_are_back() {
    Nanos until = reactor_.now() + kBackWithin;
    for (auto away = network_->awaited(); away.has_value(); away = network_->awaited()) {
        if (!failure_.empty()) return false;
        if (!reactor_.step() || reactor_.now() > until) {
            return fail("availability", *away + " does not come back after a restart");
        }
    }
    return true;
}

// Those with trees of their own end what they do, and hold nothing open.
bool World::let_actors_rest() {
    pausing_ = true;
    Nanos begun = reactor_.now();
    for (auto& actor : actors_) {
        while (actor->acting > 0) {
            if (!failure_.empty()) return false;
            if (!reactor_.step() || reactor_.now() - begun > kStuckAfter) {
                return fail("liveness", actor->name + " never ends what it does");
            }
        }
        if (!finish_done(actor->client->let_go(), "letting go")) return false;
        note_loss(actor.get());
        actor->history.forget_held();
    }
    return failure_.empty();
}

// In a short while nobody comes to a pause: who is cut off goes on with what it has cached.
void World::be_down(bool briefly) {
    std::uint64_t doublings = briefly ? kBrieflyDoublings : kDownDoublings;
    Nanos until = reactor_.now() + (kDownLeast << chance_->below(doublings));
    if (!briefly) return let_pass(until - reactor_.now());
    for (std::uint64_t i = 0; i < kBriefSteps && reactor_.now() < until; ++i) {
        if (!reactor_.step()) break;
    }
}

bool World::outlive() {
    bool power = chance_->one_in(4) && !settings_.power_safe && settings_.mounts.count == 0;
    return power ? outlive_power_loss() : outlive_crashes();
}

bool World::end_and_start_alone(bool briefly) {
    if (chance_->one_in(4)) return take_over_alone();
    if (!end_alone()) return false;
    be_down(briefly);
    return start_alone();
}

// Again and again, and once in a while where somebody cannot hear of it.
bool World::outlive_crashes() {
    std::uint64_t ends = 1 + chance_->below(kEndsMost);
    for (std::uint64_t i = 0; i < ends; ++i) {
        std::string host = choose_host();
        bool cut = chance_->one_in(3);
        if (cut) say("nothing passes from and to " + host);
        if (cut) network_->cut(host, true, true);
        if (!end_and_start_alone(cut)) return false;
        if (cut && working_) work();
        network_->mend(host);
        if (cut) say("it passes again");
        if (pausing_ && !close_cleanly()) return false;
        work();
        if (!failure_.empty()) return false;
    }
    return all_are_back() && close_cleanly() && settle(Lost::nothing);
}

// What is under way when power goes may have been done or not, also if it is asked for again: those
// with trees of their own do nothing then.
bool World::outlive_power_loss() {
    if (!let_actors_rest()) return false;
    for (std::uint64_t i = chance_->below(kRestSteps); i > 0 && failure_.empty(); --i) {
        if (!reactor_.step()) break;
    }
    if (!hear_of_clients()) return false;
    end_compute(true);
    commons_->lose_power();
    be_down(false);
    if (!start_alone() || !all_are_back() || !close_cleanly()) return false;
    return settle(Lost::power, Lost::nothing);
}

}  // namespace weft::sim
