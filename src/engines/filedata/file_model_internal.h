#pragma once

#include "model/ids/ids.h"
#include "platform/base/types.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace weft::filedata {

// For tests: files as plain bytes, and what each block is; the dumbest model that can be right.
class FileModel {
public:
    enum class State : char { hole, reserved, data };

    void write(FileId file, std::uint64_t offset, const std::string& bytes);
    void punch(FileId file, std::uint64_t offset, std::uint64_t length, bool keep_reserved);
    void reserve(FileId file, std::uint64_t offset, std::uint64_t length);
    void share(FileId from, std::uint64_t from_offset, FileId to, std::uint64_t to_offset,
               std::uint64_t length);
    void purge(FileId file, std::uint64_t from_block);

    std::string read(FileId file, std::uint64_t offset, std::uint64_t length) const;
    // Blocks that hold data or are reserved.
    std::int64_t blocks(FileId file) const;
    // As FileData::seek(); UINT64_MAX if there is none.
    std::uint64_t seek(FileId file, std::uint64_t offset, std::uint64_t end, bool data) const;

private:
    struct Block {
        State state = State::hole;
        std::string bytes = std::string(kBlockBytes, '\0');
    };
    using Blocks = std::map<std::uint64_t, Block>;
    static void zero(Blocks& blocks, std::uint64_t from, std::uint64_t to);

    std::map<FileId, Blocks> files_;
};

}  // namespace weft::filedata
