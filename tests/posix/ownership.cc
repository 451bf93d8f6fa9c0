// chown and what clears the setuid and setgid bits.
#include "sections.h"
#include "world.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace posix_suite {
namespace {

constexpr uid_t kKeep = static_cast<uid_t>(-1);

void check_chown_kinds() {
    for (const Kind kind : all_kinds()) {
        scenario(kind_name(kind), [&] {
            make_kind("entry", kind);
            expect_ok("set", lchown("entry", 123, 456));
            expect_equal("uid", stat_of("entry").st_uid, 123);
            expect_equal("gid", stat_of("entry").st_gid, 456);
            must(lchown("entry", kKeep, 7));
            expect_equal("uid_kept", stat_of("entry").st_uid, 123);
            expect_equal("gid_changed", stat_of("entry").st_gid, 7);
            must(lchown("entry", 8, kKeep));
            expect_equal("uid_changed", stat_of("entry").st_uid, 8);
            expect_equal("gid_kept", stat_of("entry").st_gid, 7);
            as_user(nobody(), [] {
                expect_error("by_a_stranger", lchown("entry", kNobody, kNobody), EPERM);
                expect_error("nothing_by_a_stranger", lchown("entry", 8, 7), EPERM);
            });
        });
    }
    make_file("file");
    for (const uid_t id : {0U, 1U, 65535U, 65536U, 2147483647U, 2147483648U, 4294967294U}) {
        must(chown("file", id, id));
        expect_equal("uid_" + std::to_string(id), stat_of("file").st_uid, id);
        expect_equal("gid_" + std::to_string(id), stat_of("file").st_gid, id);
    }
}

struct OwnerChange {
    const char* name;
    uid_t uid;
    gid_t gid;
    int for_owner;   // Of group kAlice and kTeam.
    int for_member;  // Of kTeam, which is the file's group.
};

void check_chown_permissions() {
    for (const OwnerChange& row : {
             OwnerChange{"to_own_group", kKeep, kAlice, 0, EPERM},
             {"to_supplementary_group", kKeep, kTeam, 0, EPERM},
             {"to_foreign_group", kKeep, 9999, EPERM, EPERM},
             {"to_root_group", kKeep, 0, EPERM, EPERM},
             {"same_uid", kAlice, kKeep, 0, EPERM},
             {"same_uid_own_group", kAlice, kAlice, 0, EPERM},
             {"same_uid_foreign_group", kAlice, 9999, EPERM, EPERM},
             {"give_away", kBob, kKeep, EPERM, EPERM},
             {"give_to_root", 0, kKeep, EPERM, EPERM},
             {"give_away_own_group", kBob, kAlice, EPERM, EPERM},
         }) {
        for (const Kind kind : {Kind::regular, Kind::directory, Kind::symlink}) {
            scenario(std::string(row.name) + "_" + kind_name(kind), [&] {
                make_kind("entry", kind);
                give("entry", kAlice, kTeam);
                as_user(bob(), [&] {
                    expect_result("member", lchown("entry", row.uid, row.gid), row.for_member);
                });
                as_user({kAlice, kAlice, {kTeam}}, [&] {
                    expect_result("owner", lchown("entry", row.uid, row.gid), row.for_owner);
                });
                const gid_t want = row.for_owner == 0 && row.gid != kKeep ? row.gid : kTeam;
                expect_equal("gid_after", stat_of("entry").st_gid, want);
                expect_equal("uid_after", stat_of("entry").st_uid, kAlice);
            });
        }
    }
}

void check_chown_paths() {
    make_file("file");
    must(symlink("file", "link"));
    must(symlink("missing", "dangling"));
    must(chown("link", 5, 6));
    expect_equal("through_link", stat_of("file").st_uid, 5);
    expect_equal("link_kept", stat_of("link").st_uid, 0);
    must(lchown("link", 7, 8));
    expect_equal("link_itself", stat_of("link").st_uid, 7);
    expect_equal("file_kept", stat_of("file").st_uid, 5);
    expect_error("dangling", chown("dangling", 1, 1), ENOENT);
    expect_ok("dangling_itself", lchown("dangling", 1, 1));
    const Fd fd = open_file("file", O_RDONLY);
    must(fchown(fd, 9, 10));
    expect_equal("by_descriptor", stat_of("file").st_gid, 10);
    expect_ok("by_empty_path", fchownat(fd, "", 11, 12, AT_EMPTY_PATH));
    expect_equal("by_empty_path_gid", stat_of("file").st_gid, 12);
    expect_error("flag_unknown", fchownat(AT_FDCWD, "file", 1, 1, 1 << 20), EINVAL);
    must(link("file", "second"));
    must(chown("second", 13, 14));
    expect_equal("by_hard_link", stat_of("file").st_uid, 13);
}

void check_chown() {
    scenario("kind", check_chown_kinds);
    scenario("permission", check_chown_permissions);
    scenario("path", check_chown_paths);
}

// Every way to change a file that takes privileges away, on every mode that holds some.
struct Change {
    const char* name;
    void (*change)();
};

const std::vector<Change>& content_changes() {
    static const std::vector<Change> changes = {
        {"write",
         [] {
             must(write(open_file("file", O_WRONLY), "x", 1));
         }},
        {"append",
         [] {
             must(write(open_file("file", O_WRONLY | O_APPEND), "x", 1));
         }},
        {"pwrite",
         [] {
             write_at(open_file("file", O_WRONLY), "x", 100000);
         }},
        {"truncate",
         [] {
             must(truncate("file", 1));
         }},
        {"extend",
         [] {
             must(truncate("file", 10000));
         }},
        {"open_truncate",
         [] {
             must(try_open("file", O_WRONLY | O_TRUNC));
         }},
        {"fallocate",
         [] {
             must(fallocate(open_file("file", O_WRONLY), 0, 0, 8192));
         }},
        {"punch_hole",
         [] {
             constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
             must(fallocate(open_file("file", O_WRONLY), kPunch, 0, 8192));
         }},
        {"copy_file_range",
         [] {
             off_t from = 0;
             off_t to = 100;
             const Fd source = open_file("file", O_RDONLY);
             must(copy_file_range(source, &from, open_file("file", O_WRONLY), &to, 1, 0));
         }},
    };
    return changes;
}

const std::vector<Change>& other_changes() {
    static const std::vector<Change> changes = {
        {"read",
         [] {
             read_at(open_file("file", O_RDONLY), 1, 0);
         }},
        {"link",
         [] {
             must(link("file", "second"));
         }},
        {"rename",
         [] {
             must(rename("file", "x")), must(rename("x", "file"));
         }},
        {"utimens",
         [] {
             must(utimensat(AT_FDCWD, "file", nullptr, 0));
         }},
        {"setxattr",
         [] {
             must(setxattr("file", "user.a", "v", 1, 0));
         }},
        {"open_to_write",
         [] {
             must(try_open("file", O_WRONLY));
         }},
        {"write_nothing",
         [] {
             must(write(open_file("file", O_WRONLY), "", 0));
         }},
    };
    return changes;
}

// Setgid without the group's x bit once meant mandatory locks and stays for those in the group.
unsigned cleared(unsigned mode) {
    unsigned left = mode & ~04000U;
    if ((mode & 02010) == 02010) left &= ~02000U;
    return left;
}

void check_change(const Change& change, unsigned mode, bool as_root, unsigned want) {
    char name[60];
    snprintf(name, sizeof name, "%s_%04o_by_%s", change.name, mode, as_root ? "root" : "owner");
    scenario(name, [&] {
        set_mode(".", 0777);
        make_file("file", "content");
        give("file", kAlice, kAlice);
        set_mode("file", mode);
        if (as_root) {
            change.change();
        } else {
            as_user(alice(), change.change);
        }
        expect_mode("mode", mode_of("file"), want);
    });
}

void check_privilege_bits() {
    for (const unsigned mode : {04755U, 02755U, 06755U, 02644U, 04644U, 06711U, 01755U}) {
        for (const Change& change : content_changes()) {
            check_change(change, mode, false, cleared(mode));
            check_change(change, mode, true, mode);
        }
    }
    for (const Change& change : other_changes()) {
        check_change(change, 06755, false, 06755);
        check_change(change, 06755, true, 06755);
    }
}

void check_privilege_bits_by_chown() {
    const Change to_same_owner = {"chown_same", [] {
                                      must(chown("file", kAlice, kKeep));
                                  }};
    const Change to_same_group = {"chgrp_same", [] {
                                      must(chown("file", kKeep, kAlice));
                                  }};
    const Change to_other = {"chown_other", [] {
                                 must(chown("file", kBob, kBob));
                             }};
    for (const unsigned mode : {04755U, 02755U, 06755U, 04644U, 06711U, 01755U, 0755U}) {
        check_change(to_same_owner, mode, false, cleared(mode));
        check_change(to_same_group, mode, false, cleared(mode));
        check_change(to_same_owner, mode, true, cleared(mode));
        check_change(to_same_group, mode, true, cleared(mode));
        check_change(to_other, mode, true, cleared(mode));
    }
    for (const unsigned mode : {04755U, 02755U, 06755U, 01777U}) {
        char name[40];
        snprintf(name, sizeof name, "directory_%04o", mode);
        scenario(name, [&] {
            make_directory("directory", mode);
            must(chown("directory", kAlice, kAlice));
            expect_mode("chown_keeps", mode_of("directory"), mode);
            as_user(alice(), [] { must(chown("directory", kKeep, kAlice)); });
            expect_mode("owner_keeps", mode_of("directory"), mode);
        });
    }
}

// New entries take the group of a setgid directory, and new directories the bit as well.
void check_group_inheritance() {
    make_directory("plain", 0777);
    make_directory("setgid", 02777);
    give("plain", 0, kTeam);
    give("setgid", 0, kTeam);
    set_mode("setgid", 02777);
    for (const Kind kind : all_kinds()) {
        const std::string name = kind_name(kind);
        const bool is_device = kind == Kind::character_device || kind == Kind::block_device;
        const auto make = [&] {
            make_kind("plain/" + name, kind);
            make_kind("setgid/" + name, kind);
        };
        if (is_device) {
            make();
        } else {
            as_user(alice(), [&] {
                must(kind == Kind::directory ? mkdir(("plain/" + name).c_str(), 0755) : 0);
                must(kind == Kind::directory ? mkdir(("setgid/" + name).c_str(), 0755) : 0);
                if (kind != Kind::directory) make();
            });
        }
        const gid_t own = is_device ? 0 : kAlice;
        expect_equal("plain_" + name, stat_of("plain/" + name).st_gid, own);
        expect_equal("setgid_" + name, stat_of("setgid/" + name).st_gid, kTeam);
        const unsigned want = kind == Kind::directory ? 02000U : 0U;
        expect_mode("setgid_bit_" + name, mode_of("setgid/" + name) & 02000, want);
    }
    as_user(alice(), [] {
        must(try_open("setgid/foreign", O_WRONLY | O_CREAT, 02775));
        expect_mode("setgid_file_of_foreign_group", mode_of("setgid/foreign"), 0775);
        must(mkdir("setgid/directory/below", 0700));
        expect_mode("bit_goes_down", mode_of("setgid/directory/below"), 02700);
    });
    as_user(bob(), [] {
        must(try_open("setgid/own", O_WRONLY | O_CREAT, 02775));
        expect_mode("setgid_file_of_own_group", mode_of("setgid/own"), 02775);
    });
    must(rename("plain/regular", "setgid/moved"));
    expect_equal("rename_keeps_the_group", stat_of("setgid/moved").st_gid, kAlice);
    const Fd hidden = open_file("setgid", O_TMPFILE | O_RDWR);
    expect_equal("tmpfile_takes_the_group", stat_of(hidden).st_gid, kTeam);
}

}  // namespace

void add_ownership(Sections& sections) {
    sections.push_back({"chown", check_chown});
    sections.push_back({"privilege_bits", check_privilege_bits});
    sections.push_back({"privilege_bits_chown", check_privilege_bits_by_chown});
    sections.push_back({"group_inheritance", check_group_inheritance});
}

}  // namespace posix_suite
