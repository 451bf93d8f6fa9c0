#pragma once

#include "model/ids/ids.h"
#include "model/layout/records.h"
#include "model/services/compute_service.h"
#include "platform/base/result.h"

#include <optional>

namespace weft::posix {

// One end of a rename: the directory, and what its name leads to, if anything.
struct RenameEnd {
    InodeId directory;
    std::optional<InodeId> inode;
    const InodeRecord* record = nullptr;  // Of `inode`; nullptr if there is none.
};

enum class RenamePlan : std::uint8_t {
    nothing = 0,  // Both names lead to the same file: success without effect.
    move = 1,     // The target name is free.
    replace = 2,  // The target's inode loses a link (a directory: its last).
    exchange = 3,
};

// What rename(2) and its flags ask for, from the two ends alone; that a directory does not go
// into its own subtree is for the caller to see to.
// not_found, already_exists, is_a_directory, not_a_directory, not_empty, invalid.
Result<RenamePlan> plan_rename(const RenameEnd& from, const RenameEnd& to, RenameFlags flags);

}  // namespace weft::posix
