#include "engines/namespace/attributes.h"
#include "model/layout/keys.h"
#include "platform/base/bytes.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

#include <set>
#include <unordered_map>

namespace weft::compute {
namespace {

constexpr std::size_t kScanMost = 512;
constexpr std::size_t kFindingsMost = 1000;
// While serving, what is counted may change: then it is counted again.
constexpr int kTriesMost = 5;

struct CountedInode {
    InodeRecord record;       // Without its symlink.
    bool known = false;       // Its record was seen, not only entries that lead to it.
    std::uint64_t links = 0;  // Entries that lead to it.
    std::uint64_t entries = 0;
    std::uint64_t subdirectories = 0;
};

std::string name_of(FileId file) {
    return "filesystem " + std::to_string(file.filesystem.value) + " inode " +
           std::to_string(file.inode.value);
}
std::string name_of(ShardId shard, SegmentId segment) {
    return "shard " + std::to_string(shard.value) + " segment " + std::to_string(segment.value);
}
std::string differs(std::string_view what, std::uint64_t is, std::uint64_t should) {
    return std::string(what) + " is " + std::to_string(is) + ", counted " + std::to_string(should);
}

// What was verified just now counts the first time; whoever asks again wants it looked at again.
Task<Done> expect_whole(Shard* shard, SegmentId segment, bool known, bool whole) {
    if (!known) {
        std::uint64_t lost = co_await or_return(co_await shard->verify(segment));
        whole = lost == 0;
    }
    if (!whole) co_return Error{Code::corrupt, "check.segment"};
    co_return Done{};
}

// Counts everything in the indexes, and holds it against what the counters say.
class Check {
public:
    explicit Check(Core* core) : core_(core) {}

    Task<Done> run(bool full);
    std::vector<Finding> findings;

private:
    using LiveBlocks = std::map<std::pair<ShardId, SegmentId>, std::int64_t>;

    Task<bool> count_all();
    bool unreadable(ShardId shard, const Result<Done>& outcome);
    Task<Done> count_shard(Shard* shard);
    void count_entry(const keys::Entry& entry, const EntryRecord& record);
    Result<Done> count_key(ShardId shard, std::string_view key, std::string_view value);
    Task<Done> compare_live(Shard* shard);
    void compare_inode(FileId file, const CountedInode& inode);
    void compare_filesystems();
    void compare_slots();
    Task<Done> read_all(Shard* shard);
    void find(std::string where, std::string what);

    Core* core_;
    std::unordered_map<FileId, CountedInode> inodes_;
    LiveBlocks live_;
    bool all_counted_ = true;  // No index had a part that cannot be read.
};

void Check::find(std::string where, std::string what) {
    if (findings.size() < kFindingsMost) findings.push_back({std::move(where), std::move(what)});
}

void Check::count_entry(const keys::Entry& entry, const EntryRecord& record) {
    CountedInode& directory = inodes_[entry.directory];
    ++directory.entries;
    if (record.type == posix::kDirectory) ++directory.subdirectories;
    FileId child{entry.directory.filesystem, record.inode};
    ++inodes_[child].links;
}

Result<Done> Check::count_key(ShardId shard, std::string_view key, std::string_view value) {
    if (auto file = keys::parse_inode(key)) {
        auto record = decode_inode(value);
        if (!record) return Error{Code::corrupt, "check.inode"};
        record->symlink.clear();
        inodes_[*file].record = std::move(*record);
        inodes_[*file].known = true;
    } else if (auto entry = keys::parse_entry(key)) {
        auto record = decode_entry(value);
        if (!record) return Error{Code::corrupt, "check.entry"};
        count_entry(*entry, *record);
    } else if (keys::parse_extent(key)) {
        auto extent = decode_extent(value);
        if (!extent) return Error{Code::corrupt, "check.extent"};
        if (extent->kind == ExtentRecord::Kind::data) {
            live_[{shard, extent->first.segment}] += extent->count;
        }
    }
    return Done{};
}

Task<Done> Check::count_shard(Shard* shard) {
    for (const BlockRun& run : shard->index.blocks()) {
        live_[{shard->id(), run.first.segment}] += run.count;
    }
    FileId first{FilesystemId{1}, InodeId{0}};
    std::string from = keys::inode(first);
    std::string to;
    FileId last{FilesystemId{UINT32_MAX}, InodeId{UINT64_MAX}};
    to = keys::after_prefix(keys::inode(last));
    for (;;) {
        auto found = co_await or_return(co_await shard->index.scan(from, to, kScanMost));
        for (const auto& [key, value] : found) {
            auto counted = count_key(shard->id(), key, value);
            if (!counted.ok()) find("shard " + std::to_string(shard->id().value), "bad record");
        }
        if (found.size() < kScanMost) co_return Done{};
        from = found.back().first + '\0';
    }
}

// What is lost for good is a finding; the rest is looked at all the same.
bool Check::unreadable(ShardId shard, const Result<Done>& outcome) {
    bool lost = outcome.code() == Code::corrupt || outcome.code() == Code::unavailable;
    if (!lost) return false;
    all_counted_ = false;
    find("shard " + std::to_string(shard.value), "a part of its index is lost");
    return true;
}

// False if something changed meanwhile, and the counts mean nothing.
Task<bool> Check::count_all() {
    // The accounts of a run change before the index's list of its blocks does: not in between.
    std::vector<SharedMutex::Lock> held;
    for (auto& [id, shard] : core_->shards) {
        held.push_back(co_await or_return(co_await shard->maintenance.lock()));
    }
    Lsn before = core_->journal.last_appended();
    inodes_.clear();
    live_.clear();
    all_counted_ = true;
    for (auto& [id, shard] : core_->shards) {
        auto counted = co_await count_shard(shard.get());
        if (counted.ok()) counted = co_await compare_live(shard.get());
        if (!counted.ok() && !unreadable(id, counted)) co_return counted.error();
    }
    bool same = core_->journal.last_appended() == before;
    if (!same) findings.clear();
    co_return same;
}

Task<Done> Check::compare_live(Shard* shard) {
    for (const segments::SegmentStatus& status : shard->segments.list()) {
        auto stored = co_await shard->index.get(keys::live(status.id));
        if (!stored.ok() && stored.code() != Code::not_found) co_return stored.error();
        std::int64_t blocks = 0;
        if (stored.ok()) blocks = ByteReader(stored.value()).number<std::int64_t>();
        std::pair key(shard->id(), status.id);
        auto counted = static_cast<std::uint64_t>(live_[key]);
        live_.erase(key);
        bool same = static_cast<std::uint64_t>(blocks) == counted;
        bool same_in_memory = status.live_blocks == counted;
        if (!same || !same_in_memory) {
            auto is = same ? status.live_blocks : static_cast<std::uint64_t>(blocks);
            find(name_of(shard->id(), status.id), differs("live blocks", is, counted));
        }
    }
    auto left = live_.lower_bound({shard->id(), SegmentId{}});
    for (; left != live_.end() && left->first.first == shard->id(); ++left) {
        if (left->second != 0) find(name_of(shard->id(), left->first.second), "is gone but in use");
    }
    co_return Done{};
}

void Check::compare_inode(FileId file, const CountedInode& inode) {
    if (!inode.known) {
        find(name_of(file), "has " + std::to_string(inode.links) + " names but no record");
        return;
    }
    const InodeRecord& record = inode.record;
    if (!posix::is_directory(record)) {
        if (record.nlink != inode.links)
            find(name_of(file), differs("nlink", record.nlink, inode.links));
        if (inode.entries != 0) find(name_of(file), "has entries but is no directory");
        return;
    }
    std::uint64_t names = file.inode == kRootInode || record.nlink == 0 ? 0 : 1;
    if (inode.links != names) find(name_of(file), differs("names", names, inode.links));
    if (record.size != inode.entries) {
        find(name_of(file), differs("entry count", record.size, inode.entries));
    }
    std::uint64_t links = record.nlink == 0 ? 0 : 2 + inode.subdirectories;
    if (record.nlink != links) find(name_of(file), differs("nlink", record.nlink, links));
}

void Check::compare_filesystems() {
    std::map<FilesystemId, Filesystem> counted;
    for (const auto& [file, inode] : inodes_) {
        auto known = core_->filesystems.find(file.filesystem);
        if (known == core_->filesystems.end() || !known->second.serving) continue;
        compare_inode(file, inode);
        counted[file.filesystem].used_blocks += static_cast<std::int64_t>(inode.record.blocks);
        ++counted[file.filesystem].inodes;
    }
    for (const auto& [id, filesystem] : core_->filesystems) {
        if (!filesystem.serving) continue;
        std::string where = "filesystem " + std::to_string(id.value);
        auto used = static_cast<std::uint64_t>(filesystem.used_blocks);
        auto sum = static_cast<std::uint64_t>(counted[id].used_blocks);
        if (used != sum) find(where, differs("used blocks", used, sum));
        auto number = static_cast<std::uint64_t>(filesystem.inodes);
        auto seen = static_cast<std::uint64_t>(counted[id].inodes);
        if (number != seen) find(where, differs("inode count", number, seen));
    }
}

void Check::compare_slots() {
    std::map<std::pair<DriveId, SlotIndex>, std::string> used;
    for (const auto& [id, shard] : core_->shards) {
        for (const segments::SegmentStatus& status : shard->segments.list()) {
            for (const SegmentSlot& slot : status.record.slots) {
                if (slot.drive == kNoDrive) continue;
                std::string user = name_of(id, status.id);
                auto [other, fresh] = used.try_emplace({slot.drive, slot.slot}, user);
                if (!fresh) find(user, "uses a slot of " + other->second);
            }
        }
    }
}

// Every live block and all parity; what is bad is repaired on the way.
Task<Done> Check::read_all(Shard* shard) {
    std::set<SegmentId> damaged;
    for (const segments::SegmentStatus& status : shard->segments.list()) {
        auto lost = co_await shard->verify(status.id);
        bool gone = lost.code() == Code::corrupt || lost.code() == Code::unavailable;
        if (!lost.ok() && !gone && lost.code() != Code::stale) co_return lost.error();
        bool some = lost.ok() && lost.value() > 0;
        if (gone) find(name_of(shard->id(), status.id), "what lies there cannot be told");
        if (some) {
            find(name_of(shard->id(), status.id),
                 std::to_string(lost.value()) + " blocks are lost");
        }
        if (gone || some) damaged.insert(status.id);
    }
    // Parity may be the last trace of what is lost.
    std::set<SegmentId> asked;
    auto verify = [shard, &damaged, &asked](SegmentId id) {
        bool first = asked.insert(id).second;
        return expect_whole(shard, id, first, !damaged.contains(id));
    };
    std::function<Task<Done>(SegmentId)> done_already = verify;
    co_return co_await shard->segments.scrub(std::move(done_already));
}

Task<Done> Check::run(bool full) {
    bool counted = false;
    for (int tries = 0; tries < kTriesMost && !counted; ++tries) {
        counted = co_await or_return(co_await count_all());
    }
    if (counted && all_counted_) {
        compare_filesystems();
    } else if (!counted && full) {
        find("cluster", "counts were not checked: they kept changing");
    }
    compare_slots();
    if (!full) co_return Done{};
    for (auto& [id, shard] : core_->shards) {
        auto read = co_await read_all(shard.get());
        if (!read.ok() && !unreadable(id, read)) co_return read;
    }
    co_return Done{};
}

}  // namespace

Task<std::vector<Finding>> ComputeRole::check(bool full) {
    Check check(core_.get());
    co_await or_return(co_await check.run(full));
    co_return std::move(check.findings);
}

}  // namespace weft::compute
