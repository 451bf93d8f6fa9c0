#include "control/api/control_server.h"
#include "control/json/json.h"

#include <functional>
#include <limits>
#include <map>
#include <string_view>
#include <vector>

namespace weft::control {
namespace {

const char* state_name(DriveState state) {
    switch (state) {
        case DriveState::active:
            return "active";
        case DriveState::failed:
            return "failed";
        case DriveState::draining:
            return "draining";
    }
    return "unknown";
}

Json to_json(const FilesystemEntry& entry) {
    return Json{{"id", entry.id.value},
                {"name", entry.name},
                {"capacity_bytes", entry.capacity_bytes},
                {"created_ns", entry.created_ns}};
}

Json to_json(const DriveEntry& entry) {
    return Json{{"id", entry.id.value},
                {"domain", entry.domain.value},
                {"state", state_name(entry.state)},
                {"path", entry.path},
                {"size_bytes", entry.size_bytes}};
}

Json to_json(const DriveReport& report) {
    Json json = to_json(report.entry);
    const DriveStatus& status = report.status;
    json["serving"] = report.serving;
    json["slots"] = status.slot_count;
    json["free_slots"] = status.free_slots;
    json["power_safe"] = status.power_safe;
    json["read_bytes"] = status.blocks_read * kBlockBytes;
    json["written_bytes"] = status.blocks_written * kBlockBytes;
    json["flushes"] = status.flushes;
    json["errors"] = status.errors;
    return json;
}

Json filesystems_of(const ClusterReport& report) {
    Json list = Json::array();
    for (const FilesystemEntry& entry : report.map.filesystems) {
        Json json = to_json(entry);
        for (const FilesystemReport& usage : report.compute.filesystems) {
            if (usage.id != entry.id) continue;
            json["used_bytes"] = usage.used_blocks * kBlockBytes;
            json["free_bytes"] = usage.free_blocks * kBlockBytes;
            json["inodes"] = usage.inodes;
        }
        list.push_back(std::move(json));
    }
    return list;
}

Json to_json(const ClusterReport& report) {
    const ComputeReport& compute = report.compute;
    Json json{{"name", report.map.name},
              {"cluster", report.map.cluster},
              {"epoch", report.map.epoch.value},
              {"data_width", report.map.data_width},
              {"parity_width", report.map.parity_width},
              {"shards", report.map.shard_count},
              {"machine", report.machine},
              {"uptime_ns", report.uptime},
              {"resident_bytes", report.resident_bytes}};
    json["drives"] = Json::array();
    for (const DriveReport& drive : report.drives) json["drives"].push_back(to_json(drive));
    json["filesystems"] = filesystems_of(report);
    json["mounts"] = Json::array();
    for (const MountReport& mount : report.mounts) {
        Json item{{"filesystem", mount.filesystem}, {"path", mount.path}};
        if (mount.pid != 0) {
            item["host"] = mount.host;
            item["pid"] = mount.pid;
        }
        json["mounts"].push_back(std::move(item));
    }
    json["protection"] = Json{{"segments", compute.segments},
                              {"degraded", compute.segments_degraded},
                              {"lost", compute.segments_lost},
                              {"missing_most", compute.missing_most}};
    json["free_bytes"] = compute.physical_free_blocks * kBlockBytes;
    json["live_bytes"] = compute.live_blocks * kBlockBytes;
    json["staged_bytes"] = compute.staged_bytes;
    json["journal_bytes"] = compute.journal_bytes;
    json["memory_bytes"] = compute.memory_bytes;
    json["counters"] = Json::object();
    for (const auto& [name, value] : compute.counters) json["counters"][name] = value;
    return json;
}

using Call = Task<Json> (*)(ManagementService* management, Json arguments);

Task<Json> call_status(ManagementService* management, Json) {
    auto report = co_await or_return(co_await management->report());
    co_return to_json(report);
}
Task<Json> call_fs_create(ManagementService* management, Json arguments) {
    auto made = co_await management->create_filesystem(text_at(arguments, "name"),
                                                       number_at(arguments, "capacity_bytes"));
    co_return to_json(co_await or_return(std::move(made)));
}
Task<Json> call_fs_resize(ManagementService* management, Json arguments) {
    auto resized = co_await management->resize_filesystem(text_at(arguments, "name"),
                                                          number_at(arguments, "capacity_bytes"));
    co_return to_json(co_await or_return(std::move(resized)));
}
Task<Json> call_fs_remove(ManagementService* management, Json arguments) {
    co_await or_return(co_await management->remove_filesystem(text_at(arguments, "name")));
    co_return Json(true);
}
DriveId drive_of(const Json& arguments) {
    return DriveId{static_cast<std::uint32_t>(number_at(arguments, "drive"))};
}
Task<Json> call_drive_fail(ManagementService* management, Json arguments) {
    bool force = flag_at(arguments, "force");
    co_await or_return(co_await management->fail_drive(drive_of(arguments), force));
    co_return Json(true);
}
Task<Json> call_drive_add(ManagementService* management, Json arguments) {
    auto added = co_await management->add_drive(text_at(arguments, "path"),
                                                number_at(arguments, "size_bytes"),
                                                flag_at(arguments, "overwrite"));
    co_return to_json(co_await or_return(std::move(added)));
}
Task<Json> call_drive_replace(ManagementService* management, Json arguments) {
    auto added = co_await management->replace_drive(drive_of(arguments), text_at(arguments, "path"),
                                                    number_at(arguments, "size_bytes"),
                                                    flag_at(arguments, "overwrite"));
    co_return to_json(co_await or_return(std::move(added)));
}
Task<Json> call_mount(ManagementService* management, Json arguments) {
    co_await or_return(
        co_await management->mount(text_at(arguments, "filesystem"), text_at(arguments, "path")));
    co_return Json(true);
}
Task<Json> call_unmount(ManagementService* management, Json arguments) {
    co_await or_return(co_await management->unmount(text_at(arguments, "path")));
    co_return Json(true);
}
Task<Json> call_check(ManagementService* management, Json arguments) {
    bool full = flag_at(arguments, "full");
    auto findings = co_await or_return(co_await management->check(full));
    Json list = Json::array();
    for (const Finding& finding : findings) {
        Json item;
        item["where"] = finding.where;
        item["what"] = finding.what;
        list.push_back(std::move(item));
    }
    co_return list;
}
Task<Json> call_stop(ManagementService* management, Json) {
    co_await or_return(co_await management->stop());
    co_return Json(true);
}

// An argument without which a verb means nothing, or another thing.
struct Needed {
    enum class Kind : std::uint8_t { text, bytes, drive };
    const char* name;
    Kind kind;
    std::string_view wrong;
};
constexpr Needed kName{"name", Needed::Kind::text, "'name' is needed, a text"};
constexpr Needed kFilesystem{"filesystem", Needed::Kind::text, "'filesystem' is needed, a text"};
constexpr Needed kPath{"path", Needed::Kind::text, "'path' is needed, a text"};
constexpr Needed kCapacity{"capacity_bytes", Needed::Kind::bytes,
                           "'capacity_bytes' is needed, a number above 0"};
constexpr Needed kDrive{"drive", Needed::Kind::drive, "'drive' is needed, the number of a drive"};

bool is_there(const Json& arguments, const Needed& needed) {
    auto field = arguments.find(needed.name);
    if (field == arguments.end()) return false;
    bool is_text = needed.kind == Needed::Kind::text;
    if (is_text) return field->is_string() && !text_at(arguments, needed.name).empty();
    if (!field->is_number_unsigned()) return false;
    std::uint64_t number = number_at(arguments, needed.name);
    if (needed.kind == Needed::Kind::bytes) return number > 0;
    return number <= std::numeric_limits<std::uint32_t>::max();
}

struct Verb {
    Call call;
    std::vector<Needed> needs;
};

const std::map<std::string, Verb, std::less<>>& verbs() {
    static const std::map<std::string, Verb, std::less<>> kVerbs = {
        {"status", {call_status, {}}},
        {"fs.create", {call_fs_create, {kName, kCapacity}}},
        {"fs.resize", {call_fs_resize, {kName, kCapacity}}},
        {"fs.remove", {call_fs_remove, {kName}}},
        {"drive.fail", {call_drive_fail, {kDrive}}},
        {"drive.add", {call_drive_add, {kPath}}},
        {"drive.replace", {call_drive_replace, {kDrive, kPath}}},
        {"mount", {call_mount, {kFilesystem, kPath}}},
        {"unmount", {call_unmount, {kPath}}},
        {"check", {call_check, {}}},
        {"stop", {call_stop, {}}},
    };
    return kVerbs;
}

std::string failed(Error error) {
    Json reply{{"ok", false}, {"code", name_of(error.code)}, {"message", error.what}};
    return json_text(reply);
}

}  // namespace

Task<std::string> answer(ManagementService* management, std::string request) {
    auto parsed = parse_json(request);
    if (!parsed.has_value() || !parsed->is_object()) {
        co_return failed(Error{Code::invalid, "the request is not a JSON object"});
    }
    auto verb = verbs().find(text_at(*parsed, "verb"));
    if (verb == verbs().end()) co_return failed(Error{Code::not_supported, "no such verb"});
    Json arguments = Json::object();
    if (parsed->contains("arguments")) arguments = (*parsed)["arguments"];
    if (!arguments.is_object()) {
        co_return failed(Error{Code::invalid, "the arguments are not a JSON object"});
    }
    for (const Needed& needed : verb->second.needs) {
        if (!is_there(arguments, needed)) co_return failed(Error{Code::invalid, needed.wrong});
    }
    auto value = co_await verb->second.call(management, std::move(arguments));
    if (!value.ok()) co_return failed(value.error());
    Json reply;
    reply["ok"] = true;
    reply["value"] = std::move(value).value();
    co_return json_text(reply);
}

}  // namespace weft::control
