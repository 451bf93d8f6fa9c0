#include "engines/namespace/directory_page.h"

namespace weft::posix {
namespace {

// What an item takes in a reply, near enough: FUSE's fixed parts, and the name padded to 8.
constexpr std::uint64_t kItemBytes = 24;
constexpr std::uint64_t kAttributeBytes = 128;

}  // namespace

bool DirectoryPageBuilder::add(std::string_view name, std::uint64_t cookie, InodeId inode,
                               std::uint32_t type) {
    std::uint64_t cost = kItemBytes + round_up(name.size(), 8);
    if (with_attributes_) cost += kAttributeBytes;
    bool same_cookie = !page_.items.empty() && page_.items.back().cookie == cookie;
    bool full = !page_.items.empty() && bytes_ + cost > most_bytes_;
    if (full && !same_cookie) return false;
    bytes_ += cost;
    DirectoryItem item;
    item.name = name;
    item.cookie = cookie;
    item.node.inode = inode;
    item.node.attributes.mode = type;
    page_.items.push_back(std::move(item));
    return true;
}

}  // namespace weft::posix
