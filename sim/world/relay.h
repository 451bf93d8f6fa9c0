#pragma once

#include "model/services/compute_service.h"
#include "platform/runtime/gate.h"

#include <functional>
#include <memory>
#include <utility>

namespace weft::sim {

// Between compute and a holder that is reached by a call: the call is not compute's, so that it
// can end before compute does where the process ends.
class Relay final : public LeaseHolder {
public:
    Relay(Reactor& reactor, LeaseHolder* holder)
        : reactor_(reactor), holder_(holder), gate_(std::make_unique<Gate>(reactor)) {}

    Task<Done> recall(Recall recall) override {
        auto wait = std::make_shared<Wait>(reactor_);
        if (gate_ != nullptr) gate_->spawn(call(holder_, std::move(recall), wait));
        while (!wait->ended) co_await wait->signal.wait();
        co_return Done{};
    }
    // What else is to hear of it.
    void when_ended(std::function<void()> call) { on_ended_ = std::move(call); }
    void session_ended() override {
        if (on_ended_) on_ended_();
        if (holder_ != nullptr) holder_->session_ended();
    }
    void term_ended() override {
        if (holder_ != nullptr) holder_->term_ended();
    }
    void end() {
        holder_ = nullptr;
        gate_.reset();
    }

private:
    struct Wait {
        explicit Wait(Reactor& reactor) : signal(reactor) {}
        bool ended = false;
        Signal signal;
    };
    static Task<Done> call(LeaseHolder* holder, Recall recall, std::shared_ptr<Wait> wait) {
        (void)co_await holder->recall(std::move(recall));
        wait->ended = true;
        wait->signal.notify_all();
        co_return Done{};
    }

    Reactor& reactor_;
    LeaseHolder* holder_;
    std::function<void()> on_ended_;
    std::unique_ptr<Gate> gate_;
};

}  // namespace weft::sim
