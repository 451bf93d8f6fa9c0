#include "platform/base/bytes.h"
#include "platform/base/siphash.h"
#include "sim/world/commons.h"
#include "sim/world/mounts.h"
#include "sim/world/world_internal.h"

// What has to be true: of each client's tree after each event, and of everything at the end.

namespace weft::sim {
namespace {

constexpr FilesystemId kFilesystem{1};
constexpr Nanos kLookEvery = 20 * kMillisecond;
constexpr Nanos kWholeWithin = 300 * kSecond;
constexpr Nanos kPurgedWithin = 60 * kSecond;

std::uint64_t counter(const ComputeReport& report, std::string_view name) {
    for (const auto& [each, value] : report.counters) {
        if (each == name) return value;
    }
    return 0;
}

}  // namespace

bool World::settle(Lost lost, Lost lost_by_sharers) {
    for (auto& actor : actors_) {
        note_loss(actor.get());
        Result<std::string> described = std::string();
        if (!finish(actor->client->describe(), &described, "reading the tree")) return false;
        std::string difference;
        if (!actor->history.accept(described.value(), lost, &difference)) {
            return fail(lost == Lost::power ? "power" : "tree", actor->name + ": " + difference);
        }
        // A session that broke at last was only missed by the look.
        note_loss(actor.get());
        note(siphash({1, 1}, bytes_of(described.value())));
    }
    if (!finish_done(commons_->settle(lost_by_sharers), "reading the commons")) return false;
    if (!finish_done(mounts_->settle(lost_by_sharers), "reading through the mounts")) return false;
    if (!hear_of_clients()) return false;
    note(commons_->moment());
    if (settings_.mounts.count > 0) note(mounts_->moment());
    return true;
}

// The promise is about what is lost before all is whole again.
Task<Done> World::until_whole() {
    Nanos deadline = reactor_.now() + kWholeWithin;
    for (;;) {
        auto report = co_await or_return(co_await compute_->report());
        if (report.segments_lost > 0) co_return Error{Code::corrupt, "sim.segments_lost"};
        std::uint64_t exposed = counter(report, "journal.segments_exposed");
        std::uint64_t torn = counter(report, "segments.torn");
        std::uint64_t unflushed = counter(report, "journal.drives_unflushed");
        bool whole = report.segments_degraded == 0 && exposed == 0 && torn == 0;
        if (whole && unflushed == 0) co_return Done{};
        if (reactor_.now() > deadline) {
            co_return Error{Code::unavailable, exposed > 0     ? "sim.journal_exposed"
                                               : unflushed > 0 ? "sim.unflushed"
                                                               : "sim.degraded"};
        }
        co_await sleep(reactor_, kLookEvery);
    }
}

std::uint64_t World::expected_inodes() const {
    std::uint64_t count = 1 + commons_->inode_count() + mounts_->inode_count();
    for (const auto& actor : actors_) count += actor->history.now().inode_count();
    return count;
}

// What has neither a name nor a handle goes within a bounded time.
Task<Done> World::until_purged(std::uint64_t inodes) {
    Nanos deadline = reactor_.now() + kPurgedWithin;
    for (;;) {
        auto usage = co_await or_return(co_await compute_->usage(kFilesystem));
        if (usage.inodes == inodes) co_return Done{};
        if (reactor_.now() > deadline) co_return Error{Code::invalid, "sim.inode_count"};
        co_await sleep(reactor_, kLookEvery);
    }
}

bool World::check_counts() {
    std::uint64_t expected = expected_inodes();
    Result<FilesystemUsage> usage = FilesystemUsage();
    Result<Done> purged = Done{};
    auto look = [](World* world, std::uint64_t inodes, Result<Done>* out) -> Task<Done> {
        *out = co_await world->until_purged(inodes);
        co_return Done{};
    };
    if (!finish_done(look(this, expected, &purged), "purging")) return false;
    if (!finish(compute_->usage(kFilesystem), &usage, "usage")) return false;
    const FilesystemUsage& used = usage.value();
    if (!purged.ok()) {
        return fail("counts", std::to_string(used.inodes) + " inodes, the clients know " +
                                  std::to_string(expected));
    }
    return hold_to_capacity(used);
}

bool World::hold_to_capacity(const FilesystemUsage& usage) {
    if (usage.used_blocks <= usage.capacity_blocks) return true;
    return fail("counts", std::to_string(usage.used_blocks) + " blocks used, " +
                              std::to_string(usage.capacity_blocks) + " may be");
}

bool World::check_findings() {
    Result<std::vector<Finding>> findings = std::vector<Finding>();
    if (!finish(compute_->check(true), &findings, "check")) return false;
    for (const Finding& finding : findings.value()) {
        return fail("check", finding.where + ": " + finding.what);
    }
    return true;
}

// Who offers a map that is older than the one in use is told so.
bool World::check_map() {
    ClusterMap old = map_;
    --old.epoch.value;
    Code code = Code::ok;
    auto offer = [](compute::ComputeRole* compute, ClusterMap map, Code* out) -> Task<Done> {
        auto taken = co_await compute->set_map(std::move(map));
        *out = taken.code();
        co_return Done{};
    };
    if (!finish_done(offer(compute_.get(), std::move(old), &code), "an old map")) return false;
    tally_.count(code);
    if (code == Code::refresh_map) return true;
    return fail("answers", "an old map was answered by " + std::string(name_of(code)));
}

// What the product did of its own accord since its start.
void World::tell_counters() {
    if (!telling_ || compute_ == nullptr) return;
    Result<ComputeReport> report = ComputeReport();
    if (!finish(compute_->report(), &report, "report")) return;
    say("segments degraded " + std::to_string(report.value().segments_degraded) + ", lost " +
        std::to_string(report.value().segments_lost));
    for (const auto& [name, value] : report.value().counters) {
        if (value > 0) say(name + " " + std::to_string(value));
    }
}

bool World::check_all() {
    if (!close_cleanly() || !settle(Lost::nothing)) return false;
    if (!finish_done(until_whole(), "redundancy")) return false;
    if (!check_counts() || !check_findings() || !check_map()) return false;
    if (!stop()) return false;
    // What a stop leaves is what the next start finds.
    crash(true);
    return start() && settle(Lost::process) && check_counts() && check_findings();
}

}  // namespace weft::sim
