#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::sim {

using Path = std::vector<std::string>;  // From the root; empty is the root itself.

// One thing that a client does, by path, so that the model and the product can both do it.
struct Operation {
    enum class Kind {
        make_file,
        make_directory,
        make_symlink,  // `text` is the target.
        write,         // `length` bytes of fill(seed, offset) at `offset`
        truncate,      // To `length`.
        punch,         // [offset, offset + length), size kept
        unlink,
        remove_directory,
        rename,     // path -> target
        link,       // path -> target
        set_xattr,  // `text` := seed in digits
        remove_xattr,
        copy_range,  // path at offset -> target at offset, `length`
        read,        // Compared with the model at once.
        sync,
    };
    Kind kind = Kind::read;
    Path path;
    Path target;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t seed = 0;
    std::string text;
    bool no_replace = false;
    bool exchange = false;
};

// The byte at `at` of what a write with this seed puts into a file.
constexpr char fill(std::uint64_t seed, std::uint64_t at) {
    std::uint64_t mixed = (seed + at / 8) * 0x9e3779b97f4a7c15ULL;
    return static_cast<char>(mixed >> (8 * (at % 8)));
}

std::string to_text(const Operation& operation);

// Draws numbers; the simulator's reactor in practice.
class Chance {
public:
    virtual ~Chance() = default;
    virtual std::uint64_t draw() = 0;
    std::uint64_t below(std::uint64_t bound) { return draw() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
};

// A random operation of a small, crowded tree, so that names collide often. Files stay below
// `file_bytes_most`, with sizes and offsets near block, stripe and region borders preferred.
Operation random_operation(Chance& chance, std::uint64_t file_bytes_most);

}  // namespace weft::sim
