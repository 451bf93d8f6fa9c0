#include "engines/namespace/attributes.h"
#include "model/layout/keys.h"
#include "platform/base/bytes.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"
#include "roles/compute/link_sums_internal.h"

#include <functional>
#include <set>
#include <unordered_map>

namespace weft::compute {
namespace {

constexpr std::size_t kScanMost = 512;
constexpr std::size_t kFindingsMost = 1000;
// While serving, what is counted may change: then it is counted again.
constexpr int kTriesMost = 5;

// Inodes that are counted one by one at a time: they take some 40 MiB.
constexpr std::uint64_t kInodesAtOnce = 1 << 19;

// What lies together of an inode in its shard: its entries, if it is a directory, and its record.
struct InodeCount {
    FileId file;
    std::optional<InodeRecord> record;
    std::uint64_t entries = 0;
    std::uint64_t subdirectories = 0;
};

// What lies anywhere: the entries that lead to it.
struct LinkCount {
    bool known = false;  // Its record was seen, not only entries that lead to it.
    bool directory = false;
    std::uint64_t expected = 0;
    std::uint64_t counted = 0;
};

using Visit = std::function<void(std::string_view key, std::string_view value)>;

// Everything of files that the shard's index has, in order.
Task<Done> visit_files(Shard* shard, Visit visit) {
    std::string from = keys::inode(FileId{FilesystemId{1}, InodeId{0}});
    std::string to =
        keys::after_prefix(keys::inode({FilesystemId{UINT32_MAX}, InodeId{UINT64_MAX}}));
    for (;;) {
        auto found = co_await or_return(co_await shard->index.scan(from, to, kScanMost));
        for (const auto& [key, value] : found) visit(key, value);
        if (found.size() < kScanMost) co_return Done{};
        from = found.back().first + '\0';
    }
}

// Names that should lead to the inode.
std::uint64_t links_of(FileId file, const InodeRecord& record) {
    if (!posix::is_directory(record)) return record.nlink;
    return file.inode == kRootInode || record.nlink == 0 ? 0 : 1;
}

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

// Counts everything in the indexes, and holds it against what the counters say, while the role goes
// on serving: what changes meanwhile is counted again. Of inodes it keeps in memory those only that
// are to be counted one by one.
class Check {
public:
    explicit Check(Core* core) : core_(core), links_(SipKey()) {}

    Task<Done> run(bool full);
    std::vector<Finding> findings;

private:
    Task<bool> count_all();
    bool unreadable(ShardId shard, const Result<Done>& outcome);
    std::uint64_t names_changed() const;
    Task<Done> count_shard(Shard* shard);
    void count_key(ShardId shard, std::string_view key, std::string_view value);
    void begin_inode(FileId file);
    void count_entry(const keys::Entry& entry, const EntryRecord& record);
    Task<Done> compare_live(Shard* shard);
    void end_inode();
    void compare_directory(FileId file, const InodeRecord& record);
    Task<Done> count_one_by_one();
    void count_link(std::string_view key, std::string_view value);
    void compare_links(FileId file, const LinkCount& links);
    void compare_filesystems();
    void compare_slots();
    Task<Done> read_all(Shard* shard);
    Task<Done> verify_drives();
    void find(std::string where, std::string what);
    bool is_serving(FileId file) const { return counted_.contains(file.filesystem); }

    Core* core_;
    // Of one count of all names. Nothing of it is a finding before it has come to its end.
    LinkSums links_;
    InodeCount inode_;
    std::map<FilesystemId, Filesystem> counted_;  // Those that serve.
    std::unordered_map<FileId, LinkCount> one_by_one_;
    std::vector<Finding> of_names_;
    bool names_counted_ = false;

    std::map<SegmentId, std::int64_t> live_;  // Of one shard.
    std::vector<Finding> of_shard_;
    std::set<ShardId> shards_counted_;
    bool all_counted_ = true;  // No index had a part that cannot be read.
};

void add_to(std::vector<Finding>* findings, std::string where, std::string what) {
    if (findings->size() < kFindingsMost) findings->push_back({std::move(where), std::move(what)});
}

void Check::find(std::string where, std::string what) {
    add_to(&findings, std::move(where), std::move(what));
}

void Check::begin_inode(FileId file) {
    if (file == inode_.file) return;
    end_inode();
    inode_ = InodeCount{file, std::nullopt, 0, 0};
}

void Check::end_inode() {
    InodeCount ended = std::exchange(inode_, InodeCount{});
    if (!is_serving(ended.file)) return;
    if (!ended.record.has_value()) {
        if (ended.entries > 0) add_to(&of_names_, name_of(ended.file), "has entries but no record");
        return;
    }
    const InodeRecord& record = *ended.record;
    links_.expect(ended.file, links_of(ended.file, record));
    Filesystem& filesystem = counted_[ended.file.filesystem];
    filesystem.used_blocks += static_cast<std::int64_t>(record.blocks);
    ++filesystem.inodes;
    std::string where = name_of(ended.file);
    if (!posix::is_directory(record)) {
        if (ended.entries != 0) add_to(&of_names_, where, "has entries but is no directory");
        return;
    }
    if (record.size != ended.entries) {
        add_to(&of_names_, where, differs("entry count", record.size, ended.entries));
    }
    std::uint64_t links = record.nlink == 0 ? 0 : 2 + ended.subdirectories;
    if (record.nlink != links) add_to(&of_names_, where, differs("nlink", record.nlink, links));
}

void Check::count_entry(const keys::Entry& entry, const EntryRecord& record) {
    begin_inode(entry.directory);
    ++inode_.entries;
    if (record.type == posix::kDirectory) ++inode_.subdirectories;
    if (is_serving(entry.directory)) links_.found({entry.directory.filesystem, record.inode});
}

void Check::count_key(ShardId shard, std::string_view key, std::string_view value) {
    bool good = true;
    if (auto file = keys::parse_inode(key)) {
        begin_inode(*file);
        inode_.record = decode_inode(value);
        good = inode_.record.has_value();
    } else if (auto entry = keys::parse_entry(key)) {
        auto record = decode_entry(value);
        good = record.has_value();
        if (good) count_entry(*entry, *record);
    } else if (keys::parse_extent(key)) {
        auto extent = decode_extent(value);
        good = extent.has_value();
        bool data = good && extent->kind == ExtentRecord::Kind::data;
        if (data) live_[extent->first.segment] += extent->count;
    }
    if (!good) add_to(&of_shard_, "shard " + std::to_string(shard.value), "bad record");
}

// Its blocks count only if it has not changed meanwhile, and names only if no shard's have.
Task<Done> Check::count_shard(Shard* shard) {
    bool counted = shards_counted_.contains(shard->id());
    // The accounts of a run change before the index's list of its blocks does: not in between. Only
    // this shard's, or what makes room for changes would wait for the count of all.
    std::optional<SharedMutex::Lock> lock;
    if (!counted) lock.emplace(co_await or_return(co_await shard->maintenance.lock()));
    std::uint64_t before = shard->changes();
    live_.clear();
    of_shard_.clear();
    inode_ = InodeCount{};
    for (const BlockRun& run : shard->index.blocks()) live_[run.first.segment] += run.count;
    ShardId id = shard->id();
    Visit visit = [this, id](std::string_view key, std::string_view value) {
        count_key(id, key, value);
    };
    co_await or_return(co_await visit_files(shard, std::move(visit)));
    end_inode();
    if (counted) co_return Done{};
    co_await or_return(co_await compare_live(shard));
    if (shard->changes() != before) co_return Done{};
    shards_counted_.insert(id);
    for (Finding& finding : of_shard_) find(std::move(finding.where), std::move(finding.what));
    co_return Done{};
}

// What is lost for good is a finding; the rest is looked at all the same.
bool Check::unreadable(ShardId shard, const Result<Done>& outcome) {
    bool lost = outcome.code() == Code::corrupt || outcome.code() == Code::unavailable;
    if (!lost) return false;
    all_counted_ = false;
    shards_counted_.insert(shard);
    find("shard " + std::to_string(shard.value), "a part of its index is lost");
    return true;
}

std::uint64_t Check::names_changed() const {
    std::uint64_t changed = 0;
    for (const auto& [id, shard] : core_->shards) changed += shard->names_changed();
    return changed;
}

// False if something changed meanwhile, and not all has been counted yet.
Task<bool> Check::count_all() {
    std::uint64_t before = names_changed();
    links_ = LinkSums(SipKey{core_->reactor.random(), core_->reactor.random()});
    of_names_.clear();
    counted_.clear();
    for (const auto& [id, filesystem] : core_->filesystems) {
        if (filesystem.serving) counted_[id] = Filesystem();
    }
    for (auto& [id, shard] : core_->shards) {
        if (names_counted_ && shards_counted_.contains(id)) continue;
        auto counted = co_await count_shard(shard.get());
        if (!counted.ok() && !unreadable(id, counted)) co_return counted.error();
    }
    bool all_names = !names_counted_ && names_changed() == before;
    if (all_names && all_counted_) co_await or_return(co_await count_one_by_one());
    bool same = names_changed() == before;
    if (all_names && all_counted_ && same) {
        compare_filesystems();
        for (Finding& finding : of_names_) find(std::move(finding.where), std::move(finding.what));
    }
    names_counted_ = names_counted_ || same || !all_counted_;
    co_return names_counted_&& shards_counted_.size() == core_->shards.size();
}

Task<Done> Check::compare_live(Shard* shard) {
    for (const segments::SegmentStatus& status : shard->segments.list()) {
        auto stored = co_await shard->index.get(keys::live(status.id));
        if (!stored.ok() && stored.code() != Code::not_found) co_return stored.error();
        std::int64_t blocks = 0;
        if (stored.ok()) blocks = ByteReader(stored.value()).number<std::int64_t>();
        auto counted = static_cast<std::uint64_t>(live_[status.id]);
        live_.erase(status.id);
        bool same = static_cast<std::uint64_t>(blocks) == counted;
        bool same_in_memory = status.live_blocks == counted;
        if (same && same_in_memory) continue;
        auto is = same ? status.live_blocks : static_cast<std::uint64_t>(blocks);
        add_to(&of_shard_, name_of(shard->id(), status.id), differs("live blocks", is, counted));
    }
    for (const auto& [segment, blocks] : live_) {
        if (blocks == 0) continue;
        add_to(&of_shard_, name_of(shard->id(), segment), "is gone but in use");
    }
    co_return Done{};
}

void Check::count_link(std::string_view key, std::string_view value) {
    if (auto file = keys::parse_inode(key)) {
        auto record = decode_inode(value);
        bool counts = record.has_value() && is_serving(*file) && links_.is_taken(*file);
        if (!counts) return;
        LinkCount& link = one_by_one_[*file];
        link.known = true;
        link.directory = posix::is_directory(*record);
        link.expected = links_of(*file, *record);
    } else if (auto entry = keys::parse_entry(key)) {
        auto record = decode_entry(value);
        if (!record.has_value() || !is_serving(entry->directory)) return;
        FileId child{entry->directory.filesystem, record->inode};
        if (links_.is_taken(child)) ++one_by_one_[child].counted;
    }
}

void Check::compare_links(FileId file, const LinkCount& link) {
    std::string where = name_of(file);
    if (!link.known) {
        std::string what = "has " + std::to_string(link.counted) + " names but no record";
        add_to(&of_names_, std::move(where), std::move(what));
    } else if (link.expected != link.counted) {
        std::string_view what = link.directory ? "names" : "nlink";
        add_to(&of_names_, std::move(where), differs(what, link.expected, link.counted));
    }
}

// Those that the sums say are not all right: in a sound cluster none.
Task<Done> Check::count_one_by_one() {
    while (of_names_.size() < kFindingsMost && links_.take_wrong(kInodesAtOnce)) {
        one_by_one_.clear();
        for (auto& [id, shard] : core_->shards) {
            Visit visit = [this](std::string_view key, std::string_view value) {
                count_link(key, value);
            };
            auto counted = co_await visit_files(shard.get(), std::move(visit));
            if (!counted.ok() && !unreadable(id, counted)) co_return counted.error();
        }
        for (const auto& [file, link] : one_by_one_) compare_links(file, link);
    }
    one_by_one_.clear();
    co_return Done{};
}

void Check::compare_filesystems() {
    for (const auto& [id, counted] : counted_) {
        const Filesystem& filesystem = core_->filesystems[id];
        std::string where = "filesystem " + std::to_string(id.value);
        auto used = static_cast<std::uint64_t>(filesystem.used_blocks);
        auto sum = static_cast<std::uint64_t>(counted.used_blocks);
        if (used != sum) add_to(&of_names_, where, differs("used blocks", used, sum));
        auto number = static_cast<std::uint64_t>(filesystem.inodes);
        auto seen = static_cast<std::uint64_t>(counted.inodes);
        if (number != seen) add_to(&of_names_, where, differs("inode count", number, seen));
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
        bool changing = lost.code() == Code::would_block;
        bool told = lost.ok() || gone || changing || lost.code() == Code::stale;
        if (!told) co_return lost.error();
        bool some = lost.ok() && lost.value() > 0;
        if (gone) find(name_of(shard->id(), status.id), "what lies there cannot be told");
        if (some) {
            find(name_of(shard->id(), status.id),
                 std::to_string(lost.value()) + " blocks are lost");
        }
        if (changing) {
            find(name_of(shard->id(), status.id), "not all was read: it kept changing");
        }
        if (gone || changing || some) damaged.insert(status.id);
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

// What drives keep beside their slots. One that is away is the business of those whose slots it
// has.
Task<Done> Check::verify_drives() {
    for (DriveId drive : core_->table.readable_drives()) {
        auto repaired = co_await core_->drives.verify(drive);
        if (repaired.ok()) core_->table_blocks_repaired += repaired.value();
        if (repaired.code() == Code::corrupt) {
            find("drive " + std::to_string(drive.value), "nothing of it is left but its slots");
        }
    }
    co_return Done{};
}

Task<Done> Check::run(bool full) {
    bool counted = false;
    for (int tries = 0; tries < kTriesMost && !counted; ++tries) {
        counted = co_await or_return(co_await count_all());
    }
    if (!counted && full) find("cluster", "counts were not checked: they kept changing");
    compare_slots();
    if (!full) co_return Done{};
    co_await or_return(co_await verify_drives());
    for (auto& [id, shard] : core_->shards) {
        auto read = co_await read_all(shard.get());
        if (!read.ok() && !unreadable(id, read)) co_return read;
    }
    co_return Done{};
}

}  // namespace

Task<std::vector<Finding>> Core::check(bool full) {
    Check check(this);
    co_await or_return(co_await check.run(full));
    co_return std::move(check.findings);
}

Task<std::vector<Finding>> ComputeRole::check(bool full) {
    return core_->check(full);
}

}  // namespace weft::compute
