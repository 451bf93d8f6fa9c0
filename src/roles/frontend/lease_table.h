#pragma once

#include "model/services/compute_service.h"
#include "roles/frontend/recent_map.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include <sys/stat.h>

namespace weft::frontend {

// What the session was last granted on recently seen inodes. Forgetting one early only costs
// cached entries and pages; remembering one too long would show old data, so every recall
// comes here first.
class LeaseTable {
public:
    struct Known {
        LeaseMode lease = LeaseMode::none;
        bool directory = false;
    };

    // A reply without a lease takes none back: compute answers so while the inode changes.
    void grant(const Node& node) {
        if (node.lease == LeaseMode::none || !covered_) return;
        const Known* known = known_.find(node.inode);
        LeaseMode lease = known == nullptr ? node.lease : std::max(known->lease, node.lease);
        bool directory = (node.attributes.mode & S_IFMT) == S_IFDIR;
        known_.set(node.inode, Known{lease, directory});
    }
    // Only `keep` is left.
    void recall(InodeId inode, LeaseMode keep) {
        if (keep == LeaseMode::none) {
            known_.erase(inode);
        } else if (Known* known = known_.find(inode); known != nullptr && keep < known->lease) {
            known->lease = keep;
        }
    }
    const Known* find(InodeId inode) const { return known_.find(inode); }
    LeaseMode held(InodeId inode) const {
        const Known* known = known_.find(inode);
        return known == nullptr ? LeaseMode::none : known->lease;
    }
    bool holds(InodeId inode) const { return held(inode) != LeaseMode::none; }

    // Nothing is held any more.
    void clear() {
        known_.clear();
        asked_.clear();
    }

    // False: grants are not to be believed, until true.
    void set_covered(bool covered) { covered_ = covered; }

    // Whether it is worth asking for a lease on a directory of which none is known.
    bool may_ask(InodeId directory, Nanos now) {
        const Nanos* asked = asked_.find(directory);
        if (asked != nullptr && now - *asked < kAskAgain) return false;
        asked_.set(directory, now);
        return true;
    }

private:
    static constexpr Nanos kAskAgain = 1 * kSecond;
    bool covered_ = true;
    RecentMap<InodeId, Known> known_{128 * 1024};
    RecentMap<InodeId, Nanos> asked_{1024};
};

// When something last happened to an inode that makes replies of compute older than it wrong:
// a recall, or the end of our own deferred writes. A handler asks whether that was since its
// request began; what is no longer remembered counts as changed.
class ChangeLog {
public:
    using Moment = std::uint64_t;
    Moment now() const { return now_; }
    void note(InodeId inode) {
        ++now_;
        Entry& entry = entries_[now_ % kEntries];
        auto old = latest_.find(entry.inode);
        if (old != latest_.end() && old->second == entry.moment) latest_.erase(old);
        forgotten_ = std::max(forgotten_, entry.moment);
        entry = Entry{inode, now_};
        latest_[inode] = now_;
    }
    // Something may have happened to every inode.
    void note_all() {
        for (Entry& entry : entries_) entry = Entry{};
        latest_.clear();
        forgotten_ = ++now_;
    }
    bool changed_since(InodeId inode, Moment moment) const {
        if (now_ == moment) return false;
        if (forgotten_ > moment) return true;
        auto latest = latest_.find(inode);
        return latest != latest_.end() && latest->second > moment;
    }

private:
    static constexpr std::size_t kEntries = 4096;
    struct Entry {
        InodeId inode;
        Moment moment = 0;
    };
    Moment now_ = 0;
    Moment forgotten_ = 0;  // Everything up to here may be missing from latest_.
    Entry entries_[kEntries] = {};
    std::unordered_map<InodeId, Moment> latest_;  // What entries_ says, by inode.
};

// A point in time, to tell later whether what was learned since may still be believed.
struct Moments {
    ChangeLog::Moment recalls = 0;        // Of what others changed: grants from before are void.
    ChangeLog::Moment changes = 0;        // That, and own deferred writes: attributes are old.
    std::uint64_t namespace_changes = 0;  // Own ones, of link counts and ctimes.
};

}  // namespace weft::frontend
