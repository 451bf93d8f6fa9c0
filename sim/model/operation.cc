#include "sim/model/operation.h"

#include <algorithm>
#include <array>

namespace weft::sim {
namespace {

using Kind = Operation::Kind;

constexpr std::array kNames = {"a", "b", "c", "d", "e", "a-rather-longer-name-than-the-others"};
constexpr std::array kDirectories = {"p", "q"};
constexpr std::uint64_t kBlock = 4096;

struct Weighted {
    Kind kind;
    unsigned weight;
};
constexpr std::array kWeights = {
    Weighted{Kind::make_file, 14},   Weighted{Kind::make_directory, 5},
    Weighted{Kind::make_symlink, 3}, Weighted{Kind::write, 30},
    Weighted{Kind::truncate, 6},     Weighted{Kind::punch, 4},
    Weighted{Kind::unlink, 8},       Weighted{Kind::remove_directory, 3},
    Weighted{Kind::rename, 10},      Weighted{Kind::link, 5},
    Weighted{Kind::set_xattr, 4},    Weighted{Kind::remove_xattr, 1},
    Weighted{Kind::copy_range, 4},   Weighted{Kind::read, 12},
    Weighted{Kind::sync, 4},
};

Kind random_kind(Chance& chance) {
    unsigned sum = 0;
    for (const Weighted& each : kWeights) sum += each.weight;
    std::uint64_t at = chance.below(sum);
    for (const Weighted& each : kWeights) {
        if (at < each.weight) return each.kind;
        at -= each.weight;
    }
    return Kind::read;
}

Path random_path(Chance& chance) {
    Path path;
    std::uint64_t depth = chance.below(3);
    for (std::uint64_t i = 0; i < depth; ++i) {
        path.emplace_back(kDirectories[chance.below(kDirectories.size())]);
    }
    bool directory = chance.one_in(5);
    path.emplace_back(directory ? kDirectories[chance.below(kDirectories.size())]
                                : kNames[chance.below(kNames.size())]);
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

std::uint64_t random_length(Chance& chance, std::uint64_t most) {
    switch (chance.below(4)) {
        case 0:
            return 1 + chance.below(100);
        case 1:
            return kBlock * (1 + chance.below(4));
        case 2:
            return 1 + chance.below(20 * kBlock);
        default:
            return 1 + random_position(chance, most);
    }
}

}  // namespace

std::string to_text(const Operation& operation) {
    static constexpr std::array kKinds = {
        "make_file", "make_directory", "make_symlink", "write",  "truncate",
        "punch",     "unlink",         "rmdir",        "rename", "link",
        "set_xattr", "remove_xattr",   "copy_range",   "read",   "sync"};
    auto join = [](const Path& path) {
        std::string text;
        for (const std::string& name : path) text += "/" + name;
        return text.empty() ? std::string("/") : text;
    };
    std::string text = kKinds[static_cast<std::size_t>(operation.kind)];
    text += " " + join(operation.path);
    if (!operation.target.empty()) text += " -> " + join(operation.target);
    text += " offset=" + std::to_string(operation.offset);
    text += " length=" + std::to_string(operation.length);
    text += " seed=" + std::to_string(operation.seed);
    if (operation.no_replace) text += " no_replace";
    if (operation.exchange) text += " exchange";
    return text;
}

Operation random_operation(Chance& chance, std::uint64_t file_bytes_most) {
    Operation operation;
    operation.kind = random_kind(chance);
    operation.path = random_path(chance);
    operation.seed = chance.draw() >> 8;
    operation.offset = random_position(chance, file_bytes_most);
    std::uint64_t room = file_bytes_most - operation.offset;
    operation.length = std::min(random_length(chance, file_bytes_most), room);
    switch (operation.kind) {
        case Kind::rename:
        case Kind::link:
        case Kind::copy_range:
            operation.target = random_path(chance);
            break;
        case Kind::truncate:
            operation.length = random_position(chance, file_bytes_most);
            break;
        case Kind::make_symlink:
            operation.text = "to/" + std::to_string(operation.seed);
            break;
        case Kind::set_xattr:
        case Kind::remove_xattr:
            operation.text = "user." + std::to_string(operation.seed % 3);
            break;
        default:
            break;
    }
    if (operation.kind == Kind::rename) {
        operation.no_replace = chance.one_in(6);
        operation.exchange = !operation.no_replace && chance.one_in(6);
    }
    return operation;
}

}  // namespace weft::sim
