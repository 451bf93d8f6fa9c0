// Extended attributes: namespaces, flags, sizes, names, lists, permissions.
#include "sections.h"
#include "world.h"

#include <algorithm>
#include <set>

#include <sys/xattr.h>

namespace posix_suite {
namespace {

char buffer[70000];

std::string value_of(const char* path, const char* name) {
    const ssize_t size = must(lgetxattr(path, name, buffer, sizeof buffer));
    return {buffer, static_cast<size_t>(size)};
}

std::set<std::string> names_of(const char* path) {
    const ssize_t size = must(llistxattr(path, buffer, sizeof buffer));
    std::set<std::string> names;
    for (const char* at = buffer; at < buffer + size; at += std::string(at).size() + 1) {
        names.insert(at);
    }
    return names;
}

struct Namespace {
    const char* name;
    bool on_every_kind;  // user.* is for files and directories only.
    bool for_users;
};
constexpr Namespace kNamespaces[] = {
    {"user.name", false, true}, {"trusted.name", true, false}, {"security.name", true, false}};

void check_namespace(const Namespace& space, Kind kind) {
    make_kind("entry", kind);
    const bool works = space.on_every_kind || kind == Kind::regular || kind == Kind::directory;
    const char* name = space.name;
    expect_error("get_missing", lgetxattr("entry", name, buffer, 10), ENODATA);
    expect_result("remove_missing", lremovexattr("entry", name), works ? ENODATA : EPERM);
    expect_result("set", lsetxattr("entry", name, "value", 5, 0), works ? 0 : EPERM);
    expect_true("listed", names_of("entry").contains(name) == works);
    if (!works) return;
    expect_text("get", value_of("entry", name), "value");
    expect_ok("replace", lsetxattr("entry", name, "other", 5, XATTR_REPLACE));
    expect_text("replaced", value_of("entry", name), "other");
    expect_error("create", lsetxattr("entry", name, "third", 5, XATTR_CREATE), EEXIST);
    expect_text("kept", value_of("entry", name), "other");
    must(rename("entry", "moved"));
    expect_text("follows_rename", value_of("moved", name), "other");
    make_kind("entry", kind);
    expect_true("new_has_none", !names_of("entry").contains(name));
    expect_ok("remove", lremovexattr("moved", name));
    expect_error("get_removed", lgetxattr("moved", name, buffer, 10), ENODATA);
    expect_error("remove_twice", lremovexattr("moved", name), ENODATA);
    expect_error("replace_removed", lsetxattr("moved", name, "v", 1, XATTR_REPLACE), ENODATA);
    expect_ok("create_removed", lsetxattr("moved", name, "v", 1, XATTR_CREATE));
}

void check_namespaces() {
    for (const Namespace& space : kNamespaces) {
        for (const Kind kind : all_kinds()) {
            const std::string name = space.name;
            scenario(name.substr(0, name.find('.')) + "_" + kind_name(kind),
                     [&] { check_namespace(space, kind); });
        }
    }
    make_file("file");
    for (const char* name :
         {"name", "unknown.name", "users.name", "USER.name", ".name", "system.x"}) {
        expect_error(std::string("set_") + name, setxattr("file", name, "v", 1, 0), EOPNOTSUPP);
        expect_error(std::string("get_") + name, getxattr("file", name, buffer, 10), EOPNOTSUPP);
    }
    for (const char* name : {"user.", "trusted.", "security."}) {
        expect_error(std::string("set_bare_") + name, setxattr("file", name, "v", 1, 0), EINVAL);
    }
    expect_error("set_empty", setxattr("file", "", "v", 1, 0), ERANGE);
    expect_error("get_empty", getxattr("file", "", buffer, 10), ERANGE);
    expect_error("remove_empty", removexattr("file", ""), ERANGE);
}

void check_sizes(const std::vector<size_t>& sizes) {
    for (const size_t size : sizes) {
        const std::string name = "size_" + std::to_string(size);
        make_file("file");
        const std::string value = pattern(size, 9);
        const auto want = static_cast<long long>(size);
        expect_ok(name + "_set", setxattr("file", "user.a", value.data(), size, 0));
        expect_equal(name + "_probe", getxattr("file", "user.a", nullptr, 0), want);
        expect_equal(name + "_exact", getxattr("file", "user.a", buffer, std::max(size, size_t{1})),
                     want);
        expect_true(name + "_value", value_of("file", "user.a") == value);
        if (size > 1) {
            expect_error(name + "_short", getxattr("file", "user.a", buffer, size - 1), ERANGE);
            expect_error(name + "_one_byte", getxattr("file", "user.a", buffer, 1), ERANGE);
        }
        const std::string half = pattern(size / 2, 10);
        expect_ok(name + "_shrink", setxattr("file", "user.a", half.data(), half.size(), 0));
        expect_true(name + "_shrunk", value_of("file", "user.a") == half);
        expect_ok(name + "_grow", setxattr("file", "user.a", value.data(), size, 0));
        expect_true(name + "_grown", value_of("file", "user.a") == value);
        must(unlink("file"));
    }
}

void check_limits() {
    make_file("file");
    expect_error("value_too_large", setxattr("file", "user.a", buffer, 65537, 0), E2BIG);
    for (const size_t length : {1U, 2U, 100U, 249U, 250U}) {
        const std::string name = "user." + std::string(length, 'n');
        expect_ok("name_" + std::to_string(length), setxattr("file", name.c_str(), "v", 1, 0));
        expect_text("name_" + std::to_string(length) + "_value", value_of("file", name.c_str()),
                    "v");
        expect_true("name_" + std::to_string(length) + "_listed", names_of("file").contains(name));
        must(removexattr("file", name.c_str()));
    }
    const std::string long_name = "user." + std::string(251, 'n');
    expect_error("name_256_set", setxattr("file", long_name.c_str(), "v", 1, 0), ERANGE);
    expect_error("name_256_get", getxattr("file", long_name.c_str(), buffer, 1), ERANGE);
    expect_error("name_256_remove", removexattr("file", long_name.c_str()), ERANGE);
    expect_error("flag_unknown", setxattr("file", "user.a", "v", 1, 4), EINVAL);
    expect_error("create_and_replace",
                 setxattr("file", "user.a", "v", 1, XATTR_CREATE | XATTR_REPLACE), ENODATA);
    expect_error("bad_value_address",
                 setxattr("file", "user.a", reinterpret_cast<void*>(-4096L), 8, 0), EFAULT);
    expect_error("bad_name_address",
                 setxattr("file", reinterpret_cast<const char*>(-4096L), "v", 1, 0), EFAULT);
    must(setxattr("file", "user.odd", "a\0b\xff", 4, 0));
    expect_text("bytes_kept", value_of("file", "user.odd"), std::string("a\0b\xff", 4));
    must(setxattr("file", "user.two words/\xc3\xa4", "x", 1, 0));
    expect_text("odd_name", value_of("file", "user.two words/\xc3\xa4"), "x");
    must(setxattr("file", "user.Case", "upper", 5, 0));
    expect_error("case_matters", getxattr("file", "user.case", buffer, 10), ENODATA);
}

void check_lists() {
    for (const Kind kind : {Kind::regular, Kind::directory}) {
        scenario(kind_name(kind), [&] {
            make_kind("entry", kind);
            expect_equal("none", listxattr("entry", buffer, sizeof buffer), 0);
            std::set<std::string> want;
            for (int index = 0; index < 30; ++index) {
                want.insert("user.name_" + std::to_string(index));
                must(setxattr("entry", ("user.name_" + std::to_string(index)).c_str(), "v", 1, 0));
            }
            expect_true("thirty", names_of("entry") == want);
            const long size = must(listxattr("entry", nullptr, 0));
            expect_equal("exact_room", listxattr("entry", buffer, static_cast<size_t>(size)), size);
            expect_error("short_room", listxattr("entry", buffer, static_cast<size_t>(size - 1)),
                         ERANGE);
            expect_error("bad_address", listxattr("entry", reinterpret_cast<char*>(-4096L), 65536),
                         EFAULT);
            for (int index = 0; index < 30; index += 2) {
                want.erase("user.name_" + std::to_string(index));
                must(removexattr("entry", ("user.name_" + std::to_string(index)).c_str()));
            }
            expect_true("half_removed", names_of("entry") == want);
            const Fd fd = open_file("entry", O_RDONLY);
            expect_equal("by_descriptor", flistxattr(fd, nullptr, 0),
                         listxattr("entry", nullptr, 0));
            must(setxattr("entry", "trusted.hidden", "v", 1, 0));
            expect_true("root_sees_trusted", names_of("entry").contains("trusted.hidden"));
            as_user(nobody(), [] {
                expect_true("others_do_not", !names_of("entry").contains("trusted.hidden"));
                expect_equal("others_see_user", static_cast<long long>(names_of("entry").size()),
                             15);
            });
        });
    }
}

void check_access() {
    make_file("file", "", 0640);
    give("file", kAlice, kTeam);
    for (const char* name : {"user.a", "trusted.a", "security.a"}) {
        must(setxattr("file", name, "v", 1, 0));
    }
    const auto get = [](const char* name) {
        return getxattr("file", name, buffer, 10);
    };
    const auto set = [](const char* name) {
        return setxattr("file", name, "w", 1, 0);
    };
    as_user(alice(), [&] {
        expect_ok("owner_get", get("user.a"));
        expect_ok("owner_set", set("user.a"));
        expect_error("owner_get_trusted", get("trusted.a"), ENODATA);
        expect_error("owner_set_trusted", set("trusted.a"), EPERM);
        expect_error("owner_remove_trusted", removexattr("file", "trusted.a"), EPERM);
        expect_ok("owner_get_security", get("security.a"));
        expect_error("owner_set_security", set("security.a"), EPERM);
    });
    as_user(bob(), [&] {
        expect_ok("reader_get", get("user.a"));
        expect_error("reader_set", set("user.a"), EACCES);
        expect_error("reader_remove", removexattr("file", "user.a"), EACCES);
    });
    as_user(nobody(), [&] {
        expect_error("stranger_get", get("user.a"), EACCES);
        expect_error("stranger_set", set("user.a"), EACCES);
        expect_ok("stranger_list", listxattr("file", buffer, sizeof buffer));
    });
    make_directory("sticky", 01777);
    give("sticky", kAlice, kAlice);
    as_user(nobody(), [] {
        expect_error("sticky_directory_stranger", setxattr("sticky", "user.a", "v", 1, 0), EPERM);
    });
    as_user(alice(),
            [] { expect_ok("sticky_directory_owner", setxattr("sticky", "user.a", "v", 1, 0)); });
    make_directory("open", 0777);
    as_user(nobody(),
            [] { expect_ok("writable_directory", setxattr("open", "user.a", "v", 1, 0)); });
    must(symlink("file", "link"));
    expect_text("get_through_link",
                (must(getxattr("link", "user.a", buffer, 1)), std::string(buffer, 1)), "w");
    must(setxattr("link", "user.b", "v", 1, 0));
    expect_text("set_through_link", value_of("file", "user.b"), "v");
    must(link("file", "second"));
    expect_text("same_by_hard_link", value_of("second", "user.b"), "v");
    const Fd fd = open_file("file", O_RDONLY);
    expect_ok("set_by_read_only_descriptor", fsetxattr(fd, "user.c", "v", 1, 0));
    must(chmod("file", 0600));
    must(truncate("file", 100));
    expect_text("survives_chmod_and_truncate", value_of("file", "user.c"), "v");
}

void check_xattr() {
    scenario("namespace", check_namespaces);
    scenario("size", [] { check_sizes({0, 1, 2, 31, 100, 255, 256, 1000, 2048, 3000, 3500}); });
    scenario("limit", check_limits);
    scenario("list", check_lists);
    scenario("access", check_access);
}

void check_beyond_ext4() {
    scenario("size", [] { check_sizes({4096, 5000, 8192, 16384, 32768, 65535, 65536}); });
    make_file("file");
    for (int index = 0; index < 20; ++index) {
        const std::string name = "user.large_" + std::to_string(index);
        expect_ok(name, setxattr("file", name.c_str(), pattern(8192).data(), 8192, 0));
        expect_true(name + "_value", value_of("file", name.c_str()) == pattern(8192));
    }
    expect_equal("all_listed", static_cast<long long>(names_of("file").size()), 20);
    for (int index = 0; index < 500; ++index) {
        must(setxattr("file", ("user.small_" + std::to_string(index)).c_str(), "v", 1, 0));
    }
    expect_equal("520_listed", static_cast<long long>(names_of("file").size()), 520);
    make_directory("directory");
    expect_ok("directory", setxattr("directory", "user.a", pattern(65536).data(), 65536, 0));
    expect_true("directory_value", value_of("directory", "user.a") == pattern(65536));
}

}  // namespace

void add_extended_attributes(Sections& sections) {
    sections.push_back({"xattr", check_xattr});
    sections.push_back({"beyond_ext4_xattr", check_beyond_ext4, true});
}

}  // namespace posix_suite
