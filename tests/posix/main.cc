// posix_suite DIR [--filter TEXT] [--list] [--json FILE] [--beyond-ext4] [--quick]
//             [--deadline SECONDS]
#include "sections.h"

#include <cstdio>
#include <fstream>
#include <iostream>

#include <stdlib.h>
#include <unistd.h>

namespace posix_suite {
namespace {

struct Arguments {
    std::string directory;
    std::string filter;
    std::string json;
    bool list = false;
    bool beyond_ext4 = false;
    bool quick = false;
    int deadline_s = 120;
    bool valid = true;
};

Arguments parse(int count, char** values) {
    Arguments arguments;
    for (int index = 1; index < count; ++index) {
        const std::string word = values[index];
        const bool takes_value = word == "--filter" || word == "--json" || word == "--deadline";
        if (takes_value && index + 1 == count) {
            arguments.valid = false;
            break;
        }
        if (word == "--filter") {
            arguments.filter = values[++index];
        } else if (word == "--json") {
            arguments.json = values[++index];
        } else if (word == "--deadline") {
            arguments.deadline_s = atoi(values[++index]);
        } else if (word == "--list") {
            arguments.list = true;
        } else if (word == "--quick") {
            arguments.quick = true;
        } else if (word == "--beyond-ext4") {
            arguments.beyond_ext4 = true;
        } else if (word.starts_with("--") || !arguments.directory.empty()) {
            arguments.valid = false;
        } else {
            arguments.directory = word;
        }
    }
    if (arguments.directory.empty() && !arguments.list) arguments.valid = false;
    if (arguments.deadline_s <= 0) arguments.valid = false;
    return arguments;
}

Sections all_sections() {
    Sections sections;
    add_open_files(sections);
    add_file_descriptors(sections);
    add_nodes(sections);
    add_links(sections);
    add_renames(sections);
    add_paths(sections);
    add_attributes(sections);
    add_ownership(sections);
    add_permissions(sections);
    add_file_times(sections);
    add_data(sections);
    add_sparse_files(sections);
    add_extended_attributes(sections);
    add_access_control_lists(sections);
    add_directories(sections);
    add_locks(sections);
    add_memory_maps(sections);
    return sections;
}

// Outcomes are printable ASCII, so only quotes and backslashes need care.
std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char letter : text) {
        if (letter == '"' || letter == '\\') result += '\\';
        result += letter;
    }
    return result + "\"";
}

bool write_json(const std::string& path, const std::vector<Outcome>& outcomes) {
    std::ofstream out(path);
    out << "{\"checks\": [";
    const char* separator = "\n";
    for (const Outcome& outcome : outcomes) {
        out << separator << "{\"name\": " << quoted(outcome.name)
            << ", \"passed\": " << (outcome.passed ? "true" : "false")
            << ", \"expected\": " << quoted(outcome.expected)
            << ", \"got\": " << quoted(outcome.got) << ", \"where\": " << quoted(outcome.where)
            << "}";
        separator = ",\n";
    }
    out << "\n]}\n";
    out.close();
    return !out.fail();
}

int run(const Arguments& arguments) {
    std::vector<Outcome> all;
    long failed = 0;
    for (const Section& section : all_sections()) {
        if (section.beyond_ext4 && !arguments.beyond_ext4) continue;
        if (section.slow && arguments.quick) continue;
        if (section.name.find(arguments.filter) == std::string::npos) continue;
        if (arguments.list) {
            std::cout << section.name << "\n";
            continue;
        }
        for (Outcome& outcome : run_section(section, arguments.directory, arguments.deadline_s)) {
            if (!outcome.passed) {
                ++failed;
                std::cout << "not ok " << outcome.name << ": expected " << outcome.expected
                          << ", got " << outcome.got << " (" << outcome.where << ")" << std::endl;
            }
            all.push_back(std::move(outcome));
        }
    }
    if (arguments.list) return 0;
    std::cout << static_cast<long>(all.size()) - failed << " passed, " << failed << " failed\n";
    if (!arguments.json.empty() && !write_json(arguments.json, all)) {
        std::cerr << "cannot write " << arguments.json << "\n";
        return 2;
    }
    return failed == 0 && !all.empty() ? 0 : 1;
}

}  // namespace
}  // namespace posix_suite

int main(int count, char** values) {
    const posix_suite::Arguments arguments = posix_suite::parse(count, values);
    if (!arguments.valid) {
        std::cerr << "usage: posix_suite DIR [--filter TEXT] [--list] [--json FILE]"
                     " [--beyond-ext4] [--quick] [--deadline SECONDS]\n";
        return 2;
    }
    if (geteuid() != 0) {
        std::cerr << "posix_suite: needs root, to act as several users\n";
        return 2;
    }
    return posix_suite::run(arguments);
}
