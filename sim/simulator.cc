// simulator [--first N] [--seeds COUNT] [--seed N] [--bug NAME] [--bugs]: runs worlds, one seed
// after another, and prints the line that replays the first that fails.
#include "sim/judge/bugs.h"
#include "sim/world/world.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace weft::sim {
namespace {

struct Options {
    std::uint64_t first = 1;
    std::uint64_t count = 200;
    bool one = false;
    bool list_bugs = false;
    Bug bug = Bug::none;
};

bool take_bug(Options& options, const char* name) {
    auto bug = bug_named(name);
    if (!bug.has_value() || !has_planted_bugs()) {
        std::fprintf(stderr, "%s\n",
                     bug ? "this build has no planted bugs: use the preset judge" : "no such bug");
        return false;
    }
    options.bug = *bug;
    return true;
}

bool take(Options& options, const char* name, const char* value) {
    if (std::strcmp(name, "--bug") == 0) return take_bug(options, value);
    std::uint64_t number = std::strtoull(value, nullptr, 10);
    if (std::strcmp(name, "--seed") == 0) {
        options.first = number;
        options.count = 1;
        options.one = true;
    } else if (std::strcmp(name, "--seeds") == 0) {
        options.count = number;
    } else if (std::strcmp(name, "--first") == 0) {
        options.first = number;
    } else {
        return false;
    }
    return true;
}

bool parse(int argc, char** argv, Options& options) {
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--bugs") == 0) {
            options.list_bugs = true;
        } else if (i + 1 < argc && take(options, argv[i], argv[i + 1])) {
            ++i;
        } else {
            return false;
        }
    }
    return true;
}

bool run_seed(const Options& options, std::uint64_t seed) {
    World world(seed);
    std::string failure = world.run();
    if (options.one || !failure.empty()) {
        std::printf("seed %llu: trace %016llx, %llu operations, %llu crashes\n",
                    static_cast<unsigned long long>(seed),
                    static_cast<unsigned long long>(world.trace_hash()),
                    static_cast<unsigned long long>(world.operations()),
                    static_cast<unsigned long long>(world.crashes()));
    }
    if (failure.empty()) return true;
    std::printf("FAILED: %s\nreplay with: ./dev sim --seed %llu\n", failure.c_str(),
                static_cast<unsigned long long>(seed));
    return false;
}

void list_bugs() {
    for (std::size_t i = 0; i < bug_count(); ++i) {
        const BugText& text = bug_at(i);
        std::printf("%.*s\t%.*s\n", static_cast<int>(text.name.size()), text.name.data(),
                    static_cast<int>(text.meaning.size()), text.meaning.data());
    }
}

int run(const Options& options) {
    if (options.list_bugs) {
        list_bugs();
        return 0;
    }
    if (has_planted_bugs()) plant(options.bug);
    std::uint64_t passed = 0;
    for (std::uint64_t seed = options.first; seed < options.first + options.count; ++seed) {
        // Said before, where a bug may end the process.
        if (options.bug != Bug::none)
            std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
        std::fflush(stdout);
        if (!run_seed(options, seed)) return 1;
        ++passed;
        if (!options.one && passed % 50 == 0)
            std::printf("%llu seeds\n", static_cast<unsigned long long>(passed));
        std::fflush(stdout);
    }
    std::printf("%llu passed, 0 failed\n", static_cast<unsigned long long>(passed));
    return 0;
}

}  // namespace
}  // namespace weft::sim

int main(int argc, char** argv) {
    weft::sim::Options options;
    if (!parse(argc, argv, options)) {
        std::fprintf(stderr,
                     "usage: simulator [--seed N | --seeds COUNT [--first N]] [--bug NAME]\n"
                     "       simulator --bugs\n");
        return 2;
    }
    return run(options);
}
