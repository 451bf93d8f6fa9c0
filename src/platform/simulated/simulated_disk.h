#pragma once

#include "platform/disk/disk.h"
#include "platform/runtime/reactor.h"
#include "platform/runtime/sync.h"

#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

namespace weft {

// What a disk does wrong without a word: writes end well all the same, and so do flushes.
struct DiskLies {
    // One in so many writes leaves some of its blocks, or all, what they were; 0: none does.
    std::uint64_t lost_one_in = 0;
    // One in so many lands at another place of the disk, and not at its own; 0: none does.
    std::uint64_t misdirected_one_in = 0;
};

// A disk in memory that keeps what was written apart from what was flushed, so that loss of
// power can drop or tear it per 512-byte sector. Every operation takes from one to two `latency` of
// simulated time. A write whose waiter is destroyed meanwhile (the process crashed) may have
// reached the disk, or its first sectors, or none: the reactor's chance says how much of it does so
// at its begin, and how much at its end.
class SimulatedDisk : public Disk {
public:
    SimulatedDisk(Reactor& reactor, std::uint64_t size_bytes);

    std::uint64_t size_bytes() const override { return size_bytes_; }
    bool power_safe() const override { return power_safe_; }
    Task<Done> read(std::uint64_t offset, Bytes into) override;
    Task<Done> write(std::uint64_t offset, ConstBytes from) override;
    Task<Done> flush() override;

    // What survives of what was not flushed.
    enum class Kept {
        by_chance,    // Each block or not, by the reactor's chance: sometimes most do, or none.
        short_writes  // Those of one or two blocks, whole; of others nothing.
    };
    void lose_power(Kept kept = Kept::by_chance);
    // From now on every operation ends with unavailable (or works again).
    void set_gone(bool gone) { gone_ = gone; }
    // From now on no operation ends, of those too that are under way, until it is not hung any
    // more.
    void set_hung(bool hung);
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
    // One operation in so many (0: none) takes `more` longer.
    void set_stalls(std::uint64_t one_in, Nanos more);
    // From now on, by a chance of its own.
    void lie(DiskLies lies, std::uint64_t seed);
    // As a file on a filesystem that has no room: what was never written cannot be (out_of_space).
    void set_full(bool full) { full_ = full; }

private:
    using Block = std::vector<std::byte>;
    struct Written {
        Block content;
        std::uint64_t number = 0;  // Of the write; rises.
        bool is_short = false;
    };
    const Block* find(std::uint64_t block) const;
    // Where a write goes in truth.
    struct Landing {
        std::uint64_t offset = 0;
        std::size_t lost_begin = 0;  // Of its bytes, whole blocks.
        std::size_t lost_end = 0;
    };
    Landing draw_landing(std::uint64_t offset, std::size_t bytes);
    std::uint64_t draw_other_place(std::uint64_t offset, std::size_t bytes);
    // The bytes [begin, end) of what is written; whole sectors.
    void land(const Landing& landing, ConstBytes from, std::size_t begin, std::size_t end);
    void store(std::uint64_t block, ConstBytes sectors, bool is_short);
    void lose_long_writes();
    bool has_room(std::uint64_t offset, std::size_t bytes) const;
    void tear(Block& fresh, const Block* old);
    Nanos random_latency();
    // For as long as an operation takes.
    Task<Done> take_time();

    Reactor& reactor_;
    std::uint64_t size_bytes_;
    bool power_safe_ = false;
    bool gone_ = false;
    bool full_ = false;
    bool hung_ = false;
    Signal awake_;  // Not hung any more.
    Nanos latency_ = 50 * kMicrosecond;
    std::uint64_t stall_one_in_ = 0;
    Nanos stall_ = 0;
    DiskLies lies_;
    std::mt19937_64 lying_;
    std::map<std::uint64_t, Block> durable_;      // Absent blocks are zero.
    std::map<std::uint64_t, Written> unflushed_;  // The latest write of each.
    std::set<std::uint64_t> unreadable_;
    std::uint64_t readable_end_;  // In bytes.
    std::uint64_t writes_ = 0;
    std::uint64_t covered_ = 0;  // Writes up to this number came before a flush began.
};

}  // namespace weft
