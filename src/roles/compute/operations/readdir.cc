#include "engines/namespace/attributes.h"
#include "engines/namespace/directory_page.h"
#include "model/layout/keys.h"
#include "platform/base/planted.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

constexpr std::size_t kScanMost = 128;

Task<DirectoryPage> list_entries(Core* core, InodePin directory, std::uint64_t cookie,
                                 std::uint32_t most_bytes, bool with_attributes) {
    FileId id = directory->id;
    posix::DirectoryPageBuilder page(most_bytes, with_attributes);
    bool room = true;
    if (cookie < posix::kCookieDot) {
        room = page.add(".", posix::kCookieDot, id.inode, posix::kDirectory);
    }
    if (room && cookie < posix::kCookieDotDot) {
        InodeId parent = directory->record.parent;
        room = page.add("..", posix::kCookieDotDot, parent, posix::kDirectory);
    }
    std::uint64_t behind = std::max(cookie, posix::kCookieDotDot) + 1;
    std::string from = keys::entry(id, behind, std::string_view());
    std::string to = keys::after_prefix(keys::entry_prefix(id));
    while (room) {
        auto found = co_await or_return(co_await core->home(id).index.scan(from, to, kScanMost));
        for (const auto& [key, value] : found) {
            auto entry = keys::parse_entry(key);
            auto record = decode_entry(value);
            if (!entry || !record) co_return Error{Code::corrupt, "readdir"};
            bool first = cookie > posix::kCookieDotDot && key == found.front().first;
            if (first && planted(Bug::readdir_skips_an_entry)) continue;
            room = page.add(entry->name, entry->hash, record->inode, record->type);
            if (!room) break;
        }
        if (room && found.size() < kScanMost) co_return page.take(true);
        if (room) from = found.back().first + '\0';
    }
    co_return page.take(false);
}

// Attributes of the items; what is gone by now is left out. Gives the last record seen.
Task<Lsn> add_attributes(Core* core, SessionId session, FilesystemId filesystem,
                         DirectoryPage* page, std::vector<InodePin>* pins) {
    Lsn seen;
    std::vector<DirectoryItem> items;
    for (DirectoryItem& item : page->items) {
        FileId child{filesystem, item.node.inode};
        auto inode = co_await core->pin(child);
        if (inode.code() == Code::stale) continue;
        if (!inode.ok()) co_return inode.error();
        InodePin pinned = std::move(inode).value();
        co_await or_return(co_await core->recall_for_look(session, pinned));
        item.node = core->look(session, pinned);
        item.node.attributes.symlink.clear();  // Long, and nobody asks a listing for it.
        seen = std::max(seen, pinned->changed);
        items.push_back(std::move(item));
        pins->push_back(std::move(pinned));
    }
    page->items = std::move(items);
    co_return seen;
}

Task<DirectoryPage> read_directory(Core* core, Caller caller, FileId directory_id,
                                   std::uint64_t cookie, std::uint32_t most_bytes,
                                   bool with_attributes) {
    InodePin directory = co_await or_return(co_await core->pin_directory(directory_id));
    if (cookie > static_cast<std::uint64_t>(INT64_MAX)) co_return Error{Code::invalid, "readdir"};
    DirectoryPage page = co_await or_return(
        co_await list_entries(core, directory, cookie, most_bytes, with_attributes));
    core->note_access(*directory);
    Lsn seen = directory->changed;
    std::vector<InodePin> pins;
    if (with_attributes) {
        Lsn children = co_await or_return(
            co_await add_attributes(core, caller.session, directory_id.filesystem, &page, &pins));
        seen = std::max(seen, children);
    }
    co_await or_return(co_await core->settled(seen));
    for (std::size_t i = 0; i < pins.size(); ++i) {
        Node& node = page.items[i].node;
        bool same = pins[i]->record.version == node.attributes.version;
        bool held = core->leases.held(caller.session, pins[i]->id) != leases::Mode::none;
        if (!same || !held) node.lease = LeaseMode::none;
    }
    co_return page;
}

}  // namespace

Task<DirectoryPage> ComputeRole::readdir(Caller caller, FileId directory, std::uint64_t cookie,
                                         std::uint32_t most_bytes, bool with_attributes) {
    core_->count(Operation::readdir);
    co_await or_return(core_->session(caller.session));
    co_return co_await read_directory(core_.get(), caller, directory, cookie, most_bytes,
                                      with_attributes);
}

}  // namespace weft::compute
