#include "model/cluster/cluster_map.h"

#include "platform/base/bytes.h"

#include <algorithm>
#include <bit>
#include <set>

namespace weft {
namespace {

constexpr std::uint32_t kMagic = 0x70616d77;  // "wmap"
constexpr std::uint16_t kFormat = 1;
// Looser than what a cluster may be made with, which management sees to: enough that nobody
// who has decoded a map divides by zero or runs out of an array.
constexpr std::uint8_t kDataWidthMost = 16;
constexpr std::uint8_t kParityWidthMost = 4;
constexpr std::uint32_t kSlotBytesMost = 16 * kMiB;
constexpr std::uint32_t kShardsMost = 1U << 14;

void write_drive(ByteWriter& writer, const DriveEntry& drive) {
    writer.number(drive.id.value);
    writer.number(drive.domain.value);
    writer.number(static_cast<std::uint8_t>(drive.state));
    writer.text(drive.path);
    writer.number(drive.size_bytes);
}

bool read_drive(ByteReader& reader, DriveEntry& drive) {
    drive.id.value = reader.number<std::uint32_t>();
    drive.domain.value = reader.number<std::uint32_t>();
    auto state = reader.number<std::uint8_t>();
    if (state < 1 || state > static_cast<std::uint8_t>(DriveState::draining)) return false;
    drive.state = static_cast<DriveState>(state);
    drive.path = reader.text();
    drive.size_bytes = reader.number<std::uint64_t>();
    return reader.ok();
}

void write_filesystem(ByteWriter& writer, const FilesystemEntry& filesystem) {
    writer.number(filesystem.id.value);
    writer.text(filesystem.name);
    writer.number(filesystem.capacity_bytes);
    writer.number(filesystem.created_ns);
}

bool read_filesystem(ByteReader& reader, FilesystemEntry& filesystem) {
    filesystem.id.value = reader.number<std::uint32_t>();
    filesystem.name = reader.text();
    filesystem.capacity_bytes = reader.number<std::uint64_t>();
    filesystem.created_ns = reader.number<std::int64_t>();
    return reader.ok() && filesystem.id.value != 0;
}

template <class Entry>
const Entry* with_id(const std::vector<Entry>& entries, decltype(Entry::id) id) {
    auto same = [id](const Entry& entry) {
        return entry.id == id;
    };
    auto found = std::find_if(entries.begin(), entries.end(), same);
    return found == entries.end() ? nullptr : &*found;
}

// A list of entries, each read by `read`. False on malformed bytes and on an id given twice.
template <class Entry>
bool read_list(ByteReader& reader, std::vector<Entry>& entries, bool (*read)(ByteReader&, Entry&)) {
    auto count = reader.number<std::uint32_t>();
    std::set<decltype(Entry::id)> seen;
    for (std::uint32_t i = 0; i < count; ++i) {
        Entry& entry = entries.emplace_back();
        if (!read(reader, entry) || !seen.insert(entry.id).second) return false;
    }
    return reader.ok();
}

bool sensible(const ClusterMap& map) {
    return map.data_width >= 1 && map.data_width <= kDataWidthMost &&
           map.parity_width <= kParityWidthMost && std::has_single_bit(map.slot_bytes) &&
           map.slot_bytes >= kBlockBytes && map.slot_bytes <= kSlotBytesMost &&
           map.shard_count >= 1 && map.shard_count <= kShardsMost;
}

}  // namespace

const DriveEntry* ClusterMap::drive(DriveId id) const {
    return with_id(drives, id);
}

const FilesystemEntry* ClusterMap::filesystem(FilesystemId id) const {
    return with_id(filesystems, id);
}

const FilesystemEntry* ClusterMap::filesystem(std::string_view wanted) const {
    auto same = [wanted](const FilesystemEntry& entry) {
        return entry.name == wanted;
    };
    auto found = std::find_if(filesystems.begin(), filesystems.end(), same);
    return found == filesystems.end() ? nullptr : &*found;
}

std::string encode(const ClusterMap& map) {
    std::string out;
    ByteWriter writer(out);
    writer.number(kMagic);
    writer.number(kFormat);
    writer.number(map.cluster);
    writer.number(map.epoch.value);
    writer.text(map.name);
    writer.number(map.data_width);
    writer.number(map.parity_width);
    writer.number(map.slot_bytes);
    writer.number(map.shard_count);
    for (std::uint64_t half : map.routing_key) writer.number(half);
    writer.number(map.drives_made);
    writer.number(map.filesystems_made);
    writer.number(static_cast<std::uint32_t>(map.drives.size()));
    for (const DriveEntry& drive : map.drives) write_drive(writer, drive);
    writer.number(static_cast<std::uint32_t>(map.filesystems.size()));
    for (const FilesystemEntry& entry : map.filesystems) write_filesystem(writer, entry);
    return out;
}

std::optional<ClusterMap> decode_cluster_map(std::string_view in) {
    ByteReader reader(in);
    if (reader.number<std::uint32_t>() != kMagic) return std::nullopt;
    if (reader.number<std::uint16_t>() != kFormat) return std::nullopt;
    ClusterMap map;
    map.cluster = reader.number<std::uint64_t>();
    map.epoch.value = reader.number<std::uint64_t>();
    map.name = reader.text();
    map.data_width = reader.number<std::uint8_t>();
    map.parity_width = reader.number<std::uint8_t>();
    map.slot_bytes = reader.number<std::uint32_t>();
    map.shard_count = reader.number<std::uint32_t>();
    for (std::uint64_t& half : map.routing_key) half = reader.number<std::uint64_t>();
    map.drives_made = reader.number<std::uint32_t>();
    map.filesystems_made = reader.number<std::uint32_t>();
    if (!reader.ok() || !sensible(map)) return std::nullopt;
    if (!read_list(reader, map.drives, read_drive)) return std::nullopt;
    if (!read_list(reader, map.filesystems, read_filesystem)) return std::nullopt;
    if (!reader.done()) return std::nullopt;
    return map;
}

}  // namespace weft
