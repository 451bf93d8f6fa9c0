#include "roles/frontend/session_compute.h"

#include <utility>

namespace weft::frontend {

Task<Node> SessionCompute::lookup(Caller caller, FileId directory, std::string name) {
    return compute_.lookup(stamped(caller), directory, std::move(name));
}

Task<Node> SessionCompute::getattr(Caller caller, FileId file) {
    return compute_.getattr(stamped(caller), file);
}

Task<Node> SessionCompute::setattr(Caller caller, FileId file, AttributeChange change) {
    return compute_.setattr(stamped(caller), file, std::move(change));
}

Task<Node> SessionCompute::create(Caller caller, FileId directory, std::string name, NewNode what) {
    return compute_.create(stamped(caller), directory, std::move(name), std::move(what));
}

Task<Opened> SessionCompute::create_open(Caller caller, FileId directory, std::string name,
                                         NewNode what, bool exclusive) {
    return compute_.create_open(stamped(caller), directory, std::move(name), std::move(what),
                                exclusive);
}

Task<Opened> SessionCompute::create_unnamed(Caller caller, FileId directory, NewNode what) {
    return compute_.create_unnamed(stamped(caller), directory, std::move(what));
}

Task<Node> SessionCompute::link(Caller caller, FileId file, FileId directory, std::string name) {
    return compute_.link(stamped(caller), file, directory, std::move(name));
}

Task<Done> SessionCompute::unlink(Caller caller, FileId directory, std::string name) {
    return compute_.unlink(stamped(caller), directory, std::move(name));
}

Task<Done> SessionCompute::rmdir(Caller caller, FileId directory, std::string name) {
    return compute_.rmdir(stamped(caller), directory, std::move(name));
}

Task<Done> SessionCompute::rename(Caller caller, FileId from, std::string from_name, FileId to,
                                  std::string to_name, RenameFlags flags) {
    return compute_.rename(stamped(caller), from, std::move(from_name), to, std::move(to_name),
                           flags);
}

Task<std::string> SessionCompute::readlink(Caller caller, FileId file) {
    return compute_.readlink(stamped(caller), file);
}

Task<DirectoryPage> SessionCompute::readdir(Caller caller, FileId directory, std::uint64_t cookie,
                                            std::uint32_t most_bytes, bool with_attributes) {
    return compute_.readdir(stamped(caller), directory, cookie, most_bytes, with_attributes);
}

Task<Opened> SessionCompute::open(Caller caller, FileId file, LeaseMode want) {
    return compute_.open(stamped(caller), file, want);
}

Task<Done> SessionCompute::release(Caller caller, FileId file, std::uint64_t handle) {
    return compute_.release(stamped(caller), file, handle);
}

Task<Done> SessionCompute::release_lease(Caller caller, FileId file, LeaseMode keep) {
    return compute_.release_lease(stamped(caller), file, keep);
}

Task<ReadReply> SessionCompute::read(Caller caller, FileId file, std::uint64_t offset, Bytes into) {
    return compute_.read(stamped(caller), file, offset, into);
}

Task<Node> SessionCompute::write(Caller caller, FileId file, std::uint64_t offset, ConstBytes from,
                                 bool append, bool clear_setid) {
    return compute_.write(stamped(caller), file, offset, from, append, clear_setid);
}

Task<Done> SessionCompute::fsync(Caller caller, FileId file) {
    return compute_.fsync(stamped(caller), file);
}

Task<Done> SessionCompute::sync(Caller caller, FilesystemId filesystem) {
    return compute_.sync(stamped(caller), filesystem);
}

Task<Node> SessionCompute::fallocate(Caller caller, FileId file, std::uint64_t offset,
                                     std::uint64_t length, FallocateFlags flags) {
    return compute_.fallocate(stamped(caller), file, offset, length, flags);
}

Task<std::uint64_t> SessionCompute::copy_range(Caller caller, FileId from,
                                               std::uint64_t from_offset, FileId to,
                                               std::uint64_t to_offset, std::uint64_t length) {
    return compute_.copy_range(stamped(caller), from, from_offset, to, to_offset, length);
}

Task<std::uint64_t> SessionCompute::seek(Caller caller, FileId file, std::uint64_t offset,
                                         bool data) {
    return compute_.seek(stamped(caller), file, offset, data);
}

Task<Done> SessionCompute::setxattr(Caller caller, FileId file, std::string name, std::string value,
                                    SetXattr how) {
    return compute_.setxattr(stamped(caller), file, std::move(name), std::move(value), how);
}

Task<std::string> SessionCompute::getxattr(Caller caller, FileId file, std::string name) {
    return compute_.getxattr(stamped(caller), file, std::move(name));
}

Task<std::vector<std::string>> SessionCompute::listxattr(Caller caller, FileId file) {
    return compute_.listxattr(stamped(caller), file);
}

Task<Done> SessionCompute::removexattr(Caller caller, FileId file, std::string name) {
    return compute_.removexattr(stamped(caller), file, std::move(name));
}

Task<Done> SessionCompute::lock(Caller caller, FileId file, LockRequest request) {
    return compute_.lock(stamped(caller), file, request);
}

Task<LockRequest> SessionCompute::test_lock(Caller caller, FileId file, LockRequest request) {
    return compute_.test_lock(stamped(caller), file, request);
}

Task<Done> SessionCompute::cancel_lock(Caller caller, FileId file, LockRequest request) {
    return compute_.cancel_lock(stamped(caller), file, request);
}

Task<FilesystemUsage> SessionCompute::usage(FilesystemId filesystem) {
    return compute_.usage(filesystem);
}

}  // namespace weft::frontend
