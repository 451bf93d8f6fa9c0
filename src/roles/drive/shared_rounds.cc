#include "roles/drive/shared_rounds.h"

#include <utility>

namespace weft::drive {

Task<Done> SharedRounds::join() {
    if (gate_.closed()) co_return Error{Code::cancelled, "drive.close"};
    if (next_ == nullptr) next_ = std::make_shared<Round>(reactor_);
    std::shared_ptr<Round> round = next_;
    if (!running_) {
        running_ = true;
        gate_.spawn(run());
    }
    while (!round->outcome.has_value()) co_await round->ended.wait();
    co_return *round->outcome;
}

Task<Done> SharedRounds::run() {
    co_await yield(reactor_);  // Let others join the first round.
    while (next_ != nullptr) {
        std::shared_ptr<Round> round = std::exchange(next_, nullptr);
        auto outcome = co_await action_();
        round->outcome = outcome;
        round->ended.notify_all();
    }
    running_ = false;
    co_return Done{};
}

}  // namespace weft::drive
