#pragma once

#include "engines/segments/placement.h"
#include "model/cluster/cluster_map.h"
#include "model/services/drive_service.h"
#include "platform/runtime/sync.h"

#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace weft::segments {

// What a segment store knows of the drives: their state by the map, their free slots as last
// heard plus its own changes since, and who failed it lately.
class DriveTable {
public:
    DriveTable(Reactor& reactor, DriveService& drives)
        : reactor_(reactor), drives_(drives), refreshing_(reactor) {}

    void set_map(const ClusterMap& map);

    // By the map: its chunks are there to be read; new ones may go there.
    bool readable(DriveId drive) const;
    bool writable(DriveId drive) const;
    FailureDomainId domain(DriveId drive) const;  // The drive must be in the map.
    std::vector<DriveId> readable_drives() const;

    // A drive that failed is passed over, if others can do, until it answers again; if it goes
    // on failing though it answers, for longer and longer.
    void suspect(DriveId drive);
    void trust(DriveId drive);  // It has just done what it was asked.
    bool suspected(DriveId drive) const;

    // Free slots taken or given back by this store since the drive was last asked.
    void took_slot(DriveId drive);
    void gave_slot(DriveId drive);
    void found_full(DriveId drive);

    // Writable drives that are not suspected; or those too that are but have answered since.
    std::vector<Candidate> candidates(bool with_suspects) const;
    // Rises whenever candidates() may have other drives than before.
    std::uint64_t changes() const { return changes_; }
    std::uint64_t slot_count() const;  // Of all writable drives.
    // Segments that somebody else may take at any time: they do not count as free. Asked often.
    void set_promised(std::function<std::uint64_t()> promised) { promised_ = std::move(promised); }
    std::uint64_t promised() const { return promised_ ? promised_() : 0; }
    // Segments so wide that fit into the free slots of candidates(), less those promised.
    std::uint64_t segments_free(unsigned width, bool with_suspects) const;
    // Those that would fit if all active drives of the map were empty, and these drives' domains.
    std::uint64_t segments_in_all(unsigned width) const;
    unsigned active_domains() const;

    // Asks every readable drive how it is, unless all were asked less than `age` ago. Who does
    // not answer is suspected. Concurrent callers share the answers.
    Task<Done> refresh(Nanos age);
    bool older_than(Nanos age) const;

private:
    struct Drive {
        FailureDomainId domain;
        DriveState state = DriveState::active;
        std::uint32_t slot_count = 0;
        std::uint32_t free_slots = 0;
        bool answered = false;  // When last asked, and nothing failed since.
        bool suspected = false;
        Nanos suspected_until = 0;  // At least.
        unsigned failures = 0;      // One after the other.
    };
    const Drive* find(DriveId drive) const;
    Drive* find(DriveId drive);

    Reactor& reactor_;
    DriveService& drives_;
    std::map<DriveId, Drive> known_;
    SharedMutex refreshing_;
    std::uint64_t changes_ = 1;
    std::uint64_t slot_changes_ = 1;
    // The last answers: they are asked for before every write.
    struct Answer {
        std::uint64_t as_of = 0;
        std::uint64_t slots_as_of = 0;
        unsigned width = 0;
        bool with_suspects = false;
        std::uint64_t segments = 0;
    };
    std::function<std::uint64_t()> promised_;
    mutable Answer free_;
    mutable Answer in_all_;
    mutable Answer domains_;
    struct SlotCount {
        std::uint64_t as_of = 0;
        std::uint64_t slots = 0;
    };
    mutable SlotCount slot_count_;
    bool ever_refreshed_ = false;
    Nanos refreshed_at_ = 0;
};

}  // namespace weft::segments
