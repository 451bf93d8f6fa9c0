#pragma once

#include "model/cluster/cluster_map.h"
#include "model/services/admin_services.h"
#include "model/services/drive_service.h"
#include "model/services/management_service.h"
#include "platform/runtime/gate.h"
#include "platform/runtime/sync.h"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace weft::management {

struct ClusterSpec {
    std::string name;
    std::uint8_t data_width = 4;
    std::uint8_t parity_width = 2;
    std::uint32_t slot_bytes = 1 * kMiB;
    std::uint32_t shard_count = 16;
    std::vector<std::string> drive_paths;
    std::uint64_t drive_bytes = 0;  // Of files to be made.
};

// Said on every step of something that takes long.
using Progress = std::function<void(std::string step, std::uint64_t done, std::uint64_t total)>;

// Owns the cluster map: the one voter of the embedded cluster. Every change makes the next
// epoch, is stored on the drives first (on all that serve; one suffices to start from), then
// given to compute. Changes are made one at a time.
//
// A drive that is not itself any more for `kDriveGraceProbes` probes in a row is declared failed,
// and its chunks are rebuilt elsewhere; so is one that gives no answer to a probe for `kProbeMost`.
// Drives are probed side by side, and none that hangs keeps what concerns the others.
class ManagementRole {
public:
    ManagementRole(Reactor& reactor, DriveAdmin& drive_admin, DriveService& drives);

    // A new cluster on empty drives. invalid (widths, counts, sizes), already_exists.
    Task<Done> create(ClusterSpec spec, Progress progress);
    // An existing one from the drives at these paths; more than m may not be missing.
    // unavailable: too few; limit_reached: some are missing, and one of the paths is served by
    // another process, perhaps still by our last; corrupt: no drive has a
    // map that can be read.
    Task<Done> open(std::vector<std::string> drive_paths);
    // Paths given to open() whose drives are not used any more, or never came to be.
    const std::vector<std::string>& left_out() const { return left_out_; }
    // The role that follows the map. Set between create/open and the rest.
    void set_compute(ComputeAdmin& compute) { compute_ = &compute; }
    // Watches the drives until stop().
    void start();
    Task<Done> stop();

    const ClusterMap& map() const { return map_; }

    // already_exists, invalid (name). Capacity is thin: it may be more than there is.
    Task<FilesystemEntry> create_filesystem(std::string name, std::uint64_t capacity_bytes);
    Task<FilesystemEntry> resize_filesystem(std::string name, std::uint64_t capacity_bytes);
    Task<Done> remove_filesystem(std::string name);

    // not_found; not_permitted if so many would be failed that data were lost, unless `force`.
    Task<Done> fail_drive(DriveId drive, bool force);
    // A new, empty drive in a failure domain of its own, or in that of `instead_of`, which is
    // forgotten. already_exists, not_found; not_permitted as above. An error leaves the old one
    // as it was, or failed, and the new one is not served.
    Task<DriveEntry> add_drive(std::string path, std::uint64_t size_bytes, bool overwrite);
    Task<DriveEntry> replace_drive(DriveId instead_of, std::string path, std::uint64_t size_bytes,
                                   bool overwrite);
    Task<std::vector<DriveReport>> drives();

private:
    struct Storing;

    Task<Done> watch();
    void probe_all();
    Task<Done> probe(DriveId drive);
    void note_failed_probe(DriveId drive);
    Task<Done> declare_failed(DriveId drive);
    // Makes `next` the map: epoch, store, tell compute.
    Task<Done> adopt(ClusterMap next);
    // On all drives that serve; ends after kStoreMost where one hangs.
    Task<Done> store(ClusterMap map);
    Task<Done> store_on(DriveId drive, std::string encoded, std::shared_ptr<Storing> storing);
    Task<Done> may_fail(DriveId drive, bool force);
    Task<Done> fail_now(DriveId drive);
    Task<Done> let_go(DriveId drive);
    Task<DriveEntry> format_new(DriveEntry entry, bool overwrite);
    Task<Done> take_in(DriveEntry entry);
    Task<Done> take_in_place(DriveEntry entry, DriveId instead_of);
    // Never given twice, though drives are made side by side and not all come to be.
    DriveId take_drive_id();

    Reactor& reactor_;
    DriveAdmin& drive_admin_;
    DriveService& drives_;
    ComputeAdmin* compute_ = nullptr;
    ClusterMap map_;
    Epoch last_epoch_;  // Of a map that was stored, or in part.
    std::uint32_t ids_taken_ = 0;
    std::vector<std::string> left_out_;
    SharedMutex changing_;
    std::map<DriveId, Nanos> probing_;  // Since when.
    std::map<DriveId, int> failed_probes_;
    std::set<DriveId> declaring_;
    Gate duties_;
    Signal stopping_;
    bool stopped_ = false;
};

}  // namespace weft::management
