#include "sim/model/model_filesystem.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace weft::sim {
namespace {

using Kind = Operation::Kind;
constexpr std::uint64_t kRoot = 1;
constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kDirectory = 0040000;
constexpr std::uint32_t kSetgid = 02000;

bool too_long(const std::string& name) {
    return name.size() > kNameBytesMost;
}

// What a change of its content by somebody without privilege does to a mode.
std::uint32_t without_setid(std::uint32_t mode) {
    bool group_executes = (mode & 010) != 0;
    return mode & ~(group_executes ? 06000U : 04000U);
}

}  // namespace

ModelFilesystem::ModelFilesystem() {
    Inode root;
    root.type = Type::directory;
    root.nlink = 2;
    root.mode = kDirectory | 0755;
    inodes_[kRoot] = root;
}

Result<ModelFilesystem::Place> ModelFilesystem::find(const Path& path) const {
    Place place;
    place.inode = kRoot;
    for (const std::string& name : path) {
        if (place.inode == 0) return Error{Code::not_found, "model.find"};
        const Inode& directory = inodes_.at(place.inode);
        if (directory.type != Type::directory) return Error{Code::not_a_directory, "model.find"};
        auto entry = directory.entries.find(name);
        place.directory = place.inode;
        place.name = name;
        place.inode = entry == directory.entries.end() ? 0 : entry->second;
    }
    return place;
}

Result<std::uint64_t> ModelFilesystem::find_any(const Path& path) const {
    auto place = find(path);
    if (!place.ok()) return place.error();
    if (too_long(place.value().name)) return Error{Code::name_too_long, "model.find"};
    Number number = place.value().inode;
    if (number == 0) return Error{Code::not_found, "model.find"};
    return number;
}

Result<std::uint64_t> ModelFilesystem::find_file(const Path& path) const {
    auto found = find_any(path);
    if (!found.ok()) return found.error();
    Number number = found.value();
    Type type = inodes_.at(number).type;
    if (type == Type::directory) return Error{Code::is_a_directory, "model.find"};
    if (type != Type::file) return Error{Code::invalid, "model.find"};
    return number;
}

Code ModelFilesystem::apply(const Operation& operation) {
    ++changes_;
    Code code = change(operation);
    if (code != Code::ok) --changes_;
    return code;
}

Code ModelFilesystem::change(const Operation& operation) {
    switch (operation.kind) {
        case Kind::make_file:
            return make(operation, Type::file);
        case Kind::make_directory:
            return make(operation, Type::directory);
        case Kind::make_symlink:
            return make(operation, Type::symlink);
        case Kind::make_special:
            return make(operation, Type::special);
        case Kind::set_mode:
        case Kind::set_owner:
            return set_attributes(operation);
        case Kind::set_acl:
            return set_acl(operation);
        case Kind::get_xattr:
            return get_xattr(operation);
        case Kind::make_held:
            return make_held(operation);
        case Kind::hold_unnamed:
            return hold_unnamed(operation);
        case Kind::link_held:
            return link_held(operation);
        case Kind::abroad:
            return abroad(operation);
        case Kind::write:
        case Kind::append:
        case Kind::truncate:
        case Kind::punch:
        case Kind::zero:
        case Kind::reserve: {
            auto number = find_file(operation.path);
            return number.ok() ? write(operation, number.value()) : number.code();
        }
        case Kind::unlink:
            return unlink(operation);
        case Kind::remove_directory:
            return remove_directory(operation);
        case Kind::rename:
            return rename(operation);
        case Kind::link:
            return link(operation);
        case Kind::set_xattr:
        case Kind::remove_xattr:
            return change_xattr(operation);
        case Kind::copy_range:
            return copy_range(operation);
        case Kind::read:
        case Kind::seek_data:
        case Kind::seek_hole:
        case Kind::fsync:
            return find_file(operation.path).code();
        case Kind::list:
            return list(operation);
        case Kind::hold:
            return hold(operation);
        case Kind::read_held:
        case Kind::write_held:
        case Kind::let_go:
            return use_held(operation);
        case Kind::sync:
            return Code::ok;
    }
    return Code::invalid;
}

Code ModelFilesystem::make(const Operation& operation, Type type) {
    auto place = find(operation.path);
    if (!place.ok()) return place.code();
    if (type == Type::symlink) {
        if (operation.text.empty()) return Code::not_found;
        if (operation.text.size() > kTargetBytesMost) return Code::name_too_long;
    }
    if (too_long(place.value().name)) return Code::name_too_long;
    if (place.value().inode != 0) return Code::already_exists;
    Number number = ++last_;
    Inode& directory = inodes_[place.value().directory];
    Inode inode = new_inode(operation, type, directory);
    if (type == Type::symlink) inode.content.write(0, operation.text);
    directory.entries[place.value().name] = number;
    if (type == Type::directory) ++directory.nlink;
    inodes_[number] = std::move(inode);
    return Code::ok;
}

ModelFilesystem::Inode ModelFilesystem::new_inode(const Operation& operation, Type type,
                                                  const Inode& directory) const {
    NewAttributes asked = new_attributes(operation);
    Inode inode;
    inode.type = type;
    inode.nlink = type == Type::directory ? 2 : 1;
    inode.changed = changes_;
    inode.mode = asked.mode;
    inode.uid = asked.uid;
    inode.gid = asked.gid;
    inode.rdev = asked.rdev;
    if (type != Type::symlink && directory.defaults.has_value()) {
        ModelAcl access = *directory.defaults;
        std::uint32_t narrowed = asked.mode & access.mode();
        access.take_mode(narrowed);
        inode.mode = (asked.mode & ~0777U) | (narrowed & 0777U);
        if (access.says_more_than_mode()) inode.access = access;
        if (type == Type::directory) inode.defaults = directory.defaults;
    } else if (type != Type::symlink) {
        inode.mode &= ~asked.umask;
    }
    if ((directory.mode & kSetgid) == 0) return inode;
    inode.gid = directory.gid;
    if (type == Type::directory) inode.mode |= kSetgid;
    return inode;
}

Code ModelFilesystem::write(const Operation& operation, Number number) {
    Inode& inode = inodes_[number];
    bool truncates = operation.kind == Kind::truncate;
    std::uint64_t behind = operation.length + (truncates ? 0 : operation.offset);
    bool anywhere = operation.kind == Kind::append;
    if (!anywhere && behind > kFileEndMost) return Code::file_too_large;
    inode.changed = changes_;
    if (operation.unprivileged) inode.mode = without_setid(inode.mode);
    Content& content = inode.content;
    std::uint64_t offset = operation.offset;
    std::uint64_t end = offset + operation.length;
    std::uint64_t filled_from = 0;
    switch (operation.kind) {
        case Kind::truncate:
            content.resize(operation.length);
            return Code::ok;
        case Kind::punch:
        case Kind::zero:
            content.zero(offset, end);
            return Code::ok;
        case Kind::reserve:
            if (content.size() < end) content.resize(end);
            return Code::ok;
        case Kind::append:
            offset = filled_from = content.size();
            break;
        default:
            break;
    }
    std::string bytes(operation.length, '\0');
    for (std::uint64_t at = 0; at < bytes.size(); ++at) {
        bytes[at] = fill(operation.seed, offset + at - filled_from);
    }
    content.write(offset, bytes);
    return Code::ok;
}

Code ModelFilesystem::hold(const Operation& operation) {
    auto number = find_file(operation.path);
    if (!number.ok()) return number.code();
    take_hold(number.value());
    return Code::ok;
}

void ModelFilesystem::take_hold(Number number) {
    Number before = std::exchange(held_, number);
    if (before != held_ && before != 0 && inodes_[before].nlink == 0) inodes_.erase(before);
}

Code ModelFilesystem::make_held(const Operation& operation) {
    auto place = find(operation.path);
    if (!place.ok()) return place.code();
    if (too_long(place.value().name)) return Code::name_too_long;
    if (place.value().inode != 0 && !operation.no_replace) return hold(operation);
    Code made = make(operation, Type::file);
    if (made == Code::ok) take_hold(last_);
    return made;
}

Code ModelFilesystem::hold_unnamed(const Operation& operation) {
    Code found = list(operation);
    if (found != Code::ok) return found;
    Inode made = new_inode(operation, Type::file, inodes_.at(find(operation.path).value().inode));
    made.nlink = 0;
    made.unnamed = true;
    inodes_[++last_] = std::move(made);
    take_hold(last_);
    return Code::ok;
}

Code ModelFilesystem::link_held(const Operation& operation) {
    if (held_ == 0) return Code::no_data;
    auto target = find(operation.path);
    return target.ok() ? link_inode(held_, target.value()) : target.code();
}

Code ModelFilesystem::use_held(const Operation& operation) {
    if (held_ == 0) return Code::no_data;
    if (operation.kind == Kind::let_go) forget_held();
    if (operation.kind != Kind::write_held) return Code::ok;
    return write(operation, held_);
}

void ModelFilesystem::forget_held() {
    Number number = std::exchange(held_, 0);
    if (number != 0 && inodes_[number].nlink == 0) inodes_.erase(number);
}

bool ModelFilesystem::holds_named() const {
    return held_ != 0 && inodes_.at(held_).nlink > 0;
}

std::uint64_t ModelFilesystem::last_change_of(const Path& path) const {
    auto number = find_file(path);
    return number.ok() ? inodes_.at(number.value()).changed : 0;
}

Code ModelFilesystem::list(const Operation& operation) const {
    auto number = find_any(operation.path);
    if (!number.ok()) return number.code();
    bool directory = inodes_.at(number.value()).type == Type::directory;
    return directory ? Code::ok : Code::not_a_directory;
}

std::optional<std::string> ModelFilesystem::read(const Operation& operation) const {
    if (operation.kind == Kind::list) {
        if (list(operation) != Code::ok) return std::nullopt;
        std::string names;
        const Inode& directory = inodes_.at(find(operation.path).value().inode);
        for (const auto& [name, child] : directory.entries) names += name + "\n";
        return names;
    }
    if (operation.kind == Kind::get_xattr) {
        if (get_xattr(operation) != Code::ok) return std::nullopt;
        const Inode& inode = inodes_.at(find(operation.path).value().inode);
        if (operation.text == kAccessAcl) return inode.access->bytes();
        if (operation.text == kDefaultAcl) return inode.defaults->bytes();
        return inode.xattrs.at(operation.text);
    }
    Number number = held_;
    if (operation.kind == Kind::read) {
        auto found = find_file(operation.path);
        number = found.ok() ? found.value() : 0;
    }
    if (number == 0) return std::nullopt;
    return inodes_.at(number).content.read(operation.offset, operation.length);
}

void ModelFilesystem::drop(Number inode) {
    if (--inodes_[inode].nlink == 0 && inode != held_) inodes_.erase(inode);
}

Code ModelFilesystem::unlink(const Operation& operation) {
    auto place = find(operation.path);
    if (!place.ok()) return place.code();
    if (too_long(place.value().name)) return Code::name_too_long;
    Number number = place.value().inode;
    if (number == 0) return Code::not_found;
    if (inodes_[number].type == Type::directory) return Code::is_a_directory;
    inodes_[place.value().directory].entries.erase(place.value().name);
    drop(number);
    return Code::ok;
}

Code ModelFilesystem::remove_directory(const Operation& operation) {
    auto place = find(operation.path);
    if (!place.ok()) return place.code();
    if (too_long(place.value().name)) return Code::name_too_long;
    Number number = place.value().inode;
    if (number == 0) return Code::not_found;
    if (inodes_[number].type != Type::directory) return Code::not_a_directory;
    if (!inodes_[number].entries.empty()) return Code::not_empty;
    Inode& parent = inodes_[place.value().directory];
    parent.entries.erase(place.value().name);
    --parent.nlink;
    inodes_.erase(number);
    return Code::ok;
}

bool ModelFilesystem::contains(Number directory, Number wanted) const {
    if (directory == wanted) return true;
    const auto& entries = inodes_.at(directory).entries;
    return std::any_of(entries.begin(), entries.end(), [&](const auto& entry) {
        return inodes_.at(entry.second).type == Type::directory && contains(entry.second, wanted);
    });
}

void ModelFilesystem::move_directory(Number inode, Number from, Number to) {
    if (inodes_[inode].type != Type::directory) return;
    --inodes_[from].nlink;
    ++inodes_[to].nlink;
}

Code ModelFilesystem::rename(const Operation& operation) {
    auto source = find(operation.path);
    auto target = find(operation.target);
    if (!source.ok()) return source.code();
    if (!target.ok()) return target.code();
    const Place& from = source.value();
    const Place& to = target.value();
    if (too_long(from.name) || too_long(to.name)) return Code::name_too_long;
    if (from.inode == 0) return Code::not_found;
    if (operation.exchange && operation.no_replace) return Code::invalid;
    if (operation.exchange && to.inode == 0) return Code::not_found;
    if (operation.no_replace && to.inode != 0) return Code::already_exists;
    bool from_directory = inodes_[from.inode].type == Type::directory;
    if (from_directory && contains(from.inode, to.directory)) return Code::invalid;
    if (operation.exchange) {
        bool to_directory = inodes_[to.inode].type == Type::directory;
        if (to_directory && contains(to.inode, from.directory)) return Code::invalid;
        inodes_[from.directory].entries[from.name] = to.inode;
        inodes_[to.directory].entries[to.name] = from.inode;
        move_directory(from.inode, from.directory, to.directory);
        move_directory(to.inode, to.directory, from.directory);
        return Code::ok;
    }
    return replace(from, to);
}

Code ModelFilesystem::replace(const Place& from, const Place& to) {
    if (from.inode == to.inode) return Code::ok;
    bool from_directory = inodes_[from.inode].type == Type::directory;
    if (to.inode != 0) {
        const Inode& there = inodes_[to.inode];
        bool to_directory = there.type == Type::directory;
        if (from_directory && !to_directory) return Code::not_a_directory;
        // An ancestor of the source is a directory that is not empty, so this covers it.
        if (!from_directory && to_directory) return Code::is_a_directory;
        if (to_directory && !there.entries.empty()) return Code::not_empty;
        if (to_directory) {
            inodes_.erase(to.inode);
            --inodes_[to.directory].nlink;
        } else {
            drop(to.inode);
        }
    }
    inodes_[from.directory].entries.erase(from.name);
    inodes_[to.directory].entries[to.name] = from.inode;
    move_directory(from.inode, from.directory, to.directory);
    return Code::ok;
}

Code ModelFilesystem::link(const Operation& operation) {
    auto source = find(operation.path);
    if (!source.ok()) return source.code();
    if (source.value().inode == 0) return Code::not_found;
    auto target = find(operation.target);
    if (!target.ok()) return target.code();
    return link_inode(source.value().inode, target.value());
}

Code ModelFilesystem::link_inode(Number number, const Place& to) {
    Inode& inode = inodes_[number];
    if (too_long(to.name)) return Code::name_too_long;
    if (inode.type == Type::directory) return Code::not_permitted;
    if (inode.nlink == 0 && !inode.unnamed) return Code::not_found;
    if (inode.nlink >= links_most_) return Code::too_many_links;
    if (to.inode != 0) return Code::already_exists;
    ++inode.nlink;
    inode.unnamed = false;
    inodes_[to.directory].entries[to.name] = number;
    return Code::ok;
}

Code ModelFilesystem::abroad(const Operation& operation) const {
    if (abroad_of(operation) == Abroad::copy) {
        auto number = find_file(operation.path);
        return number.ok() ? Code::cross_filesystem : number.code();
    }
    auto place = find(operation.path);
    if (!place.ok()) return place.code();
    bool links = abroad_of(operation) == Abroad::link;
    if (links && place.value().inode == 0) return Code::not_found;
    return too_long(place.value().name) ? Code::name_too_long : Code::cross_filesystem;
}

Code ModelFilesystem::copy_range(const Operation& operation) {
    auto from = find_file(operation.path);
    auto to = find_file(operation.target);
    if (!from.ok()) return from.code();
    if (!to.ok()) return to.code();
    // The ranges are at the same offset: within one file they overlap wholly.
    if (from.value() == to.value()) return Code::invalid;
    const Content& source = inodes_[from.value()].content;
    if (operation.offset >= source.size()) return Code::ok;
    Inode& target = inodes_[to.value()];
    target.changed = changes_;
    if (operation.unprivileged) target.mode = without_setid(target.mode);
    target.content.write(operation.offset, source.read(operation.offset, operation.length));
    return Code::ok;
}

std::string ModelFilesystem::describe() const {
    std::string out;
    describe(kRoot, "", out);
    return out;
}

void ModelFilesystem::describe(Number number, const std::string& path, std::string& out) const {
    const Inode& inode = inodes_.at(number);
    DescribedInode described;
    described.mode = inode.mode;
    described.nlink = inode.nlink;
    described.uid = inode.uid;
    described.gid = inode.gid;
    described.rdev = inode.rdev;
    described.content = {inode.content.size(), inode.content.hash()};
    described.xattrs = inode.xattrs;
    if (inode.access.has_value()) described.xattrs[std::string(kAccessAcl)] = inode.access->bytes();
    if (inode.defaults.has_value()) {
        described.xattrs[std::string(kDefaultAcl)] = inode.defaults->bytes();
    }
    out += describe_line(path, described);
    for (const auto& [name, child] : inode.entries) describe(child, path + "/" + name, out);
}

DescribedContent describe_content(const std::string& bytes) {
    return {bytes.size(), content_hash(bytes)};
}

std::string describe_line(const std::string& path, const DescribedInode& inode) {
    std::ostringstream line;
    line << (path.empty() ? "/" : path) << std::oct << " mode=" << inode.mode << std::dec
         << " nlink=" << inode.nlink << " owners=" << inode.uid << ":" << inode.gid;
    if (inode.rdev != 0) line << " rdev=" << inode.rdev;
    if ((inode.mode & kTypeMask) != kDirectory) {
        line << " size=" << inode.content.size << " content=" << inode.content.hash;
    }
    for (const auto& [name, value] : inode.xattrs) {
        line << " " << name << "=" << (name.starts_with("system.") ? hex(value) : value);
    }
    line << "\n";
    return line.str();
}

}  // namespace weft::sim
