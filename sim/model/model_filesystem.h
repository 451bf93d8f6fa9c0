#pragma once

#include "platform/base/result.h"
#include "sim/model/content.h"
#include "sim/model/model_acl.h"
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
    // That a file may have.
    void set_links_most(std::uint32_t most) { links_most_ = most; }

    // Does the operation, or says why POSIX refuses it. Reads and syncs change nothing.
    Code apply(const Operation& operation);
    // What a read, a list, or a get_xattr answers; empty if it would fail.
    std::optional<std::string> read(const Operation& operation) const;
    // Whether this may be the answer to a seek of a file: where data begins is known only where
    // it is not zeros. `answer`: a position in digits, if the code is ok.
    bool seek_may_answer(const Operation& operation, Code code, const std::string& answer) const;
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

    // Every path with type, link count, mode, owners, size, content checksum, symlink target and
    // xattrs, one a line, sorted: two trees are equal if and only if their texts are.
    std::string describe() const;

private:
    using Number = std::uint64_t;
    enum class Type { file, directory, symlink, special };
    struct Inode {
        Type type = Type::file;
        std::uint32_t nlink = 1;
        std::uint32_t mode = 0;  // As in stat.
        std::uint32_t uid = 0;
        std::uint32_t gid = 0;
        std::uint64_t rdev = 0;
        bool unnamed = false;  // It never had a name.
        std::optional<ModelAcl> access;
        std::optional<ModelAcl> defaults;
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
    Result<Number> find_any(const Path& path) const;
    Result<Number> find_file(const Path& path) const;
    Inode new_inode(const Operation& operation, Type type, const Inode& directory) const;
    Code make(const Operation& operation, Type type);
    Code hold_unnamed(const Operation& operation);
    Code make_held(const Operation& operation);
    Code link_held(const Operation& operation);
    Code set_attributes(const Operation& operation);
    Code set_acl(const Operation& operation);
    Code abroad(const Operation& operation) const;
    void take_hold(Number number);
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
    Code link_inode(Number number, const Place& to);
    Code change_xattr(const Operation& operation);
    Code get_xattr(const Operation& operation) const;
    Code copy_range(const Operation& operation);
    void drop(Number inode);
    bool contains(Number directory, Number wanted) const;
    void move_directory(Number inode, Number from, Number to);
    void describe(Number inode, const std::string& path, std::string& out) const;

    std::map<Number, Inode> inodes_;
    Number last_ = 1;
    Number held_ = 0;  // 0: none.
    std::uint32_t links_most_ = UINT32_MAX;
    std::uint64_t changes_ = 0;
};

// One line of describe(), so that the product's tree can be told in the same words.
struct DescribedContent {
    std::uint64_t size = 0;
    std::uint64_t hash = 0;
};
DescribedContent describe_content(const std::string& bytes);
struct DescribedInode {
    std::uint32_t mode = 0;  // With the type.
    std::uint32_t nlink = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t rdev = 0;
    DescribedContent content;
    std::map<std::string, std::string> xattrs;
};
std::string describe_line(const std::string& path, const DescribedInode& inode);

}  // namespace weft::sim
