#pragma once

#include "model/services/drive_service.h"
#include "sim/world/tally.h"

#include <array>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

namespace weft::sim {

// Stands between compute and the drives and holds the drives to what their role promises,
// whatever compute makes of it: a slot is given out under a new generation each time; who was
// fenced, and who names a slot that was freed, is refused. Knows it over restarts and loss of
// power, as the drives have to.
class DriveWatch : public DriveService {
public:
    // `broken` is told, in words, of the promise that was.
    explicit DriveWatch(std::function<void(std::string)> broken) : broken_(std::move(broken)) {}
    // How many of these there were: the rare ones, between which little is half done.
    enum class Call { allocate, free, flush, fence };
    static constexpr std::size_t kCalls = 4;
    std::uint64_t calls(Call call) const { return calls_[static_cast<std::size_t>(call)]; }
    // This one may not have kept what it was told: it need not know any more who was fenced and
    // what was freed. That a slot has a new generation each time is so for it as well.
    void expect_lies_of(DriveId drive) { liars_.insert(drive); }
    // Of what drives answer to reads, writes and who wants slots.
    void count_in(Tally* tally) { tally_ = tally; }
    // Whom it asks; before the first call, and after each start of the role.
    void serve_by(DriveService* drives) { drives_ = drives; }

    Task<DriveStatus> status(DriveId drive) override { return drives_->status(drive); }
    Task<SegmentSlot> allocate(DriveId drive, Fence fence, SegmentId segment,
                               std::uint16_t chunk) override;
    Task<Done> free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) override;
    Task<Done> write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) override;
    Task<Done> read(SegmentSlot slot, std::uint32_t block, Bytes into) override;
    Task<Done> flush(DriveId drive) override {
        count(Call::flush);
        return drives_->flush(drive);
    }
    Task<Done> fence(DriveId drive, Fence fence) override;
    Task<std::vector<SlotInfo>> list(DriveId drive, OwnerId owner) override {
        return drives_->list(drive, owner);
    }
    Task<Done> store_map(DriveId drive, std::string map) override {
        return drives_->store_map(drive, std::move(map));
    }
    Task<std::string> load_map(DriveId drive) override { return drives_->load_map(drive); }
    Task<std::uint64_t> verify(DriveId drive) override { return drives_->verify(drive); }

private:
    using Place = std::pair<DriveId, SlotIndex>;

    void count(Call call) { ++calls_[static_cast<std::size_t>(call)]; }
    // Taken when a call begins: what it may not do even if it ends late.
    bool is_fenced(DriveId drive, Fence fence) const;
    bool is_gone(SegmentSlot slot) const;
    Task<Done> arrive_late(SegmentSlot slot, Fence fence);
    void check(bool refused, const Result<Done>& done, SegmentSlot slot, const char* what);

    std::function<void(std::string)> broken_;
    DriveService* drives_ = nullptr;
    Tally* tally_ = nullptr;
    std::map<std::pair<DriveId, OwnerId>, Epoch> fences_;  // The highest that was acked.
    std::map<Place, Generation> given_;                    // The latest that was acked.
    std::set<std::pair<Place, Generation>> freed_;         // Of those, with an ack.
    std::set<DriveId> liars_;
    std::uint64_t frees_ = 0;
    std::array<std::uint64_t, kCalls> calls_{};
};

}  // namespace weft::sim
