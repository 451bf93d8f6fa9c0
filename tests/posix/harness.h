#pragma once

// The checks and the scopes they run in.
//
// A section is one operation; it runs in a forked child, in a directory of its own, under a
// deadline. A scenario is one situation inside a section, again in a directory of its own.
// A check is named section.scenario.case, and its outcome goes through a pipe to the parent, so
// that checks made in any forked child count as well and a crash loses nothing already seen.

#include <functional>
#include <source_location>
#include <string>
#include <vector>

namespace posix_suite {

using Where = std::source_location;

struct Section {
    std::string name;
    void (*body)();
    bool beyond_ext4 = false;  // Asks for more than ext4 can give; runs only when asked for.
    bool slow = false;         // Takes half a minute or more; left out by --quick.
};
using Sections = std::vector<Section>;

struct Outcome {
    bool passed = false;
    std::string name;
    std::string expected;
    std::string got;
    std::string where;
};

// A step that prepares a scenario failed, so its checks cannot be made.
struct SetupFailed {
    std::string reason;
    Where where;
};

// `result` is what a system call returned; errno is read before anything else.
void expect_ok(const std::string& name, long result, Where where = Where::current());
void expect_error(const std::string& name, long result, int error, Where where = Where::current());
// Success where `error` is 0: for tables that hold both.
void expect_result(const std::string& name, long result, int error, Where where = Where::current());
void expect_equal(const std::string& name, long long got, long long want,
                  Where where = Where::current());
void expect_mode(const std::string& name, unsigned got, unsigned want,
                 Where where = Where::current());
void expect_text(const std::string& name, const std::string& got, const std::string& want,
                 Where where = Where::current());
void expect_true(const std::string& name, bool holds, Where where = Where::current());

// Throws SetupFailed when `result` is negative, otherwise gives it back.
long must(long result, Where where = Where::current());

// Runs `body` in a fresh subdirectory, its checks named below `name`. A failed setup is one failed
// check, and the section goes on with its next scenario.
void scenario(const std::string& name, const std::function<void()>& body);
// Names checks below `name` without a directory of their own.
void scope(const std::string& name, const std::function<void()>& body);

// Runs `body` in a forked child and waits for it. A death by signal is a failed check.
void in_child(const std::function<void()>& body, Where where = Where::current());
// The same without waiting; finish_child() waits.
int start_child(const std::function<void()>& body);
void finish_child(int pid, Where where = Where::current());

// Runs one section below `directory` and gives its outcomes, at the latest soon after `deadline_s`.
std::vector<Outcome> run_section(const Section& section, const std::string& directory,
                                 int deadline_s);

std::string error_name(int error);

}  // namespace posix_suite
