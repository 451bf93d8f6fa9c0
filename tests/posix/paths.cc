// What every call with a path answers alike: ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EFAULT.
#include "path_operations.h"
#include "sections.h"

namespace posix_suite {
namespace {

using Wants = PathOperation::Wants;

void make_wanted(const std::string& path, const PathOperation& operation) {
    if (operation.wants == Wants::directory) make_directory(path);
    if (operation.wants == Wants::link) must(symlink("x", path.c_str()));
    if (operation.wants != Wants::file) return;
    make_file(path, "abc");
    if (std::string(operation.name).ends_with("xattr")) {
        // getxattr and removexattr need something to find.
        const std::string set = "setxattr";
        for (const PathOperation& other : path_operations()) {
            if (set == other.name) must(other.call(path.c_str()));
        }
    }
}

void check_bad_paths(const PathOperation& operation) {
    make_file("helper");
    make_file("file");
    must(symlink("loop", "loop"));
    must(symlink("pong", "ping"));
    must(symlink("ping", "pong"));
    must(symlink("missing", "dangling"));
    const auto fails = [&](const char* name, const std::string& path, int error) {
        expect_error(name, operation.call(path.c_str()), error);
    };
    fails("empty", "", ENOENT);
    fails("missing_parent", "missing/name", ENOENT);
    fails("missing_grandparent", "missing/parent/name", ENOENT);
    fails("dangling_parent", "dangling/name", ENOENT);
    fails("file_as_parent", "file/name", ENOTDIR);
    fails("file_as_grandparent", "file/parent/name", ENOTDIR);
    fails("file_dot", "file/.", ENOTDIR);
    fails("file_dot_dot", "file/../file", ENOTDIR);
    fails("loop_as_parent", "loop/name", ELOOP);
    fails("double_loop_as_parent", "ping/name", ELOOP);
    fails("name_256", std::string(256, 'n'), ENAMETOOLONG);
    fails("parent_256", std::string(256, 'n') + "/name", ENAMETOOLONG);
    std::string long_path = "./";
    while (long_path.size() < 4096) long_path += "./";
    fails("path_4096", long_path.substr(0, 4095) + "n", ENAMETOOLONG);
    if (operation.wants != Wants::nothing) fails("missing", "missing", ENOENT);
    if (operation.follows) {
        fails("dangling", "dangling", ENOENT);
        fails("loop", "loop", ELOOP);
        fails("double_loop", "ping", ELOOP);
    }
    expect_error("bad_address", operation.call(reinterpret_cast<const char*>(-1L)), EFAULT);
}

void check_good_paths(const PathOperation& operation) {
    const auto works = [&](const char* name, const std::string& parent, const std::string& entry) {
        scenario(name, [&] {
            make_file("helper");
            make_directory("directory");
            must(symlink("directory", "link"));
            make_wanted("directory/" + entry, operation);
            expect_ok("result", operation.call((parent + entry).c_str()));
        });
    };
    works("in_directory", "directory/", "name");
    works("through_link", "link/", "name");
    works("repeated_slashes", "directory///", "name");
    works("dots", "./directory/./../directory/", "name");
    works("name_255", "directory/", std::string(255, 'n'));
    std::string long_path = "directory";
    while (long_path.size() < 4090) long_path += "/";
    works("path_4095", long_path, std::string(4095 - long_path.size(), 'n'));
}

void check_path() {
    for (const PathOperation& operation : path_operations()) {
        scenario(operation.name, [&] {
            scenario("bad", [&] { check_bad_paths(operation); });
            scenario("good", [&] { check_good_paths(operation); });
        });
    }
}

void check_link_depth() {
    make_directory("level_0");
    make_file("level_0/file", "deep");
    for (int level = 1; level <= 41; ++level) {
        const std::string before = "level_" + std::to_string(level - 1);
        must(symlink(before.c_str(), ("level_" + std::to_string(level)).c_str()));
    }
    for (const int level : {1, 5, 8, 20, 39, 40}) {
        const std::string name = "level_" + std::to_string(level);
        expect_ok(name, access((name + "/file").c_str(), R_OK));
    }
    expect_error("level_41", access("level_41/file", R_OK), ELOOP);
    expect_ok("level_41_itself", try_open("level_41", O_PATH | O_NOFOLLOW));
    std::string path = ".";
    for (int depth = 0; depth < 200; ++depth) {
        path += "/d";
        must(mkdir(path.c_str(), 0755));
    }
    path += "/file";
    make_file(path, "bottom");
    expect_text("directories_200", content_of(path), "bottom");
}

// Directories whose path is longer than any path that can be named at once.
void check_deeper_than_path_max() {
    constexpr int kLevels = 40;
    const std::string name(200, 'd');
    const Fd home = open_file(".", O_RDONLY | O_DIRECTORY);
    for (int level = 0; level < kLevels; ++level) {
        must(mkdir(name.c_str(), 0755));
        must(chdir(name.c_str()));
    }
    make_file("bottom", "below 8000 bytes of path");
    expect_text("file_at_the_bottom", content_of("bottom"), "below 8000 bytes of path");
    must(unlink("bottom"));
    long long removed = 0;
    for (int level = 0; level < kLevels; ++level) {
        must(chdir(".."));
        removed += rmdir(name.c_str()) == 0;
    }
    expect_equal("removed_from_the_bottom", removed, kLevels);
    expect_true("back_at_the_start", stat_of(".").st_ino == stat_of(home).st_ino);
}

void check_names() {
    // Sixteen names of one byte at a time; a slash cannot be one, a dot is one already.
    for (int group = 0; group < 16; ++group) {
        long long kept = 0;
        long long tried = 0;
        for (int low = 0; low < 16; ++low) {
            const char name[3] = {'_', static_cast<char>(group * 16 + low), '\0'};
            if (name[1] == '\0' || name[1] == '/') continue;
            ++tried;
            make_file(name, std::to_string(tried));
            kept += content_of(name) == std::to_string(tried);
        }
        expect_equal("bytes_" + std::to_string(group * 16), kept, tried);
    }
    make_file("case");
    expect_error("case_matters", access("CASE", F_OK), ENOENT);
    make_file("\xc3\xa4", "composed");
    expect_error("composition_matters", access("a\xcc\x88", F_OK), ENOENT);
    make_file("a\xcc\x88", "decomposed");
    expect_text("composed", content_of("\xc3\xa4"), "composed");
    for (const char* name :
         {"...", ".hidden", " ", "-", "~", "a ", "trailing.", "con", "\\", "*"}) {
        expect_ok(std::string("made_") + name, try_open(name, O_WRONLY | O_CREAT | O_EXCL));
    }
    for (const size_t length : {1U, 16U, 100U, 200U, 254U, 255U}) {
        const std::string name(length, 'L');
        make_file(name, std::to_string(length));
        expect_text("length_" + std::to_string(length), content_of(name), std::to_string(length));
    }
    std::string wide;
    while (wide.size() < 255) wide += "\xe2\x82\xac";
    expect_ok("length_255_of_wide_letters", try_open(wide.c_str(), O_WRONLY | O_CREAT | O_EXCL));
    expect_equal("name_max", pathconf(".", _PC_NAME_MAX), 255);
    expect_equal("path_max", pathconf(".", _PC_PATH_MAX), 4096);
}

}  // namespace

void add_paths(Sections& sections) {
    sections.push_back({"path", check_path});
    sections.push_back({"path_depth", check_link_depth});
    sections.push_back({"path_beyond_path_max", check_deeper_than_path_max});
    sections.push_back({"name", check_names});
}

}  // namespace posix_suite
