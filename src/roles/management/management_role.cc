#include "roles/management/management_role.h"

#include <algorithm>
#include <optional>

namespace weft::management {
namespace {

constexpr Nanos kProbeInterval = 500 * kMillisecond;
constexpr int kDriveGraceProbes = 4;
// Longer than a loaded drive needs, and than most retries of a kernel.
constexpr Nanos kProbeMost = 20 * kSecond;
constexpr Nanos kStoreMost = 10 * kSecond;
constexpr std::size_t kNameBytesMost = 64;
constexpr Error kNoSuchDrive{Code::not_found, "no such drive; 'weft drive list' has them all"};
constexpr Error kNoSuchFilesystem{Code::not_found,
                                  "no such filesystem; 'weft fs list' has them all"};

bool valid_name(std::string_view name) {
    if (name.empty() || name.size() > kNameBytesMost || name.front() == '-') return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    });
}

bool valid(const ClusterSpec& spec) {
    return spec.data_width >= 3 && spec.data_width <= 16 && spec.parity_width >= 2 &&
           spec.parity_width <= 4 && spec.parity_width < spec.data_width &&
           spec.slot_bytes >= 1 * kMiB && spec.slot_bytes <= 16 * kMiB &&
           (spec.slot_bytes & (spec.slot_bytes - 1)) == 0 && spec.shard_count >= 1 &&
           spec.shard_count <= 16384 && valid_name(spec.name) &&
           spec.drive_paths.size() >= std::size_t{spec.data_width} + spec.parity_width;
}

FilesystemEntry* find(ClusterMap& map, std::string_view name) {
    for (FilesystemEntry& entry : map.filesystems) {
        if (entry.name == name) return &entry;
    }
    return nullptr;
}

FilesystemId next_filesystem_id(const ClusterMap& map) {
    // Ids are never used again: what a removed filesystem left may still be being purged.
    return FilesystemId{map.filesystems_made + 1};
}

}  // namespace

ManagementRole::ManagementRole(Reactor& reactor, DriveAdmin& drive_admin, DriveService& drives)
    : reactor_(reactor),
      drive_admin_(drive_admin),
      drives_(drives),
      changing_(reactor),
      duties_(reactor),
      stopping_(reactor) {}

Task<Done> ManagementRole::create(ClusterSpec spec, Progress progress) {
    if (!valid(spec))
        co_return Error{Code::invalid, "a scheme, size, name or number of drives that cannot be"};
    ClusterMap map;
    map.cluster = reactor_.random() | 1;
    map.name = spec.name;
    map.data_width = spec.data_width;
    map.parity_width = spec.parity_width;
    map.slot_bytes = spec.slot_bytes;
    map.shard_count = spec.shard_count;
    map.routing_key = {reactor_.random(), reactor_.random()};
    for (std::size_t i = 0; i < spec.drive_paths.size(); ++i) {
        if (progress) progress("making drives", i, spec.drive_paths.size());
        DriveEntry entry;
        entry.id = DriveId{static_cast<std::uint32_t>(i)};
        entry.domain = FailureDomainId{static_cast<std::uint32_t>(i)};
        entry.path = spec.drive_paths[i];
        entry.size_bytes = spec.drive_bytes;
        auto made = co_await drive_admin_.format(entry, map.cluster, map.slot_bytes, false);
        map.drives.push_back(co_await or_return(std::move(made)));
    }
    if (progress) progress("making drives", spec.drive_paths.size(), spec.drive_paths.size());
    map.drives_made = static_cast<std::uint32_t>(map.drives.size());
    map.epoch = Epoch{1};
    co_await or_return(co_await store(map));
    map_ = std::move(map);
    co_return Done{};
}

Task<Done> ManagementRole::open(std::vector<std::string> drive_paths) {
    ClusterMap newest;
    std::map<DriveId, std::string> found;
    std::optional<Error> held;
    for (const std::string& path : drive_paths) {
        auto attached = co_await drive_admin_.attach(path, newest.cluster);
        if (!attached.ok()) {
            // Missing, gone or not a drive any more: the probes will say so.
            if (attached.code() == Code::limit_reached) held = attached.error();
            continue;
        }
        DriveId id = attached.value().id;
        found[id] = path;
        auto stored = co_await drives_.load_map(id);
        if (!stored.ok()) continue;
        auto map = decode_cluster_map(stored.value());
        if (map.has_value() && map->epoch > newest.epoch) newest = std::move(*map);
    }
    if (newest.epoch == Epoch{}) {
        constexpr Error kNone{Code::corrupt, "no drive has a cluster map that can be read"};
        co_return held.value_or(kNone);
    }
    std::size_t missing = 0;
    for (DriveEntry& entry : newest.drives) {
        auto at = found.find(entry.id);
        if (at != found.end()) {
            entry.path = at->second;
        } else if (entry.state != DriveState::failed) {
            ++missing;
        }
    }
    for (const auto& [id, path] : found) {
        // Replaced while it was away: nothing of it is current.
        if (newest.drive(id) == nullptr || newest.drive(id)->state == DriveState::failed) {
            left_out_.push_back(path);
            (void)co_await drive_admin_.detach(id);
        }
    }
    // It may be one of those that are missing, and would be taken for lost though it is well.
    if (missing > 0 && held.has_value()) co_return *held;
    if (missing > newest.parity_width) {
        co_return Error{Code::unavailable, "more drives are missing than parity makes up for"};
    }
    map_ = std::move(newest);
    ClusterMap next = map_;
    ++next.epoch.value;  // Whoever served before is fenced by it.
    co_await or_return(co_await store(next));
    map_ = std::move(next);
    co_return Done{};
}

void ManagementRole::start() {
    duties_.spawn(watch());
}

Task<Done> ManagementRole::stop() {
    stopped_ = true;
    stopping_.notify_all();
    co_return co_await duties_.close();
}

Task<Done> ManagementRole::watch() {
    while (!stopped_) {
        Nanos next = reactor_.now() + kProbeInterval;
        (void)co_await stopping_.wait(next);
        if (!stopped_) probe_all();
    }
    co_return Done{};
}

void ManagementRole::probe_all() {
    std::vector<DriveEntry> entries = map_.drives;
    for (const DriveEntry& entry : entries) {
        if (entry.state == DriveState::failed) continue;
        auto [since, idle] = probing_.try_emplace(entry.id, reactor_.now());
        if (idle) {
            duties_.spawn(probe(entry.id));
        } else if (reactor_.now() - since->second >= kProbeMost) {
            note_failed_probe(entry.id);
        }
    }
}

Task<Done> ManagementRole::probe(DriveId drive) {
    auto answer = co_await drive_admin_.probe(drive);
    probing_.erase(drive);
    if (answer.ok()) {
        failed_probes_.erase(drive);
    } else {
        note_failed_probe(drive);
    }
    co_return Done{};
}

void ManagementRole::note_failed_probe(DriveId drive) {
    if (++failed_probes_[drive] < kDriveGraceProbes) return;
    // Again at the next probe, if the map could not be stored.
    if (declaring_.insert(drive).second) duties_.spawn(declare_failed(drive));
}

Task<Done> ManagementRole::declare_failed(DriveId drive) {
    (void)co_await fail_drive(drive, true);
    declaring_.erase(drive);
    co_return Done{};
}

Task<Done> ManagementRole::adopt(ClusterMap next) {
    // Where an earlier one could not be stored some drives have it nevertheless: two maps of one
    // epoch must not be.
    last_epoch_ = std::max(last_epoch_, map_.epoch);
    ++last_epoch_.value;
    next.epoch = last_epoch_;
    co_await or_return(co_await store(next));
    map_ = std::move(next);
    if (compute_ == nullptr) co_return Done{};
    co_return co_await compute_->set_map(map_);
}

struct ManagementRole::Storing {
    explicit Storing(Reactor& reactor) : changed(reactor) {}

    std::size_t pending = 0;
    std::size_t stored = 0;
    Signal changed;
};

Task<Done> ManagementRole::store(ClusterMap map) {
    if (duties_.closed()) co_return Error{Code::cancelled, "the cluster is stopping"};
    std::string encoded = encode(map);
    auto storing = std::make_shared<Storing>(reactor_);
    std::size_t serving = 0;
    for (const DriveEntry& entry : map.drives) {
        if (entry.state == DriveState::failed) continue;
        ++serving;
        ++storing->pending;
        duties_.spawn(store_on(entry.id, encoded, storing));
    }
    Nanos deadline = reactor_.now() + kStoreMost;
    while (storing->pending > 0 && reactor_.now() < deadline) {
        (void)co_await storing->changed.wait(deadline);
    }
    // More than m without it could be all that is there at the next start.
    if (storing->stored + map.parity_width < serving || storing->stored == 0) {
        co_return Error{Code::unavailable, "too few drives answer to store the cluster map"};
    }
    co_return Done{};
}

Task<Done> ManagementRole::store_on(DriveId drive, std::string encoded,
                                    std::shared_ptr<Storing> storing) {
    auto stored = co_await drives_.store_map(drive, std::move(encoded));
    if (stored.ok()) ++storing->stored;
    --storing->pending;
    storing->changed.notify_all();
    co_return Done{};
}

Task<FilesystemEntry> ManagementRole::create_filesystem(std::string name,
                                                        std::uint64_t capacity_bytes) {
    auto lock = co_await or_return(co_await changing_.lock());
    if (!valid_name(name))
        co_return Error{Code::invalid,
                        "a name is 1 to 64 letters, digits, '.', '_' and '-', not first"};
    if (map_.filesystem(name) != nullptr)
        co_return Error{Code::already_exists, "there is a filesystem of that name"};
    FilesystemEntry entry;
    entry.id = next_filesystem_id(map_);
    entry.name = std::move(name);
    entry.capacity_bytes = round_up(capacity_bytes, kBlockBytes);
    entry.created_ns = reactor_.wall_now();
    ClusterMap next = map_;
    next.filesystems.push_back(entry);
    next.filesystems_made = entry.id.value;
    co_await or_return(co_await adopt(std::move(next)));
    co_await or_return(co_await compute_->create_filesystem(entry.id));
    co_return entry;
}

Task<FilesystemEntry> ManagementRole::resize_filesystem(std::string name,
                                                        std::uint64_t capacity_bytes) {
    auto lock = co_await or_return(co_await changing_.lock());
    ClusterMap next = map_;
    FilesystemEntry* entry = find(next, name);
    if (entry == nullptr) co_return kNoSuchFilesystem;
    entry->capacity_bytes = round_up(capacity_bytes, kBlockBytes);
    FilesystemEntry resized = *entry;
    co_await or_return(co_await adopt(std::move(next)));
    co_return resized;
}

Task<Done> ManagementRole::remove_filesystem(std::string name) {
    auto lock = co_await or_return(co_await changing_.lock());
    ClusterMap next = map_;
    FilesystemEntry* entry = find(next, name);
    if (entry == nullptr) co_return kNoSuchFilesystem;
    FilesystemId id = entry->id;
    std::erase_if(next.filesystems, [id](const auto& fs) { return fs.id == id; });
    co_await or_return(co_await adopt(std::move(next)));
    co_return co_await compute_->remove_filesystem(id);
}

Task<Done> ManagementRole::fail_drive(DriveId drive, bool force) {
    auto lock = co_await or_return(co_await changing_.lock());
    Task<Done> check = may_fail(drive, force);
    co_await or_return(co_await check);
    Task<Done> failing = fail_now(drive);
    co_return co_await failing;
}

Task<Done> ManagementRole::may_fail(DriveId drive, bool force) {
    const DriveEntry* entry = map_.drive(drive);
    if (entry == nullptr) co_return kNoSuchDrive;
    if (entry->state == DriveState::failed || force || compute_ == nullptr) co_return Done{};
    auto report = co_await or_return(co_await compute_->report());
    if (report.missing_most >= map_.parity_width) {
        co_return Error{Code::not_permitted,
                        "data would be lost, for too many drives are missing already; wait until "
                        "'weft status' says healthy"};
    }
    co_return Done{};
}

Task<Done> ManagementRole::fail_now(DriveId drive) {
    ClusterMap next = map_;
    auto entry = std::find_if(next.drives.begin(), next.drives.end(),
                              [drive](const auto& e) { return e.id == drive; });
    if (entry == next.drives.end()) co_return kNoSuchDrive;
    if (entry->state == DriveState::failed) co_return Done{};
    entry->state = DriveState::failed;
    auto adopted = co_await adopt(std::move(next));
    // It may hang: nobody waits for it. Where the map could not be stored it goes on serving.
    if (map_.drive(drive)->state == DriveState::failed) duties_.spawn(let_go(drive));
    co_return adopted;
}

Task<Done> ManagementRole::let_go(DriveId drive) {
    return drive_admin_.detach(drive);
}

DriveId ManagementRole::take_drive_id() {
    ids_taken_ = std::max(ids_taken_, map_.drives_made);
    return DriveId{ids_taken_++};
}

Task<DriveEntry> ManagementRole::format_new(DriveEntry entry, bool overwrite) {
    if (entry.size_bytes == 0 && !map_.drives.empty()) {
        entry.size_bytes = map_.drives.front().size_bytes;
    }
    co_return co_await drive_admin_.format(entry, map_.cluster, map_.slot_bytes, overwrite);
}

Task<DriveEntry> ManagementRole::add_drive(std::string path, std::uint64_t size_bytes,
                                           bool overwrite) {
    DriveEntry entry;
    entry.id = take_drive_id();
    entry.domain = FailureDomainId{entry.id.value};
    entry.path = std::move(path);
    entry.size_bytes = size_bytes;
    // Takes minutes on some devices: other changes do not wait for it.
    entry = co_await or_return(co_await format_new(entry, overwrite));
    auto taken = co_await take_in(entry);
    if (taken.ok()) co_return entry;
    if (map_.drive(entry.id) == nullptr) (void)co_await drive_admin_.detach(entry.id);
    co_return taken.error();
}

Task<Done> ManagementRole::take_in(DriveEntry entry) {
    auto lock = co_await or_return(co_await changing_.lock());
    ClusterMap next = map_;
    next.drives_made = std::max(next.drives_made, entry.id.value + 1);
    next.drives.push_back(std::move(entry));
    co_return co_await adopt(std::move(next));
}

Task<DriveEntry> ManagementRole::replace_drive(DriveId instead_of, std::string path,
                                               std::uint64_t size_bytes, bool overwrite) {
    Task<Done> check = may_fail(instead_of, false);
    co_await or_return(co_await check);
    DriveEntry entry;
    entry.id = take_drive_id();
    if (map_.drive(instead_of) == nullptr) co_return kNoSuchDrive;
    entry.domain = map_.drive(instead_of)->domain;
    entry.path = std::move(path);
    entry.size_bytes = size_bytes;
    // First, so that a path that will not do costs no drive.
    entry = co_await or_return(co_await format_new(entry, overwrite));
    auto taken = co_await take_in_place(entry, instead_of);
    if (taken.ok()) co_return entry;
    if (map_.drive(entry.id) == nullptr) (void)co_await drive_admin_.detach(entry.id);
    co_return taken.error();
}

Task<Done> ManagementRole::take_in_place(DriveEntry entry, DriveId instead_of) {
    auto lock = co_await or_return(co_await changing_.lock());
    // Another one may have failed while the new one was made.
    Task<Done> check = may_fail(instead_of, false);
    co_await or_return(co_await check);
    Task<Done> failing = fail_now(instead_of);
    co_await or_return(co_await failing);
    ClusterMap next = map_;
    std::erase_if(next.drives, [instead_of](const auto& e) { return e.id == instead_of; });
    next.drives_made = std::max(next.drives_made, entry.id.value + 1);
    next.drives.push_back(std::move(entry));
    co_return co_await adopt(std::move(next));
}

Task<std::vector<DriveReport>> ManagementRole::drives() {
    std::vector<DriveReport> reports;
    std::vector<DriveEntry> entries = map_.drives;
    for (const DriveEntry& entry : entries) {
        DriveReport report;
        report.entry = entry;
        auto status = co_await drives_.status(entry.id);
        report.serving = status.ok();
        if (status.ok()) report.status = status.value();
        reports.push_back(std::move(report));
    }
    co_return reports;
}

}  // namespace weft::management
