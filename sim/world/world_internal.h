#pragma once

#include "sim/world/drive_processes.h"
#include "sim/world/history.h"
#include "sim/world/network.h"
#include "sim/world/network_client.h"
#include "sim/world/network_drives.h"
#include "sim/world/world.h"

#include <optional>
#include <random>
#include <string>
#include <utility>

namespace weft::sim {

inline constexpr Nanos kStuckAfter = 600 * kSecond;  // Of simulated time, for anything to end.
inline constexpr std::uint64_t kStepsMost = 20'000'000;

// Chance of its own for each part of a run.
class World::Stream : public Chance {
public:
    Stream(std::uint64_t seed, std::uint64_t part)
        : random_(seed * 0x9e3779b97f4a7c15ULL ^ part * 0xbf58476d1ce4e5b9ULL) {}
    std::uint64_t draw() override { return random_(); }

private:
    std::mt19937_64 random_;
};

// One client with a tree of its own: what it has done, and its hands.
struct World::Actor {
    Actor(std::uint64_t seed, std::uint32_t with_number, Mix with_mix)
        : number(with_number),
          name("client" + std::to_string(with_number)),
          mix(with_mix),
          stream(seed, 1000 + with_number),
          habits(seed, 2000 + with_number),
          pauses(seed, 3000 + with_number) {}

    Nanos pause(Nanos most) {
        return static_cast<Nanos>(pauses.below(static_cast<std::uint64_t>(most)));
    }

    std::uint32_t number;
    std::string name;
    Mix mix;
    Stream stream;  // Of what it does.
    Stream habits;  // Of how it sends it: a stream of its own, for cut operations send nothing.
    Stream pauses;  // And of how long it waits then.
    History history;
    std::optional<Nanos> asked_at;  // The operation under way.
    SessionId session;
    FileId home;
    std::uint32_t acting = 0;
    std::unique_ptr<FarCompute> far;  // Or it is served in place.
    std::unique_ptr<Client> client;
};

// Somebody works for the actor, until its process or the work ends.
class World::Acting {
public:
    explicit Acting(Actor& actor) : actor_(actor) { ++actor_.acting; }
    Acting(const Acting&) = delete;
    Acting& operator=(const Acting&) = delete;
    ~Acting() { --actor_.acting; }

private:
    Actor& actor_;
};

// Runs the reactor until the task has ended.
template <class T>
bool World::finish(Task<T> task, Result<T>* result, const char* what) {
    std::optional<Result<T>> ended;
    auto drive = [](Task<T>* inner, std::optional<Result<T>>* out) -> Task<Done> {
        out->emplace(co_await *inner);
        co_return Done{};
    };
    Task<Done> driver = drive(&task, &ended);
    driver.start(std::noop_coroutine());
    Nanos begun = reactor_.now();
    for (std::uint64_t steps = 0; !ended.has_value(); ++steps) {
        bool stuck = !reactor_.step() || reactor_.now() - begun > kStuckAfter || steps > kStepsMost;
        if (stuck) return fail("liveness", std::string(what) + " never ended");
    }
    *result = std::move(*ended);
    if (result->ok()) return true;
    return fail("availability", std::string(what) + ": " + std::string(name_of(result->code())) +
                                    ", " + std::string(result->error().what));
}

}  // namespace weft::sim
