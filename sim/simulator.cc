// simulator [--seed N] [--seeds COUNT] [--first N]: runs worlds, one seed after another, and
// prints the line that replays the first that fails.
#include "sim/world/world.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

bool run_seed(std::uint64_t seed, bool verbose) {
    weft::sim::World world(seed);
    std::string failure = world.run();
    if (verbose || !failure.empty()) {
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

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t first = 1;
    std::uint64_t count = 200;
    bool one = false;
    for (int i = 1; i + 1 < argc; i += 2) {
        std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
        if (std::strcmp(argv[i], "--seed") == 0) {
            first = value;
            count = 1;
            one = true;
        } else if (std::strcmp(argv[i], "--seeds") == 0) {
            count = value;
        } else if (std::strcmp(argv[i], "--first") == 0) {
            first = value;
        } else {
            std::fprintf(stderr, "usage: simulator [--seed N | --seeds COUNT [--first N]]\n");
            return 2;
        }
    }
    std::uint64_t passed = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        if (!run_seed(seed, one)) return 1;
        ++passed;
        if (!one && passed % 50 == 0)
            std::printf("%llu seeds\n", static_cast<unsigned long long>(passed));
        std::fflush(stdout);
    }
    std::printf("%llu passed, 0 failed\n", static_cast<unsigned long long>(passed));
    return 0;
}
