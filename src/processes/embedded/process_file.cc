#include "control/json/json.h"
#include "platform/process/process.h"
#include "processes/embedded/embedded_settings.h"

namespace weft::embedded {
namespace {

using control::Json;

std::string path_in(const std::string& folder) {
    return folder + "/process.json";
}

}  // namespace

Result<ProcessFile> read_process_file(const std::string& folder) {
    auto text = process::read_file(path_in(folder));
    if (!text.ok()) return text.error();
    auto json = control::parse_json(text.value());
    constexpr Error kBad{Code::corrupt, "process.json cannot be read"};
    if (!json.has_value() || !json->is_object() || !json->contains("drives")) return kBad;
    ProcessFile file;
    file.name = control::text_at(*json, "name");
    file.creating = control::flag_at(*json, "creating");
    for (const Json& path : (*json)["drives"]) {
        if (!path.is_string()) return kBad;
        file.drive_paths.push_back(path.get<std::string>());
    }
    if (!json->contains("mounts")) return file;
    for (const Json& mount : (*json)["mounts"]) {
        if (!mount.is_object()) return kBad;
        file.mounts.push_back(
            {control::text_at(mount, "filesystem"), control::text_at(mount, "path")});
    }
    return file;
}

Result<Done> write_process_file(const std::string& folder, const ProcessFile& file) {
    Json json;
    json["name"] = file.name;
    if (file.creating) json["creating"] = true;
    json["drives"] = file.drive_paths;
    json["mounts"] = Json::array();
    for (const ProcessFile::Mounted& mount : file.mounts) {
        json["mounts"].push_back(Json{{"filesystem", mount.filesystem}, {"path", mount.path}});
    }
    return process::write_file(path_in(folder), control::json_text(json, 2) + "\n");
}

}  // namespace weft::embedded
