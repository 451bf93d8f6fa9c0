#include "sim/model/model_filesystem.h"

#include <algorithm>
#include <utility>

namespace weft::sim {
namespace {

using Kind = Operation::Kind;
constexpr std::uint64_t kRoot = 1;

}  // namespace

ModelFilesystem::ModelFilesystem() {
    Inode root;
    root.type = Type::directory;
    root.nlink = 2;
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

Result<std::uint64_t> ModelFilesystem::find_file(const Path& path) const {
    auto place = find(path);
    if (!place.ok()) return place.error();
    Number number = place.value().inode;
    if (number == 0) return Error{Code::not_found, "model.find"};
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
    if (place.value().inode != 0) return Code::already_exists;
    Number number = ++last_;
    Inode inode;
    inode.type = type;
    inode.nlink = type == Type::directory ? 2 : 1;
    inode.changed = changes_;
    if (type == Type::symlink) inode.content.write(0, operation.text);
    inodes_[number] = inode;
    Inode& directory = inodes_[place.value().directory];
    directory.entries[place.value().name] = number;
    if (type == Type::directory) ++directory.nlink;
    return Code::ok;
}

Code ModelFilesystem::write(const Operation& operation, Number number) {
    Inode& inode = inodes_[number];
    inode.changed = changes_;
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
    Number before = std::exchange(held_, number.value());
    if (before != held_ && before != 0 && inodes_[before].nlink == 0) inodes_.erase(before);
    return Code::ok;
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
    auto place = find(operation.path);
    if (!place.ok()) return place.code();
    if (place.value().inode == 0) return Code::not_found;
    bool directory = inodes_.at(place.value().inode).type == Type::directory;
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
    if (from.inode == 0) return Code::not_found;
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
    Inode& inode = inodes_[source.value().inode];
    if (inode.type == Type::directory) return Code::not_permitted;
    if (target.value().inode != 0) return Code::already_exists;
    ++inode.nlink;
    inodes_[target.value().directory].entries[target.value().name] = source.value().inode;
    return Code::ok;
}

Code ModelFilesystem::change_xattr(const Operation& operation) {
    auto number = find_file(operation.path);
    if (!number.ok()) return number.code();
    Inode& inode = inodes_[number.value()];
    auto& xattrs = inode.xattrs;
    if (operation.kind == Kind::remove_xattr) {
        if (xattrs.erase(operation.text) == 0) return Code::no_attribute;
    } else {
        xattrs[operation.text] = std::to_string(operation.seed);
    }
    inode.changed = changes_;
    return Code::ok;
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
    std::string xattrs;
    for (const auto& [name, value] : inode.xattrs) xattrs += " " + name + "=" + value;
    static constexpr char kTypes[] = {'f', 'd', 'l'};
    DescribedContent content{inode.content.size(), inode.content.hash()};
    out += describe_line(path, kTypes[static_cast<int>(inode.type)], inode.nlink, content, xattrs);
    for (const auto& [name, child] : inode.entries) describe(child, path + "/" + name, out);
}

DescribedContent describe_content(const std::string& bytes) {
    return {bytes.size(), content_hash(bytes)};
}

std::string describe_line(const std::string& path, char type, std::uint32_t nlink,
                          DescribedContent content, const std::string& xattrs) {
    std::string line = path.empty() ? "/" : path;
    line += std::string(" ") + type + " nlink=" + std::to_string(nlink);
    if (type != 'd') {
        line += " size=" + std::to_string(content.size);
        line += " content=" + std::to_string(content.hash);
    }
    return line + xattrs + "\n";
}

}  // namespace weft::sim
