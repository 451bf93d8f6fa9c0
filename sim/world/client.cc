#include "sim/world/client.h"

#include "platform/base/bytes.h"
#include "platform/memory/buffer.h"
#include "sim/model/model_filesystem.h"

#include <algorithm>
#include <map>

namespace weft::sim {
namespace {

using Kind = Operation::Kind;
constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kTypeFile = 0100000;
constexpr std::uint32_t kTypeDirectory = 0040000;
constexpr std::uint32_t kTypeSymlink = 0120000;
constexpr std::uint32_t kPageBytes = 4096;  // Small, so that listings take several calls.

NewNode new_node(const Operation& operation) {
    NewNode what;
    what.mode = kTypeFile | 0644;
    if (operation.kind == Kind::make_directory) what.mode = kTypeDirectory | 0755;
    if (operation.kind == Kind::make_symlink) {
        what.mode = kTypeSymlink | 0777;
        what.symlink = operation.text;
    }
    return what;
}

}  // namespace

Caller Client::caller() {
    Caller made;
    made.session = session_;
    made.seq = ++seq_;
    return made;
}

Task<Code> Client::run(Operation operation, std::string* content) {
    auto result = co_await dispatch(std::move(operation), content);
    co_return result.code();
}

Task<Done> Client::dispatch(Operation operation, std::string* content) {
    switch (operation.kind) {
        case Kind::make_file:
        case Kind::make_directory:
        case Kind::make_symlink:
            return make(std::move(operation));
        case Kind::write:
        case Kind::truncate:
        case Kind::punch:
            return change_file(std::move(operation));
        case Kind::unlink:
        case Kind::remove_directory:
            return remove(std::move(operation));
        case Kind::rename:
            return rename(std::move(operation));
        case Kind::link:
            return link(std::move(operation));
        case Kind::set_xattr:
        case Kind::remove_xattr:
            return change_xattr(std::move(operation));
        case Kind::copy_range:
            return copy_range(std::move(operation));
        case Kind::read:
            return read(std::move(operation), content);
        case Kind::sync:
            break;
    }
    return compute_.sync(caller(), home_.filesystem);
}

Task<Client::Place> Client::find(Path path) {
    Place place;
    place.file = home_;
    place.mode = kTypeDirectory;
    for (const std::string& name : path) {
        if (place.file.inode == InodeId()) co_return Error{Code::not_found, "client.find"};
        if ((place.mode & kTypeMask) != kTypeDirectory) {
            co_return Error{Code::not_a_directory, "client.find"};
        }
        place.directory = place.file;
        place.name = name;
        auto node = co_await compute_.lookup(caller(), place.directory, name);
        if (!node.ok() && node.code() != Code::not_found) co_return node.error();
        place.file = node.ok() ? with(node.value().inode) : FileId();
        place.mode = node.ok() ? node.value().attributes.mode : 0;
    }
    co_return place;
}

Task<FileId> Client::find_file(Path path) {
    Place place = co_await or_return(co_await find(std::move(path)));
    if (place.file.inode == InodeId()) co_return Error{Code::not_found, "client.find"};
    std::uint32_t type = place.mode & kTypeMask;
    if (type == kTypeDirectory) co_return Error{Code::is_a_directory, "client.find"};
    if (type != kTypeFile) co_return Error{Code::invalid, "client.find"};
    co_return place.file;
}

Task<Done> Client::make(Operation operation) {
    Place place = co_await or_return(co_await find(operation.path));
    NewNode what = new_node(operation);
    co_await or_return(co_await compute_.create(caller(), place.directory, place.name, what));
    co_return Done{};
}

Task<Done> Client::change_file(Operation operation) {
    FileId file = co_await or_return(co_await find_file(operation.path));
    if (operation.kind == Kind::truncate) {
        AttributeChange change;
        change.size = operation.length;
        co_await or_return(co_await compute_.setattr(caller(), file, change));
        co_return Done{};
    }
    if (operation.kind == Kind::punch) {
        FallocateFlags flags;
        flags.keep_size = true;
        flags.punch_hole = true;
        co_await or_return(
            co_await compute_.fallocate(caller(), file, operation.offset, operation.length, flags));
        co_return Done{};
    }
    Buffer data(operation.length);
    for (std::uint64_t i = 0; i < operation.length; ++i) {
        data.data()[i] = static_cast<std::byte>(fill(operation.seed, operation.offset + i));
    }
    ConstBytes from = data.bytes();
    co_await or_return(
        co_await compute_.write(caller(), file, operation.offset, from, false, false));
    co_return Done{};
}

Task<Done> Client::remove(Operation operation) {
    Place place = co_await or_return(co_await find(operation.path));
    if (operation.kind == Kind::unlink) {
        co_return co_await compute_.unlink(caller(), place.directory, place.name);
    }
    co_return co_await compute_.rmdir(caller(), place.directory, place.name);
}

Task<Done> Client::rename(Operation operation) {
    Place from = co_await or_return(co_await find(operation.path));
    Place to = co_await or_return(co_await find(operation.target));
    RenameFlags flags;
    flags.no_replace = operation.no_replace;
    flags.exchange = operation.exchange;
    co_return co_await compute_.rename(caller(), from.directory, from.name, to.directory, to.name,
                                       flags);
}

Task<Done> Client::link(Operation operation) {
    Place from = co_await or_return(co_await find(operation.path));
    if (from.file.inode == InodeId()) co_return Error{Code::not_found, "client.link"};
    Place to = co_await or_return(co_await find(operation.target));
    co_await or_return(co_await compute_.link(caller(), from.file, to.directory, to.name));
    co_return Done{};
}

Task<Done> Client::change_xattr(Operation operation) {
    FileId file = co_await or_return(co_await find_file(operation.path));
    if (operation.kind == Kind::remove_xattr) {
        co_return co_await compute_.removexattr(caller(), file, operation.text);
    }
    std::string value = std::to_string(operation.seed);
    co_return co_await compute_.setxattr(caller(), file, operation.text, value, SetXattr::any);
}

Task<Done> Client::copy_range(Operation operation) {
    FileId from = co_await or_return(co_await find_file(operation.path));
    FileId to = co_await or_return(co_await find_file(operation.target));
    std::uint64_t done = 0;
    while (done < operation.length) {
        std::uint64_t at = operation.offset + done;
        std::uint64_t copied = co_await or_return(
            co_await compute_.copy_range(caller(), from, at, to, at, operation.length - done));
        if (copied == 0) break;  // End of the source.
        done += copied;
    }
    co_return Done{};
}

Task<Done> Client::read(Operation operation, std::string* content) {
    FileId file = co_await or_return(co_await find_file(operation.path));
    Buffer into(operation.length);
    Bytes bytes = into.bytes();
    ReadReply reply =
        co_await or_return(co_await compute_.read(caller(), file, operation.offset, bytes));
    *content = std::string(text_of(into.bytes().first(reply.count)));
    co_return Done{};
}

Task<std::string> Client::describe() {
    std::string out;
    co_await or_return(co_await describe_inode(home_, "", &out));
    co_return out;
}

Task<Done> Client::describe_inode(FileId file, std::string path, std::string* out) {
    Node node = co_await or_return(co_await compute_.getattr(caller(), file));
    const InodeRecord& inode = node.attributes;
    std::uint32_t type = inode.mode & kTypeMask;
    std::map<std::string, std::string> xattrs;
    auto names = co_await or_return(co_await compute_.listxattr(caller(), file));
    for (const std::string& name : names) {
        xattrs[name] = co_await or_return(co_await compute_.getxattr(caller(), file, name));
    }
    std::string xattr_text;
    for (const auto& [name, value] : xattrs) xattr_text += " " + name + "=" + value;
    std::string content;
    if (type == kTypeSymlink) {
        content = co_await or_return(co_await compute_.readlink(caller(), file));
    } else if (type == kTypeFile) {
        Buffer into(inode.size);
        Bytes bytes = into.bytes();
        ReadReply reply = co_await or_return(co_await compute_.read(caller(), file, 0, bytes));
        content = std::string(text_of(into.bytes().first(reply.count)));
    }
    char letter = type == kTypeDirectory ? 'd' : type == kTypeSymlink ? 'l' : 'f';
    *out += describe_line(path, letter, inode.nlink, describe_content(content), xattr_text);
    if (type != kTypeDirectory) co_return Done{};
    std::map<std::string, FileId> entries;
    std::uint64_t cookie = 0;
    for (bool end = false; !end;) {
        auto page = co_await or_return(
            co_await compute_.readdir(caller(), file, cookie, kPageBytes, false));
        for (const DirectoryItem& item : page.items) {
            cookie = item.cookie;
            if (item.name != "." && item.name != "..") entries[item.name] = with(item.node.inode);
        }
        end = page.end;
    }
    for (const auto& [name, child] : entries) {
        co_await or_return(co_await describe_inode(child, path + "/" + name, out));
    }
    co_return Done{};
}

}  // namespace weft::sim
