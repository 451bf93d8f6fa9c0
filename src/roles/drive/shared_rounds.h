#pragma once

#include "platform/runtime/gate.h"
#include "platform/runtime/sync.h"

#include <functional>
#include <memory>
#include <optional>

namespace weft::drive {

// An action that many want done and one can do for all: one round runs at a time, and whoever
// asks while it runs shares the next. A caller's round begins after its call, so the action
// sees everything that the caller did before.
class SharedRounds {
public:
    // The gate's owner outlives this; the action's errors go to all who share the round.
    SharedRounds(Reactor& reactor, Gate& gate, std::function<Task<Done>()> action)
        : reactor_(reactor), gate_(gate), action_(std::move(action)) {}

    // Ends with the outcome of the round. cancelled: the gate is closed.
    Task<Done> join();

private:
    struct Round {
        explicit Round(Reactor& reactor) : ended(reactor) {}
        Signal ended;
        std::optional<Result<Done>> outcome;
    };
    Task<Done> run();

    Reactor& reactor_;
    Gate& gate_;
    std::function<Task<Done>()> action_;
    std::shared_ptr<Round> next_;
    bool running_ = false;
};

}  // namespace weft::drive
