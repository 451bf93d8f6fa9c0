#include "model/layout/routing.h"

#include "platform/base/bytes.h"
#include "platform/base/check.h"

#include <string>

namespace weft {
namespace {

// The tag keeps apart what is hashed for different ends.
ShardId hashed(const ShardRouting& routing, char tag, FileId file, std::uint64_t number) {
    CHECK(routing.shard_count > 0);
    std::string bytes;
    ByteWriter writer(bytes);
    writer.number(tag);
    writer.number(file.filesystem.value);
    writer.number(file.inode.value);
    writer.number(number);
    std::uint64_t hash = siphash(routing.key, bytes_of(bytes));
    return ShardId{static_cast<std::uint32_t>(hash % routing.shard_count)};
}

}  // namespace

ShardId ShardRouting::of(FileId file, std::uint64_t region) const {
    if (region == 0) return shard_of(file.inode);
    return hashed(*this, 'R', file, region);
}

ShardId ShardRouting::of_new_directory(FileId parent, std::uint64_t name_hash) const {
    return hashed(*this, 'D', parent, name_hash);
}

}  // namespace weft
