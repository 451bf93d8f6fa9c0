#pragma once

#include "platform/disk/disk.h"
#include "platform/runtime/reactor.h"

#include <map>
#include <optional>
#include <set>
#include <vector>

namespace weft {

// A disk in memory that keeps what was written apart from what was flushed, so that loss of
// power can drop or tear it per 4 KiB block. Every operation takes from one to two `latency` of
// simulated time. A write whose waiter is destroyed meanwhile (the process crashed) may have
// reached the disk or not: a coin of the reactor's says whether it does so at its begin or end.
class SimulatedDisk : public Disk {
public:
    SimulatedDisk(Reactor& reactor, std::uint64_t size_bytes);

    std::uint64_t size_bytes() const override { return size_bytes_; }
    bool power_safe() const override { return power_safe_; }
    Task<Done> read(std::uint64_t offset, Bytes into) override;
    Task<Done> write(std::uint64_t offset, ConstBytes from) override;
    Task<Done> flush() override;

    // Each unflushed block survives or not, by the reactor's chance: sometimes most do, or none.
    void lose_power();
    // From now on every operation ends with unavailable (or works again).
    void set_gone(bool gone) { gone_ = gone; }
    void set_power_safe(bool power_safe) { power_safe_ = power_safe; }
    // Flips one bit of what is stored; reads do not notice.
    void flip_bit(std::uint64_t offset, int bit);
    // Reads of this block end with io_failed until it is written.
    void make_unreadable(std::uint64_t offset) { unreadable_.insert(offset / kBlockBytes); }
    // Noise takes the place of all that is stored at or behind `from`, flushed or not.
    void overwrite_with_noise(std::uint64_t from, std::uint64_t seed);
    // What lies at or behind `from` is gone. As with a file: reads there fail, until a write behind
    // them makes it longer again; then they find zeros.
    void cut_short(std::uint64_t from);
    // The first byte of a block that was ever written, at or behind `from`.
    std::optional<std::uint64_t> stored_at_or_behind(std::uint64_t from) const;
    void set_latency(Nanos latency) { latency_ = latency; }

private:
    using Block = std::vector<std::byte>;
    struct Written {
        Block content;
        std::uint64_t number = 0;  // Of the write; rises.
    };
    const Block* find(std::uint64_t block) const;
    void store(std::uint64_t offset, ConstBytes from);
    Nanos random_latency();

    Reactor& reactor_;
    std::uint64_t size_bytes_;
    bool power_safe_ = false;
    bool gone_ = false;
    Nanos latency_ = 50 * kMicrosecond;
    std::map<std::uint64_t, Block> durable_;      // Absent blocks are zero.
    std::map<std::uint64_t, Written> unflushed_;  // The latest write of each.
    std::set<std::uint64_t> unreadable_;
    std::uint64_t readable_end_;  // In bytes.
    std::uint64_t writes_ = 0;
    std::uint64_t covered_ = 0;  // Writes up to this number came before a flush began.
};

}  // namespace weft
