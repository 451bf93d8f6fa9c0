#pragma once

#include "model/ids/ids.h"
#include "platform/runtime/sync.h"

#include <map>
#include <memory>
#include <vector>

namespace weft::compute {

// A caller's deadline, of which 0 means none, as one to wait for.
inline Nanos until(Nanos deadline) {
    return deadline == 0 ? Signal::kNoDeadline : deadline;
}

// What an operation locks: an inode (part kInodePart: its size, content and xattrs), one name
// in a directory (part: the hash of the name, at least 3), or a filesystem's renames of
// directories (inode 0, part kRenamePart).
struct LockKey {
    FileId file;
    std::uint64_t part = 0;
    friend constexpr auto operator<=>(const LockKey&, const LockKey&) = default;
};
inline constexpr std::uint64_t kInodePart = 0;
inline constexpr std::uint64_t kRenamePart = 1;

// Locks by key; those nobody holds or waits for take no memory.
//
// Order, so that nobody waits in a circle: the rename lock, then names, then inodes; several
// of one kind in the order of their keys.
class KeyLocks {
    struct Entry {
        explicit Entry(Reactor& reactor) : mutex(reactor) {}
        SharedMutex mutex;
        std::uint32_t users = 0;
    };
    // Keeps the entry while somebody holds it or waits for it.
    class Use {
    public:
        Use(KeyLocks& locks, LockKey key);
        Use(Use&& other) noexcept
            : locks_(std::exchange(other.locks_, nullptr)),
              key_(other.key_),
              entry_(other.entry_) {}
        Use& operator=(Use&& other) noexcept;
        ~Use();
        SharedMutex& mutex() const { return entry_->mutex; }

    private:
        KeyLocks* locks_;
        LockKey key_;
        Entry* entry_;
    };

public:
    class Held {
    public:
        Held(Use use, SharedMutex::Lock lock) : use_(std::move(use)), lock_(std::move(lock)) {}
        Held(Held&&) noexcept = default;
        Held& operator=(Held&& other) noexcept;

    private:
        Use use_;
        SharedMutex::Lock lock_;  // Below `use_`: it goes first.
    };

    explicit KeyLocks(Reactor& reactor) : reactor_(reactor) {}

    // retry_later: the deadline (0: none) came first.
    Task<Held> exclusive(LockKey key, Nanos deadline);
    Task<Held> shared(LockKey key, Nanos deadline);
    // Each key once, in order.
    Task<std::vector<Held>> exclusive_all(std::vector<LockKey> keys, Nanos deadline);

    std::size_t size() const { return entries_.size(); }

private:
    Reactor& reactor_;
    std::map<LockKey, Entry> entries_;
};

}  // namespace weft::compute
