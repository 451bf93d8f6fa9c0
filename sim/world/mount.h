#pragma once

#include "roles/frontend/frontend_role.h"
#include "sim/world/kernel.h"
#include "sim/world/relay.h"
#include "sim/world/settings.h"
#include "sim/world/way.h"

#include <memory>
#include <optional>
#include <vector>

namespace weft::sim {

// Where a mount's sessions come from. It outlives the compute role in place, which calls it.
class MountHost final : public SessionHost {
public:
    MountHost(Reactor& reactor, std::unique_ptr<Way> way)
        : reactor_(reactor), way_(std::move(way)) {}

    ComputeService& compute() { return way_->compute(); }
    // Compute has ended the session, and the mount has no other yet.
    bool session_is_over() const {
        return over_ || way_->closed() || way_->over(session_).has_value();
    }
    // How many sessions there were.
    std::uint64_t sessions() const { return sessions_; }
    // What the mount's process runs on.
    Reactor& clock() { return way_->clock() != nullptr ? *way_->clock() : reactor_; }
    // No recall is under way any more; end_way() comes when nobody uses compute() any more.
    void end_recalls() {
        for (auto& holder : holders_) holder->relay.end();
    }
    void end_way() { way_.reset(); }

    Task<SessionId> open_session(LeaseHolder* holder, weft::Client client) override;
    Task<Done> close_session(SessionId session) override { return way_->close_session(session); }
    const LeaseTerm* lease_term() const override { return way_->lease_term(); }

private:
    struct Holder final : LeaseHolder {
        Holder(MountHost& with_host, LeaseHolder* holder)
            : host(with_host), relay(with_host.reactor_, holder) {}
        Task<Done> recall(Recall recall) override { return relay.recall(std::move(recall)); }
        void session_ended() override {
            if (host.holders_.back().get() == this) host.over_ = true;
            relay.session_ended();
        }
        void term_ended() override { relay.term_ended(); }
        MountHost& host;
        Relay relay;
    };

    Reactor& reactor_;
    std::unique_ptr<Way> way_;
    std::vector<std::unique_ptr<Holder>> holders_;
    SessionId session_;
    std::uint64_t sessions_ = 0;
    bool over_ = false;
};

// The product's frontend with a kernel of its own, from its first session until it is unmounted or
// its process ends.
class Mount {
public:
    Mount(std::uint64_t seed, const MountSettings& settings, MountHost& host,
          FilesystemId filesystem);
    // As if the process had ended.
    ~Mount();

    Task<Done> begin(std::uint64_t client);
    // Drops the kernel's caches and unmounts. Call when no file is open. Errors: invalid (the
    // frontend still knew of something).
    Task<Done> end();
    bool ended() const { return running_.has_value() && running_->ended(); }

    Kernel& kernel() { return kernel_; }
    MountHost& host() { return host_; }
    const frontend::FrontendRole& role() const { return role_; }

private:
    Reactor& reactor_;
    MountHost& host_;
    Kernel kernel_;
    frontend::FrontendRole role_;
    std::optional<Task<Done>> running_;
};

}  // namespace weft::sim
