#include "sim/model/model_filesystem.h"

#include <algorithm>

// Modes, owners, lists, extended attributes, and where data is.

namespace weft::sim {
namespace {

using Kind = Operation::Kind;
constexpr std::uint64_t kBlock = 4096;

Code check_xattr_name(std::string_view name) {
    if (name.size() > kNameBytesMost) return Code::range_too_small;
    if (name == kAccessAcl || name == kDefaultAcl) return Code::ok;
    for (std::string_view space : {"user.", "trusted.", "security."}) {
        if (name == space) return Code::invalid;
        if (name.starts_with(space)) return Code::ok;
    }
    return Code::not_supported;
}

bool is_acl(std::string_view name) {
    return name == kAccessAcl || name == kDefaultAcl;
}

}  // namespace

Code ModelFilesystem::set_attributes(const Operation& operation) {
    auto number = find_any(operation.path);
    if (!number.ok()) return number.code();
    Inode& inode = inodes_[number.value()];
    NewAttributes asked = new_attributes(operation);
    inode.changed = changes_;
    if (operation.kind == Kind::set_mode) {
        inode.mode = (inode.mode & ~07777U) | (asked.mode & 07777U);
        if (inode.access.has_value()) inode.access->take_mode(asked.mode);
        return Code::ok;
    }
    inode.uid = asked.uid;
    inode.gid = asked.gid;
    if (inode.type == Type::directory) return Code::ok;
    inode.mode &= ~04000U;
    if ((inode.mode & 010) != 0) inode.mode &= ~02000U;
    return Code::ok;
}

Code ModelFilesystem::set_acl(const Operation& operation) {
    auto number = find_any(operation.path);
    if (!number.ok()) return number.code();
    Inode& inode = inodes_[number.value()];
    bool access = operation.text == kAccessAcl;
    if (!access && inode.type != Type::directory) return Code::permission_denied;
    if (inode.type == Type::symlink) return Code::not_supported;
    if (is_no_acl(operation)) return Code::invalid;
    ModelAcl acl = acl_of(operation.seed);
    inode.changed = changes_;
    if (!access) {
        inode.defaults = acl;
        return Code::ok;
    }
    inode.mode = (inode.mode & ~0777U) | acl.mode();
    inode.access.reset();
    if (acl.says_more_than_mode()) inode.access = acl;
    return Code::ok;
}

Code ModelFilesystem::change_xattr(const Operation& operation) {
    auto number = find_any(operation.path);
    if (!number.ok()) return number.code();
    Code named = check_xattr_name(operation.text);
    if (named != Code::ok) return named;
    Inode& inode = inodes_[number.value()];
    if (is_acl(operation.text)) {
        (operation.text == kAccessAcl ? inode.access : inode.defaults).reset();
        inode.changed = changes_;
        return Code::ok;
    }
    auto& xattrs = inode.xattrs;
    bool exists = xattrs.contains(operation.text);
    if (operation.kind == Kind::remove_xattr) {
        if (!exists) return Code::no_attribute;
        xattrs.erase(operation.text);
    } else {
        if (operation.length > kXattrBytesMost) return Code::range_too_small;
        if (operation.no_replace && exists) return Code::already_exists;
        if (operation.must_exist && !exists) return Code::no_attribute;
        xattrs[operation.text] = xattr_value(operation);
    }
    inode.changed = changes_;
    return Code::ok;
}

Code ModelFilesystem::get_xattr(const Operation& operation) const {
    auto number = find_any(operation.path);
    if (!number.ok()) return number.code();
    Code named = check_xattr_name(operation.text);
    if (named != Code::ok) return named;
    const Inode& inode = inodes_.at(number.value());
    bool has = inode.xattrs.contains(operation.text);
    if (operation.text == kAccessAcl) has = inode.access.has_value();
    if (operation.text == kDefaultAcl) has = inode.defaults.has_value();
    return has ? Code::ok : Code::no_attribute;
}

bool ModelFilesystem::seek_may_answer(const Operation& operation, Code code,
                                      const std::string& answer) const {
    auto number = find_file(operation.path);
    if (!number.ok()) return code == number.code();
    const Content& content = inodes_.at(number.value()).content;
    std::uint64_t offset = operation.offset;
    if (offset >= content.size()) return code == Code::no_data;
    auto is_zeros = [&content](std::uint64_t from, std::uint64_t to) {
        std::string bytes = content.read(from, to - from);
        return std::ranges::all_of(bytes, [](char each) { return each == 0; });
    };
    bool for_data = operation.kind == Kind::seek_data;
    // Data may be zeros as well, so that it may begin anywhere in between.
    if (code == Code::no_data) return for_data && is_zeros(offset, content.size());
    if (code != Code::ok) return false;
    std::uint64_t at = std::stoull(answer);
    if (at < offset || at > content.size()) return false;
    if (for_data) return at < content.size() && is_zeros(offset, at);
    bool at_end = at == content.size();
    bool begins_block = at == offset || at % kBlock == 0;
    return at_end || (begins_block && is_zeros(at, (at / kBlock + 1) * kBlock));
}

}  // namespace weft::sim
