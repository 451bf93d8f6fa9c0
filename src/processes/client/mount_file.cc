#include "processes/client/mount_file.h"

#include "control/json/json.h"
#include "platform/process/process.h"

namespace weft::client {

Result<Done> write_mount_file(const std::string& at, const MountFile& file) {
    control::Json json{
        {"pid", file.pid},   {"birth", file.birth},     {"filesystem", file.filesystem},
        {"path", file.path}, {"address", file.address}, {"mounted", file.mounted}};
    if (!file.error.empty()) {
        json["error"] = file.error;
        json["code"] = name_of(file.code);
    }
    return process::write_file(at, control::json_text(json, 2) + "\n");
}

}  // namespace weft::client
