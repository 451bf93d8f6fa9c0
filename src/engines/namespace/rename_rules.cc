#include "engines/namespace/rename_rules.h"

#include "engines/namespace/attributes.h"

namespace weft::posix {

Result<RenamePlan> plan_rename(const RenameEnd& from, const RenameEnd& to, RenameFlags flags) {
    if (flags.no_replace && flags.exchange) return Error{Code::invalid, "rename.flags"};
    if (!from.inode.has_value()) return Error{Code::not_found, "rename.from"};
    if (!to.inode.has_value()) {
        if (flags.exchange) return Error{Code::not_found, "rename.to"};
        return RenamePlan::move;
    }
    if (flags.no_replace) return Error{Code::already_exists, "rename.to"};
    if (from.inode == to.inode) return RenamePlan::nothing;
    if (flags.exchange) return RenamePlan::exchange;

    bool from_directory = is_directory(*from.record);
    bool to_directory = is_directory(*to.record);
    if (from_directory && !to_directory) return Error{Code::not_a_directory, "rename.to"};
    if (!from_directory && to_directory) return Error{Code::is_a_directory, "rename.to"};
    if (to_directory && to.record->size != 0) return Error{Code::not_empty, "rename.to"};
    return RenamePlan::replace;
}

}  // namespace weft::posix
