#include "processes/embedded/embedded_cluster.h"

#include "platform/process/mount_points.h"
#include "platform/process/process.h"
#include "platform/process/process_lock.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace weft::embedded {
namespace {

// For a request that is under way when the process is to end, twice: less than what 'weft demo
// stop' waits.
constexpr Nanos kAnswersMost = 10 * kSecond;

// Slots from 1 MiB on small drives to 16 MiB on large ones: some hundreds a drive at least, so
// that a few open segments a shard are a small part of it.
std::uint32_t fitting_slot_bytes(std::uint64_t drive_bytes) {
    std::uint64_t slot = 16 * kMiB;
    while (slot > kMiB && drive_bytes / slot < 4096) slot /= 2;
    return static_cast<std::uint32_t>(slot);
}

// Shards that so many slots can serve: each holds a few of them open at a time.
std::uint32_t fitting_shard_count(std::uint64_t drive_bytes, std::uint32_t slot_bytes) {
    std::uint32_t shards = 16;
    while (shards > 1 && drive_bytes / slot_bytes < 24ULL * shards) shards /= 2;
    return shards;
}

// An ordinary user's filesystems are theirs.
compute::ComputeSettings compute_settings() {
    compute::ComputeSettings settings;
    settings.root_uid = process::user_id();
    settings.root_gid = process::group_id();
    return settings;
}

}  // namespace

EmbeddedCluster::EmbeddedCluster(Machine& machine, EmbeddedSettings settings)
    : machine_(machine),
      settings_(std::move(settings)),
      started_(machine.now()),
      drives_(machine),
      local_drives_(machine, drives_),
      management_(machine, local_drives_, drives_),
      compute_(machine, drives_, compute_settings()),
      sessions_(compute_),
      mounts_(machine, compute_, sessions_),
      door_(
          machine, compute_, sessions_,
          [this](const std::string& name) { return filesystem_named(name); },
          compute_.lease_terms()),
      adding_(machine),
      control_(machine, *this),
      stopping_(machine),
      background_(machine) {}

void EmbeddedCluster::show_progress(const std::string& step, std::uint64_t done,
                                    std::uint64_t total) {
    std::string text = step;
    if (total > 0) text += ": " + std::to_string(done) + " of " + std::to_string(total);
    // For who waits for us to come up; without it they wait a little less informed.
    (void)process::write_note(settings_.folder + "/progress", text);
}

Task<Done> EmbeddedCluster::start() {
    auto known = read_process_file(settings_.folder);
    if (!known.ok() && known.code() != Code::not_found) co_return known.error();
    if (known.ok()) file_ = std::move(known).value();
    Task<Done> beginning = known.ok() && !file_.creating ? open() : create();
    co_await or_return(co_await beginning);
    management_.start();
    // What cannot be listened on is found before anything is mounted.
    co_await or_return(listen());
    co_await or_return(co_await mount_remembered());
    (void)process::remove_one(settings_.folder + "/progress");
    background_.spawn(watch_signals());
    open_doors();
    co_return Done{};
}

// Drives that an earlier start began to make go; none else does, whatever is said of them here.
Result<Done> EmbeddedCluster::clear_way(const std::vector<std::string>& drive_paths) {
    for (const std::string& path : file_.drive_paths) {
        if (!process::remove_one(path)) {
            return Error{Code::io_failed, "what an earlier start began cannot be removed"};
        }
    }
    for (const std::string& path : drive_paths) {
        if (!process::exists(path)) continue;
        return Error{Code::already_exists,
                     "the folder 'drives' has drives, but process.json, which tells of them, is "
                     "gone; bring it back, or move the drives away"};
    }
    return Done{};
}

Task<Done> EmbeddedCluster::create() {
    co_await or_return(process::make_folders(settings_.folder + "/drives"));
    management::ClusterSpec spec;
    spec.name = settings_.name;
    spec.data_width = settings_.data_width;
    spec.parity_width = settings_.parity_width;
    spec.drive_bytes = settings_.drive_bytes;
    spec.slot_bytes = fitting_slot_bytes(settings_.drive_bytes);
    spec.shard_count = fitting_shard_count(settings_.drive_bytes, spec.slot_bytes);
    for (std::uint32_t i = 0; i < settings_.drive_count; ++i) {
        spec.drive_paths.push_back(settings_.folder + "/drives/" + std::to_string(i) + ".drive");
    }
    co_await or_return(clear_way(spec.drive_paths));
    file_.creating = true;
    file_.name = spec.name;
    file_.drive_paths = spec.drive_paths;
    co_await or_return(remember());
    auto progress = [this](std::string step, std::uint64_t done, std::uint64_t total) {
        show_progress(step, done, total);
    };
    co_await or_return(co_await management_.create(std::move(spec), progress));
    show_progress("opening the cluster", 0, 0);
    co_await or_return(co_await open_compute());
    auto usage = co_await or_return(co_await compute_.report());
    std::uint64_t capacity = usage.physical_free_blocks * kBlockBytes;
    co_await or_return(co_await management_.create_filesystem(settings_.name, capacity));
    if (!settings_.mount_path.empty()) {
        ProcessFile::Mounted first;
        first.filesystem = settings_.name;
        first.path = settings_.mount_path;
        file_.mounts.push_back(std::move(first));
    }
    file_.creating = false;
    co_return remember();
}

Task<Done> EmbeddedCluster::open() {
    show_progress("opening the cluster", 0, 0);
    co_await or_return(co_await management_.open(file_.drive_paths));
    const std::vector<std::string>& left_out = management_.left_out();
    for (const std::string& path : left_out) std::erase(file_.drive_paths, path);
    if (!left_out.empty()) co_await or_return(remember());
    co_await or_return(co_await open_compute());
    // A filesystem that was added to the map just before a crash may lack its root yet.
    std::vector<FilesystemEntry> filesystems = management_.map().filesystems;
    for (const FilesystemEntry& entry : filesystems) {
        co_await or_return(co_await compute_.create_filesystem(entry.id));
    }
    co_return Done{};
}

Task<Done> EmbeddedCluster::open_compute() {
    const ClusterMap& map = management_.map();
    co_await or_return(co_await compute_.open(map, map.epoch));
    compute_open_ = true;
    management_.set_compute(compute_);
    co_return Done{};
}

Task<Done> EmbeddedCluster::mount_remembered() {
    std::vector<ProcessFile::Mounted> wanted = file_.mounts;
    for (const ProcessFile::Mounted& each : wanted) {
        const FilesystemEntry* entry = management_.map().filesystem(each.filesystem);
        if (entry == nullptr) continue;
        show_progress("mounting " + each.filesystem, 0, 0);
        auto mounted = co_await mounts_.mount(entry->id, each.filesystem, each.path);
        if (!mounted.ok()) {
            std::fprintf(stderr, "weft: cannot mount %s at %s: %s\n", each.filesystem.c_str(),
                         each.path.c_str(), std::string(mounted.error().what).c_str());
        }
    }
    co_return Done{};
}

Result<Done> EmbeddedCluster::listen() {
    auto data = machine_.network().listen("unix:" + settings_.folder + "/data.sock");
    if (!data.ok()) return data.error();
    data_listeners_.push_back(std::move(data).value());
    if (!settings_.listen_address.empty()) {
        auto far = machine_.network().listen("tcp:" + settings_.listen_address);
        if (!far.ok()) return Error{far.code(), "the address to listen on cannot be had"};
        data_listeners_.push_back(std::move(far).value());
    }
    auto control = machine_.network().listen("unix:" + settings_.folder + "/control.sock");
    if (!control.ok()) return control.error();
    control_listener_ = std::move(control).value();
    return Done{};
}

void EmbeddedCluster::open_doors() {
    for (auto& listener : data_listeners_) door_.serve(std::move(listener));
    control_.serve(std::move(control_listener_));
}

Result<Done> EmbeddedCluster::remember() {
    return write_process_file(settings_.folder, file_);
}

Task<Done> EmbeddedCluster::watch_signals() {
    for (;;) {
        ProcessSignal signal = co_await or_return(co_await machine_.wait_signal());
        if (signal != ProcessSignal::hangup) co_return co_await stop();
    }
}

Task<Done> EmbeddedCluster::run_until_stopped() {
    while (!stop_asked_) co_await stopping_.wait();
    co_return Done{};
}

Task<Done> EmbeddedCluster::shut_down() {
    // What is being carried out for somebody needs all that follows: the answers go out first.
    (void)co_await control_.stop(machine_.now() + kAnswersMost);
    (void)co_await mounts_.unmount_all();
    compute_.will_close();
    (void)co_await door_.stop();
    (void)co_await management_.stop();
    Result<Done> closed = Done{};
    if (compute_open_) closed = co_await compute_.close();
    (void)co_await local_drives_.detach_all();
    // What takes long, such as a check, finds no drives any more.
    (void)co_await control_.stop(machine_.now() + kAnswersMost);
    co_return closed;
}

Task<ClusterReport> EmbeddedCluster::report() {
    ClusterReport report;
    report.compute = co_await or_return(co_await compute_.report());
    report.drives = co_await or_return(co_await management_.drives());
    report.map = management_.map();
    report.mounts = mounts_.list();
    for (MountReport& far : door_.list()) report.mounts.push_back(std::move(far));
    report.machine = machine_.describe();
    report.uptime = machine_.now() - started_;
    report.resident_bytes = process::resident_bytes();
    co_return report;
}

Task<FilesystemEntry> EmbeddedCluster::create_filesystem(std::string name, std::uint64_t capacity) {
    return management_.create_filesystem(std::move(name), capacity);
}

Task<FilesystemEntry> EmbeddedCluster::resize_filesystem(std::string name, std::uint64_t capacity) {
    return management_.resize_filesystem(std::move(name), capacity);
}

Task<Done> EmbeddedCluster::remove_filesystem(std::string name) {
    const FilesystemEntry* entry = management_.map().filesystem(name);
    if (entry != nullptr && (mounts_.has(entry->id) || door_.has(entry->id))) {
        co_return Error{Code::not_permitted, "it is mounted; unmount it first"};
    }
    co_return co_await management_.remove_filesystem(std::move(name));
}

Task<Done> EmbeddedCluster::fail_drive(DriveId drive, bool force) {
    return management_.fail_drive(drive, force);
}

// Known before it is used: a start that finds nothing at a path passes over it. True if it was
// known already.
Result<bool> EmbeddedCluster::remember_drive(const std::string& path) {
    if (!path.starts_with('/') || path.ends_with('/')) {
        return Error{Code::invalid, "a drive is named by the absolute path of a file or a device"};
    }
    // It could be our own, and then this thread would wait for itself.
    if (process::mount_on_way(path, "fuse.weft").has_value()) {
        return Error{Code::not_supported, "a drive cannot lie in a mounted Weft filesystem"};
    }
    std::vector<std::string>& paths = file_.drive_paths;
    if (std::find(paths.begin(), paths.end(), path) != paths.end()) return true;
    paths.push_back(path);
    auto written = remember();
    if (written.ok()) return false;
    std::erase(paths, path);
    return written.error();
}

bool EmbeddedCluster::is_drive(const std::string& path) const {
    const std::vector<DriveEntry>& drives = management_.map().drives;
    return std::any_of(drives.begin(), drives.end(),
                       [&path](const DriveEntry& entry) { return entry.path == path; });
}

// A path that is not the cluster's may become another's: only drives of the map are looked for.
Result<Done> EmbeddedCluster::forget_drive(const std::string& path) {
    if (is_drive(path)) return Done{};
    std::erase(file_.drive_paths, path);
    return remember();
}

// Of a drive that could not be added: what was made for it goes.
void EmbeddedCluster::tidy_up(const std::string& path, bool known) {
    if (!known) (void)forget_drive(path);
    if (!is_drive(path)) local_drives_.remove_made(path);
}

Task<DriveEntry> EmbeddedCluster::add_drive(std::string path, std::uint64_t size, bool overwrite) {
    auto lock = co_await or_return(co_await adding_.lock());
    bool known = co_await or_return(remember_drive(path));
    auto added = co_await management_.add_drive(path, size, overwrite);
    if (!added.ok()) tidy_up(path, known);
    co_return added;
}

Task<DriveEntry> EmbeddedCluster::replace_drive(DriveId instead_of, std::string path,
                                                std::uint64_t size, bool overwrite) {
    auto lock = co_await or_return(co_await adding_.lock());
    const DriveEntry* old = management_.map().drive(instead_of);
    std::string old_path = old == nullptr ? std::string() : old->path;
    bool known = co_await or_return(remember_drive(path));
    auto added = co_await management_.replace_drive(instead_of, path, size, overwrite);
    if (!added.ok()) tidy_up(path, known);
    if (added.ok()) co_await or_return(forget_drive(old_path));
    co_return added;
}

Task<Done> EmbeddedCluster::mount(std::string filesystem, std::string path) {
    const FilesystemEntry* entry = management_.map().filesystem(filesystem);
    if (entry == nullptr) co_return Error{Code::not_found, "no such filesystem"};
    co_await or_return(co_await mounts_.mount(entry->id, filesystem, path));
    ProcessFile::Mounted mounted;
    mounted.filesystem = std::move(filesystem);
    mounted.path = std::move(path);
    // There already if umount(8) took it away and not we.
    std::erase_if(file_.mounts, [&](const auto& each) { return each.path == mounted.path; });
    file_.mounts.push_back(std::move(mounted));
    co_return remember();
}

Task<Done> EmbeddedCluster::unmount(std::string path) {
    bool known = std::any_of(file_.mounts.begin(), file_.mounts.end(),
                             [&path](const auto& each) { return each.path == path; });
    auto gone = co_await mounts_.unmount(path);
    // By umount(8), and it is not to come back at the next start either.
    bool by_others = gone.code() == Code::not_found && known;
    if (!gone.ok() && !by_others) co_return gone;
    std::erase_if(file_.mounts, [&path](const auto& each) { return each.path == path; });
    co_return remember();
}

std::optional<FilesystemId> EmbeddedCluster::filesystem_named(const std::string& name) const {
    const FilesystemEntry* entry = management_.map().filesystem(name);
    if (entry == nullptr) return std::nullopt;
    return entry->id;
}

Task<std::vector<Finding>> EmbeddedCluster::check(bool full) {
    return compute_.check(full);
}

Task<Done> EmbeddedCluster::stop() {
    stop_asked_ = true;
    stopping_.notify_all();
    co_return Done{};
}

namespace {

Task<Done> live(EmbeddedCluster* cluster) {
    auto started = co_await cluster->start();
    if (!started.ok()) {
        (void)co_await cluster->shut_down();
        co_return started;
    }
    std::fprintf(stderr, "weft: serving\n");
    co_await or_return(co_await cluster->run_until_stopped());
    co_return co_await cluster->shut_down();
}

}  // namespace

Result<Done> serve(Machine& machine, EmbeddedSettings settings) {
    std::string pid_path = settings.folder + "/weft.pid";
    auto made = process::make_private_folder(settings.folder);
    if (!made.ok()) return made;
    auto lock = process::ProcessLock::take(settings.folder + "/lock");
    if (lock.code() == Code::would_block) {
        return Error{Code::would_block, "another process serves this cluster already"};
    }
    if (!lock.ok()) return lock.error();
    auto written = process::write_file(pid_path, std::to_string(process::own_id()) + "\n");
    if (!written.ok()) return written;
    std::fprintf(stderr, "weft: %s\n", machine.describe().c_str());
    EmbeddedCluster cluster(machine, std::move(settings));
    auto ended = machine.run(live(&cluster));
    (void)process::remove_one(pid_path);
    if (cluster.waits_for_drives()) {
        std::fprintf(stderr, "weft: a drive does not answer; ended without it\n");
        process::end_at_once(ended.ok());
    }
    return ended;
}

}  // namespace weft::embedded
