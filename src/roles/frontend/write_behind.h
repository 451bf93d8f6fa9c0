#pragma once

#include "platform/runtime/gate.h"
#include "roles/frontend/compute_client.h"
#include "roles/frontend/file.h"
#include "roles/frontend/lease_table.h"
#include "roles/frontend/space_estimate.h"

#include <cstdint>

namespace weft::frontend {

struct WriteBehindSettings {
    std::uint64_t memory_most = 32 * kMiB;  // Of buffered and unsent writes, all files together.
    std::uint64_t sends_most = 32;          // Writes to compute at once.
    Nanos age_most = 1 * kSecond;           // After which a write is sent, whatever else.
};

struct WriteBehindCounters {
    std::uint64_t writes_deferred = 0;
    std::uint64_t bytes_deferred = 0;
    std::uint64_t sends = 0;
    std::uint64_t sends_failed = 0;  // Data that was acknowledged and could not be stored.
    std::uint64_t attributes_sent = 0;
};

// Acknowledged writes on their way to compute. A file may be written here only while the
// session holds its write lease; then nobody else can tell that compute is behind.
//
// Pieces leave when their region is full, when memory runs short, after `age_most`, or when
// somebody asks. Overlapping pieces of a file leave in the order they were written. What
// compute refuses for good is lost, and noted in the file's DeferredErrors.
class WriteBehind {
public:
    WriteBehind(Reactor& reactor, Gate& gate, ComputeClient& compute, FileTable& files,
                ChangeLog& changes, WriteBehindSettings settings);

    // Waits until `bytes` more may be buffered. False: not now, write through.
    Task<bool> admit(std::uint64_t bytes);
    // Takes an admitted write; may take `memory`, in which `data` lies at `at`. Advances the
    // file's size and times to `wall_now`.
    void write(const FilePtr& file, std::uint64_t offset, ConstBytes data, Memory& memory,
               std::size_t at);

    // Sends all that the file has, without waiting.
    void start(const FilePtr& file);
    // Ends when everything written to [from, to) before this call has been sent, and with it
    // the attributes that programs set. How that went is in file->errors.
    Task<Done> flush(FilePtr file, std::uint64_t from, std::uint64_t to);
    Task<Done> flush(FilePtr file) { return flush(std::move(file), 0, UINT64_MAX); }
    Task<Done> flush_all();

    // Drops what has not been sent; its openers hear of `error`.
    void discard(const FilePtr& file, Error error);

    // Sends what grows old; until stop().
    Task<Done> run();
    void stop();

    std::uint64_t memory_bytes() const { return buffered_memory_ + sent_memory_; }
    const WriteBehindCounters& counters() const { return counters_; }

private:
    void send(const FilePtr& file, std::vector<Piece> pieces);
    Task<Done> send_piece(FilePtr file, Piece piece, std::uint64_t number, Nanos began);
    Task<Done> send_attributes(FilePtr file, std::uint64_t number);
    // Nothing that began before `number` and overlaps it is under way.
    static bool clear_before(const File& file, std::uint64_t number, std::uint64_t from,
                             std::uint64_t to);
    static bool sending(const File& file, std::uint64_t most, std::uint64_t from, std::uint64_t to);
    void ended(const FilePtr& file, std::uint64_t number);
    // Runs `change` on the file's buffer and keeps the books.
    template <class Change>
    auto rebuffer(File& file, Change change);
    void send_oldest_file();
    void send_aged();
    Task<Done> refresh_space();

    Reactor& reactor_;
    Gate& gate_;
    ComputeClient& compute_;
    FileTable& files_;
    ChangeLog& changes_;
    WriteBehindSettings settings_;
    Semaphore sends_;
    List<File> dirty_files_;  // Those with a non-empty buffer, oldest first, roughly.
    Signal freed_;            // Memory was given back.
    Signal dirtied_;          // A file has become dirty, or stop().
    Signal stopped_;
    std::uint64_t buffered_memory_ = 0;
    std::uint64_t sent_memory_ = 0;
    std::uint64_t last_number_ = 0;
    SpaceEstimate space_;
    bool refreshing_ = false;
    bool stopping_ = false;
    WriteBehindCounters counters_;
};

}  // namespace weft::frontend
