#include "engines/namespace/acl.h"
#include "engines/namespace/attributes.h"
#include "engines/namespace/names.h"
#include "model/layout/keys.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

// As many as listxattr(2) can give back.
constexpr std::size_t kNamesBytesMost = 64 * 1024;
constexpr std::size_t kScanMost = 64;

bool is_acl(std::string_view name) {
    return name == posix::kAccessAclName || name == posix::kDefaultAclName;
}

// What setting an ACL leads to: other mode bits, and whether there is anything left to store.
struct AclEffect {
    std::optional<std::uint32_t> permissions;
    bool stored = true;
};

Result<AclEffect> effect_of(const InodeRecord& record, std::string_view name,
                            std::string_view value) {
    AclEffect effect;
    if (!is_acl(name)) return effect;
    if (name == posix::kDefaultAclName && !posix::is_directory(record)) {
        return Error{Code::permission_denied, "setxattr.acl"};
    }
    bool is_symlink = (record.mode & posix::kTypeMask) == posix::kSymlink;
    if (is_symlink) return Error{Code::not_supported, "setxattr.acl"};
    auto acl = posix::parse_acl(value);
    if (!acl.ok()) return acl.error();
    if (name == posix::kAccessAclName) {
        effect.permissions = posix::mode_of(acl.value());
        effect.stored = !posix::is_minimal(acl.value());
    }
    return effect;
}

Result<Done> may_set(SetXattr how, bool exists) {
    if (how == SetXattr::create && exists) return Error{Code::already_exists, "setxattr"};
    if (how == SetXattr::replace && !exists) return Error{Code::no_attribute, "setxattr"};
    return Done{};
}

Task<Done> set_xattr(Core* core, Caller caller, FileId file, std::string name, std::string value,
                     SetXattr how) {
    co_await or_return(posix::check_xattr_name(name));
    bool too_long = value.size() > posix::kXattrValueBytesMost;
    if (too_long) co_return Error{Code::range_too_small, "setxattr.value"};
    co_await or_return(co_await core->admit_request(caller));
    co_await or_return(core->check_metadata_room());
    InodePin inode = co_await or_return(co_await core->pin(file));
    AclEffect effect = co_await or_return(effect_of(inode->record, name, value));
    Changing guard(inode, caller.session);
    co_await or_return(
        co_await core->recall_for_change(caller.session, file, std::string(), false));
    LockKey key{file, kInodePart};
    auto lock = std::make_optional(
        co_await or_return(co_await core->locks.exclusive(key, caller.deadline)));
    std::string at = keys::xattr(file, name);
    auto existing = co_await core->home(file).index.get(at);
    if (!existing.ok() && existing.code() != Code::not_found) co_return existing.error();
    co_await or_return(may_set(how, existing.ok()));

    co_await or_return(core->may_change(caller));
    Change change(*core);
    InodeRecord& record = change.edit(inode);
    if (effect.permissions.has_value()) record.mode = (record.mode & ~0777U) | *effect.permissions;
    posix::note_attribute_change(record, core->timestamp());
    if (name == posix::kDefaultAclName) inode->default_acl = value;
    if (effect.stored) {
        change.at(file).put(std::move(at), std::move(value));
    } else {
        change.at(file).erase(std::move(at));
    }
    core->remember(change, caller);
    Lsn lsn = change.commit();
    lock.reset();
    co_return co_await core->settled(lsn);
}

Task<Done> remove_xattr(Core* core, Caller caller, FileId file, std::string name) {
    co_await or_return(posix::check_xattr_name(name));
    co_await or_return(co_await core->admit_request(caller));
    InodePin inode = co_await or_return(co_await core->pin(file));
    Changing guard(inode, caller.session);
    co_await or_return(
        co_await core->recall_for_change(caller.session, file, std::string(), false));
    LockKey key{file, kInodePart};
    auto lock = std::make_optional(
        co_await or_return(co_await core->locks.exclusive(key, caller.deadline)));
    std::string at = keys::xattr(file, name);
    auto existing = co_await core->home(file).index.get(at);
    bool missing = existing.code() == Code::not_found;
    if (missing && is_acl(name)) co_return Done{};  // A file without an ACL has the minimal one.
    if (missing) co_return Error{Code::no_attribute, "removexattr"};
    co_await or_return(std::move(existing));

    co_await or_return(core->may_change(caller));
    Change change(*core);
    posix::note_attribute_change(change.edit(inode), core->timestamp());
    change.at(file).erase(std::move(at));
    if (name == posix::kDefaultAclName) inode->default_acl = std::string();
    core->remember(change, caller);
    Lsn lsn = change.commit();
    lock.reset();
    co_return co_await core->settled(lsn);
}

Task<std::vector<std::string>> list_names(Core* core, FileId file, bool privileged) {
    std::string from = keys::xattr_prefix(file);
    std::string to = keys::after_prefix(from);
    std::vector<std::string> names;
    std::size_t bytes = 0;
    for (;;) {
        auto found = co_await or_return(co_await core->home(file).index.scan(from, to, kScanMost));
        for (const auto& [key, value] : found) {
            auto name = keys::parse_xattr(key);
            if (!name.has_value()) co_return Error{Code::corrupt, "listxattr"};
            if (!privileged && name->starts_with("trusted.")) continue;
            bytes += name->size() + 1;
            if (bytes > kNamesBytesMost) co_return Error{Code::range_too_small, "listxattr"};
            names.emplace_back(*name);
        }
        if (found.size() < kScanMost) co_return names;
        from = found.back().first + '\0';
    }
}

}  // namespace

Task<Done> ComputeRole::setxattr(Caller caller, FileId file, std::string name, std::string value,
                                 SetXattr how) {
    core_->count(Operation::xattr);
    return core_->once(
        caller, set_xattr(core_.get(), caller, file, std::move(name), std::move(value), how));
}

Task<Done> ComputeRole::removexattr(Caller caller, FileId file, std::string name) {
    core_->count(Operation::xattr);
    return core_->once(caller, remove_xattr(core_.get(), caller, file, std::move(name)));
}

Task<std::string> ComputeRole::getxattr(Caller caller, FileId file, std::string name) {
    core_->count(Operation::xattr);
    co_await or_return(core_->session(caller.session));
    co_await or_return(posix::check_xattr_name(name));
    InodePin inode = co_await or_return(co_await core_->pin(file));
    auto value = co_await core_->home(file).index.get(keys::xattr(file, name));
    co_await or_return(co_await core_->settled(inode->changed));
    if (value.code() == Code::not_found) co_return Error{Code::no_attribute, "getxattr"};
    co_return value;
}

Task<std::vector<std::string>> ComputeRole::listxattr(Caller caller, FileId file) {
    core_->count(Operation::xattr);
    co_await or_return(core_->session(caller.session));
    InodePin inode = co_await or_return(co_await core_->pin(file));
    auto names = co_await or_return(co_await list_names(core_.get(), file, caller.uid == 0));
    co_await or_return(co_await core_->settled(inode->changed));
    co_return names;
}

}  // namespace weft::compute
