#include "sim/judge/bugs.h"

#include "platform/base/check.h"

#include <algorithm>
#include <array>

namespace weft::sim {
namespace {

constexpr std::array kBugs = {
    BugText{Bug::journal_one_copy_less, "journal_one_copy_less",
            "a mirrored commit is written m times, not m + 1 times"},
    BugText{Bug::journal_acks_before_write, "journal_acks_before_write",
            "an operation is acked before its commit is written"},
    BugText{Bug::journal_forgets_to_flush_a_drive, "journal_forgets_to_flush_a_drive",
            "a flush passes over drives with an even number"},
    BugText{Bug::journal_claims_flush_too_early, "journal_claims_flush_too_early",
            "records count as flushed as soon as a flush begins"},
    BugText{Bug::journal_takes_torn_pieces, "journal_takes_torn_pieces",
            "recovery does not hold a commit's pieces to their checksum"},
    BugText{Bug::journal_reads_behind_mark, "journal_reads_behind_mark",
            "recovery takes what an earlier recovery had cut off"},
    BugText{Bug::journal_takes_over_without_fence, "journal_takes_over_without_fence",
            "the next owner reads the journal without fencing the one before"},
    BugText{Bug::journal_acks_failed_pieces, "journal_acks_failed_pieces",
            "a commit is acked although drives refused pieces of it"},
    BugText{Bug::drive_lets_old_epoch_write, "drive_lets_old_epoch_write",
            "a drive lets an owner of a lower epoch write"},
    BugText{Bug::drive_reuses_generation, "drive_reuses_generation",
            "a slot that is given out again keeps its generation"},
    BugText{Bug::drive_does_not_flush_tables, "drive_does_not_flush_tables",
            "a change of the slot or fence table is not flushed"},
    BugText{Bug::drive_writes_stale_slots, "drive_writes_stale_slots",
            "a drive takes writes to a slot that was freed since"},
    BugText{Bug::drive_takes_torn_tables, "drive_takes_torn_tables",
            "a drive does not hold the blocks of its tables to their checksums"},
    BugText{Bug::drive_forgets_generations, "drive_forgets_generations",
            "a drive whose slot table is an old one counts generations on from there"},
    BugText{Bug::table_is_not_settled, "table_is_not_settled",
            "what a drive writes to one copy of a table does not follow into the other"},
    BugText{Bug::stripe_without_parity, "stripe_without_parity",
            "the first parity chunk of every stripe is zeros"},
    BugText{Bug::stripe_acked_with_chunk_missing, "stripe_acked_with_chunk_missing",
            "a stripe counts as written although a drive refused its chunk"},
    BugText{Bug::read_without_checksum, "read_without_checksum",
            "blocks that are read are not held to their checksum"},
    BugText{Bug::segment_freed_before_flush, "segment_freed_before_flush",
            "a segment is freed before the record that emptied it is flushed"},
    BugText{Bug::segment_freed_while_written, "segment_freed_while_written",
            "a segment is freed although blocks in it wait for their record"},
    BugText{Bug::rebuild_ends_early, "rebuild_ends_early",
            "a rebuild counts a slot as whole without its last rows"},
    BugText{Bug::rebuild_without_flush, "rebuild_without_flush",
            "a rebuild frees the old slot before the new one is flushed"},
    BugText{Bug::scrub_passes_parity, "scrub_passes_parity",
            "the scrub takes any parity for right"},
    BugText{Bug::full_drive_counts_as_written, "full_drive_counts_as_written",
            "a stripe counts as written although a drive had no room for its chunk"},
    BugText{Bug::check_trusts_data, "check_trusts_data",
            "a check takes blocks of data for good without reading them"},
    BugText{Bug::cleaner_takes_no_lock, "cleaner_takes_no_lock",
            "the cleaner changes extents without the region's lock"},
    BugText{Bug::cleaner_ignores_newer, "cleaner_ignores_newer",
            "what was moved replaces what was written meanwhile"},
    BugText{Bug::destage_drops_newer, "destage_drops_newer",
            "a destage drops bytes that were staged while it wrote"},
    BugText{Bug::direct_write_keeps_staged, "direct_write_keeps_staged",
            "a direct write leaves older staged bytes on top of it"},
    BugText{Bug::truncate_keeps_tail, "truncate_keeps_tail",
            "a truncation does not zero the rest of its last block"},
    BugText{Bug::punch_leaves_a_block, "punch_leaves_a_block",
            "a hole is a block shorter than was asked"},
    BugText{Bug::purge_keeps_staged, "purge_keeps_staged",
            "freeing blocks leaves their staged bytes"},
    BugText{Bug::share_is_not_counted, "share_is_not_counted",
            "blocks shared by a copy are not counted a second time"},
    BugText{Bug::reserve_is_not_kept, "reserve_is_not_kept",
            "writes may use the room that cleaning and deleting need"},
    BugText{Bug::checkpoint_covers_too_much, "checkpoint_covers_too_much",
            "a checkpoint claims one record more than it holds"},
    BugText{Bug::merge_drops_tombstones, "merge_drops_tombstones",
            "a merge drops tombstones although older runs hold the key"},
    BugText{Bug::replay_misses_last_record, "replay_misses_last_record",
            "a start does not apply the last record"},
    BugText{Bug::trim_forgets_staged, "trim_forgets_staged",
            "the journal is trimmed although staged bytes are nowhere else"},
    BugText{Bug::trim_before_flush, "trim_before_flush",
            "the journal is trimmed before what replaces it is flushed"},
    BugText{Bug::retry_is_done_again, "retry_is_done_again",
            "a request that is sent again is done again"},
    BugText{Bug::rename_keeps_old_name, "rename_keeps_old_name", "a rename leaves the old name"},
    BugText{Bug::rename_forgets_parent_link, "rename_forgets_parent_link",
            "a directory's move leaves the link count of its new parent"},
    BugText{Bug::unlink_keeps_link_count, "unlink_keeps_link_count",
            "an unlink of one of several names leaves the link count"},
    BugText{Bug::append_keeps_size, "append_keeps_size", "an append does not change the size"},
    BugText{Bug::orphan_is_not_purged, "orphan_is_not_purged",
            "the last close of an unlinked file does not remove it"},
    BugText{Bug::orphans_are_not_recovered, "orphans_are_not_recovered",
            "a start does not look for what was unlinked and not removed"},
    BugText{Bug::recall_is_dropped, "recall_is_dropped",
            "of several clients that cache something, one is not told of a change"},
    BugText{Bug::lease_during_recall, "lease_during_recall",
            "a lease is granted while a change is on its way"},
    BugText{Bug::look_without_recall, "look_without_recall",
            "a look does not ask for what another client has buffered"},
    BugText{Bug::lease_margin_is_not_kept, "lease_margin_is_not_kept",
            "compute waits for a client's term by its own clock, with no margin"},
    BugText{Bug::readdir_skips_an_entry, "readdir_skips_an_entry",
            "each further page of a listing leaves out its first entry"},
    BugText{Bug::capacity_is_not_checked, "capacity_is_not_checked",
            "a filesystem grows beyond its capacity"},
    BugText{Bug::usage_is_not_logged, "usage_is_not_logged",
            "blocks that are freed are not taken off the stored usage"},
    BugText{Bug::inode_number_is_not_logged, "inode_number_is_not_logged",
            "a start gives out inode numbers again"},
    BugText{Bug::fsync_returns_early, "fsync_returns_early",
            "fsync ends without a flush of what is not flushed"},
    BugText{Bug::lock_ignores_readers, "lock_ignores_readers",
            "an exclusive lock is granted beside a shared one"},
    BugText{Bug::lock_wakes_nobody, "lock_wakes_nobody", "an unlock wakes nobody who waits"},
    BugText{Bug::recall_answered_before_flush, "recall_answered_before_flush",
            "a mount answers a recall before it has sent what it wrote behind"},
    BugText{Bug::recall_leaves_pages, "recall_leaves_pages",
            "a recall leaves the kernel its pages and drops attributes alone"},
    BugText{Bug::recall_leaves_entries, "recall_leaves_entries",
            "a recall leaves the kernel its names"},
    BugText{Bug::entry_kept_without_lease, "entry_kept_without_lease",
            "the kernel may keep names of a directory that no lease covers"},
    BugText{Bug::rpc_mixes_up_answers, "rpc_mixes_up_answers",
            "an answer goes to the oldest request that waits"},
    BugText{Bug::rpc_forgets_deadlines, "rpc_forgets_deadlines",
            "a call waits for its answer as long as the connection is there"},
    BugText{Bug::late_write_counts_as_done, "late_write_counts_as_done",
            "a write to a drive that gave no answer in time counts as done"},
    BugText{Bug::retry_after_reset_is_done_again, "retry_after_reset_is_done_again",
            "a request that is sent again under the next session is done twice"},
    BugText{Bug::sessions_of_a_client_overlap, "sessions_of_a_client_overlap",
            "a client's next session begins while its last connection is not over"},
    BugText{Bug::lease_grace_is_not_kept, "lease_grace_is_not_kept",
            "after a restart what a client that is cut off may cache is changed at once"},
    BugText{Bug::lock_grace_is_not_kept, "lock_grace_is_not_kept",
            "after a restart anybody may lock what somebody is about to take back"},
    BugText{Bug::lock_grace_ends_with_first, "lock_grace_ends_with_first",
            "after a restart anybody may lock once one of those who held locks is back"},
    BugText{Bug::retry_after_restart_is_done_again, "retry_after_restart_is_done_again",
            "a request that is sent again after a restart is done twice"},
};
static_assert(kBugs.size() + 1 == static_cast<std::size_t>(Bug::count));

}  // namespace

std::size_t bug_count() {
    return kBugs.size();
}

const BugText& bug_at(std::size_t index) {
    return kBugs[index];
}

std::optional<Bug> bug_named(std::string_view name) {
    auto found = std::ranges::find(kBugs, name, &BugText::name);
    if (found == kBugs.end()) return std::nullopt;
    return found->bug;
}

void plant([[maybe_unused]] Bug bug) {
#ifdef WEFT_PLANTED_BUGS
    planted_bug = bug;
#else
    CHECK(bug == Bug::none);
#endif
}

}  // namespace weft::sim
