#include "sim/model/register_history.h"

#include <algorithm>
#include <map>

namespace weft::sim {
namespace {

using Moment = RegisterHistory::Moment;

// Of one value.
struct Zone {
    std::uint64_t value = 0;
    Moment first_end = RegisterHistory::kNever;
    Moment last_begin = 0;
    Moment write_begin = 0;
    bool counts = false;  // The write has ended, or somebody has seen it.

    bool forward() const { return first_end < last_begin; }
};

std::string overlap(const Zone& a, const Zone& b) {
    return "value " + std::to_string(a.value) + " (ended " + std::to_string(a.first_end) +
           ", seen until " + std::to_string(a.last_begin) + ") and value " +
           std::to_string(b.value) + " (" + std::to_string(std::min(b.first_end, b.last_begin)) +
           " to " + std::to_string(std::max(b.first_end, b.last_begin)) +
           ") cannot have come one after the other";
}

}  // namespace

void RegisterHistory::reset(std::uint64_t first) {
    reads_.clear();
    writes_.assign(1, {first, 0, 0, 0, 0});
}

std::size_t RegisterHistory::begin_write(std::uint64_t value, Moment begin, Client by) {
    writes_.push_back({value, begin, kNever, kNever, by});
    return writes_.size() - 1;
}

void RegisterHistory::read(std::uint64_t value, Moment begin, Moment end, Client by) {
    reads_.push_back({value, begin, end, by});
}

void RegisterHistory::lose(Moment synced) {
    std::erase_if(reads_, [synced](const Read& read) { return read.end > synced; });
    for (Write& write : writes_) {
        if (write.end > synced || write.sent > synced) write.end = kNever;
    }
}

void RegisterHistory::lose_of(Client by, Moment synced) {
    std::erase_if(reads_, [=](const Read& read) { return read.by == by && read.end > synced; });
    for (Write& write : writes_) {
        if (write.by == by && write.end > synced) write.end = kNever;
    }
}

std::string RegisterHistory::check() const {
    std::map<std::uint64_t, Zone> zones;
    for (const Write& write : writes_) {
        bool ended = write.end != kNever;
        zones[write.value] = {write.value, write.end, write.begin, write.begin, ended};
    }
    for (const Read& read : reads_) {
        auto zone = zones.find(read.value);
        std::string value = "value " + std::to_string(read.value);
        if (zone == zones.end()) return value + " was read and never written";
        if (read.end < zone->second.write_begin) return value + " was read before it was written";
        zone->second.first_end = std::min(zone->second.first_end, read.end);
        zone->second.last_begin = std::max(zone->second.last_begin, read.begin);
        zone->second.counts = true;
    }
    std::vector<Zone> forward;
    for (const auto& [value, zone] : zones) {
        if (zone.counts && zone.forward()) forward.push_back(zone);
    }
    std::ranges::sort(forward, {}, &Zone::first_end);
    const Zone* latest = nullptr;
    for (const Zone& zone : forward) {
        if (latest != nullptr && zone.first_end < latest->last_begin) return overlap(*latest, zone);
        if (latest == nullptr || zone.last_begin > latest->last_begin) latest = &zone;
    }
    for (const auto& [value, zone] : zones) {
        if (!zone.counts || zone.forward()) continue;
        for (const Zone& around : forward) {
            bool within = around.first_end < zone.last_begin && zone.first_end < around.last_begin;
            if (within) return overlap(around, zone);
        }
    }
    return {};
}

}  // namespace weft::sim
