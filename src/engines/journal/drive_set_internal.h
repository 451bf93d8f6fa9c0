#pragma once

#include "engines/journal/segment_internal.h"
#include "model/cluster/cluster_map.h"
#include "model/services/drive_service.h"
#include "platform/runtime/reactor.h"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

namespace weft::journal {

struct FoundSlot {
    SegmentId segment;
    SegmentPart part;
};

// The drives of the map as one journal sees them: which serve, which to avoid, which were
// written since their last flush. No drive is read or written before it knows our epoch.
class DriveSet {
public:
    DriveSet(Reactor& reactor, DriveService& service, OwnerId owner)
        : reactor_(reactor), service_(service), fence_{owner, Epoch{}} {}

    void set_map(const ClusterMap& map);
    DriveService& service() { return service_; }
    Fence fence() const { return fence_; }
    // m of the map, and m+1 or what the map's domains allow.
    std::uint32_t parity_width() const { return parity_width_; }
    std::uint32_t copies_wanted() const;
    std::uint32_t slot_blocks() const { return slot_blocks_; }

    // Fences every drive that serves, then gives the journal's slots there. Errors: fenced.
    Task<std::vector<FoundSlot>> take_over(Epoch epoch);
    // Domains with a drive that should have been taken over and was not, or that then could
    // not be read.
    std::uint32_t domains_missing() const;
    void note_unreadable(DriveId drive) { drives_[drive].unreadable = true; }

    // Slots for one segment, on as many domains as there are, k+m at most. Fewer, down to
    // none, where drives fail or are full. Errors: fenced.
    struct Allocated {
        std::vector<SegmentPart> parts;
        bool some_full = false;
    };
    Task<Allocated> allocate(SegmentId segment);
    // Drives that don't answer keep theirs until they are taken over again. Errors: fenced.
    Task<Done> free(std::vector<SegmentPart> parts);
    // From now on drives that were away, or are new, are taken over when they answer, and the
    // slots there of segments for which this is false are freed. Not before it is known which
    // segments there are.
    void take_back_what(std::function<bool(SegmentId)> in_use) { in_use_ = std::move(in_use); }

    // Whether the map says that it is to be used; it may be away.
    bool in_service(DriveId drive) const;
    // The drive is avoided for some seconds.
    void note_failed(DriveId drive);
    bool writable(DriveId drive) const;

    void note_written(DriveId drive);
    void note_written_by_others(DriveId drive);
    bool dirty() const { return dirty_count_ > 0; }
    // Of drives that serve: loss of power may take what was written to them before the last
    // flush, as that failed, or there was none yet.
    std::uint32_t owing() const;
    // Whether flush() would ask one of those.
    bool debt_due() const;
    // Flushes what was noted before, and drives that owe a flush and are not avoided.
    struct Flushed {
        std::vector<DriveId> failed;  // Of those that were noted.
        std::uint32_t domains_failed = 0;
        std::uint32_t domains_failed_to_others = 0;  // Of those with drives that others wrote.
    };
    Task<Flushed> flush();

private:
    struct Drive {
        DriveEntry entry;
        bool in_map = false;
        bool taken_over = false;
        bool unreadable = false;  // In part, while the journal was opened.
        bool answers = false;     // When asked for its status last.
        bool power_safe = false;
        bool dirty = false;  // Never, if power_safe.
        bool dirty_by_others = false;
        bool owes_flush = true;  // At first what the owner before us wrote.
        std::uint32_t free_slots = 0;
        std::uint32_t slot_blocks = 0;
        Nanos avoid_until = 0;
    };
    struct Pick {
        DriveId drive;
        std::uint32_t free_slots = 0;
        Nanos failed = 0;  // When its being avoided ends; 0: it is not avoided.
    };

    bool active(const Drive& drive) const {
        return drive.in_map && drive.entry.state == DriveState::active;
    }
    bool owes(const Drive& drive) const {
        return active(drive) && drive.owes_flush && !drive.power_safe;
    }
    Task<std::vector<FoundSlot>> take_over_drive(DriveId id);
    Task<std::vector<FoundSlot>> try_take_over(DriveId id);
    Task<Done> take_back(DriveId id);
    Task<Allocated> allocate_now(SegmentId segment);
    Task<Done> refresh(DriveId id);
    Task<Done> refresh_active();
    Task<Done> flush_drive(DriveId id);
    static bool better(const Pick& a, const Pick& b);
    std::vector<Pick> choose(bool avoided_too) const;

    Reactor& reactor_;
    DriveService& service_;
    Fence fence_;
    std::uint32_t data_width_ = 0;
    std::uint32_t parity_width_ = 0;
    std::uint32_t slot_blocks_ = 0;  // Of every slot; 0 before the first drive answered.
    std::map<DriveId, Drive> drives_;
    std::size_t dirty_count_ = 0;
    std::function<bool(SegmentId)> in_use_;
    std::set<SegmentId> allocating_;
};

}  // namespace weft::journal
