#pragma once

#include "model/services/compute_service.h"
#include "sim/model/operation.h"

#include <string>

namespace weft::sim {

// Does operations on the product as a frontend would: it walks the path from a directory of its
// own, then calls the role.
class Client {
public:
    Client(ComputeService& compute, SessionId session, FileId home)
        : compute_(compute), session_(session), home_(home) {}

    // The operation's own result: Code::ok or what POSIX says. Failures of the machinery
    // (unavailable, retry_later, ...) come back as they are. `content`: what a read gave.
    Task<Code> run(Operation operation, std::string* content);
    // The tree below home, in the words of ModelFilesystem::describe().
    Task<std::string> describe();

private:
    struct Place {
        FileId directory;
        std::string name;
        FileId file;  // With inode 0 if there is none.
        std::uint32_t mode = 0;
    };
    Caller caller();
    FileId with(InodeId inode) const { return FileId{home_.filesystem, inode}; }
    Task<Place> find(Path path);
    // not_found, is_a_directory, invalid (a symlink), as the model says them.
    Task<FileId> find_file(Path path);
    Task<Done> make(Operation operation);
    Task<Done> change_file(Operation operation);
    Task<Done> remove(Operation operation);
    Task<Done> rename(Operation operation);
    Task<Done> link(Operation operation);
    Task<Done> change_xattr(Operation operation);
    Task<Done> copy_range(Operation operation);
    Task<Done> read(Operation operation, std::string* content);
    Task<Done> dispatch(Operation operation, std::string* content);
    Task<Done> describe_inode(FileId file, std::string path, std::string* out);

    ComputeService& compute_;
    SessionId session_;
    FileId home_;
    std::uint64_t seq_ = 0;
};

}  // namespace weft::sim
