#pragma once

#include "engines/index/index.h"
#include "engines/segments/segment_store.h"
#include "engines/shard/committer.h"
#include "model/layout/batch.h"
#include "model/layout/records.h"
#include "platform/runtime/sync.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace weft::filedata {

struct FileDataSettings {
    // Aligned writes of at least this many bytes go to stripes at once; others are staged.
    std::uint64_t direct_write_bytes_least = 64 * kKiB;
    // Staged bytes a shard keeps before destage() is due, and before writers wait.
    std::uint64_t staged_bytes_usual = 1 * kMiB;
    std::uint64_t staged_bytes_most = 8 * kMiB;
};

// A change of file data that is decided and waits to be committed. It holds the range locked:
// move `batch` into the transaction, commit without awaiting in between, then let it go. Who
// holds one and prepares another takes regions in rising order of (file, region).
struct PreparedChange {
    Batch batch;
    std::int64_t blocks_delta = 0;  // Blocks the file has gained or lost: for its inode and usage.
    std::vector<SharedMutex::Lock> locks;
    segments::Claims claims;  // Of the blocks that the batch makes live.
};

// The bytes of the file regions that live in one shard (at most 1 MiB each, see
// model/layout/routing.h): where they lie, and the way in and out.
//
// Small and unaligned writes are staged: their bytes ride in the journal record (mutation
// `stage`) and are kept in memory until destage() writes them, merged with what is around
// them, as stripes, and records extents and `unstage` in one batch. Large aligned writes go to
// stripes at once, and only their extents are journaled.
//
// Ranges are in bytes of the file and never cross a region. Callers hold the inode's lock
// shared for writes and reads, exclusive for what changes the size.
//
// Invariants: extents of a file never overlap; every data extent's blocks are live in exactly
// the segments their addresses name, once per extent; each data extent has exactly one summary
// entry; staged bytes win over extents; whatever changes an extent in other ways than to write
// staged bytes out, or to move it, unstages what is staged there.
class FileData {
public:
    FileData(Reactor& reactor, ShardId shard, index::Index& index, segments::SegmentStore& segments,
             Committer& committer, FileDataSettings settings);
    ~FileData();

    // Applies `stage` and `unstage` mutations, at commit and at replay; passes over others.
    void apply(const Batch& batch, Lsn lsn);

    // Fills `into` with the bytes at `offset`, zeros where nothing was written. Retries by
    // itself where the cleaner moved blocks meanwhile. corrupt, unavailable.
    Task<Done> read(FileId file, std::uint64_t offset, Bytes into);

    // out_of_space: of a large write, for lack of segments. Whether there is room for a small one
    // the caller knows.
    Task<PreparedChange> prepare_write(FileId file, std::uint64_t offset, ConstBytes from);
    // Frees the range; partial blocks at its ends are zeroed. `keep_reserved`: the blocks stay
    // promised, and holes become so (zero range).
    Task<PreparedChange> prepare_punch(FileId file, std::uint64_t offset, std::uint64_t length,
                                       bool keep_reserved);
    // Promises blocks for what has none.
    Task<PreparedChange> prepare_reserve(FileId file, std::uint64_t offset, std::uint64_t length);
    // Makes `to` share the blocks of `from`, block-aligned, both in this shard, same length and
    // both inside one region each. invalid: they overlap. corrupt: `from` has bytes staged on a
    // block that is lost.
    Task<PreparedChange> prepare_share(FileId from, std::uint64_t from_offset, FileId to,
                                       std::uint64_t to_offset, std::uint64_t length);
    // Every extent of the file in this shard at or behind `from_block`, up to `most` of them a
    // call; `more` says whether some are left. Staged bytes there are dropped too. For
    // truncation and for inodes that are gone, over all regions of the file in this shard.
    struct Purge {
        PreparedChange change;
        bool more = false;
    };
    Task<Purge> prepare_purge(FileId file, std::uint64_t from_block, std::size_t most);

    // The first byte at or after `offset`, below `end`, that has data (reserved blocks have
    // none) or has not. no_data if there is none below `end`.
    Task<std::uint64_t> seek(FileId file, std::uint64_t offset, std::uint64_t end, bool data);

    // The first region of the file in this shard, at or behind `from_region`, that has anything:
    // data, staged bytes or reserved blocks. no_data if there is none.
    Task<std::uint64_t> next_region(FileId file, std::uint64_t from_region);

    // Waits while more is staged than the bound; call before prepare_write, without locks.
    Task<Done> admit();
    std::uint64_t staged_bytes() const;
    // More is staged than usual, beside what the last destage() had to leave.
    bool destage_is_due() const;
    // The lsn of the oldest record with bytes that are still staged; 0 if none. The records that
    // unstaged older ones may not be durable yet: before the journal is trimmed by this, every
    // record that was appended when it was asked must be flushed.
    Lsn oldest_staged() const;
    // Writes everything that was staged by records up to `through` to stripes. Bytes of a block
    // whose rest cannot be read stay staged, but with a newer record.
    Task<Done> destage(Lsn through);

    // Moves the live blocks of a segment elsewhere (stream `cleaner`), so that it can be freed.
    // True if it has no live file data any more.
    Task<bool> clean(SegmentId segment);
    // Reads the live file data of a segment, so that what is bad is found and repaired; returns
    // the number of blocks that are lost. would_block: that cannot be told, so much changes.
    Task<std::uint64_t> verify(SegmentId segment);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft::filedata
