#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::sim {

using Path = std::vector<std::string>;  // From the root; empty is the root itself.

// One thing that a client does, by path, so that the model and the product can both do it.
struct Operation {
    enum class Kind {
        make_file,
        make_directory,
        make_symlink,  // `text` is the target.
        make_special,  // A fifo, a socket or a device, by the seed.
        write,         // `length` bytes of fill(seed, offset) at `offset`
        append,        // `length` bytes of fill(seed, 0) at the end
        truncate,      // To `length`.
        punch,         // [offset, offset + length), size kept
        zero,          // The same, and blocks stay promised.
        reserve,       // fallocate of [offset, offset + length)
        unlink,
        remove_directory,
        rename,    // path -> target
        link,      // path -> target
        set_mode,  // Of new_attributes(), as those of what is made.
        set_owner,
        set_acl,    // `text` is access's name or the default's: acl_of(seed), or no list at all.
        set_xattr,  // `text` := seed in digits, or `length` bytes if that is not 0
        remove_xattr,
        get_xattr,   // Compared at once.
        copy_range,  // path at offset -> target at offset, `length`
        read,        // Compared with the model at once.
        seek_data,   // From `offset`.
        seek_hole,
        list,          // The names in a directory, compared at once.
        hold,          // Opens the file, and closes what was held: one a client.
        make_held,     // The same, and makes it if it is not there.
        hold_unnamed,  // A new file in the directory, without a name.
        link_held,     // what is held -> path
        read_held,
        write_held,
        let_go,
        abroad,  // A link, a rename or a copy to another filesystem.
        fsync,
        sync,
    };
    static constexpr std::size_t kKinds = static_cast<std::size_t>(Kind::sync) + 1;
    Kind kind = Kind::read;
    Path path;
    Path target;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t seed = 0;
    std::string text;
    bool no_replace = false;  // Nothing may be there: of renames, xattrs, make_held.
    bool exchange = false;
    bool must_exist = false;    // Of xattrs.
    bool unprivileged = false;  // A change of content takes setuid and setgid.
};

inline constexpr std::size_t kNameBytesMost = 255;
inline constexpr std::size_t kTargetBytesMost = 4095;  // Of a symlink.
inline constexpr std::size_t kXattrBytesMost = 64 * 1024;
inline constexpr std::uint64_t kFileEndMost = std::uint64_t{1} << 62;
inline constexpr std::string_view kAccessAcl = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

// What a node is made with, or gets, by an operation with this seed.
struct NewAttributes {
    std::uint32_t mode = 0;  // Of type and permissions.
    std::uint32_t umask = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t rdev = 0;
};
NewAttributes new_attributes(const Operation& operation);
// What set_xattr stores.
std::string xattr_value(const Operation& operation);
// Whether set_acl sets something that is no list.
constexpr bool is_no_acl(const Operation& operation) {
    return operation.seed % 12 == 0;
}
// What abroad does.
enum class Abroad { rename, link, copy };
constexpr Abroad abroad_of(const Operation& operation) {
    return static_cast<Abroad>(operation.seed % 3);
}

// The byte at `at` of what a write with this seed puts into a file.
constexpr char fill(std::uint64_t seed, std::uint64_t at) {
    std::uint64_t mixed = (seed + at / 8) * 0x9e3779b97f4a7c15ULL;
    return static_cast<char>(mixed >> (8 * (at % 8)));
}

std::string_view name_of(Operation::Kind kind);
std::string to_text(const Operation& operation);

// Draws numbers, the same ones from the same seed.
class Chance {
public:
    virtual ~Chance() = default;
    virtual std::uint64_t draw() = 0;
    std::uint64_t below(std::uint64_t bound) { return draw() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
};

// What a client's work is like.
enum class Shape {
    mixed,
    untar,          // Many files made in directories and written once.
    mail_spool,     // One large directory: made, appended, fsynced, moved, listed, removed.
    database,       // Few files, written and read in place, fsynced.
    append_log,     // Few files that grow at their end.
    rename_storm,   // Names that move, are exchanged and replaced.
    truncate_race,  // Sizes and holes that come and go.
    hoard,          // Large files, until the drives are full, and few that go.
    attributes,     // Owners, modes, lists and xattrs, and what inherits them.
    build,          // A compiler: much is looked at, temporary files replace what was made before.
    deep_tree       // Directories in directories, as far down as it goes, that move.
};
inline constexpr std::size_t kShapes = 11;
std::string_view name_of(Shape shape);

// A shape in numbers.
struct Mix {
    std::array<unsigned, Operation::kKinds> weights{};
    unsigned names = 6;        // Of files in a directory.
    unsigned depth_most = 2;   // Of directories above them.
    unsigned directories = 2;  // Of their names.
    bool small = false;        // Most writes are a few blocks at most.
    bool large = false;        // Half of the lengths are up to the file's most.
    std::uint64_t file_bytes_most = 0;
};
Mix mix_of(Shape shape, std::uint64_t file_bytes_most);

// A random operation of a small, crowded tree, so that names collide often, with sizes and
// offsets near block, stripe and region borders preferred.
Operation random_operation(Chance& chance, const Mix& mix);

}  // namespace weft::sim
