#pragma once

#include "model/services/compute_service.h"
#include "platform/base/types.h"
#include "roles/frontend/fuse_wire.h"

#include <cstdint>
#include <string>
#include <string_view>

// What the kernel is told of inodes, entries and invalidations: pure encoders.
namespace weft::frontend {

// How long the kernel may use what it is told without asking again; 0: not at all.
struct Validity {
    Nanos entry = 0;
    Nanos attributes = 0;
};

fuse_attr attributes_of(const Node& node);
fuse_entry_out entry_of(const Node& node, Validity validity);
fuse_attr_out attributes_reply(const Node& node, Nanos validity);
StatxOut statx_reply(const Node& node, Nanos validity);
// "There is no such name", to be remembered for so long.
fuse_entry_out absent_entry(Nanos validity);

// Packs directory items the way getdents gets them.
class DirectoryWriter {
public:
    DirectoryWriter(Bytes space, bool plus) : space_(space), plus_(plus) {}

    // False if there is no more room; nothing is written then. With `link` (and plus) the
    // kernel makes an entry and an inode of it at once.
    bool add(const DirectoryItem& item, Validity validity, bool link);
    ConstBytes written() const { return space_.first(used_); }

private:
    Bytes space_;
    bool plus_;
    std::size_t used_ = 0;
};

// Notifications, whole. Length 0: to the end of the file. Offset -1: attributes alone.
std::string invalidate_inode_message(InodeId inode, std::int64_t offset, std::int64_t length);
std::string invalidate_entry_message(InodeId directory, std::string_view name);
// All entries of the mount must be looked up again (7.44).
std::string increase_epoch_message();

}  // namespace weft::frontend
