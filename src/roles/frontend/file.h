#pragma once

#include "model/services/compute_service.h"
#include "platform/runtime/sync.h"
#include "roles/frontend/crossings.h"
#include "roles/frontend/dirty_map.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace weft::frontend {

inline constexpr std::uint32_t kPermissionBits = 07777;

// Errors of writes that were acknowledged before they were made. Each open file is told once,
// like the kernel's errseq.
class DeferredErrors {
public:
    using Mark = std::uint64_t;
    void note(Error error) {
        ++count_;
        last_ = error;
    }
    // Where a newly opened file starts: it also hears of what nobody was told.
    Mark opening_mark() const { return told_ == count_ || count_ == 0 ? count_ : count_ - 1; }
    // The error that `mark` has not seen, if any; `mark` has seen it then.
    std::optional<Error> take(Mark& mark) {
        if (mark == count_) return std::nullopt;
        mark = told_ = count_;
        return last_;
    }
    bool untold() const { return told_ != count_; }

private:
    Mark count_ = 0;
    Mark told_ = 0;
    Error last_{Code::io_failed, "frontend.write_behind"};
};

// An inode that is open here, or has bytes that compute does not have yet.
//
// While `lease` is write this object is the authority on size and times as soon as it is
// ahead of compute; otherwise compute is.
struct File : ListNode {
    File(Reactor& reactor, MemoryPool& pool, InodeId number)
        : inode(number), dirty(pool), sent(reactor) {}

    const InodeId inode;
    std::uint32_t handles = 0;
    std::uint64_t times_opened = 0;
    Crossings crossings;
    LeaseMode lease = LeaseMode::none;

    // The newest of compute's; may be shown only while attributes_valid, and not after a
    // namespace operation of our own, which may have changed link count and ctime.
    InodeRecord attributes;
    bool attributes_valid = false;
    std::uint64_t attributes_namespace = 0;

    // It has no security.capability: the kernel asks before the first write to each new inode.
    // Holds as long as the lease.
    bool no_capability = false;

    DirtyMap dirty;
    struct InFlight {
        std::uint64_t number = 0;  // Rises; lower ones began before.
        std::uint64_t from = 0;
        std::uint64_t to = 0;
    };
    std::vector<InFlight> in_flight;
    Signal sent;  // After each write-out.

    // Meant only while ahead(), but `size` always under the write lease.
    std::uint64_t size = 0;
    Timestamp mtime;
    Timestamp ctime;
    // Set by a program, still to be told.
    std::optional<Timestamp> atime;
    std::optional<std::uint32_t> mode;  // Permission bits.
    // Those, or mtime and ctime that were set or shown, have to be stored.
    bool store_attributes = false;

    // A lock was lost with a session, and another client has taken it: whatever is done in its
    // name would be wrong. Until the last close.
    bool lost_locks = false;

    DeferredErrors errors;
    // Who may hold byte-range locks, and through which open files. The kernel tells of the close
    // of a process's descriptor, but not that locks of an open file (F_OFD_SETLK) end with it.
    std::map<std::uint64_t, std::set<std::uint64_t>> lock_owners;

    bool attributes_set() const { return atime || mode; }
    bool ahead() const { return !dirty.empty() || !in_flight.empty(); }

    // Takes what compute said, unless it is older than what is known. Raises the lease to
    // `granted`, never lowers it: that is for recalls, and for open().
    void learn(const Node& node, LeaseMode granted, std::uint64_t namespace_changes);
    // The owners of locks that no open file but `handle` was used for; they are forgotten.
    std::vector<std::uint64_t> take_lock_owners(std::uint64_t handle);
    // `record` as programs must see it.
    void overlay(InodeRecord& record) const;
};
using FilePtr = std::shared_ptr<File>;

// A file opened by some program.
struct OpenFile {
    FilePtr file;
    std::uint64_t compute_handle = 0;
    SessionId session;        // The handle's.
    std::uint32_t flags = 0;  // O_*
    bool direct = false;      // FOPEN_DIRECT_IO: its pages are not cached.
    DeferredErrors::Mark errors_seen = 0;
};

// All files and open files of a mount.
class FileTable {
public:
    FileTable(Reactor& reactor, MemoryPool& pool) : reactor_(reactor), pool_(pool) {}

    // nullptr if the inode is neither open nor has deferred writes.
    FilePtr find(InodeId inode) const;
    FilePtr find_or_make(InodeId inode);
    // Forgets a file that has no reason to be known any more.
    void forget_if_idle(const FilePtr& file);

    // Returns the handle that names it to the kernel.
    std::uint64_t open(OpenFile open);
    OpenFile* find_open(std::uint64_t handle);
    // invalid: no such handle.
    Result<OpenFile> close(std::uint64_t handle);

    std::vector<FilePtr> all() const;
    std::vector<std::uint64_t> open_handles() const;
    std::size_t file_count() const { return files_.size(); }
    std::size_t open_count() const { return open_.size(); }

private:
    // Files nobody has open whose errors nobody was told, kept for the next opener.
    static constexpr std::size_t kUntoldMost = 1024;

    Reactor& reactor_;
    MemoryPool& pool_;
    std::unordered_map<InodeId, FilePtr> files_;
    std::unordered_map<std::uint64_t, OpenFile> open_;
    std::uint64_t last_handle_ = 0;
    std::unordered_set<InodeId> untold_;
};

}  // namespace weft::frontend
