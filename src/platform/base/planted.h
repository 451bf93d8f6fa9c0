#pragma once

#include <cstdint>

namespace weft {

// Mistakes that are planted on purpose, to judge the simulator by: it has to find each of them
// within a bounded number of seeds (docs/planted-bugs.md). sim/judge/bugs.cc says of each what it
// does. Only a build with WEFT_PLANTED_BUGS has them; in the product planted() is false and the
// compiler drops what depends on it.
enum class Bug : std::uint8_t {
    none,
    // Journal
    journal_one_copy_less,
    journal_acks_before_write,
    journal_forgets_to_flush_a_drive,
    journal_claims_flush_too_early,
    journal_takes_torn_pieces,
    journal_reads_behind_mark,
    journal_takes_over_without_fence,
    journal_acks_failed_pieces,
    // Drive
    drive_lets_old_epoch_write,
    drive_reuses_generation,
    drive_does_not_flush_tables,
    drive_writes_stale_slots,
    drive_takes_torn_tables,
    drive_forgets_generations,
    table_is_not_settled,
    // Segments
    stripe_without_parity,
    stripe_acked_with_chunk_missing,
    read_without_checksum,
    segment_freed_before_flush,
    segment_freed_while_written,
    rebuild_ends_early,
    rebuild_without_flush,
    scrub_passes_parity,
    full_drive_counts_as_written,
    check_trusts_data,
    // File data
    cleaner_takes_no_lock,
    cleaner_ignores_newer,
    destage_drops_newer,
    direct_write_keeps_staged,
    truncate_keeps_tail,
    punch_leaves_a_block,
    purge_keeps_staged,
    share_is_not_counted,
    reserve_is_not_kept,
    // Index
    checkpoint_covers_too_much,
    merge_drops_tombstones,
    // Compute
    replay_misses_last_record,
    trim_forgets_staged,
    trim_before_flush,
    retry_is_done_again,
    rename_keeps_old_name,
    rename_forgets_parent_link,
    unlink_keeps_link_count,
    append_keeps_size,
    orphan_is_not_purged,
    orphans_are_not_recovered,
    recall_is_dropped,
    lease_during_recall,
    look_without_recall,
    lease_margin_is_not_kept,
    readdir_skips_an_entry,
    capacity_is_not_checked,
    usage_is_not_logged,
    inode_number_is_not_logged,
    fsync_returns_early,
    // Locks
    lock_ignores_readers,
    lock_wakes_nobody,
    // Frontend
    recall_answered_before_flush,
    recall_leaves_pages,
    recall_leaves_entries,
    entry_kept_without_lease,
    // Network
    rpc_mixes_up_answers,
    rpc_forgets_deadlines,
    late_write_counts_as_done,
    retry_after_reset_is_done_again,
    sessions_of_a_client_overlap,
    // What clients in other processes outlive
    lease_grace_is_not_kept,
    lock_grace_is_not_kept,
    lock_grace_ends_with_first,
    retry_after_restart_is_done_again,
    count,
};

#ifdef WEFT_PLANTED_BUGS
inline Bug planted_bug = Bug::none;  // The one that acts; set before anything runs.
inline bool planted(Bug bug) {
    return bug == planted_bug;
}
#else
constexpr bool planted(Bug) {
    return false;
}
#endif

}  // namespace weft
