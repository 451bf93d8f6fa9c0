#include "engines/leases/lease_table.h"

#include "platform/base/check.h"

#include <algorithm>
#include <bit>

namespace weft::leases {
namespace {

// Fibonacci hashing on top of the identity-like std::hash of a FileId.
std::size_t spread(FileId file) {
    return static_cast<std::size_t>((std::hash<FileId>{}(file) * 0x9e3779b97f4a7c15ULL) >> 20);
}

constexpr std::uint64_t bit(std::size_t group) {
    return std::uint64_t{1} << group;
}

}  // namespace

LeaseTable::LeaseTable(Limits limits) : limits_(limits), cells_(limits.cells) {
    CHECK(std::has_single_bit(limits.cells));
}

std::uint64_t& LeaseTable::cell(FileId file) {
    return cells_[spread(file) & (cells_.size() - 1)];
}
std::uint64_t LeaseTable::cell(FileId file) const {
    return cells_[spread(file) & (cells_.size() - 1)];
}

bool LeaseTable::open_session(SessionId session) {
    CHECK(!groups_.contains(session));
    if (groups_.size() >= limits_.sessions_most) return false;
    auto smaller = [](const auto& a, const auto& b) {
        return a.size() < b.size();
    };
    auto group = std::min_element(members_.begin(), members_.end(), smaller);
    group->push_back(session);
    groups_[session] = static_cast<std::size_t>(group - members_.begin());
    return true;
}

void LeaseTable::end_session(SessionId session) {
    auto found = groups_.find(session);
    if (found == groups_.end()) return;
    std::size_t group = found->second;
    groups_.erase(found);
    std::vector<SessionId>& members = members_[group];
    members.erase(std::remove(members.begin(), members.end(), session), members.end());
    if (members.empty()) {
        for (std::uint64_t& holders : cells_) holders &= ~bit(group);
    }
    auto of_session = [session](const auto& entry) {
        return entry.second == session;
    };
    std::erase_if(writers_, of_session);
    auto is_absent = [session](const Holding& holding) {
        return holding.session == session;
    };
    std::erase_if(absent_, is_absent);
    std::erase_if(absent_order_, is_absent);
}

void LeaseTable::note_absent(const Holding& holding) {
    if (!absent_.insert(holding).second) return;
    absent_order_.push_back(holding);
    // Grants leave their entry in the order, so the order may be longer than the set.
    while (absent_order_.size() > limits_.absent_most) {
        absent_.erase(absent_order_.front());
        absent_order_.pop_front();
    }
}

void LeaseTable::grant_read(SessionId session, FileId file) {
    auto group = groups_.find(session);
    CHECK(group != groups_.end());
    cell(file) |= bit(group->second);
    absent_.erase({session, file});
}

bool LeaseTable::grant_write(SessionId session, FileId file) {
    if (!recalls_for_change(session, file).empty()) return false;
    if (!writers_.contains(file) && writers_.size() >= limits_.writers_most) return false;
    grant_read(session, file);
    writers_[file] = session;
    return true;
}

Mode LeaseTable::held(SessionId session, FileId file) const {
    auto group = groups_.find(session);
    if (group == groups_.end()) return Mode::none;
    auto writer = writers_.find(file);
    if (writer != writers_.end() && writer->second == session) return Mode::write;
    if ((cell(file) & bit(group->second)) == 0) return Mode::none;
    return absent_.contains({session, file}) ? Mode::none : Mode::read;
}

void LeaseTable::release(SessionId session, FileId file, Mode keep) {
    auto group = groups_.find(session);
    if (group == groups_.end() || keep == Mode::write) return;
    auto writer = writers_.find(file);
    if (writer != writers_.end() && writer->second == session) writers_.erase(writer);
    if (keep == Mode::none && (cell(file) & bit(group->second)) != 0) {
        note_absent({session, file});
    }
}

std::vector<Recalled> LeaseTable::recalls_for_change(SessionId by, FileId file) const {
    std::vector<Recalled> found;
    for (std::uint64_t holders = cell(file); holders != 0; holders &= holders - 1) {
        for (SessionId session : members_[static_cast<std::size_t>(std::countr_zero(holders))]) {
            if (session == by || absent_.contains({session, file})) continue;
            found.push_back({session, Mode::none});
        }
    }
    return found;
}

std::vector<Recalled> LeaseTable::recalls_for_look(SessionId by, FileId file) const {
    auto writer = writers_.find(file);
    if (writer == writers_.end() || writer->second == by) return {};
    return {{writer->second, Mode::read}};
}

}  // namespace weft::leases
