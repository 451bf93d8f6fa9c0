#pragma once

#include "model/ids/ids.h"
#include "model/layout/records.h"
#include "model/services/lease_term.h"
#include "platform/runtime/task.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weft {

// Who asks. A request that changes something carries a seq that rises with each request of
// the session; the same seq again gets the first answer and is not done twice.
struct Caller {
    SessionId session;
    std::uint64_t seq = 0;  // 0: reads only.
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t pid = 0;
    Nanos deadline = 0;  // Of the caller's clock, converted on the way; 0: the usual one.
    // Whose session it is (Client::number), told by the door and not on the wire; 0: nobody who
    // could ask again after the session.
    std::uint64_t client = 0;
};

// What a session may cache of an inode until it is recalled.
//   read:  attributes, data, and of a directory its entries and their absence.
//   write: also buffer writes, and be the one to know size and mtime. Regular files only.
enum class LeaseMode : std::uint8_t { none = 0, read = 1, write = 2 };

struct Node {
    InodeId inode;
    InodeRecord attributes;
    LeaseMode lease = LeaseMode::none;  // What the caller now holds on `inode`.
};

// What create makes: the type is in `mode`.
struct NewNode {
    std::uint32_t mode = 0;   // As the program asked; masking it before does no harm.
    std::uint32_t umask = 0;  // Applied unless the directory has a default ACL.
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;  // A setgid directory overrides it.
    std::uint64_t rdev = 0;
    std::string symlink;
};

struct Opened {
    Node node;
    std::uint64_t handle = 0;  // Names the open file until release(); keeps an unlinked one alive.
};

// Fields that setattr changes; what is absent stays.
struct AttributeChange {
    std::optional<std::uint32_t> mode;  // Permission bits only.
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
    std::optional<std::uint64_t> size;
    std::optional<Timestamp> atime;  // Wall clock of the server if kTimeNow.
    std::optional<Timestamp> mtime;
    std::optional<Timestamp> ctime;
    bool clear_setid = false;  // Drop setuid, and setgid if group-executable.
};
inline constexpr Timestamp kTimeNow{0, UINT32_MAX};  // No moment has so many nanoseconds.

struct DirectoryItem {
    std::string name;
    std::uint64_t cookie = 0;  // Where readdir goes on behind this item.
    Node node;                 // Attributes only if asked for; else inode and type bits of mode.
};
struct DirectoryPage {
    std::vector<DirectoryItem> items;
    bool end = false;
};

struct ReadReply {
    std::uint64_t count = 0;  // Bytes that were there; less than asked only at end of file.
    Node node;                // Attributes as of the read.
};

struct FilesystemUsage {
    std::uint64_t capacity_blocks = 0;  // 4 KiB.
    std::uint64_t used_blocks = 0;
    // What can still be written: of its capacity, and of what the drives have room for.
    std::uint64_t free_blocks = 0;
    std::uint64_t inodes = 0;
};

struct RenameFlags {
    bool no_replace = false;
    bool exchange = false;
};

struct FallocateFlags {
    bool keep_size = false;
    bool punch_hole = false;
    bool zero_range = false;
};

// An advisory lock of a file. Owners are the session's; `owner` is the kernel's lock owner.
struct LockRequest {
    std::uint64_t owner = 0;
    std::uint64_t from = 0;
    std::uint64_t to = UINT64_MAX;  // Inclusive.
    std::uint32_t pid = 0;
    enum class Kind : std::uint8_t { unlock = 0, shared = 1, exclusive = 2 } kind = Kind::unlock;
    bool flock = false;  // Whole-file flock, apart from byte ranges.
    bool wait = false;
    // Its owner held it in the client's session before: let in while others wait for such.
    bool reclaim = false;
    friend bool operator==(const LockRequest&, const LockRequest&) = default;
};

enum class SetXattr : std::uint8_t { any = 0, create = 1, replace = 2 };

// What the compute role does for frontends and gateways: a filesystem by inode number.
// Permission bits are the caller's to check against the attributes under lease (the kernel
// does it for a mount); everything else about POSIX is checked here.
// Every call ends by its deadline (retry_later; a recall that it needs may take LeaseTerms::
// recall_most on top) and, if it changed something, only once that
// survives the loss of any m failure domains; fsync makes it survive loss of power.
// Errors of every call: stale (no such inode), retry_later, refresh_map, unavailable (more
// drives are lost than the parity covers), invalid. Further ones are at each call.
class ComputeService {
public:
    virtual ~ComputeService() = default;

    // not_found, not_a_directory, name_too_long. "." and ".." work, for file handles.
    virtual Task<Node> lookup(Caller caller, FileId directory, std::string name) = 0;
    virtual Task<Node> getattr(Caller caller, FileId file) = 0;
    // out_of_space, file_too_large, is_a_directory (size).
    virtual Task<Node> setattr(Caller caller, FileId file, AttributeChange change) = 0;

    // already_exists, not_found (the directory is being removed), out_of_space.
    virtual Task<Node> create(Caller caller, FileId directory, std::string name, NewNode what) = 0;
    // create() of a regular file and open() in one; without `exclusive` an existing one opens.
    virtual Task<Opened> create_open(Caller caller, FileId directory, std::string name,
                                     NewNode what, bool exclusive) = 0;
    // A file without a name, gone at release unless linked before.
    virtual Task<Opened> create_unnamed(Caller caller, FileId directory, NewNode what) = 0;
    virtual Task<Node> link(Caller caller, FileId file, FileId directory, std::string name) = 0;
    // is_a_directory. The rest of the inode goes when its last handle does.
    virtual Task<Done> unlink(Caller caller, FileId directory, std::string name) = 0;
    // not_a_directory, not_empty.
    virtual Task<Done> rmdir(Caller caller, FileId directory, std::string name) = 0;
    // invalid (into its own subtree), not_empty, is_a_directory, not_a_directory, already_exists.
    virtual Task<Done> rename(Caller caller, FileId from, std::string from_name, FileId to,
                              std::string to_name, RenameFlags flags) = 0;
    virtual Task<std::string> readlink(Caller caller, FileId file) = 0;
    // Items behind `cookie` (0: from the start, which gives "." and ".."), about `most_bytes`
    // of them. An entry that stays is given exactly once, whatever else changes meanwhile.
    virtual Task<DirectoryPage> readdir(Caller caller, FileId directory, std::uint64_t cookie,
                                        std::uint32_t most_bytes, bool with_attributes) = 0;

    // `want` write asks for the write lease: others' leases are recalled first. Given only if
    // nobody else has the file open.
    virtual Task<Opened> open(Caller caller, FileId file, LeaseMode want) = 0;
    virtual Task<Done> release(Caller caller, FileId file, std::uint64_t handle) = 0;
    // The caller has dropped what it cached, down to `keep`.
    virtual Task<Done> release_lease(Caller caller, FileId file, LeaseMode keep) = 0;

    virtual Task<ReadReply> read(Caller caller, FileId file, std::uint64_t offset, Bytes into) = 0;
    // All or nothing. `append`: at the end of file, wherever that is; the reply has the size.
    // out_of_space, quota_exceeded, file_too_large.
    virtual Task<Node> write(Caller caller, FileId file, std::uint64_t offset, ConstBytes from,
                             bool append, bool clear_setid) = 0;
    // Everything acked before of this file survives loss of power.
    virtual Task<Done> fsync(Caller caller, FileId file) = 0;
    virtual Task<Done> sync(Caller caller, FilesystemId filesystem) = 0;
    // out_of_space, not_supported. Like copy_range, drops setid as write with `clear_setid` does
    // unless root asks: the kernel does not say whether it should.
    virtual Task<Node> fallocate(Caller caller, FileId file, std::uint64_t offset,
                                 std::uint64_t length, FallocateFlags flags) = 0;
    // Shares blocks where it can. Returns the bytes copied.
    virtual Task<std::uint64_t> copy_range(Caller caller, FileId from, std::uint64_t from_offset,
                                           FileId to, std::uint64_t to_offset,
                                           std::uint64_t length) = 0;
    // The first data (or hole) at or after `offset`; no_data if there is none.
    virtual Task<std::uint64_t> seek(Caller caller, FileId file, std::uint64_t offset,
                                     bool data) = 0;

    // already_exists / no_attribute (by `how`), range_too_small, out_of_space. A POSIX ACL also
    // changes the mode.
    virtual Task<Done> setxattr(Caller caller, FileId file, std::string name, std::string value,
                                SetXattr how) = 0;
    virtual Task<std::string> getxattr(Caller caller, FileId file, std::string name) = 0;
    virtual Task<std::vector<std::string>> listxattr(Caller caller, FileId file) = 0;
    virtual Task<Done> removexattr(Caller caller, FileId file, std::string name) = 0;

    // would_block, deadlock, interrupted (by cancel_lock), limit_reached. May take as long as
    // somebody holds the lock. After a restart new locks wait until those who may hold some have
    // reclaimed them, compute.lock_grace_ms at most.
    virtual Task<Done> lock(Caller caller, FileId file, LockRequest request) = 0;
    // The first lock in the way, or kind unlock.
    virtual Task<LockRequest> test_lock(Caller caller, FileId file, LockRequest request) = 0;
    // A waiting lock() of the same owner and range ends with interrupted.
    virtual Task<Done> cancel_lock(Caller caller, FileId file, LockRequest request) = 0;

    virtual Task<FilesystemUsage> usage(FilesystemId filesystem) = 0;
};

// What was changed under somebody's lease.
struct Recall {
    FileId file;
    LeaseMode keep = LeaseMode::none;  // What may still be held afterwards.
    std::string name;   // Of a directory: only this entry changed; empty: anything may have.
    bool data = false;  // File content changed, not only attributes.
};

// What a frontend does for compute. Sessions come and go through session_opened/closed of the
// compute role's public class.
class LeaseHolder {
public:
    virtual ~LeaseHolder() = default;
    // Ends once nothing recalled is cached any more and buffered writes have been sent. Compute
    // waits for it by a deadline, which what it keeps waiting itself moves, then ends the whole
    // session.
    virtual Task<Done> recall(Recall recall) = 0;
    // The session is over, although nobody closed it: no lease covers anything any more.
    virtual void session_ended() {}
    // SessionHost::lease_term() is over: nothing that is cached may be used until it covers again.
    // Whoever uses a cache looks at it as well: this may come late.
    virtual void term_ended() {}
};

// Who opens a session. A client that lost its session comes back under its number: requests of
// before, sent again with the same seq, are then answered and not done twice.
struct Client {
    std::uint64_t number = 0;    // Chosen by it at random; 0: it never comes back.
    std::uint64_t last_seq = 0;  // The highest it has used in earlier sessions.
    // Locks of earlier sessions that it will ask for again with LockRequest::reclaim, each once.
    std::uint64_t locks_held = 0;
};

// Where sessions come and go.
class SessionHost {
public:
    virtual ~SessionHost() = default;
    // limit_reached: too many sessions. retry_later, unavailable: not now. not_found: never
    // again (what the client is there for has gone). The holder outlives the session.
    virtual Task<SessionId> open_session(LeaseHolder* holder, Client client) = 0;
    // Its leases, locks and open files go. Not an error if it has ended already.
    virtual Task<Done> close_session(SessionId session) = 0;
    // While it covers, what is cached in the session that was opened last may be used. nullptr: for
    // as long as the session lasts, whose end is heard of at once.
    virtual const LeaseTerm* lease_term() const { return nullptr; }
};

// A mount in another process, as it introduces itself.
struct MountHello {
    Client client;
    std::string filesystem;  // Its name.
    std::string host;        // For people.
    std::string path;
    std::uint32_t pid = 0;
};
struct MountWelcome {
    SessionId session;
    FilesystemId filesystem;
    Nanos lease_term = 0;  // LeaseTerms::term.
};

// Where mounts in other processes come in.
class MountHost {
public:
    virtual ~MountHost() = default;
    // open_session() for a mount, which is listed until detach(). not_found: no such filesystem.
    virtual Task<MountWelcome> attach(LeaseHolder* holder, MountHello hello) = 0;
    virtual Task<Done> detach(SessionId session) = 0;
};

}  // namespace weft
