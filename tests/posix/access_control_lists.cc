// POSIX access control lists, through the two system.posix_acl_* attributes.
//
// A list is written here as words: "u:7 u7001:5 g:5 g7000:6 m:7 o:4" is owner, named user, owning
// group, named group, mask, other, each with its digit of rwx.
#include "sections.h"
#include "world.h"

#include <cstdint>
#include <cstring>
#include <sstream>

#include <sys/xattr.h>

namespace posix_suite {
namespace {

constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";
constexpr uint32_t kVersion = 2;
constexpr uint32_t kNoId = UINT32_MAX;

struct Entry {
    uint16_t tag;
    uint16_t digit;
    uint32_t id;
};
static_assert(sizeof(Entry) == 8);

uint16_t tag_of(char letter, bool named) {
    switch (letter) {
        case 'u':
            return named ? 0x02 : 0x01;
        case 'g':
            return named ? 0x08 : 0x04;
        case 'm':
            return 0x10;
        default:
            return 0x20;
    }
}

std::string encode(const std::string& words, uint32_t version = kVersion) {
    std::string bytes(reinterpret_cast<const char*>(&version), sizeof version);
    std::istringstream in(words);
    for (std::string word; in >> word;) {
        const size_t colon = word.find(':');
        const bool named = colon > 1;
        const uint32_t id = named ? static_cast<uint32_t>(std::stoul(word.substr(1))) : kNoId;
        const Entry entry{tag_of(word[0], named),
                          static_cast<uint16_t>(std::stoul(word.substr(colon + 1))), id};
        bytes.append(reinterpret_cast<const char*>(&entry), sizeof entry);
    }
    return bytes;
}

std::string decode(const std::string& bytes) {
    std::string words;
    for (size_t at = sizeof kVersion; at + sizeof(Entry) <= bytes.size(); at += sizeof(Entry)) {
        Entry entry{};
        memcpy(&entry, bytes.data() + at, sizeof entry);
        if (!words.empty()) words += ' ';
        const char* letters = entry.tag == 0x10 ? "m" : entry.tag == 0x20 ? "o" : "g";
        words += entry.tag <= 0x02 ? "u" : letters;
        if (entry.id != kNoId) words += std::to_string(entry.id);
        words += ':' + std::to_string(entry.digit);
    }
    return words;
}

long set_list(const char* path, const std::string& words, const char* which = kAccess) {
    const std::string bytes = encode(words);
    return setxattr(path, which, bytes.data(), bytes.size(), 0);
}

// "none" where there is no list.
std::string list_of(const char* path, const char* which = kAccess) {
    char bytes[4096];
    const ssize_t size = getxattr(path, which, bytes, sizeof bytes);
    if (size < 0) return errno == ENODATA ? "none" : error_name(errno);
    return decode({bytes, static_cast<size_t>(size)});
}

unsigned allowed_digit(const char* path) {
    unsigned digit = 0;
    if (access(path, R_OK) == 0) digit |= 4;
    if (access(path, W_OK) == 0) digit |= 2;
    if (access(path, X_OK) == 0) digit |= 1;
    return digit;
}

// Each pair of a digit and a mask, for each kind of entry that the mask bounds.
void check_masks() {
    make_file("file");
    give("file", kAlice, kTeam);
    struct Bounded {
        const char* name;
        const char* before;
        const char* after;
        User user;
    };
    const std::vector<Bounded> all = {
        {"named_user", "u:0 u65534:", " g:0", nobody()},
        {"owning_group", "u:0 u9998:7 g:", "", bob()},
        {"named_group", "u:0 g:0 g65534:", "", nobody()},
    };
    for (const Bounded& one : all) {
        for (unsigned digit = 0; digit < 8; ++digit) {
            for (unsigned mask = 0; mask < 8; ++mask) {
                // With an empty mask Linux looks at the mode alone, so other must not have more.
                const std::string other = mask == 0 ? " o:0" : " o:7";
                must(set_list("file", one.before + std::to_string(digit) + one.after +
                                          " m:" + std::to_string(mask) + other));
                const std::string name = std::string(one.name) + "_" + std::to_string(digit) +
                                         "_mask_" + std::to_string(mask);
                as_user(one.user, [&] { expect_mode(name, allowed_digit("file"), digit & mask); });
            }
        }
    }
}

struct Rule {
    const char* name;
    const char* list;
    User user;
    unsigned want;
};

// The first class that matches decides; of groups, any that matches may give the right.
void check_matching() {
    make_file("file");
    give("file", kAlice, kTeam);
    const User in_both{kNobody, kNobody, {kTeam, 7100}};
    const User in_two{kNobody, kNobody, {7100, 7200}};
    const std::vector<Rule> rules = {
        {"owner_not_masked", "u:7 g:0 m:0 o:0", alice(), 7},
        {"owner_before_named", "u:4 u7001:7 g:7 m:7 o:7", alice(), 4},
        {"owner_before_group", "u:0 g:7 m:7 o:7", {kAlice, kTeam, {}}, 0},
        {"named_before_group", "u:7 u7002:4 g:7 m:7 o:7", bob(), 4},
        {"named_before_other", "u:7 u65534:0 g:7 m:7 o:7", nobody(), 0},
        {"named_user_of_other_id", "u:7 u7002:7 g:0 m:7 o:1", nobody(), 1},
        {"group_before_other", "u:7 g:4 m:7 o:7", bob(), 4},
        {"named_group_before_other", "u:7 g:7 g65534:2 m:7 o:7", nobody(), 2},
        {"group_of_another", "u:7 g:7 g7100:7 m:7 o:5", nobody(), 5},
        {"other_not_masked", "u:7 g:0 m:0 o:7", nobody(), 7},
        {"two_groups_each_right", "u:7 g:0 g7100:4 g7200:2 m:7 o:0", in_two, 6},
        {"owning_and_named_group", "u:7 g:4 g7100:2 m:7 o:0", in_both, 6},
        {"groups_masked", "u:7 g:4 g7100:2 m:4 o:7", in_both, 4},
        {"supplementary_named_group", "u:7 g:0 g7000:6 m:7 o:0", bob(), 6},
        {"group_without_right_hides_other", "u:7 g:7 g7100:0 m:7 o:7", in_two, 0},
    };
    for (const Rule& rule : rules) {
        must(set_list("file", rule.list));
        as_user(rule.user, [&] { expect_mode(rule.name, allowed_digit("file"), rule.want); });
    }
    // Rights of two groups do not add up within one open.
    must(set_list("file", "u:7 g:0 g7100:4 g7200:2 m:7 o:0"));
    as_user(in_two, [] {
        expect_ok("read_by_one_group", try_open("file", O_RDONLY));
        expect_ok("write_by_other_group", try_open("file", O_WRONLY));
        expect_error("both_by_neither", try_open("file", O_RDWR), EACCES);
    });
}

struct ModeRule {
    const char* list;
    unsigned mode;         // What the list makes of the mode.
    unsigned new_mode;     // What chmod sets then.
    const char* new_list;  // And what it makes of the list.
};

void check_mode_and_list() {
    for (const Kind kind : {Kind::regular, Kind::directory, Kind::fifo, Kind::socket}) {
        scenario(kind_name(kind), [&] {
            make_kind("entry", kind);
            int number = 0;
            for (const ModeRule& rule : {
                     ModeRule{"u:6 g:4 o:0", 0640, 0751, "none"},
                     {"u:7 g:7 o:7", 0777, 0, "none"},
                     {"u:6 g:4 m:6 o:0", 0660, 0640, "u:6 g:4 m:4 o:0"},
                     {"u:7 u7002:5 g:4 m:5 o:1", 0751, 0700, "u:7 u7002:5 g:4 m:0 o:0"},
                     {"u:0 u7002:7 g:7 m:0 o:0", 0000, 0777, "u:7 u7002:7 g:7 m:7 o:7"},
                     {"u:4 g:0 g7000:7 m:7 o:4", 0474, 0123, "u:1 g:0 g7000:7 m:2 o:3"},
                 }) {
                const std::string name = "row_" + std::to_string(number++);
                set_mode("entry", 0);
                expect_ok(name + "_set", set_list("entry", rule.list));
                expect_mode(name + "_mode", mode_of("entry"), rule.mode);
                // Three entries are no more than a mode, and none is kept beside it.
                const bool extended = std::string(rule.list).find('m') != std::string::npos;
                expect_text(name + "_list", list_of("entry"), extended ? rule.list : "none");
                must(chmod("entry", rule.new_mode));
                expect_mode(name + "_chmod_mode", mode_of("entry"), rule.new_mode);
                expect_text(name + "_chmod_list", list_of("entry"), rule.new_list);
                removexattr("entry", kAccess);
            }
            must(set_list("entry", "u:6 u7002:7 g:4 m:7 o:0"));
            expect_ok("remove", removexattr("entry", kAccess));
            expect_text("removed", list_of("entry"), "none");
            expect_mode("removed_keeps_mode", mode_of("entry"), 0670);
            expect_ok("remove_twice", removexattr("entry", kAccess));
            set_mode("entry", 06755);
            must(set_list("entry", "u:6 u7002:4 g:4 m:4 o:0"));
            expect_mode("high_bits_kept", mode_of("entry"), 06640);
        });
    }
}

void check_bad_lists() {
    make_file("file");
    make_directory("directory");
    must(symlink("file", "link"));
    for (const auto& [name, list] : {
             std::pair{"no_owner", "g:4 o:4"},
             {"no_group", "u:7 o:4"},
             {"no_other", "u:7 g:4"},
             {"named_user_without_mask", "u:7 u5:7 g:4 o:4"},
             {"named_group_without_mask", "u:7 g:4 g5:7 o:4"},
             {"two_owners", "u:7 u:7 g:4 o:4"},
             {"two_masks", "u:7 g:4 m:7 m:7 o:4"},
             {"two_others", "u:7 g:4 o:4 o:4"},
             {"wrong_order", "g:4 u:7 o:4"},
             {"mask_before_group", "u:7 m:7 g:4 o:4"},
             {"digit_8", "u:8 g:4 o:4"},
         }) {
        expect_error(name, set_list("file", list), EINVAL);
        expect_error(std::string("default_") + name, set_list("directory", list, kDefault), EINVAL);
    }
    expect_text("nothing_was_set", list_of("file"), "none");
    const std::string good = encode("u:7 g:4 o:4");
    const std::string other_version = encode("u:7 g:4 o:4", 1);
    const auto set = [](const std::string& bytes, size_t size) {
        return setxattr("file", kAccess, bytes.data(), size, 0);
    };
    expect_error("version_1", set(other_version, other_version.size()), EOPNOTSUPP);
    expect_error("cut_entry", set(good, good.size() - 1), EINVAL);
    expect_error("cut_head", set(good, 2), EINVAL);
    expect_error("default_of_file", set_list("file", "u:7 g:4 o:4", kDefault), EACCES);
    expect_error("default_of_file_get", getxattr("file", kDefault, nullptr, 0), ENODATA);
    const std::string bytes = encode("u:7 g:4 o:4");
    expect_error("of_link_set", lsetxattr("link", kAccess, bytes.data(), bytes.size(), 0),
                 EOPNOTSUPP);
    expect_error("of_link_get", lgetxattr("link", kAccess, nullptr, 0), EOPNOTSUPP);
    must(set_list("file", "u:7 u5:7 g:4 m:7 o:4"));
    expect_equal("size", getxattr("file", kAccess, nullptr, 0), 4 + 5 * 8);
    char room[64];
    expect_error("short_room", getxattr("file", kAccess, room, 43), ERANGE);
    expect_error("missing_file", set_list("missing", "u:7 g:4 o:4"), ENOENT);
}

void check_rights_to_set() {
    make_file("file", "", 0666);
    make_directory("directory", 0777);
    give("file", kAlice, kTeam);
    give("directory", kAlice, kTeam);
    const std::string list = "u:7 u7002:7 g:4 m:7 o:4";
    as_user(alice(), [&] {
        expect_ok("owner", set_list("file", list));
        expect_ok("owner_default", set_list("directory", list, kDefault));
    });
    as_user(bob(), [&] {
        expect_error("named_user", set_list("file", list), EPERM);
        expect_error("named_user_remove", removexattr("file", kAccess), EPERM);
        expect_error("named_user_default", set_list("directory", list, kDefault), EPERM);
        expect_text("named_user_get", list_of("file"), list);
    });
    as_user(nobody(), [&] {
        expect_error("stranger", set_list("file", list), EPERM);
        expect_text("stranger_get", list_of("file"), list);
    });
    as_user(alice(), [] { expect_ok("owner_remove", removexattr("file", kAccess)); });
    set_mode("file", 02755);
    as_user(alice(), [] {
        must(set_list("file", "u:7 g:5 o:5"));
        expect_mode("setgid_of_foreign_group_dropped", mode_of("file"), 0755);
    });
}

struct Inheritance {
    const char* list;
    mode_t mode;
    const char* file_list;
    unsigned file_mode;
};

void check_inheritance_of(const Inheritance& row, Kind kind, mode_t mask) {
    make_directory("parent");
    must(set_list("parent", row.list, kDefault));
    umask(mask);
    const std::string path = "parent/new";
    if (kind == Kind::directory) {
        must(mkdir(path.c_str(), row.mode));
    } else if (kind == Kind::regular) {
        must(try_open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, row.mode));
    } else {
        must(mknod(path.c_str(), kind_bits(kind) | row.mode, 0));
    }
    umask(0);
    expect_text("access_list", list_of(path.c_str()), row.file_list);
    expect_mode("mode", mode_of(path), row.file_mode);
    if (kind == Kind::directory) {
        expect_text("default_list", list_of(path.c_str(), kDefault), row.list);
    }
}

void check_inheritance() {
    int number = 0;
    for (const Inheritance& row : {
             Inheritance{"u:7 g:5 o:0", 0666, "none", 0640},
             {"u:7 g:7 o:7", 0777, "none", 0777},
             {"u:7 u7002:7 g:5 m:7 o:0", 0666, "u:6 u7002:7 g:5 m:6 o:0", 0660},
             {"u:7 u7002:7 g:5 m:7 o:5", 0777, "u:7 u7002:7 g:5 m:7 o:5", 0775},
             {"u:7 u7002:7 g:5 m:7 o:5", 0600, "u:6 u7002:7 g:5 m:0 o:0", 0600},
             {"u:7 g:0 g7000:6 m:6 o:0", 0644, "u:6 g:0 g7000:6 m:4 o:0", 0640},
             {"u:0 u7002:7 g:7 m:7 o:7", 0777, "u:0 u7002:7 g:7 m:7 o:7", 0077},
         }) {
        const std::string name = "row_" + std::to_string(number++);
        for (const Kind kind : {Kind::regular, Kind::directory, Kind::fifo, Kind::socket}) {
            for (const mode_t mask : {0000U, 0077U}) {
                scenario(name + "_" + kind_name(kind) + "_umask_" + std::to_string(mask),
                         [&] { check_inheritance_of(row, kind, mask); });
            }
        }
    }
    make_directory("parent");
    must(set_list("parent", "u:7 u7002:7 g:5 m:7 o:0", kDefault));
    expect_mode("default_keeps_mode", mode_of("parent"), 0755);
    expect_text("default_keeps_access", list_of("parent"), "none");
    must(symlink("x", "parent/link"));
    expect_mode("link_ignores_it", mode_of("parent/link"), 0777);
    make_file("plain");
    must(rename("plain", "parent/plain"));
    expect_text("rename_does_not_inherit", list_of("parent/plain"), "none");
    must(mkdir("parent/a", 0777));
    must(mkdir("parent/a/b", 0777));
    expect_text("goes_down", list_of("parent/a/b", kDefault), "u:7 u7002:7 g:5 m:7 o:0");
    expect_ok("remove", removexattr("parent", kDefault));
    expect_text("removed", list_of("parent", kDefault), "none");
    must(mkdir("parent/c", 0700));
    expect_text("not_inherited_after", list_of("parent/c", kDefault), "none");
    expect_text("kept_by_child", list_of("parent/a", kDefault), "u:7 u7002:7 g:5 m:7 o:0");
    expect_ok("remove_twice", removexattr("parent", kDefault));
    const Fd hidden(must(open("parent/a", O_TMPFILE | O_RDWR, 0666)));
    expect_text("tmpfile_inherits", list_of(fd_path(hidden).c_str()), "u:6 u7002:7 g:5 m:6 o:0");
}

// Lists decide for every call, not for open alone.
void check_directories() {
    make_directory("directory", 0700);
    make_file("directory/file", "abc", 0600);
    give("directory", kAlice, kAlice);
    as_user(nobody(), [] { expect_error("before", access("directory/file", F_OK), EACCES); });
    must(set_list("directory", "u:7 u65534:1 g:0 m:7 o:0"));
    as_user(nobody(), [] {
        expect_ok("search", access("directory/file", F_OK));
        expect_error("no_list", try_open("directory", O_RDONLY), EACCES);
        expect_error("no_create", try_open("directory/new", O_WRONLY | O_CREAT), EACCES);
        expect_error("no_unlink", unlink("directory/file"), EACCES);
    });
    must(set_list("directory", "u:7 u65534:7 g:0 m:5 o:0"));
    as_user(nobody(), [] {
        expect_ok("list", try_open("directory", O_RDONLY));
        expect_error("masked_create", mkdir("directory/new", 0755), EACCES);
    });
    must(set_list("directory", "u:7 u65534:7 g:0 m:7 o:0"));
    as_user(nobody(), [] {
        expect_ok("create", mkdir("directory/new", 0755));
        expect_ok("unlink", unlink("directory/file"));
        expect_ok("rename", rename("directory/new", "directory/other"));
    });
    must(set_list("directory", "u:7 u65534:7 g:0 m:7 o:0", kAccess));
    set_mode("directory", 0700);
    as_user(nobody(),
            [] { expect_error("chmod_masks_it", access("directory/other", F_OK), EACCES); });
    make_file("file", "abc");
    give("file", kAlice, kAlice);
    must(set_list("file", "u:7 u7002:7 g:0 m:7 o:0"));
    give("file", kNobody, kNobody);
    expect_text("chown_keeps_the_list", list_of("file"), "u:7 u7002:7 g:0 m:7 o:0");
    as_user(bob(), [] {
        expect_ok("named_user_truncates", truncate("file", 1));
        expect_ok("named_user_touches", utimensat(AT_FDCWD, "file", nullptr, 0));
        expect_error("named_user_cannot_chmod", chmod("file", 0777), EPERM);
        expect_ok("named_user_sets_attribute", setxattr("file", "user.a", "v", 1, 0));
    });
    must(link("file", "second"));
    expect_text("same_by_hard_link", list_of("second"), "u:7 u7002:7 g:0 m:7 o:0");
    must(rename("file", "moved"));
    expect_text("follows_rename", list_of("moved"), "u:7 u7002:7 g:0 m:7 o:0");
}

void check_many_entries(int count) {
    std::string words = "u:7";
    for (int index = 0; index < count; ++index) {
        words += " u" + std::to_string(10000 + index) + ":" + std::to_string(index % 8);
    }
    words += " g:5 m:7 o:0";
    make_file("file");
    const std::string name = "entries_" + std::to_string(count);
    expect_ok(name, set_list("file", words));
    expect_text(name + "_list", list_of("file"), words);
    const uid_t last = static_cast<uid_t>(10000 + count - 1);
    as_user({last, last, {}}, [&] {
        expect_mode(name + "_last", allowed_digit("file"), static_cast<unsigned>(count - 1) % 8);
    });
    must(unlink("file"));
}

void check_lists() {
    scenario("mask", check_masks);
    scenario("match", check_matching);
    scenario("mode", check_mode_and_list);
    scenario("bad", check_bad_lists);
    scenario("right", check_rights_to_set);
    scenario("inherit", check_inheritance);
    scenario("directory", check_directories);
    for (const int count : {1, 2, 7, 25}) check_many_entries(count);
}

}  // namespace

void add_access_control_lists(Sections& sections) {
    sections.push_back({"acl", check_lists});
}

}  // namespace posix_suite
