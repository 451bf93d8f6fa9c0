#include "engines/namespace/acl.h"
#include "engines/namespace/attributes.h"
#include "engines/namespace/names.h"
#include "model/layout/keys.h"
#include "roles/compute/compute_role.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

// What is removed while it is opened is made anew.
constexpr int kTriesMost = 16;

struct Creation {
    Caller caller;
    FileId directory;
    std::string name;  // Empty: a file without one.
    NewNode what;
    bool open = false;
    bool exclusive = true;  // Else an existing regular file is opened.
};

Result<Done> check(const Creation& asked) {
    if (!posix::known_type(asked.what.mode)) return Error{Code::invalid, "create.type"};
    std::uint32_t type = asked.what.mode & posix::kTypeMask;
    if (asked.open && type != posix::kRegular) return Error{Code::invalid, "create.type"};
    if (type == posix::kSymlink) {
        if (asked.what.symlink.empty()) return Error{Code::not_found, "create.symlink"};
        bool too_long = asked.what.symlink.size() > posix::kSymlinkBytesMost;
        if (too_long) return Error{Code::name_too_long, "create.symlink"};
    }
    return Done{};
}

// The directory's default ACL, asked of the index once.
Task<std::string> default_acl(Core* core, InodePin directory) {
    if (!directory->default_acl.has_value()) {
        std::string key = keys::xattr(directory->id, posix::kDefaultAclName);
        auto found = co_await core->home(directory->id).index.get(std::move(key));
        if (!found.ok() && found.code() != Code::not_found) co_return found.error();
        // Changed meanwhile: that one is right.
        if (!directory->default_acl.has_value()) {
            directory->default_acl = found.ok() ? found.value() : std::string();
        }
    }
    co_return *directory->default_acl;
}

// Permission bits and ACLs that the directory leaves the new node.
struct Inheritance {
    std::uint32_t permissions = 0;
    std::string access;    // Empty: the mode says it all.
    std::string defaults;  // Of a new directory.
};

Result<Inheritance> inherit(const std::string& from, const NewNode& what) {
    Inheritance got;
    std::uint32_t type = what.mode & posix::kTypeMask;
    got.permissions = what.mode & posix::kPermissionMask;
    if (type == posix::kSymlink) return got;
    if (from.empty()) {
        got.permissions &= ~what.umask;
        return got;
    }
    auto parsed = posix::parse_acl(from);
    if (!parsed.ok()) return Error{Code::corrupt, "create.acl"};
    posix::Inherited inherited = posix::inherit(std::move(parsed).value(), got.permissions);
    got.permissions = inherited.permissions;
    if (!posix::is_minimal(inherited.access)) got.access = posix::encode_acl(inherited.access);
    if (type == posix::kDirectory) got.defaults = from;
    return got;
}

// Adds the new inode, with what it inherits, to the change.
InodePin add_inode(Core* core, Change& change, const Creation& asked, InodePin directory,
                   const Inheritance& inherited) {
    bool is_directory = (asked.what.mode & posix::kTypeMask) == posix::kDirectory;
    ShardId where = shard_of(asked.directory.inode);
    if (is_directory) {
        where = core->routing.of_new_directory(asked.directory, name_hash(asked.name));
    }
    FileId file{asked.directory.filesystem, core->shard(where).take_inode(change.on(where))};
    InodeRecord record = posix::make_node(directory->record, asked.directory.inode, asked.what,
                                          inherited.permissions, core->timestamp());
    if (asked.name.empty()) record.nlink = 0;
    change.charge(file.filesystem, where, 0, 1);
    if (!inherited.access.empty()) {
        change.at(file).put(keys::xattr(file, posix::kAccessAclName), inherited.access);
    }
    if (!inherited.defaults.empty()) {
        change.at(file).put(keys::xattr(file, posix::kDefaultAclName), inherited.defaults);
    }
    return change.create(file, std::move(record));
}

Task<Opened> finish(Core* core, Creation asked, InodePin inode) {
    Opened opened;
    if (asked.open) {
        opened.handle = co_await or_return(core->add_handle(asked.caller.session, inode));
    }
    Node node = core->look(asked.caller.session, inode);
    Lsn seen = inode->changed;
    opened.node = co_await or_return(
        co_await core->answer(asked.caller.session, inode, std::move(node), seen));
    co_return opened;
}

// stale: it has lost its name meanwhile.
Task<Opened> open_existing(Core* core, Creation asked, FileId file) {
    InodePin inode = co_await or_return(co_await core->pin_regular(file));
    co_await or_return(co_await core->recall_for_look(asked.caller.session, inode));
    if (inode->gone()) co_return Error{Code::stale, "create.existing"};
    co_return co_await finish(core, std::move(asked), std::move(inode));
}

// stale: the directory, or what had the name.
Task<Opened> create_once(Core* core, Creation asked) {
    co_await or_return(co_await core->admit_request(asked.caller));
    co_await or_return(core->check_metadata_room());
    InodePin directory = co_await or_return(co_await core->pin_directory(asked.directory));
    Changing guard(directory, asked.caller.session);
    std::uint64_t hash = name_hash(asked.name);
    LockKey key{asked.directory, hash};
    auto lock = std::make_optional(
        co_await or_return(co_await core->locks.exclusive(key, asked.caller.deadline)));
    auto existing = co_await or_return(co_await core->find_entry(asked.directory, asked.name));
    if (existing.has_value()) {
        lock.reset();
        co_await or_return(co_await core->settled(directory->changed));
        if (asked.exclusive) co_return Error{Code::already_exists, "create"};
        FileId found{asked.directory.filesystem, existing->inode};
        co_return co_await open_existing(core, std::move(asked), found);
    }
    co_await or_return(
        co_await core->recall_for_change(asked.caller.session, asked.directory, asked.name, false));
    std::string acl = co_await or_return(co_await default_acl(core, directory));

    // Decided from here on without an await.
    co_await or_return(core->may_change(asked.caller));
    if (directory->record.nlink == 0) co_return Error{Code::not_found, "create"};
    Inheritance inherited = co_await or_return(inherit(acl, asked.what));
    Change change(*core);
    InodePin inode = add_inode(core, change, asked, directory, inherited);
    EntryRecord entry{inode->id.inode, asked.what.mode & posix::kTypeMask};
    change.at(asked.directory).put(keys::entry(asked.directory, hash, asked.name), encode(entry));
    int subdirectories = entry.type == posix::kDirectory ? 1 : 0;
    posix::note_entry_change(change.edit(directory), 1, subdirectories, core->timestamp());
    core->remember(change, asked.caller, inode->id);
    (void)change.commit();
    lock.reset();
    co_return co_await finish(core, std::move(asked), std::move(inode));
}

Task<Opened> create_node(Core* core, Creation asked) {
    co_await or_return(check(asked));
    co_await or_return(posix::check_entry_name(asked.name));
    for (int tries = 0; tries < kTriesMost; ++tries) {
        auto opened = co_await create_once(core, asked);
        if (opened.ok() || opened.code() != Code::stale) co_return opened;
        // Of what had the name; of the directory it is for good.
        (void)co_await or_return(co_await core->pin_directory(asked.directory));
    }
    co_return Error{Code::retry_later, "create"};
}

Task<Opened> create_nameless(Core* core, Creation asked) {
    co_await or_return(check(asked));
    co_await or_return(co_await core->admit_request(asked.caller));
    co_await or_return(core->check_metadata_room());
    InodePin directory = co_await or_return(co_await core->pin_directory(asked.directory));
    std::string acl = co_await or_return(co_await default_acl(core, directory));

    co_await or_return(core->may_change(asked.caller));
    if (directory->record.nlink == 0) co_return Error{Code::not_found, "create"};
    Inheritance inherited = co_await or_return(inherit(acl, asked.what));
    Change change(*core);
    InodePin inode = add_inode(core, change, asked, directory, inherited);
    change.at(inode->id).put(keys::orphan(inode->id), std::string());
    (void)change.commit();
    inode->unnamed = true;
    auto opened = co_await finish(core, std::move(asked), inode);
    if (!opened.ok() && inode->opens.empty()) {
        inode->unnamed = false;
        core->purge_if_unused(inode);
    }
    co_return opened;
}

Task<Node> node_of(Task<Opened> opening) {
    Opened opened = co_await or_return(co_await opening);
    co_return std::move(opened.node);
}

}  // namespace

Task<Node> ComputeRole::create(Caller caller, FileId directory, std::string name, NewNode what) {
    core_->count(Operation::create);
    Creation asked{caller, directory, std::move(name), std::move(what), false, true};
    return core_->once(caller, node_of(create_node(core_.get(), std::move(asked))));
}

Task<Opened> ComputeRole::create_open(Caller caller, FileId directory, std::string name,
                                      NewNode what, bool exclusive) {
    core_->count(Operation::create);
    what.mode = (what.mode & posix::kPermissionMask) | posix::kRegular;
    Creation asked{caller, directory, std::move(name), std::move(what), true, exclusive};
    return core_->once(caller, create_node(core_.get(), std::move(asked)));
}

Task<Opened> ComputeRole::create_unnamed(Caller caller, FileId directory, NewNode what) {
    core_->count(Operation::create);
    what.mode = (what.mode & posix::kPermissionMask) | posix::kRegular;
    Creation asked{caller, directory, std::string(), std::move(what), true, true};
    return core_->once(caller, create_nameless(core_.get(), std::move(asked)));
}

}  // namespace weft::compute
