#pragma once

#include "platform/base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace weft::embedded {

// How to make a cluster at a folder, if none is there yet.
struct EmbeddedSettings {
    std::string folder;
    std::string name;
    std::uint32_t drive_count = 0;
    std::uint64_t drive_bytes = 0;
    std::uint8_t data_width = 0;
    std::uint8_t parity_width = 0;
    std::string mount_path;  // Of the first filesystem, whenever the process starts; may be empty.
    // "HOST:PORT" where mounts on other machines come in, beside data.sock; may be empty.
    std::string listen_address;
};

// FOLDER/process.json: what it takes to find the cluster again, and nothing that the cluster map
// says. Written by rename, durable.
struct ProcessFile {
    std::string name;
    std::vector<std::string> drive_paths;
    struct Mounted {
        std::string filesystem;
        std::string path;
        friend bool operator==(const Mounted&, const Mounted&) = default;
    };
    std::vector<Mounted> mounts;  // To be mounted at start.
    // Its drives are being made: there is nothing on them yet. No other drives are ever removed.
    bool creating = false;
    friend bool operator==(const ProcessFile&, const ProcessFile&) = default;
};

// not_found: there is none; io_failed: there may be one, and it cannot be read; corrupt (not such a
// file).
Result<ProcessFile> read_process_file(const std::string& folder);
Result<Done> write_process_file(const std::string& folder, const ProcessFile& file);

}  // namespace weft::embedded
