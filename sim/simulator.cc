// simulator [--first N] [--seeds COUNT] [--seed N] [--cut CUTS] [--bug NAME] [--tally]
//
// Runs worlds, one seed after another, and prints the line that replays the first that fails.
// --cut leaves parts of the run out (world/cuts.h), --tally says what was come by, --bugs lists
// the planted bugs.
#include "sim/judge/bugs.h"
#include "sim/world/world.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace weft::sim {
namespace {

using Count = unsigned long long;

struct Options {
    std::uint64_t first = 1;
    std::uint64_t count = 200;
    bool one = false;
    bool tally = false;
    bool list_bugs = false;
    Bug bug = Bug::none;
    Cuts cuts;
    std::string cuts_text;
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

bool take_cuts(Options& options, const char* text) {
    auto cuts = parse_cuts(text);
    if (!cuts.has_value()) return false;
    options.cuts = std::move(*cuts);
    options.cuts_text = text;
    return true;
}

bool take(Options& options, const char* name, const char* value) {
    if (std::strcmp(name, "--bug") == 0) return take_bug(options, value);
    if (std::strcmp(name, "--cut") == 0) return take_cuts(options, value);
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
        } else if (std::strcmp(argv[i], "--tally") == 0) {
            options.tally = true;
        } else if (i + 1 < argc && take(options, argv[i], argv[i + 1])) {
            ++i;
        } else {
            return false;
        }
    }
    return true;
}

void print_count(const char* group, std::string_view name, std::uint64_t count) {
    if (count == 0) return;
    std::printf("%s %.*s %llu\n", group, static_cast<int>(name.size()), name.data(),
                static_cast<Count>(count));
}

void print(const Tally& tally) {
    print_count("run", "operations", tally.operations);
    print_count("run", "crashes", tally.crashes);
    print_count("run", "simulated_us", static_cast<std::uint64_t>(tally.simulated / 1000));
    for (std::size_t i = 0; i < tally.events.size(); ++i) {
        print_count("event", name_of(static_cast<Event>(i)), tally.events[i]);
    }
    for (std::size_t i = 0; i < tally.codes.size(); ++i) {
        print_count("code", name_of(static_cast<Code>(i)), tally.codes[i]);
    }
    for (std::size_t i = 0; i < tally.kinds.size(); ++i) {
        print_count("operation", name_of(static_cast<Operation::Kind>(i)), tally.kinds[i]);
    }
}

bool run_seed(const Options& options, std::uint64_t seed) {
    World world(seed, options.cuts);
    if (options.one) world.tell();
    std::string failure = world.run();
    if (options.one || !failure.empty()) {
        std::printf("seed %llu: trace %016llx, %llu operations, %llu crashes\n",
                    static_cast<Count>(seed), static_cast<Count>(world.trace_hash()),
                    static_cast<Count>(world.tally().operations),
                    static_cast<Count>(world.tally().crashes));
        std::printf("  %s\n", to_text(world.settings()).c_str());
    }
    if (options.tally) print(world.tally());
    if (failure.empty()) return true;
    std::printf("FAILED: %s\nreplay with: ./dev sim --seed %llu", failure.c_str(),
                static_cast<Count>(seed));
    if (!options.cuts.empty()) std::printf(" --cut %s", options.cuts_text.c_str());
    std::printf("\n");
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
        // Said before: a mistake may end the process.
        if (!options.one) std::printf("seed %llu\n", static_cast<Count>(seed));
        std::fflush(stdout);
        if (!run_seed(options, seed)) return 1;
        ++passed;
    }
    std::printf("%llu passed, 0 failed\n", static_cast<Count>(passed));
    return 0;
}

}  // namespace
}  // namespace weft::sim

int main(int argc, char** argv) {
    weft::sim::Options options;
    if (!parse(argc, argv, options)) {
        std::fprintf(stderr,
                     "usage: simulator [--seed N | --seeds COUNT [--first N]] [--cut CUTS]\n"
                     "                 [--tally] [--bug NAME]\n"
                     "       simulator --bugs\n");
        return 2;
    }
    return run(options);
}
