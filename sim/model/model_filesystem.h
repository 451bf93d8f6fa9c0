#pragma once

#include "platform/base/result.h"
#include "sim/model/content.h"
#include "sim/model/operation.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace weft::sim {

// A filesystem in memory, as simple as it can be and still be right: the oracle. A value:
// copying it is taking a picture.
class ModelFilesystem {
public:
    ModelFilesystem();

    // Does the operation, or says why POSIX refuses it. Reads and syncs change nothing.
    Code apply(const Operation& operation);
    // What a read, or a list, answers; empty if it would fail.
    std::optional<std::string> read(const Operation& operation) const;
    // Rises with each change.
    std::uint64_t changes() const { return changes_; }
    // changes() after the last change of the file there; 0 if there is none.
    std::uint64_t last_change_of(const Path& path) const;
    // The client has lost its session, and what it held open.
    void forget_held();
    // Something is held that has a name.
    bool holds_named() const;
    // Inodes, with the root, and what is held and has no name.
    std::uint64_t inode_count() const { return inodes_.size(); }

    // Every path with type, link count, size, content checksum, symlink target and xattrs, one
    // a line, sorted: two trees are equal if and only if their texts are.
    std::string describe() const;

private:
    using Number = std::uint64_t;
    enum class Type { file, directory, symlink };
    struct Inode {
        Type type = Type::file;
        std::uint32_t nlink = 1;
        Content content;
        std::map<std::string, Number> entries;
        std::map<std::string, std::string> xattrs;
        std::uint64_t changed = 0;
    };
    struct Place {
        Number directory = 0;
        std::string name;
        Number inode = 0;  // 0 if there is none.
    };

    // The directory that holds the last name of the path, and what it names.
    Result<Place> find(const Path& path) const;
    Result<Number> find_file(const Path& path) const;
    Code make(const Operation& operation, Type type);
    Code change(const Operation& operation);
    Code write(const Operation& operation, Number number);
    Code hold(const Operation& operation);
    Code use_held(const Operation& operation);
    Code list(const Operation& operation) const;
    Code unlink(const Operation& operation);
    Code remove_directory(const Operation& operation);
    Code rename(const Operation& operation);
    Code replace(const Place& from, const Place& to);
    Code link(const Operation& operation);
    Code change_xattr(const Operation& operation);
    Code copy_range(const Operation& operation);
    void drop(Number inode);
    bool contains(Number directory, Number wanted) const;
    void move_directory(Number inode, Number from, Number to);
    void describe(Number inode, const std::string& path, std::string& out) const;

    std::map<Number, Inode> inodes_;
    Number last_ = 1;
    Number held_ = 0;  // 0: none.
    std::uint64_t changes_ = 0;
};

// One line of describe(), so that the product's tree can be told in the same words.
struct DescribedContent {
    std::uint64_t size = 0;
    std::uint64_t hash = 0;
};
DescribedContent describe_content(const std::string& bytes);
std::string describe_line(const std::string& path, char type, std::uint32_t nlink,
                          DescribedContent content, const std::string& xattrs);

}  // namespace weft::sim
