#include "harness.h"

#include <algorithm>
#include <set>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace posix_suite {
namespace {

constexpr char kFieldEnd = '\x1f';
constexpr size_t kFieldBytesMax = 600;
constexpr int kPollMs = 20;

// Where this process writes its outcomes, and the name that its checks go below.
int outcome_pipe = -1;
std::string current_scope;

std::string printable(const std::string& text) {
    std::string clean = text.substr(0, kFieldBytesMax);
    for (char& letter : clean) {
        if (letter < ' ' || letter > '~') letter = '?';
    }
    return clean;
}

// One write below PIPE_BUF: outcomes of several processes never mix.
void report(bool passed, const std::string& name, const std::string& expected,
            const std::string& got, const Where& where) {
    const std::string file = where.file_name();
    const std::string base = file.substr(file.rfind('/') + 1);
    std::string line = passed ? "1" : "0";
    for (const std::string& field :
         {current_scope + "." + name, expected, got, base + ":" + std::to_string(where.line())}) {
        line += kFieldEnd + printable(field);
    }
    line += '\n';
    if (write(outcome_pipe, line.data(), line.size()) < 0) _exit(3);
}

std::string result_text(long result, int error) {
    return result >= 0 ? "success (" + std::to_string(result) + ")" : error_name(error);
}

std::string octal(unsigned value) {
    std::string digits;
    for (; value != 0; value /= 8)
        digits.insert(digits.begin(), static_cast<char>('0' + value % 8));
    return "0" + digits;
}

// A child leaves through _exit, so nothing of the parent's is flushed or removed twice.
[[noreturn]] void run_child(const std::function<void()>& body) {
    try {
        body();
    } catch (const SetupFailed& failure) {
        report(false, "setup", "success", failure.reason, failure.where);
    }
    _exit(0);
}

int remove_entry(const char* path, const struct stat*, int kind, struct FTW*) {
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

void remove_tree(const std::string& path) {
    constexpr int kOpenDirectoriesMax = 32;
    const int result = nftw(path.c_str(), remove_entry, kOpenDirectoriesMax, FTW_DEPTH | FTW_PHYS);
    if (result != 0 && errno != ENOENT) expect_ok("removed", result);
}

long long now_ms() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

Outcome parse(const std::string& line) {
    std::vector<std::string> fields(1);
    for (const char letter : line) {
        if (letter == kFieldEnd) {
            fields.emplace_back();
        } else {
            fields.back() += letter;
        }
    }
    fields.resize(5);
    return {fields[0] == "1", fields[1], fields[2], fields[3], fields[4]};
}

std::vector<Outcome> parse_all(const std::string& text) {
    std::vector<Outcome> outcomes;
    for (size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
        outcomes.push_back(parse(text.substr(at, end - at)));
    }
    return outcomes;
}

struct Collected {
    std::string text;
    bool in_time = true;
    int status = 0;
};

// Reads what the child reports until it has ended or its time is over. A child that hangs in the
// kernel cannot be killed, so this never waits for the end of one that was.
Collected collect(int pid, int pipe_end, int deadline_s) {
    Collected collected;
    const long long deadline = now_ms() + deadline_s * 1000LL;
    bool ended = false;
    for (;;) {
        pollfd waiting{pipe_end, POLLIN, 0};
        poll(&waiting, 1, ended ? 0 : kPollMs);
        char bytes[65536];
        const ssize_t count = (waiting.revents & POLLIN) ? read(pipe_end, bytes, sizeof bytes) : 0;
        if (count > 0) {
            collected.text.append(bytes, static_cast<size_t>(count));
            continue;
        }
        if (ended) break;
        ended = waitpid(pid, &collected.status, WNOHANG) == pid;
        if (!ended && now_ms() > deadline) {
            collected.in_time = false;
            break;
        }
    }
    kill(-pid, SIGKILL);
    return collected;
}

std::vector<Outcome> run_isolated(const std::string& name, int deadline_s,
                                  const std::function<void()>& body) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return {{false, name + ".pipe", "a pipe", "none", ""}};
    const int pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        close(ends[0]);
        outcome_pipe = ends[1];
        current_scope = name;
        umask(0);
        run_child(body);
    }
    setpgid(pid, pid);
    close(ends[1]);
    const Collected collected = collect(pid, ends[0], deadline_s);
    close(ends[0]);
    std::vector<Outcome> outcomes = parse_all(collected.text);
    if (!collected.in_time) {
        const std::string limit = "an end within " + std::to_string(deadline_s) + " s";
        outcomes.push_back({false, name + ".deadline", limit, "none", "harness.cc"});
    } else if (WIFSIGNALED(collected.status)) {
        const std::string death = strsignal(WTERMSIG(collected.status));
        outcomes.push_back({false, name + ".alive", "a normal end", death, "harness.cc"});
    }
    return outcomes;
}

}  // namespace

std::string error_name(int error) {
    const char* name = strerrorname_np(error);
    return name != nullptr ? name : "errno " + std::to_string(error);
}

void expect_ok(const std::string& name, long result, Where where) {
    const int error = errno;
    report(result >= 0, name, "success", result_text(result, error), where);
}

void expect_error(const std::string& name, long result, int error, Where where) {
    const int got = errno;
    report(result == -1 && got == error, name, error_name(error), result_text(result, got), where);
}

void expect_result(const std::string& name, long result, int error, Where where) {
    if (error == 0) {
        expect_ok(name, result, where);
    } else {
        expect_error(name, result, error, where);
    }
}

void expect_equal(const std::string& name, long long got, long long want, Where where) {
    report(got == want, name, std::to_string(want), std::to_string(got), where);
}

void expect_mode(const std::string& name, unsigned got, unsigned want, Where where) {
    report(got == want, name, octal(want), octal(got), where);
}

void expect_text(const std::string& name, const std::string& got, const std::string& want,
                 Where where) {
    report(got == want, name, "'" + want + "'", "'" + got + "'", where);
}

void expect_true(const std::string& name, bool holds, Where where) {
    report(holds, name, "true", holds ? "true" : "false", where);
}

long must(long result, Where where) {
    if (result < 0) throw SetupFailed{error_name(errno), where};
    return result;
}

void scope(const std::string& name, const std::function<void()>& body) {
    const std::string outer = current_scope;
    current_scope += "." + name;
    try {
        body();
    } catch (const SetupFailed& failure) {
        report(false, "setup", "success", failure.reason, failure.where);
    }
    current_scope = outer;
}

void scenario(const std::string& name, const std::function<void()>& body) {
    const int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scope(name, [&] {
        must(mkdir(name.c_str(), 0777));
        must(chdir(name.c_str()));
        body();
    });
    if (fchdir(home) != 0) _exit(3);
    close(home);
}

int start_child(const std::function<void()>& body) {
    const int pid = fork();
    if (pid == 0) run_child(body);
    return static_cast<int>(must(pid));
}

void finish_child(int pid, Where where) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        report(false, "child", "a normal end", strsignal(WTERMSIG(status)), where);
    }
}

void in_child(const std::function<void()>& body, Where where) {
    finish_child(start_child(body), where);
}

std::vector<Outcome> run_section(const Section& section, const std::string& directory,
                                 int deadline_s) {
    const std::string home =
        directory + "/posix_suite." + std::to_string(getpid()) + "." + section.name;
    auto outcomes = run_isolated(section.name, deadline_s, [&] {
        must(mkdir(home.c_str(), 0777));
        must(chdir(home.c_str()));
        section.body();
    });
    for (Outcome& outcome : run_isolated(section.name, deadline_s, [&] { remove_tree(home); })) {
        outcomes.push_back(std::move(outcome));
    }
    std::set<std::string> names;
    std::set<std::string> twice;
    for (const Outcome& outcome : outcomes) {
        if (!names.insert(outcome.name).second) twice.insert(outcome.name);
    }
    for (const std::string& name : twice) {
        outcomes.push_back(
            {false, name + ".unique", "one check of this name", "more", "harness.cc"});
    }
    return outcomes;
}

}  // namespace posix_suite
