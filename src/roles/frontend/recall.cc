#include "platform/base/planted.h"
#include "roles/frontend/mount_internal.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weft::frontend {
namespace {

// How long a READ may keep a recall. Compute waits longer.
constexpr Nanos kPagesMost = 1 * kSecond;

}  // namespace

// Compute waits for this, and somebody's operation for compute. So nothing here may wait for
// an operation of our own, which may in turn wait for that somebody: see invalidate().
Task<Done> Mount::recall(Recall recall) {
    ++counters_.recalls;
    InodeId inode = recall.file.inode;
    if (recall.file.filesystem != compute_.filesystem()) co_return Done{};
    const LeaseTable::Known* known = leases_.find(inode);
    bool directory = known == nullptr || known->directory;

    // From here on nothing new is deferred or kept.
    recalls_.note(inode);
    changes_.note(inode);
    leases_.recall(inode, recall.keep);
    FilePtr file = files_.find(inode);
    if (file != nullptr) {
        file->lease = std::min(file->lease, recall.keep);
        file->attributes_valid = false;
        file->no_capability = false;
        bool early = planted(Bug::recall_answered_before_flush);
        if (recall.keep != LeaseMode::write && early) write_behind_.start(file);
        if (recall.keep != LeaseMode::write && !early) (void)co_await write_behind_.flush(file);
    }

    bool nothing_kept = recall.keep == LeaseMode::none;
    bool pages = recall.data || nothing_kept || !recall.name.empty();
    if (planted(Bug::recall_leaves_pages)) pages = false;
    (void)co_await invalidate(inode, pages);
    bool one_entry = !recall.name.empty() && !nothing_kept;
    bool all_entries = !one_entry && pages && directory && file == nullptr;
    if (planted(Bug::recall_leaves_entries)) one_entry = all_entries = false;
    if (one_entry) {
        (void)co_await forget_entry(inode, std::move(recall.name));
    } else if (all_entries) {
        (void)co_await forget_all_entries(inode);
    }
    // Nor does what was granted meanwhile count.
    recalls_.note(inode);
    co_return Done{};
}

Task<Done> Mount::send_notice(std::string message, std::shared_ptr<Notice> notice) {
    (void)co_await channel_.notify(std::move(message));
    notice->done = true;
    arrivals_.notify_all();
    co_return Done{};
}

std::shared_ptr<Mount::Notice> Mount::begin_notice(InodeId inode, std::int64_t offset,
                                                   std::int64_t length) {
    auto notice = std::make_shared<Notice>();
    background_.spawn(send_notice(invalidate_inode_message(inode, offset, length), notice));
    return notice;
}

// The kernel holds pages locked while it waits for our reply to their READ, or to a WRITE of a part
// of one. An invalidation waits for these, and until it is done programs read what was recalled.
// A READ never waits for a recall of what it reads, so it is waited for. A WRITE waits for compute,
// and compute perhaps for this very recall: its pages go right after the reply, and the others
// must not wait for them. A WRITE that came later cannot be what this recall is for.
Task<Done> Mount::invalidate(InodeId inode, bool pages) {
    if (background_.closed()) co_return Done{};
    std::vector<std::shared_ptr<Notice>> notices;
    if (!pages) {
        notices.push_back(begin_notice(inode, -1, 0));
    } else {
        std::int64_t from = 0;
        for (auto [begin, end] : pages_being_written(inode)) {
            if (begin > from) notices.push_back(begin_notice(inode, from, begin - from));
            (void)begin_notice(inode, begin, end - begin);
            from = std::max(from, end);
        }
        notices.push_back(begin_notice(inode, from, 0));
    }
    auto done = [](const auto& notice) {
        return notice->done;
    };
    Nanos deadline = reactor_.now() + kPagesMost;
    while (!std::ranges::all_of(notices, done)) {
        bool progress = co_await arrivals_.wait(deadline);
        if (!progress) break;
    }
    co_return Done{};
}

// Begin and end of each range of whole pages, the first first.
std::vector<std::pair<std::int64_t, std::int64_t>> Mount::pages_being_written(InodeId inode) {
    std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
    for (Exchange* x : exchanges_) {
        const auto* write = std::get_if<Write>(&x->operation());
        if (write == nullptr || x->inode() != inode || write->data.empty()) continue;
        OpenFile* open = files_.find_open(write->handle);
        if (open != nullptr && open->direct) continue;
        std::uint64_t end = write->offset + write->data.size() + kBlockBytes - 1;
        ranges.emplace_back(static_cast<std::int64_t>(write->offset / kBlockBytes * kBlockBytes),
                            static_cast<std::int64_t>(end / kBlockBytes * kBlockBytes));
    }
    std::ranges::sort(ranges);
    return ranges;
}

// The kernel holds the directory's lock during any operation on its entries, which may wait for
// this recall as above. So once there is such a request the notice is only on its way.
Task<Done> Mount::forget_entry(InodeId directory, std::string name) {
    names_.remove(directory, name);
    if (background_.closed()) co_return Done{};
    auto notice = std::make_shared<Notice>();
    std::string message = invalidate_entry_message(directory, name);
    background_.spawn(send_notice(std::move(message), notice));
    while (!notice->done && !occupied(directory)) co_await arrivals_.wait();
    // Right after the reply is too late for an entry: its users need no lock. With epochs the
    // kernel asks again for all entries; without, the reply is what it has to wait for.
    if (!notice->done) increase_epoch();
    co_return Done{};
}

Task<Done> Mount::forget_all_entries(InodeId directory) {
    if (agreement_.increase_epoch) {
        increase_epoch();
        co_return Done{};
    }
    for (std::string& name : names_.take(directory)) {
        Task<Done> forgotten = forget_entry(directory, std::move(name));
        (void)co_await forgotten;
    }
    co_return Done{};
}

void Mount::increase_epoch() {
    if (!agreement_.increase_epoch) return;
    std::string message = increase_epoch_message();
    std::array<ConstBytes, 1> parts = {bytes_of(message)};
    (void)channel_.send(parts);
}

bool Mount::occupied(InodeId inode) {
    return std::any_of(exchanges_.begin(), exchanges_.end(), [inode](Exchange* x) {
        if (x->waiting_lock().has_value()) return false;  // No lock of the kernel's is held.
        if (x->inode() == inode) return true;
        const auto* rename = std::get_if<Rename>(&x->operation());
        if (rename != nullptr) return rename->to == inode;
        const auto* link = std::get_if<Link>(&x->operation());
        return link != nullptr && link->inode == inode;
    });
}

}  // namespace weft::frontend
