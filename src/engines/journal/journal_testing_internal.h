#pragma once

#include "engines/journal/journal.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_reactor.h"
#include "testing/memory_drives.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::journal {

// Of most tests.
constexpr std::uint32_t kDrives = 6;
constexpr std::uint32_t kSlots = 64;
constexpr std::uint32_t kSlotBlocks = 64;

inline std::string text(std::uint64_t number, std::size_t size) {
    std::string record = "record " + std::to_string(number) + " ";
    while (record.size() < size) record += static_cast<char>('a' + (record.size() + number) % 26);
    return record;
}

// Drives of which each call takes its own time before and after it does something, so that a
// crash finds any part of what runs side by side done.
class UnevenDrives : public DriveService {
public:
    UnevenDrives(Reactor& reactor, DriveService& drives) : reactor_(reactor), drives_(drives) {}
    void set_unevenness(Nanos most) { most_ = most; }
    // Writes that begin from now on.
    void set_write_delay(Nanos delay) { write_delay_ = delay; }

    Task<DriveStatus> status(DriveId drive) override { return drives_.status(drive); }
    Task<SegmentSlot> allocate(DriveId drive, Fence fence, SegmentId segment,
                               std::uint16_t chunk) override {
        return around(drives_.allocate(drive, fence, segment, chunk));
    }
    Task<Done> free(DriveId drive, Fence fence, SlotIndex slot, Generation generation) override {
        return around(drives_.free(drive, fence, slot, generation));
    }
    Task<Done> write(SegmentSlot slot, Fence fence, std::uint32_t block, ConstBytes from) override {
        if (write_delay_ > 0) co_await sleep(reactor_, write_delay_);
        co_return co_await around(drives_.write(slot, fence, block, from));
    }
    Task<Done> read(SegmentSlot slot, std::uint32_t block, Bytes into) override {
        return drives_.read(slot, block, into);
    }
    Task<Done> flush(DriveId drive) override { return around(drives_.flush(drive)); }
    Task<Done> fence(DriveId drive, Fence fence) override {
        return around(drives_.fence(drive, fence));
    }
    Task<std::vector<SlotInfo>> list(DriveId drive, OwnerId owner) override {
        return drives_.list(drive, owner);
    }
    Task<Done> store_map(DriveId drive, std::string map) override {
        return drives_.store_map(drive, std::move(map));
    }
    Task<std::string> load_map(DriveId drive) override { return drives_.load_map(drive); }
    Task<std::uint64_t> verify(DriveId drive) override { return drives_.verify(drive); }

private:
    template <class T>
    Task<T> around(Task<T> call) {
        if (most_ > 0) co_await sleep(reactor_, some_time());
        auto result = co_await call;
        if (most_ > 0) co_await sleep(reactor_, some_time());
        co_return result;
    }
    Nanos some_time() {
        return static_cast<Nanos>(reactor_.random() % static_cast<std::uint64_t>(most_));
    }

    Reactor& reactor_;
    DriveService& drives_;
    Nanos most_ = 0;
    Nanos write_delay_ = 0;
};

// For tests: drives, each a failure domain of its own, and a journal that is opened on them
// again and again.
struct World {
    World(std::uint64_t seed, std::uint32_t drive_count, std::uint32_t slot_count,
          std::uint32_t slot_blocks)
        : reactor(seed),
          drives(reactor, drive_count, slot_count, slot_blocks),
          service(reactor, drives) {
        map.epoch = Epoch{1};
        map.data_width = 3;
        map.parity_width = 2;
        map.slot_bytes = static_cast<std::uint32_t>(slot_blocks * kBlockBytes);
        for (std::uint32_t i = 0; i < drive_count; ++i) {
            DriveEntry entry;
            entry.id = DriveId{i};
            entry.domain = FailureDomainId{i};
            map.drives.push_back(entry);
        }
    }

    std::unique_ptr<Journal> make() {
        auto made = std::make_unique<Journal>(reactor, service, JournalId{7});
        made->set_map(map);
        return made;
    }

    // Starts a new journal object without opening it.
    void restart() {
        journal.reset();
        journal = make();
        replayed.clear();
        ++map.epoch.value;
    }
    Task<Done> opening() {
        Journal::Visit visit = [this](Lsn lsn, std::string_view record) {
            return keep(lsn, record);
        };
        Journal::Verify verify = [this](Lsn lsn, std::string_view) {
            return judge(lsn);
        };
        return journal->open(map.epoch, std::move(visit), std::move(verify));
    }
    Result<Done> reopen() {
        restart();
        return reactor.run(opening());
    }

    Result<Done> commit(std::string record) {
        Lsn lsn = journal->append(std::move(record));
        return reactor.run(journal->committed(lsn));
    }
    Result<Done> flush(std::string record) {
        Lsn lsn = journal->append(std::move(record));
        return reactor.run(journal->flushed(lsn));
    }
    // All slots of the journal, on every drive.
    std::vector<SegmentSlot> slots() {
        std::vector<SegmentSlot> found;
        for (const auto& [slot, segment] : slots_of_segments()) found.push_back(slot);
        return found;
    }
    std::vector<std::pair<SegmentSlot, SegmentId>> slots_of_segments() {
        std::vector<std::pair<SegmentSlot, SegmentId>> found;
        for (const DriveEntry& entry : map.drives) {
            auto listed = reactor.run(drives.list(entry.id, OwnerId::of(JournalId{7})));
            if (!listed.ok()) continue;
            for (const SlotInfo& info : listed.value()) {
                SegmentSlot slot{entry.id, info.slot, info.generation};
                found.emplace_back(slot, info.segment);
            }
        }
        return found;
    }

    SimulatedReactor reactor;
    testing::MemoryDrives drives;
    UnevenDrives service;
    ClusterMap map;
    std::unique_ptr<Journal> journal;
    std::map<Lsn, std::string> replayed;
    Lsn bad_from{~std::uint64_t{0}};  // Records from here on fail verification.
    std::uint64_t verified = 0;

private:
    Task<Done> keep(Lsn lsn, std::string_view record) {
        co_await yield(reactor);
        CHECK(replayed.empty() || replayed.rbegin()->first.value + 1 == lsn.value);
        replayed[lsn] = record;
        co_return Done{};
    }
    Task<bool> judge(Lsn lsn) {
        ++verified;
        co_await yield(reactor);
        co_return lsn < bad_from;
    }
};

}  // namespace weft::journal
