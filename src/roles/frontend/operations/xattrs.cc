#include "roles/frontend/mount_internal.h"

#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

namespace weft::frontend {
namespace {

constexpr std::size_t kValueMost = 64 * kKiB;  // XATTR_SIZE_MAX, XATTR_LIST_MAX
constexpr std::string_view kCapability = "security.capability";
constexpr std::string_view kAcls = "system.posix_acl_";
constexpr std::uint32_t kCreate = 1;
constexpr std::uint32_t kReplace = 2;

// Values and lists: their size if no room was offered, else themselves.
Result<Done> put_sized(Exchange& x, std::string_view value, std::uint32_t room) {
    if (value.size() > kValueMost) return Error{Code::range_too_small, "frontend.xattr"};
    if (room == 0) {
        fuse_getxattr_out out{};
        out.size = static_cast<std::uint32_t>(value.size());
        x.put(out);
        return Done{};
    }
    if (value.size() > room) return Error{Code::range_too_small, "frontend.xattr"};
    x.put_payload_copy(value);
    return Done{};
}

}  // namespace

void Mount::attributes_changed(InodeId inode) {
    FilePtr file = files_.find(inode);
    changes_.note(inode);
    if (file == nullptr) return;
    file->attributes_valid = false;
    file->no_capability = false;
}

// A deferred mode is part of the access ACL, which compute keeps.
Task<Done> Mount::tell_mode(Exchange* x, std::string_view name) {
    FilePtr file = files_.find(x->inode());
    if (file == nullptr || !file->ahead() || !file->mode) co_return Done{};
    if (name.starts_with(kAcls)) (void)co_await write_behind_.flush(file);
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, StoreXattr op) {
    if ((op.flags & ~(kCreate | kReplace)) != 0) co_return Error{Code::invalid, "frontend.xattr"};
    (void)co_await tell_mode(x, op.name);
    Caller caller = writer(*x);
    FileId file = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::string name(op.name);
    std::string value(op.value);
    SetXattr how = SetXattr::any;
    if ((op.flags & kCreate) != 0) how = SetXattr::create;
    if ((op.flags & kReplace) != 0) how = SetXattr::replace;
    auto call = [=] {
        return service->setxattr(caller, file, name, value, how);
    };
    (void)co_await or_return(co_await ask<Done>(x, call));
    attributes_changed(x->inode());
    if (!op.clear_setgid) co_return Done{};
    co_return co_await clear_setgid(x);
}

// Whoever sets an ACL and is not of the file's group loses its setgid bit.
Task<Done> Mount::clear_setgid(Exchange* x) {
    Node node = co_await or_return(co_await fetch(x, x->inode()));
    if ((node.attributes.mode & S_ISGID) == 0) co_return Done{};
    AttributeChange change;
    change.mode = node.attributes.mode & kPermissionBits & ~std::uint32_t{S_ISGID};
    (void)co_await or_return(co_await change_attributes(x, x->inode(), change));
    co_return Done{};
}

Task<Done> Mount::on(Exchange* x, GetXattr op) {
    FilePtr known = files_.find(x->inode());
    bool absent = known != nullptr && known->no_capability && known->lease != LeaseMode::none;
    if (absent && op.name == kCapability) co_return Error{Code::no_attribute, "frontend.xattr"};
    (void)co_await tell_mode(x, op.name);
    Caller caller = reader(*x);
    FileId file = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::string name(op.name);
    auto call = [=] {
        return service->getxattr(caller, file, name);
    };
    auto value = co_await ask<std::string>(x, call);
    if (value.ok()) co_return put_sized(*x, value.value(), op.size);
    bool covered = known != nullptr && known->lease != LeaseMode::none &&
                   !changes_.changed_since(x->inode(), x->before().changes);
    if (value.code() == Code::no_attribute && covered && name == kCapability) {
        known->no_capability = true;
    }
    co_return value.error();
}

Task<Done> Mount::on(Exchange* x, ListXattr op) {
    Caller caller = reader(*x);
    FileId file = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->listxattr(caller, file);
    };
    using Names = std::vector<std::string>;
    Names names = co_await or_return(co_await ask<Names>(x, call));
    std::string list;
    for (const std::string& name : names) {
        list += name;
        list.push_back('\0');
    }
    co_return put_sized(*x, list, op.size);
}

Task<Done> Mount::on(Exchange* x, RemoveXattr op) {
    (void)co_await tell_mode(x, op.name);
    Caller caller = writer(*x);
    FileId file = compute_.file(x->inode());
    ComputeService* service = compute_.service();
    std::string name(op.name);
    auto call = [=] {
        return service->removexattr(caller, file, name);
    };
    (void)co_await or_return(co_await ask<Done>(x, call));
    attributes_changed(x->inode());
    co_return Done{};
}

}  // namespace weft::frontend
