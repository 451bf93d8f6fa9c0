#include "engines/namespace/attributes.h"
#include "platform/runtime/join.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

#include <algorithm>

namespace weft::compute {
namespace {

// Regions read side by side for one request.
constexpr std::size_t kParallelMost = 8;

Task<Done> read_regions(Core* core, FileId file, std::uint64_t offset, Bytes into) {
    std::vector<Task<Done>> parts;
    while (!into.empty()) {
        std::uint64_t region = offset / kRegionBytes;
        std::uint64_t room = (region + 1) * kRegionBytes - offset;
        Bytes part = into.first(std::min<std::uint64_t>(room, into.size()));
        if (part.size() == into.size() && parts.empty()) {
            co_return co_await core->region_shard(file, region).data.read(file, offset, part);
        }
        parts.push_back(core->region_shard(file, region).data.read(file, offset, part));
        offset += part.size();
        into = into.subspan(part.size());
        if (parts.size() < kParallelMost && !into.empty()) continue;
        auto results = co_await join(parts);
        co_await or_return(first_error(results));
        parts.clear();
    }
    co_return Done{};
}

Task<ReadReply> read_file(Core* core, Caller caller, FileId file, std::uint64_t offset,
                          Bytes into) {
    InodePin inode = co_await or_return(co_await core->pin_regular(file));
    co_await or_return(co_await core->recall_for_look(caller.session, inode));
    LockKey key{file, kInodePart};
    auto lock =
        std::make_optional(co_await or_return(co_await core->locks.shared(key, caller.deadline)));
    std::uint64_t size = inode->record.size;
    std::uint64_t version = inode->record.version;
    ReadReply reply;
    if (offset < size) reply.count = std::min<std::uint64_t>(into.size(), size - offset);
    if (reply.count > 0) {
        Bytes part = into.first(reply.count);
        co_await or_return(co_await read_regions(core, file, offset, part));
        core->note_access(*inode);
    }
    Node node = core->look(caller.session, inode);
    // Writes go on beside reads: one that ended meanwhile had nobody to recall these bytes from.
    if (inode->record.version != version) node.lease = LeaseMode::none;
    Lsn seen = inode->changed;
    lock.reset();
    reply.node =
        co_await or_return(co_await core->answer(caller.session, inode, std::move(node), seen));
    co_return reply;
}

}  // namespace

Task<ReadReply> ComputeRole::read(Caller caller, FileId file, std::uint64_t offset, Bytes into) {
    core_->count(Operation::read);
    co_await or_return(core_->session(caller.session));
    co_return co_await read_file(core_.get(), caller, file, offset, into);
}

}  // namespace weft::compute
