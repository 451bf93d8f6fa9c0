#include "sim/model/operation.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace weft::sim {
namespace {

using Kind = Operation::Kind;

constexpr std::array kNames = {"a", "b", "c", "d", "e", "a-rather-longer-name-than-the-others"};
constexpr std::array kDirectories = {"p", "q"};
constexpr std::uint64_t kBlock = 4096;
constexpr std::uint32_t kTypeFile = 0100000;
constexpr std::uint32_t kTypeDirectory = 0040000;
constexpr std::uint32_t kTypeSymlink = 0120000;
// A fifo, a socket, both kinds of devices.
constexpr std::array<std::uint32_t, 4> kSpecialTypes = {0010000, 0140000, 0020000, 0060000};
constexpr std::array<std::uint32_t, 8> kModes = {0644,  0755,  0600,  0666,
                                                 04755, 02755, 02775, 01777};
constexpr std::array<std::uint32_t, 3> kUmasks = {022, 0, 077};
constexpr std::array<std::uint32_t, 3> kOwners = {0, 1000, 1001};

using Weights = std::initializer_list<std::pair<Kind, unsigned>>;

void set(Mix& mix, Weights weights) {
    for (auto [kind, weight] : weights) mix.weights[static_cast<std::size_t>(kind)] = weight;
}

// What every shape has a little of: a mistake shows where things meet.
void set_common(Mix& mix) {
    set(mix, {{Kind::make_file, 14},
              {Kind::make_directory, 5},
              {Kind::make_symlink, 3},
              {Kind::write, 30},
              {Kind::append, 4},
              {Kind::truncate, 6},
              {Kind::punch, 4},
              {Kind::zero, 2},
              {Kind::reserve, 2},
              {Kind::unlink, 8},
              {Kind::remove_directory, 3},
              {Kind::rename, 10},
              {Kind::link, 5},
              {Kind::make_special, 1},
              {Kind::set_mode, 2},
              {Kind::set_owner, 1},
              {Kind::set_acl, 2},
              {Kind::set_xattr, 4},
              {Kind::remove_xattr, 1},
              {Kind::get_xattr, 2},
              {Kind::seek_data, 2},
              {Kind::seek_hole, 2},
              {Kind::make_held, 2},
              {Kind::hold_unnamed, 2},
              {Kind::link_held, 2},
              {Kind::abroad, 1},
              {Kind::copy_range, 4},
              {Kind::read, 12},
              {Kind::list, 3},
              {Kind::hold, 4},
              {Kind::read_held, 4},
              {Kind::write_held, 4},
              {Kind::let_go, 3},
              {Kind::fsync, 4},
              {Kind::sync, 2}});
}

Kind random_kind(Chance& chance, const Mix& mix) {
    unsigned sum = 0;
    for (unsigned weight : mix.weights) sum += weight;
    std::uint64_t at = chance.below(sum);
    for (std::size_t i = 0; i < mix.weights.size(); ++i) {
        if (at < mix.weights[i]) return static_cast<Kind>(i);
        at -= mix.weights[i];
    }
    return Kind::read;
}

std::string random_name(Chance& chance, unsigned names) {
    std::uint64_t number = chance.below(names);
    if (number < kNames.size()) return kNames[number];
    return "message-" + std::to_string(number);
}

Path random_directory(Chance& chance, const Mix& mix) {
    Path path;
    std::uint64_t depth = chance.below(mix.depth_most + 1);
    for (std::uint64_t i = 0; i < depth; ++i) {
        path.emplace_back(kDirectories[chance.below(mix.directories)]);
    }
    return path;
}

// Directories mostly have the names of directories, and files do not: or else most paths lead
// through a file.
Path random_path(Chance& chance, const Mix& mix, Kind kind) {
    Path path = random_directory(chance, mix);
    bool of_directory = kind == Kind::make_directory || kind == Kind::remove_directory;
    bool of_file = kind == Kind::make_file || kind == Kind::write || kind == Kind::make_held ||
                   kind == Kind::link_held;
    std::uint64_t odds = of_file ? 50 : 6;
    bool directory = mix.depth_most > 0 && (of_directory != chance.one_in(odds));
    path.push_back(directory ? kDirectories[chance.below(mix.directories)]
                             : random_name(chance, mix.names));
    // The longest that may be, and one longer.
    if (chance.one_in(150)) path.back() = std::string(kNameBytesMost + chance.below(2), 'n');
    return path;
}

// Half the time near a border of `unit`, where mistakes live.
std::uint64_t random_position(Chance& chance, std::uint64_t most) {
    constexpr std::array<std::uint64_t, 4> kUnits = {kBlock, 16 * kBlock, 64 * kBlock,
                                                     256 * kBlock};
    std::uint64_t position = chance.below(most);
    if (chance.one_in(2)) {
        std::uint64_t unit = kUnits[chance.below(kUnits.size())];
        position = position / unit * unit;
        if (chance.one_in(2)) position += chance.below(3);
        if (chance.one_in(4) && position > 0) --position;
    }
    return std::min(position, most - 1);
}

std::uint64_t random_length(Chance& chance, const Mix& mix) {
    std::uint64_t kind = chance.below(mix.small ? 3 : 4);
    if (mix.large && chance.one_in(2)) kind = 3;
    switch (kind) {
        case 0:
            return 1 + chance.below(100);
        case 1:
            return kBlock * (1 + chance.below(4));
        case 2:
            return 1 + chance.below((mix.small ? 4 : 20) * kBlock);
        default:
            return 1 + random_position(chance, mix.file_bytes_most);
    }
}

}  // namespace

std::string_view name_of(Shape shape) {
    static constexpr std::array<std::string_view, kShapes> kShapeNames = {
        "mixed",         "untar", "mail_spool", "database", "append_log", "rename_storm",
        "truncate_race", "hoard", "attributes", "build",    "deep_tree"};
    return kShapeNames[static_cast<std::size_t>(shape)];
}

std::string_view name_of(Operation::Kind kind) {
    static constexpr std::array<std::string_view, Operation::kKinds> kKindNames = {
        "make_file",    "make_directory", "make_symlink", "make_special", "write",     "append",
        "truncate",     "punch",          "zero",         "reserve",      "unlink",    "rmdir",
        "rename",       "link",           "set_mode",     "set_owner",    "set_acl",   "set_xattr",
        "remove_xattr", "get_xattr",      "copy_range",   "read",         "seek_data", "seek_hole",
        "list",         "hold",           "make_held",    "hold_unnamed", "link_held", "read_held",
        "write_held",   "let_go",         "abroad",       "fsync",        "sync"};
    return kKindNames[static_cast<std::size_t>(kind)];
}

std::string to_text(const Operation& operation) {
    auto join = [](const Path& path) {
        std::string text;
        for (const std::string& name : path) text += "/" + name;
        return text.empty() ? std::string("/") : text;
    };
    std::string text(name_of(operation.kind));
    text += " " + join(operation.path);
    if (!operation.target.empty()) text += " -> " + join(operation.target);
    text += " offset=" + std::to_string(operation.offset);
    text += " length=" + std::to_string(operation.length);
    text += " seed=" + std::to_string(operation.seed);
    if (operation.no_replace) text += " no_replace";
    if (operation.exchange) text += " exchange";
    if (operation.must_exist) text += " must_exist";
    if (operation.unprivileged) text += " unprivileged";
    if (operation.text.size() < kNameBytesMost) text += " " + operation.text;
    return text;
}

NewAttributes new_attributes(const Operation& operation) {
    std::uint64_t seed = operation.seed;
    auto take = [&seed](const auto& from) {
        auto taken = from[seed % from.size()];
        seed /= from.size();
        return taken;
    };
    NewAttributes made;
    std::uint32_t type = kTypeFile;
    if (operation.kind == Kind::make_directory) type = kTypeDirectory;
    if (operation.kind == Kind::make_symlink) type = kTypeSymlink;
    if (operation.kind == Kind::make_special) type = take(kSpecialTypes);
    made.mode = type | take(kModes);
    made.umask = take(kUmasks);
    made.uid = take(kOwners);
    made.gid = take(kOwners);
    if (type == kTypeSymlink) made.mode = kTypeSymlink | 0777;
    if (type == kSpecialTypes[2] || type == kSpecialTypes[3]) made.rdev = 1 + seed % 0xffff;
    return made;
}

std::string xattr_value(const Operation& operation) {
    if (operation.length > 0) return std::string(operation.length, 'v');
    return std::to_string(operation.seed);
}

namespace {

void set_attributes(Mix& mix) {
    set(mix, {{Kind::make_file, 40},
              {Kind::make_directory, 20},
              {Kind::make_special, 10},
              {Kind::set_mode, 25},
              {Kind::set_owner, 15},
              {Kind::set_acl, 30},
              {Kind::set_xattr, 20},
              {Kind::remove_xattr, 15},
              {Kind::get_xattr, 20},
              {Kind::hold_unnamed, 10},
              {Kind::link_held, 10}});
}

void set_mail_spool(Mix& mix) {
    mix.names = 60;
    mix.depth_most = 0;
    mix.small = true;
    set(mix, {{Kind::make_file, 60},
              {Kind::append, 40},
              {Kind::fsync, 20},
              {Kind::rename, 20},
              {Kind::unlink, 20},
              {Kind::list, 15}});
}

void set_build(Mix& mix) {
    mix.names = 40;
    mix.depth_most = 2;
    mix.small = true;
    set(mix, {{Kind::make_file, 50},
              {Kind::write, 50},
              {Kind::append, 30},
              {Kind::read, 120},
              {Kind::rename, 40},
              {Kind::unlink, 25},
              {Kind::truncate, 15},
              {Kind::set_mode, 10},
              {Kind::list, 10}});
}

void set_deep_tree(Mix& mix) {
    mix.names = 3;
    mix.depth_most = 24;
    mix.directories = 1;
    mix.small = true;
    set(mix, {{Kind::make_directory, 150},
              {Kind::rename, 25},
              {Kind::remove_directory, 2},
              {Kind::list, 10}});
}

}  // namespace

Mix mix_of(Shape shape, std::uint64_t file_bytes_most) {
    Mix mix;
    mix.file_bytes_most = file_bytes_most;
    set_common(mix);
    switch (shape) {
        case Shape::mixed:
            break;
        case Shape::untar:
            mix.names = 24;
            mix.depth_most = 3;
            mix.small = true;
            set(mix, {{Kind::make_file, 60}, {Kind::make_directory, 20}, {Kind::write, 60}});
            break;
        case Shape::mail_spool:
            set_mail_spool(mix);
            break;
        case Shape::database:
            mix.names = 2;
            mix.depth_most = 0;
            mix.small = true;
            set(mix, {{Kind::write, 100}, {Kind::read, 60}, {Kind::fsync, 20}, {Kind::unlink, 1}});
            break;
        case Shape::append_log:
            mix.names = 3;
            mix.depth_most = 1;
            mix.small = true;
            set(mix, {{Kind::append, 120}, {Kind::read, 30}, {Kind::fsync, 15}});
            break;
        case Shape::rename_storm:
            set(mix, {{Kind::rename, 120},
                      {Kind::make_file, 30},
                      {Kind::make_directory, 25},
                      {Kind::link, 20},
                      {Kind::write, 8}});
            break;
        case Shape::truncate_race:
            mix.names = 3;
            mix.depth_most = 0;
            set(mix, {{Kind::truncate, 40},
                      {Kind::punch, 40},
                      {Kind::zero, 15},
                      {Kind::write, 60},
                      {Kind::read, 40},
                      {Kind::copy_range, 15}});
            break;
        case Shape::hoard:
            mix.names = 24;
            mix.depth_most = 0;
            mix.large = true;
            set(mix, {{Kind::make_file, 40}, {Kind::write, 120}, {Kind::unlink, 6}});
            break;
        case Shape::attributes:
            mix.small = true;
            set_attributes(mix);
            break;
        case Shape::build:
            set_build(mix);
            break;
        case Shape::deep_tree:
            set_deep_tree(mix);
            break;
    }
    return mix;
}

namespace {

// Most are short, and of three names.
void draw_xattr(Chance& chance, Operation& operation) {
    operation.length = 0;
    operation.text = "user." + std::to_string(operation.seed % 3);
    if (operation.kind != Kind::set_xattr && chance.one_in(3)) {
        operation.text = chance.one_in(2) ? kAccessAcl : kDefaultAcl;
    }
    if (chance.one_in(20)) {
        std::array<std::string, 5> kinds = {"other.name", "user.", "trusted.name", "system.name",
                                            "user." + std::string(kNameBytesMost, 'x')};
        operation.text = kinds[chance.below(kinds.size())];
    }
    if (operation.kind != Kind::set_xattr) return;
    if (chance.one_in(20)) operation.length = 1 + chance.below(6000);
    if (chance.one_in(40)) operation.length = kXattrBytesMost + 1;
    operation.no_replace = chance.one_in(6);
    operation.must_exist = !operation.no_replace && chance.one_in(6);
}

}  // namespace

Operation random_operation(Chance& chance, const Mix& mix) {
    Operation operation;
    operation.kind = random_kind(chance, mix);
    operation.path = random_path(chance, mix, operation.kind);
    operation.seed = chance.draw() >> 8;
    operation.offset = random_position(chance, mix.file_bytes_most);
    std::uint64_t room = mix.file_bytes_most - operation.offset;
    operation.length = std::min(random_length(chance, mix), room);
    switch (operation.kind) {
        case Kind::rename:
        case Kind::link:
            operation.target = random_path(chance, mix, operation.kind);
            break;
        case Kind::copy_range:
            operation.unprivileged = chance.one_in(2);
            operation.target = random_path(chance, mix, operation.kind);
            break;
        case Kind::truncate:
            operation.length = random_position(chance, mix.file_bytes_most);
            operation.unprivileged = chance.one_in(2);
            if (chance.one_in(60)) operation.length = kFileEndMost + 1;
            break;
        case Kind::write:
            operation.unprivileged = chance.one_in(2);
            if (chance.one_in(300)) operation.offset = kFileEndMost - operation.length + 1;
            break;
        case Kind::punch:
        case Kind::zero:
        case Kind::reserve:
            operation.unprivileged = chance.one_in(2);
            break;
        case Kind::append:
            operation.length = std::min<std::uint64_t>(operation.length, 4 * kBlock);
            break;
        case Kind::make_symlink:
            operation.text = "to/" + std::to_string(operation.seed);
            if (chance.one_in(10)) operation.text.clear();
            if (chance.one_in(10)) operation.text.assign(kTargetBytesMost + chance.below(2), 't');
            break;
        case Kind::set_acl:
            operation.text = chance.one_in(2) ? kAccessAcl : kDefaultAcl;
            break;
        case Kind::set_xattr:
        case Kind::remove_xattr:
        case Kind::get_xattr:
            draw_xattr(chance, operation);
            break;
        case Kind::hold_unnamed:
        case Kind::list:
            operation.path = random_directory(chance, mix);
            break;
        default:
            break;
    }
    if (operation.kind == Kind::rename) {
        operation.no_replace = chance.one_in(6);
        operation.exchange = chance.one_in(operation.no_replace ? 12 : 6);
    }
    if (operation.kind == Kind::make_held) operation.no_replace = chance.one_in(2);
    return operation;
}

}  // namespace weft::sim
