#pragma once

#include "model/services/compute_service.h"
#include "sim/model/operation.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace weft::sim {

// How a client goes about it; drawn from the seed.
struct ClientHabits {
    std::uint32_t page_bytes = 4096;  // Of a listing: small ones take several calls.
    std::uint64_t twice_one_in = 0;   // Changes that are sent twice with the same seq; 0: none.
};

// Does operations on the product as a frontend would: it walks the path from a directory of its
// own, then calls the role. It sends some requests twice, as one that lost the reply does.
class Client {
public:
    Client(ComputeService& compute, SessionId session, FileId home, Chance& chance,
           ClientHabits habits)
        : compute_(compute), session_(session), home_(home), chance_(chance), habits_(habits) {}

    // The operation's own result: Code::ok or what POSIX says. Failures of the machinery
    // (unavailable, retry_later, ...) come back as they are. `content`: what a read or a list
    // gave.
    Task<Code> run(Operation operation, std::string* content);
    // Under the next session, by `raw`: what was held open is opened again. It may be gone if it
    // has no name any more.
    Task<Done> reclaim(ComputeService* raw);
    // Holds nothing open any more.
    Task<Done> let_go();
    // Whether what was held is gone, since the last time it was asked.
    bool take_loss() { return std::exchange(held_is_lost_, false); }
    bool held_is_lost() const { return held_is_lost_; }
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
    // 1 or 2: how often the next change is sent.
    int times();
    // Calls with one seq, at once or one after the other: they must have one answer.
    template <class T>
    Task<T> agree(std::vector<Task<T>> calls);
    FileId with(InodeId inode) const { return FileId{home_.filesystem, inode}; }
    Task<Place> find(Path path);
    // not_found, is_a_directory, invalid (a symlink), as the model says them.
    Task<FileId> find_file(Path path);
    // not_found, name_too_long.
    Task<Place> find_any(Path path);
    Task<Done> make(Operation operation);
    Task<Done> write(FileId file, Operation operation);
    Task<Done> set_attributes(FileId file, AttributeChange change);
    Task<Done> change_attributes(Operation operation);
    Task<Done> change_file(Operation operation);
    Task<Done> allocate(FileId file, Operation operation);
    Task<Done> remove(Operation operation);
    Task<Done> rename(Operation operation);
    Task<Done> link(Operation operation);
    Task<Done> change_xattr(Operation operation);
    Task<Done> get_xattr(Operation operation, std::string* content);
    Task<Done> copy_range(Operation operation);
    Task<Done> go_abroad(Operation operation);
    Task<Done> seek(Operation operation, std::string* content);
    Task<Done> read(FileId file, Operation operation, std::string* content);
    Task<Done> read_path(Operation operation, std::string* content);
    Task<Done> list(Operation operation, std::string* content);
    Task<Done> names_of(FileId directory, std::map<std::string, FileId>* names);
    Task<Done> take_hold(FileId file, Opened opened);
    Task<Done> hold(Operation operation);
    Task<Done> make_held(Operation operation);
    Task<Done> hold_unnamed(Operation operation);
    Task<Done> link_held(Operation operation);
    Task<Done> use_held(Operation operation, std::string* content);
    Task<Done> fsync(Operation operation);
    Task<Done> dispatch(Operation operation, std::string* content);
    Task<Done> describe_inode(FileId file, std::string path, std::string* out);

    ComputeService& compute_;
    SessionId session_;
    FileId home_;
    Chance& chance_;
    ClientHabits habits_;
    std::uint64_t seq_ = 2;  // Whoever made its home used the first ones.
    FileId held_;            // Inode 0: none.
    std::uint64_t handle_ = 0;
    bool held_is_lost_ = false;
};

}  // namespace weft::sim
