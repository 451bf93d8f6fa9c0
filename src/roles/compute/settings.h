#pragma once

#include "engines/filedata/file_data.h"
#include "engines/index/index.h"
#include "engines/leases/lease_table.h"
#include "engines/locks/lock_table.h"
#include "engines/namespace/attributes.h"
#include "model/cluster/cluster_map.h"
#include "model/services/lease_term.h"
#include "model/settings/setting.h"
#include "platform/base/types.h"

namespace weft::compute {

inline constexpr Setting kJournalBytesMost{
    .name = "compute.journal_bytes_max",
    .usual = 64 * kMiB,
    .least = 1 * kMiB,
    .most = 1024 * kMiB,
    .apply = Apply::after_restart,
    .meaning =
        "Journal that a restart may have to replay; lower it for faster restarts, raise it "
        "if checkpoints take much of the drives' time."};
inline constexpr Setting kRecallMilliseconds{
    .name = "compute.recall_deadline_ms",
    .usual = 2000,
    .least = 100,
    .most = 60000,
    .apply = Apply::after_restart,
    .meaning = "How long a client may take to give up what it caches before its session ends."};
inline constexpr Setting kLeaseTermMilliseconds{
    .name = "compute.lease_term_ms",
    .usual = 1200,
    .least = 20,
    .most = 40000,
    .apply = Apply::after_restart,
    .meaning =
        "How long a client that is cut off may use what it caches; less than three quarters "
        "of compute.recall_deadline_ms."};
inline constexpr Setting kLockGraceMilliseconds{
    .name = "compute.lock_grace_ms",
    .usual = 5000,
    .least = 0,
    .most = 120000,
    .apply = Apply::after_restart,
    .meaning =
        "How long a restart lets nobody take new locks while clients that held some are not "
        "back; longer than clients take to notice it."};
inline constexpr Setting kCachedInodesMost{
    .name = "compute.cached_inodes_max",
    .usual = 65536,
    .least = 16,
    .most = 16 * 1024 * 1024,
    .apply = Apply::after_restart,
    .meaning = "Inodes kept in memory; raise it if many files are in use at a time."};
inline constexpr Setting kIndexCacheBytes{
    .name = "compute.index_cache_bytes",
    .usual = 64 * kMiB,
    .least = 1 * kMiB,
    .most = 1024 * kGiB,
    .apply = Apply::after_restart,
    .meaning = "Memory for pages of the indexes; raise it if lookups read drives."};
static_assert(kJournalBytesMost.valid() && kRecallMilliseconds.valid());
static_assert(kLeaseTermMilliseconds.valid() && kLockGraceMilliseconds.valid());
static_assert(kCachedInodesMost.valid() && kIndexCacheBytes.valid());

struct ComputeSettings {
    std::uint64_t journal_bytes_most = kJournalBytesMost.usual;
    Nanos recall_deadline = static_cast<Nanos>(kRecallMilliseconds.usual) * kMillisecond;
    Nanos lease_term = static_cast<Nanos>(kLeaseTermMilliseconds.usual) * kMillisecond;
    Nanos lock_grace = static_cast<Nanos>(kLockGraceMilliseconds.usual) * kMillisecond;
    std::size_t cached_inodes_most = kCachedInodesMost.usual;
    std::uint64_t index_cache_bytes = kIndexCacheBytes.usual;
    // Who owns the root folder of a filesystem that is made.
    std::uint32_t root_uid = 0;
    std::uint32_t root_gid = 0;
    std::size_t sessions_most = 4096;
    std::size_t handles_most = 1 << 20;
    std::size_t replies_kept = 4096;               // Of each session, for retries.
    std::uint32_t links_most = posix::kLinksMost;  // Of a file.
    index::IndexSettings index;
    filedata::FileDataSettings data;
    locks::Limits locks;
    leases::Limits leases;

    LeaseTerms lease_terms() const { return {lease_term, recall_deadline}; }
};

// The same, with what must be a small part of the drives no larger than that.
ComputeSettings fitted(ComputeSettings settings, const ClusterMap& map);

}  // namespace weft::compute
