// Access as other users: class by class, for every call with a path, and in sticky directories.
#include "path_operations.h"
#include "sections.h"

#include <grp.h>
#include <stdio.h>
#include <sys/xattr.h>

namespace posix_suite {
namespace {

using Wants = PathOperation::Wants;

struct Class {
    const char* name;
    User user;
    int shift;  // Where the class's digit lies in the mode.
};

std::vector<Class> classes() {
    return {{"owner", alice(), 6},
            {"group", {kBob, kTeam, {}}, 3},
            {"supplementary", bob(), 3},
            {"other", nobody(), 0}};
}

// The other classes get the opposite digit: whoever mixes classes up is found out.
mode_t mode_for(const Class& one, unsigned digit) {
    const unsigned opposite = 7 - digit;
    const unsigned everyone = opposite << 6 | opposite << 3 | opposite;
    return (everyone & ~(7U << one.shift)) | digit << one.shift;
}

int denied_unless(bool allowed) {
    return allowed ? 0 : EACCES;
}

void check_file_digit(const Class& one, unsigned digit) {
    const std::string name = std::string(one.name) + "_" + std::to_string(digit);
    make_file(name, "abc");
    give(name, kAlice, kTeam);
    set_mode(name, mode_for(one, digit));
    const char* path = name.c_str();
    as_user(one.user, [&] {
        const bool may_read = (digit & 4) != 0;
        const bool may_write = (digit & 2) != 0;
        const bool may_execute = (digit & 1) != 0;
        expect_result(name + "_read", try_open(path, O_RDONLY), denied_unless(may_read));
        expect_result(name + "_write", try_open(path, O_WRONLY), denied_unless(may_write));
        expect_result(name + "_both", try_open(path, O_RDWR), denied_unless(may_read && may_write));
        expect_result(name + "_truncate", truncate(path, 2), denied_unless(may_write));
        expect_result(name + "_access_r", access(path, R_OK), denied_unless(may_read));
        expect_result(name + "_access_w", access(path, W_OK), denied_unless(may_write));
        expect_result(name + "_access_x", access(path, X_OK), denied_unless(may_execute));
        expect_ok(name + "_stat", access(path, F_OK));
    });
}

void check_directory_digit(const Class& one, unsigned digit) {
    const std::string name = std::string(one.name) + "_" + std::to_string(digit);
    make_directory(name);
    make_file(name + "/file");
    make_file(name + "/victim");
    give(name, kAlice, kTeam);
    set_mode(name, mode_for(one, digit));
    as_user(one.user, [&] {
        const bool may_search = (digit & 1) != 0;
        const bool may_change = (digit & 3) == 3;
        const auto path = [&](const char* entry) {
            return name + "/" + entry;
        };
        expect_result(name + "_list", try_open(name.c_str(), O_RDONLY),
                      denied_unless((digit & 4) != 0));
        expect_result(name + "_search", access(path("file").c_str(), F_OK),
                      denied_unless(may_search));
        expect_result(name + "_search_missing", access(path("none").c_str(), F_OK),
                      may_search ? ENOENT : EACCES);
        expect_result(name + "_enter", chdir(name.c_str()), denied_unless(may_search));
        if (may_search) must(chdir(".."));
        expect_result(name + "_create", try_open(path("new").c_str(), O_WRONLY | O_CREAT),
                      denied_unless(may_change));
        expect_result(name + "_remove", unlink(path("victim").c_str()), denied_unless(may_change));
        expect_result(name + "_rename", rename(path("file").c_str(), path("moved").c_str()),
                      denied_unless(may_change));
    });
}

void check_digits() {
    scenario("file", [] {
        for (const Class& one : classes()) {
            for (unsigned digit = 0; digit < 8; ++digit) check_file_digit(one, digit);
        }
    });
    scenario("directory", [] {
        for (const Class& one : classes()) {
            for (unsigned digit = 0; digit < 8; ++digit) check_directory_digit(one, digit);
        }
    });
    make_file("secret", "abc", 0);
    expect_ok("root_reads", try_open("secret", O_RDWR));
    expect_error("root_cannot_execute", access("secret", X_OK), EACCES);
    make_directory("closed", 0);
    expect_ok("root_searches", try_open("closed/x", O_WRONLY | O_CREAT));
    make_file("handed", "abc", 0600);
    const Fd fd = open_file("handed", O_RDWR);
    as_user(nobody(), [&] {
        expect_text("open_descriptor_reads", read_at(fd, 3, 0), "abc");
        expect_equal("open_descriptor_writes", pwrite(fd, "x", 1, 0), 1);
        expect_ok("open_descriptor_truncates", ftruncate(fd, 1));
        expect_error("reopen_is_checked", try_open(fd_path(fd).c_str(), O_RDONLY), EACCES);
    });
    must(chdir("closed"));
    as_user(nobody(), [] {
        expect_error("current_directory_is_checked", access("x", F_OK), EACCES);
        expect_error("dot_dot_is_checked", access("..", F_OK), EACCES);
    });
    must(chdir(".."));
}

void make_wanted_at(const std::string& path, const PathOperation& operation) {
    if (operation.wants == Wants::directory) make_directory(path);
    if (operation.wants == Wants::link) must(symlink("x", path.c_str()));
    if (operation.wants == Wants::file) {
        make_file(path, "abc", 0666);
        must(setxattr(path.c_str(), "user.a", "v", 1, 0));
    }
    if (exists(path)) give(path, kAlice, kAlice);
}

bool changes_entries(const PathOperation& operation) {
    if (operation.wants == Wants::nothing) return true;
    const std::string name = operation.name;
    return name == "rename_from" || name == "exchange" || name == "unlink" || name == "rmdir";
}

void check_path_permissions(const PathOperation& operation) {
    const auto check = [&](const char* name, mode_t parent, mode_t grandparent, int error) {
        scenario(name, [&] {
            set_mode(".", 0777);
            make_file("helper");
            give("helper", kAlice, kAlice);
            make_directory("grandparent");
            make_directory("grandparent/parent");
            make_wanted_at("grandparent/parent/entry", operation);
            give("grandparent/parent", kAlice, kAlice);
            set_mode("grandparent/parent", parent);
            set_mode("grandparent", grandparent);
            as_user(alice(), [&] {
                expect_result("result", operation.call("grandparent/parent/entry"), error);
            });
        });
    };
    check("allowed", 0700, 0755, 0);
    check("no_search", 0600, 0755, EACCES);
    check("no_search_above", 0700, 0644, EACCES);
    check("read_only_parent", 0500, 0755, changes_entries(operation) ? EACCES : 0);
    check("search_only_parent", 0100, 0755, changes_entries(operation) ? EACCES : 0);
}

struct InodeRule {
    const char* name;
    int owner;
    int writer;
    int stranger;  // May read only.
};

// Calls that ask for a right on the inode itself, below a parent that permits everything.
void check_inode_rules() {
    for (const InodeRule& rule : {
             InodeRule{"open", 0, 0, 0},
             {"open_to_write", 0, 0, EACCES},
             {"truncate", 0, 0, EACCES},
             {"chmod", 0, EPERM, EPERM},
             {"chown", 0, EPERM, EPERM},
             {"lchown", 0, EPERM, EPERM},
             {"utimens", 0, EPERM, EPERM},
             {"utimens_link", 0, EPERM, EPERM},
             {"setxattr", 0, 0, EACCES},
             {"removexattr", 0, 0, EACCES},
             {"getxattr", 0, 0, 0},
             {"listxattr", 0, 0, 0},
             {"stat", 0, 0, 0},
             {"unlink", 0, 0, 0},
             {"rename_from", 0, 0, 0},
         }) {
        for (const PathOperation& operation : path_operations()) {
            if (std::string(rule.name) != operation.name) continue;
            const auto check = [&](const char* name, const User& user, int error) {
                scenario(std::string(rule.name) + "_" + name, [&] {
                    set_mode(".", 0777);
                    make_file("file", "abc");
                    must(setxattr("file", "user.a", "v", 1, 0));
                    give("file", kAlice, kTeam);
                    set_mode("file", 0664);
                    as_user(user, [&] { expect_result("result", operation.call("file"), error); });
                });
            };
            check("owner", alice(), rule.owner);
            check("writer", bob(), rule.writer);
            check("stranger", nobody(), rule.stranger);
        }
    }
}

void check_path_rules() {
    for (const PathOperation& operation : path_operations()) {
        scenario(operation.name, [&] { check_path_permissions(operation); });
    }
}

struct StickyCall {
    const char* name;
    long (*call)();
    bool for_files;
    bool for_directories;
};

const std::vector<StickyCall>& sticky_calls() {
    static const std::vector<StickyCall> calls = {
        {"unlink", []() -> long { return unlink("sticky/entry"); }, true, false},
        {"rmdir", []() -> long { return rmdir("sticky/entry"); }, false, true},
        {"rename_inside", []() -> long { return rename("sticky/entry", "sticky/new"); }, true,
         true},
        {"rename_out", []() -> long { return rename("sticky/entry", "new"); }, true, true},
        {"rename_over", []() -> long { return rename("own", "sticky/entry"); }, true, true},
        {"exchange",
         []() -> long {
             return renameat2(AT_FDCWD, "own", AT_FDCWD, "sticky/entry", RENAME_EXCHANGE);
         },
         true, true},
    };
    return calls;
}

void check_sticky_case(const StickyCall& call, Kind kind, uid_t directory_owner, uid_t file_owner) {
    const std::string name = std::string(call.name) + "_" + kind_name(kind) + "_directory_of_" +
                             std::to_string(directory_owner) + "_entry_of_" +
                             std::to_string(file_owner);
    scenario(name, [&] {
        set_mode(".", 0777);
        make_directory("sticky");
        make_kind("sticky/entry", kind);
        make_kind("own", kind);
        give("own", kAlice, kAlice);
        give("sticky/entry", file_owner, file_owner);
        if (kind == Kind::directory) set_mode("sticky/entry", 0777);
        give("sticky", directory_owner, directory_owner);
        set_mode("sticky", 01777);
        const bool allowed = directory_owner == kAlice || file_owner == kAlice;
        as_user(alice(), [&] { expect_result("result", call.call(), allowed ? 0 : EPERM); });
    });
}

void check_sticky() {
    for (const StickyCall& call : sticky_calls()) {
        for (const Kind kind : {Kind::regular, Kind::directory, Kind::symlink, Kind::fifo}) {
            const bool applies = kind == Kind::directory ? call.for_directories : call.for_files;
            if (!applies) continue;
            for (const uid_t directory_owner : {uid_t{0}, kAlice}) {
                for (const uid_t file_owner : {kAlice, kBob}) {
                    check_sticky_case(call, kind, directory_owner, file_owner);
                }
            }
        }
    }
    make_directory("sticky", 01777);
    make_file("sticky/file");
    give("sticky/file", kBob, kBob);
    as_user(alice(), [] {
        expect_ok("create_is_free", try_open("sticky/new", O_WRONLY | O_CREAT | O_EXCL));
        expect_ok("own_can_go", unlink("sticky/new"));
        expect_error("foreign_cannot", unlink("sticky/file"), EPERM);
        expect_error("missing_is_missing", unlink("sticky/none"), ENOENT);
    });
    expect_ok("root_can", unlink("sticky/file"));
}

void check_supplementary_groups() {
    make_file("file", "abc", 0060);
    give("file", kAlice, kTeam);
    std::vector<gid_t> many;
    for (gid_t group = 20000; many.size() < 60; ++group) many.push_back(group);
    as_user({kBob, kBob, many},
            [] { expect_error("not_among_60", try_open("file", O_RDONLY), EACCES); });
    many.push_back(kTeam);
    as_user({kBob, kBob, many}, [] { expect_ok("last_of_61", try_open("file", O_RDWR)); });
    many.insert(many.begin(), kTeam);
    as_user({kBob, kBob, many}, [] { expect_ok("first_of_62", try_open("file", O_RDWR)); });
    as_user({kAlice, kTeam, {}},
            [] { expect_error("owner_class_comes_first", try_open("file", O_RDONLY), EACCES); });
    as_user(bob(), [] {
        expect_ok("before", try_open("file", O_RDONLY));
        expect_error("cannot_change_groups", setgroups(0, nullptr), EPERM);
    });
    set_mode("file", 0);
    as_user(bob(), [] { expect_error("after_chmod", try_open("file", O_RDONLY), EACCES); });
    set_mode("file", 0060);
    give("file", kAlice, 9999);
    as_user(bob(), [] { expect_error("after_chgrp", try_open("file", O_RDONLY), EACCES); });
    in_child([] {
        must(setegid(kBob));
        must(seteuid(kBob));
        expect_error("effective_user_counts", try_open("file", O_RDONLY), EACCES);
        expect_ok("real_user_counts_for_access", access("file", R_OK));
        expect_error("eaccess", faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS), EACCES);
    });
}

}  // namespace

void add_permissions(Sections& sections) {
    sections.push_back({"permission", check_digits});
    sections.push_back({"permission_path", check_path_rules});
    sections.push_back({"permission_inode", check_inode_rules});
    sections.push_back({"sticky", check_sticky});
    sections.push_back({"groups", check_supplementary_groups});
}

}  // namespace posix_suite
