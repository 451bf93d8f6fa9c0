#include "sim/world/client.h"

#include "platform/base/bytes.h"
#include "platform/memory/buffer.h"
#include "platform/runtime/join.h"
#include "sim/model/model_filesystem.h"

#include <algorithm>
#include <utility>

namespace weft::sim {
namespace {

using Kind = Operation::Kind;
constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kTypeFile = 0100000;
constexpr std::uint32_t kUser = 1000;  // Somebody without privilege.
constexpr FilesystemId kAbroad{77};    // Not there: who would look into it finds it stale.
constexpr std::uint32_t kTypeDirectory = 0040000;
constexpr std::uint32_t kTypeSymlink = 0120000;

NewNode new_node(const Operation& operation) {
    NewAttributes asked = new_attributes(operation);
    NewNode what;
    what.mode = asked.mode;
    what.umask = asked.umask;
    what.uid = asked.uid;
    what.gid = asked.gid;
    what.rdev = asked.rdev;
    if (operation.kind == Kind::make_symlink) what.symlink = operation.text;
    return what;
}

}  // namespace

Caller Client::caller() {
    Caller made;
    made.session = session_;
    made.seq = ++seq_;
    return made;
}

int Client::times() {
    bool twice = habits_.twice_one_in > 0 && chance_.one_in(habits_.twice_one_in);
    return twice ? 2 : 1;
}

template <class T>
Task<T> Client::agree(std::vector<Task<T>> calls) {
    if (calls.size() == 1) {
        Task<T> only = std::move(calls.front());  // g++ 12 would copy what is awaited in place.
        co_return co_await only;
    }
    std::vector<Result<T>> results;
    if (chance_.one_in(2)) {
        results = co_await join(calls);
    } else {
        for (Task<T>& call : calls) results.push_back(co_await call);
    }
    // Said in a code that no operation has.
    if (results[0].code() != results[1].code()) co_return Error{Code::deadlock, "client.twice"};
    co_return std::move(results[0]);
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
        case Kind::make_special:
            return make(std::move(operation));
        case Kind::write:
        case Kind::append:
        case Kind::truncate:
        case Kind::punch:
        case Kind::zero:
        case Kind::reserve:
            return change_file(std::move(operation));
        case Kind::unlink:
        case Kind::remove_directory:
            return remove(std::move(operation));
        case Kind::rename:
            return rename(std::move(operation));
        case Kind::link:
            return link(std::move(operation));
        case Kind::set_mode:
        case Kind::set_owner:
            return change_attributes(std::move(operation));
        case Kind::set_acl:
        case Kind::set_xattr:
        case Kind::remove_xattr:
            return change_xattr(std::move(operation));
        case Kind::get_xattr:
            return get_xattr(std::move(operation), content);
        case Kind::seek_data:
        case Kind::seek_hole:
            return seek(std::move(operation), content);
        case Kind::abroad:
            return go_abroad(std::move(operation));
        case Kind::copy_range:
            return copy_range(std::move(operation));
        case Kind::read:
            return read_path(std::move(operation), content);
        case Kind::list:
            return list(std::move(operation), content);
        case Kind::hold:
            return hold(std::move(operation));
        case Kind::make_held:
            return make_held(std::move(operation));
        case Kind::hold_unnamed:
            return hold_unnamed(std::move(operation));
        case Kind::link_held:
            return link_held(std::move(operation));
        case Kind::read_held:
        case Kind::write_held:
        case Kind::let_go:
            return use_held(std::move(operation), content);
        case Kind::fsync:
            return fsync(std::move(operation));
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
        place.file = FileId();
        place.mode = 0;
        if (name.size() > kNameBytesMost) continue;  // Whoever uses the name is told so.
        auto node = co_await compute_.lookup(caller(), place.directory, name);
        if (!node.ok() && node.code() != Code::not_found) co_return node.error();
        if (!node.ok()) continue;
        place.file = with(node.value().inode);
        place.mode = node.value().attributes.mode;
    }
    co_return place;
}

Task<Client::Place> Client::find_any(Path path) {
    Place place = co_await or_return(co_await find(std::move(path)));
    if (place.name.size() > kNameBytesMost) {
        co_await or_return(co_await compute_.lookup(caller(), place.directory, place.name));
    }
    if (place.file.inode == InodeId()) co_return Error{Code::not_found, "client.find"};
    co_return place;
}

Task<FileId> Client::find_file(Path path) {
    Place place = co_await or_return(co_await find_any(std::move(path)));
    std::uint32_t type = place.mode & kTypeMask;
    if (type == kTypeDirectory) co_return Error{Code::is_a_directory, "client.find"};
    if (type != kTypeFile) co_return Error{Code::invalid, "client.find"};
    co_return place.file;
}

Task<Done> Client::make(Operation operation) {
    Place place = co_await or_return(co_await find(operation.path));
    NewNode what = new_node(operation);
    Caller by = caller();
    std::vector<Task<Node>> calls;
    for (int i = times(); i > 0; --i) {
        calls.push_back(compute_.create(by, place.directory, place.name, what));
    }
    co_await or_return(co_await agree(std::move(calls)));
    co_return Done{};
}

Task<Done> Client::allocate(FileId file, Operation operation) {
    FallocateFlags flags;
    flags.keep_size = operation.kind != Kind::reserve;
    flags.punch_hole = operation.kind == Kind::punch;
    flags.zero_range = operation.kind == Kind::zero;
    Caller by = caller();
    if (operation.unprivileged) by.uid = kUser;
    co_await or_return(
        co_await compute_.fallocate(by, file, operation.offset, operation.length, flags));
    co_return Done{};
}

Task<Done> Client::write(FileId file, Operation operation) {
    bool append = operation.kind == Kind::append;
    bool clear = operation.unprivileged;
    Buffer data(operation.length);
    for (std::uint64_t i = 0; i < operation.length; ++i) {
        std::uint64_t at = append ? i : operation.offset + i;
        data.data()[i] = static_cast<std::byte>(fill(operation.seed, at));
    }
    ConstBytes from = data.bytes();
    Caller by = caller();
    std::vector<Task<Node>> calls;
    for (int i = times(); i > 0; --i) {
        calls.push_back(compute_.write(by, file, operation.offset, from, append, clear));
    }
    co_await or_return(co_await agree(std::move(calls)));
    co_return Done{};
}

Task<Done> Client::change_file(Operation operation) {
    Place place = co_await or_return(co_await find_any(operation.path));
    FileId file = place.file;
    switch (operation.kind) {
        case Kind::write:
        case Kind::append:
            co_return co_await write(file, std::move(operation));
        case Kind::truncate: {
            AttributeChange change;
            change.size = operation.length;
            change.clear_setid = operation.unprivileged;
            co_return co_await set_attributes(file, change);
        }
        default:
            co_return co_await allocate(file, std::move(operation));
    }
}

Task<Done> Client::remove(Operation operation) {
    Place place = co_await or_return(co_await find(operation.path));
    Caller by = caller();
    std::vector<Task<Done>> calls;
    for (int i = times(); i > 0; --i) {
        calls.push_back(operation.kind == Kind::unlink
                            ? compute_.unlink(by, place.directory, place.name)
                            : compute_.rmdir(by, place.directory, place.name));
    }
    co_return co_await agree(std::move(calls));
}

Task<Done> Client::rename(Operation operation) {
    Place from = co_await or_return(co_await find(operation.path));
    Place to = co_await or_return(co_await find(operation.target));
    RenameFlags flags;
    flags.no_replace = operation.no_replace;
    flags.exchange = operation.exchange;
    Caller by = caller();
    std::vector<Task<Done>> calls;
    for (int i = times(); i > 0; --i) {
        calls.push_back(
            compute_.rename(by, from.directory, from.name, to.directory, to.name, flags));
    }
    co_return co_await agree(std::move(calls));
}

Task<Done> Client::link(Operation operation) {
    Place from = co_await or_return(co_await find(operation.path));
    if (from.file.inode == InodeId()) co_return Error{Code::not_found, "client.link"};
    Place to = co_await or_return(co_await find(operation.target));
    Caller by = caller();
    std::vector<Task<Node>> calls;
    for (int i = times(); i > 0; --i) {
        calls.push_back(compute_.link(by, from.file, to.directory, to.name));
    }
    co_await or_return(co_await agree(std::move(calls)));
    co_return Done{};
}

Task<Done> Client::change_xattr(Operation operation) {
    Place place = co_await or_return(co_await find_any(operation.path));
    FileId file = place.file;
    Caller by = caller();
    std::string value = xattr_value(operation);
    if (operation.kind == Kind::set_acl) value = acl_of(operation.seed).bytes();
    if (operation.kind == Kind::set_acl && is_no_acl(operation)) value.pop_back();
    SetXattr how = SetXattr::any;
    if (operation.no_replace) how = SetXattr::create;
    if (operation.must_exist) how = SetXattr::replace;
    std::vector<Task<Done>> calls;
    for (int i = times(); i > 0; --i) {
        calls.push_back(operation.kind == Kind::remove_xattr
                            ? compute_.removexattr(by, file, operation.text)
                            : compute_.setxattr(by, file, operation.text, value, how));
    }
    co_return co_await agree(std::move(calls));
}

Task<Done> Client::get_xattr(Operation operation, std::string* content) {
    Place place = co_await or_return(co_await find_any(operation.path));
    *content = co_await or_return(co_await compute_.getxattr(caller(), place.file, operation.text));
    co_return Done{};
}

Task<Done> Client::set_attributes(FileId file, AttributeChange change) {
    Caller by = caller();
    std::vector<Task<Node>> calls;
    for (int i = times(); i > 0; --i) calls.push_back(compute_.setattr(by, file, change));
    co_await or_return(co_await agree(std::move(calls)));
    co_return Done{};
}

Task<Done> Client::change_attributes(Operation operation) {
    Place place = co_await or_return(co_await find_any(operation.path));
    NewAttributes asked = new_attributes(operation);
    AttributeChange change;
    if (operation.kind == Kind::set_mode) {
        change.mode = asked.mode & ~kTypeMask;
    } else {
        change.uid = asked.uid;
        change.gid = asked.gid;
    }
    co_return co_await set_attributes(place.file, change);
}

// Which does not have to be there: that it is another is looked at first.
Task<Done> Client::go_abroad(Operation operation) {
    FileId there{kAbroad, home_.inode};
    if (abroad_of(operation) == Abroad::copy) {
        FileId file = co_await or_return(co_await find_file(operation.path));
        co_await or_return(
            co_await compute_.copy_range(caller(), file, 0, there, 0, operation.length));
        co_return Done{};
    }
    Place from = co_await or_return(co_await find(operation.path));
    if (abroad_of(operation) == Abroad::rename) {
        co_return co_await compute_.rename(caller(), from.directory, from.name, there, from.name,
                                           RenameFlags());
    }
    if (from.file.inode == InodeId()) co_return Error{Code::not_found, "client.abroad"};
    co_await or_return(co_await compute_.link(caller(), from.file, there, from.name));
    co_return Done{};
}

Task<Done> Client::seek(Operation operation, std::string* content) {
    Place place = co_await or_return(co_await find_any(operation.path));
    bool data = operation.kind == Kind::seek_data;
    std::uint64_t at =
        co_await or_return(co_await compute_.seek(caller(), place.file, operation.offset, data));
    *content = std::to_string(at);
    co_return Done{};
}

Task<Done> Client::copy_range(Operation operation) {
    FileId from = co_await or_return(co_await find_file(operation.path));
    FileId to = co_await or_return(co_await find_file(operation.target));
    std::uint64_t done = 0;
    while (done < operation.length) {
        std::uint64_t at = operation.offset + done;
        Caller by = caller();
        if (operation.unprivileged) by.uid = kUser;
        std::uint64_t copied = co_await or_return(
            co_await compute_.copy_range(by, from, at, to, at, operation.length - done));
        if (copied == 0) break;  // End of the source.
        done += copied;
    }
    co_return Done{};
}

Task<Done> Client::read(FileId file, Operation operation, std::string* content) {
    Buffer into(operation.length);
    Bytes bytes = into.bytes();
    ReadReply reply =
        co_await or_return(co_await compute_.read(caller(), file, operation.offset, bytes));
    *content = std::string(text_of(into.bytes().first(reply.count)));
    co_return Done{};
}

Task<Done> Client::read_path(Operation operation, std::string* content) {
    Place place = co_await or_return(co_await find_any(operation.path));
    co_return co_await read(place.file, std::move(operation), content);
}

Task<Done> Client::list(Operation operation, std::string* content) {
    Place place = co_await or_return(co_await find_any(operation.path));
    std::map<std::string, FileId> names;
    co_await or_return(co_await names_of(place.file, &names));
    for (const auto& [name, file] : names) *content += name + "\n";
    co_return Done{};
}

Task<Done> Client::names_of(FileId directory, std::map<std::string, FileId>* names) {
    std::uint64_t cookie = 0;
    for (bool end = false; !end;) {
        auto page = co_await or_return(
            co_await compute_.readdir(caller(), directory, cookie, habits_.page_bytes, false));
        for (const DirectoryItem& item : page.items) {
            cookie = item.cookie;
            if (item.name != "." && item.name != "..") (*names)[item.name] = with(item.node.inode);
        }
        end = page.end;
    }
    co_return Done{};
}

Task<Done> Client::hold(Operation operation) {
    FileId file = co_await or_return(co_await find_file(operation.path));
    Opened opened = co_await or_return(co_await compute_.open(caller(), file, LeaseMode::none));
    co_return co_await take_hold(file, std::move(opened));
}

Task<Done> Client::make_held(Operation operation) {
    Place place = co_await or_return(co_await find(operation.path));
    NewNode what = new_node(operation);
    Opened opened = co_await or_return(co_await compute_.create_open(
        caller(), place.directory, place.name, what, operation.no_replace));
    FileId file = with(opened.node.inode);
    co_return co_await take_hold(file, std::move(opened));
}

Task<Done> Client::hold_unnamed(Operation operation) {
    Place place = co_await or_return(co_await find_any(operation.path));
    NewNode what = new_node(operation);
    Opened opened =
        co_await or_return(co_await compute_.create_unnamed(caller(), place.file, what));
    FileId file = with(opened.node.inode);
    co_return co_await take_hold(file, std::move(opened));
}

Task<Done> Client::link_held(Operation operation) {
    if (held_.inode == InodeId()) co_return Error{Code::no_data, "client.held"};
    FileId file = held_;
    Place to = co_await or_return(co_await find(operation.path));
    co_await or_return(co_await compute_.link(caller(), file, to.directory, to.name));
    co_return Done{};
}

Task<Done> Client::take_hold(FileId file, Opened opened) {
    // At once: a session that is lost from here on is asked for this one.
    FileId before = std::exchange(held_, file);
    std::uint64_t handle = std::exchange(handle_, opened.handle);
    held_is_lost_ = false;  // What was lost while it opened is what it lets go of now.
    if (before.inode == InodeId()) co_return Done{};
    co_return co_await compute_.release(caller(), before, handle);
}

Task<Done> Client::reclaim(ComputeService* raw) {
    if (held_.inode == InodeId()) co_return Done{};
    FileId file = held_;
    auto opened = co_await raw->open(caller(), file, LeaseMode::none);
    bool still = held_ == file;
    if (opened.ok() && still) handle_ = opened.value().handle;
    if (opened.code() == Code::stale && still) {
        held_ = FileId();
        held_is_lost_ = true;
    }
    if (opened.code() == Code::stale) co_return Done{};
    co_await or_return(std::move(opened));
    co_return Done{};
}

Task<Done> Client::let_go() {
    if (held_.inode == InodeId()) co_return Done{};
    FileId file = std::exchange(held_, FileId());
    co_return co_await compute_.release(caller(), file, handle_);
}

Task<Done> Client::use_held(Operation operation, std::string* content) {
    if (held_.inode == InodeId()) co_return Error{Code::no_data, "client.held"};
    if (operation.kind == Kind::let_go) co_return co_await let_go();
    if (operation.kind == Kind::read_held) {
        co_return co_await read(held_, std::move(operation), content);
    }
    co_return co_await write(held_, std::move(operation));
}

Task<Done> Client::fsync(Operation operation) {
    FileId file = co_await or_return(co_await find_file(operation.path));
    co_return co_await compute_.fsync(caller(), file);
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
    DescribedInode described;
    described.mode = inode.mode;
    described.nlink = inode.nlink;
    described.uid = inode.uid;
    described.gid = inode.gid;
    described.rdev = inode.rdev;
    auto names = co_await or_return(co_await compute_.listxattr(caller(), file));
    for (const std::string& name : names) {
        std::string value = co_await or_return(co_await compute_.getxattr(caller(), file, name));
        described.xattrs[name] = std::move(value);
    }
    std::string content;
    if (type == kTypeSymlink) {
        content = co_await or_return(co_await compute_.readlink(caller(), file));
    } else if (type == kTypeFile) {
        Buffer into(inode.size);
        Bytes bytes = into.bytes();
        ReadReply reply = co_await or_return(co_await compute_.read(caller(), file, 0, bytes));
        content = std::string(text_of(into.bytes().first(reply.count)));
    }
    described.content = describe_content(content);
    *out += describe_line(path, described);
    if (type != kTypeDirectory) co_return Done{};
    std::map<std::string, FileId> entries;
    co_await or_return(co_await names_of(file, &entries));
    for (const auto& [name, child] : entries) {
        co_await or_return(co_await describe_inode(child, path + "/" + name, out));
    }
    co_return Done{};
}

}  // namespace weft::sim
