#pragma once

#include "model/services/compute_service.h"
#include "roles/compute/compute_role.h"

#include <optional>

namespace weft::sim {

// How a client reaches compute: in place, or over the network.
class Way : public SessionHost {
public:
    virtual ComputeService& compute() = 0;
    // Answers may be lost, and sessions.
    virtual bool far() const { return false; }
    // The connection has ended, as far as its client knows: it has no session.
    virtual bool closed() const { return false; }
    // How a session ended at compute, which the client may not know yet; empty while it goes on.
    struct Over {
        Nanos since = 0;
        bool with_compute = false;  // Whose process ended; else it was ended by it.
    };
    virtual std::optional<Over> over(SessionId) const { return std::nullopt; }
    // What the client's own process runs on, if it has one with clocks of its own; else nullptr.
    virtual Reactor* clock() { return nullptr; }
};

class WayInPlace final : public Way {
public:
    explicit WayInPlace(compute::ComputeRole& compute) : compute_(compute) {}
    ComputeService& compute() override { return compute_; }
    Task<SessionId> open_session(LeaseHolder* holder, weft::Client client) override {
        co_return compute_.open_session(holder, client);
    }
    Task<Done> close_session(SessionId session) override { return compute_.close_session(session); }

private:
    compute::ComputeRole& compute_;
};

}  // namespace weft::sim
