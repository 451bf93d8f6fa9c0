#include "sim/world/network.h"

#include "platform/base/bytes.h"
#include "platform/base/siphash.h"
#include "processes/embedded/remote_door.h"
#include "sim/world/relay.h"

#include <random>
#include <string>
#include <utility>

namespace weft::sim {
namespace {

constexpr FilesystemId kFilesystem{1};
constexpr const char* kCompute = kComputeHost;
constexpr const char* kAddress = "compute:1";
constexpr Nanos kOffsetMost = 1'000'000 * kSecond;
constexpr Nanos kWallOffsetMost = 24 * 3600 * kSecond;

}  // namespace

// What compute's process has at its end of the network.
class ClientNetwork::Server : public SessionHost {
public:
    Server(ClientNetwork& network, compute::ComputeRole& compute, std::size_t turn)
        : network_(network), clock_(network.compute_process(turn)), compute_(compute) {
        auto find = [](const std::string&) {
            return std::optional<FilesystemId>(kFilesystem);
        };
        door_ = std::make_unique<embedded::RemoteDoor>(clock_, compute, *this, find,
                                                       compute.lease_terms());
        auto listener = network.network_.at(compute_host(turn)).listen(kAddress);
        CHECK(listener.ok());
        door_->serve(std::move(listener).value());
    }
    ~Server() override { end(); }

    // In this order: calls to holders refer to connections, connections to the role.
    void end() {
        if (door_ == nullptr) return;
        for (auto& [id, session] : sessions_) session.relay->end();
        door_.reset();
        for (auto& [id, session] : sessions_) note_over(id, true);
    }
    Task<Done> stop() {
        stopping_ = true;
        return door_->stop();
    }

    Task<SessionId> open_session(LeaseHolder* holder, weft::Client client) override {
        auto relay = std::make_unique<Relay>(clock_, holder);
        SessionId id = co_await or_return(compute_.open_session(relay.get(), client));
        relay->when_ended([this, id] { note_over(id, false); });
        sessions_[id] = {client.number, std::move(relay)};
        network_.come_.insert(client.number);
        co_return id;
    }
    Task<Done> close_session(SessionId id) override {
        auto found = sessions_.find(id);
        if (found == sessions_.end()) co_return Done{};
        note_over(id, stopping_);
        (void)co_await compute_.close_session(id);
        sessions_.erase(id);
        co_return Done{};
    }

private:
    struct Session {
        std::uint64_t client = 0;
        std::unique_ptr<Relay> relay;
    };
    void note_over(SessionId session, bool with_compute) {
        network_.over_.try_emplace(session, Way::Over{network_.reactor_.now(), with_compute});
    }

    ClientNetwork& network_;
    SkewedReactor& clock_;
    compute::ComputeRole& compute_;
    std::map<SessionId, Session> sessions_;
    bool stopping_ = false;
    std::unique_ptr<embedded::RemoteDoor> door_;
};

class ClientNetwork::FarWay final : public Way {
public:
    FarWay(ClientNetwork& network, const std::string& host, std::uint64_t number)
        : network_(network),
          number_(number),
          clock_(network.clock_of(host)),
          connection_(clock_, network.network_.at(host), kAddress, hello()) {
        network_.hosts_[number_] = host;
    }
    ~FarWay() override { network_.hosts_.erase(number_); }

    ComputeService& compute() override { return connection_.compute(); }
    bool far() const override { return true; }
    bool closed() const override { return connection_.closed(); }
    const LeaseTerm* lease_term() const override { return connection_.lease_term(); }
    std::optional<Over> over(SessionId session) const override { return network_.over(session); }
    Reactor* clock() override { return &clock_; }
    Task<SessionId> open_session(LeaseHolder* holder, weft::Client client) override {
        client.number = number_;
        return connection_.open_session(holder, client);
    }
    Task<Done> close_session(SessionId session) override {
        return connection_.close_session(session);
    }

private:
    static MountHello hello() {
        MountHello hello;
        hello.filesystem = "sim";
        return hello;
    }

    ClientNetwork& network_;
    std::uint64_t number_;
    Reactor& clock_;
    client::Connection connection_;
};

ClientNetwork::ClientNetwork(SimulatedReactor& reactor, std::uint64_t seed,
                             const NetworkSettings& settings)
    : reactor_(reactor),
      seed_(seed),
      rate_ppm_most_(settings.rate_ppm_most),
      network_(reactor, seed) {
    network_.set_link(settings.link);
}

ClientNetwork::~ClientNetwork() = default;

void ClientNetwork::serve(compute::ComputeRole& compute, std::size_t turn) {
    CHECK(server_ == nullptr);
    come_.clear();
    server_ = std::make_unique<Server>(*this, compute, turn);
}

void ClientNetwork::end_server() {
    if (server_ == nullptr) return;
    server_->end();
    ended_.push_back(std::move(server_));
}

void ClientNetwork::forget() {
    ended_.clear();
}

Task<Done> ClientNetwork::stop_server() {
    return server_->stop();
}

void ClientNetwork::reset(const std::string& host) {
    network_.reset(host, kCompute);
}

void ClientNetwork::cut(const std::string& host, bool from_it, bool to_it) {
    if (from_it) network_.cut(host, kCompute);
    if (to_it) network_.cut(kCompute, host);
}

void ClientNetwork::mend(const std::string& host) {
    network_.mend(host, kCompute);
    network_.mend(kCompute, host);
}

void ClientNetwork::set_link(const std::string& host, SimulatedLink link) {
    network_.set_link(host, kCompute, link);
}

// The rate is any within its bounds, or just at one of them.
ClockSkew ClientNetwork::draw_skew(const std::string& host) const {
    ClockSkew skew;
    if (rate_ppm_most_ == 0) return skew;
    std::mt19937_64 chance(siphash({seed_, 29}, bytes_of(host)));
    auto below = [&chance](Nanos bound) {
        return static_cast<Nanos>(chance() % static_cast<std::uint64_t>(bound));
    };
    skew.offset = below(kOffsetMost);
    skew.wall_offset = below(2 * kWallOffsetMost) - kWallOffsetMost;
    skew.rate_ppm = below(2 * rate_ppm_most_ + 1) - rate_ppm_most_;
    if (below(2) == 0) skew.rate_ppm = below(2) == 0 ? rate_ppm_most_ : -rate_ppm_most_;
    return skew;
}

SkewedReactor& ClientNetwork::own_clock(const std::string& host, bool differs) {
    auto& clock = clocks_[host];
    if (clock == nullptr) {
        ClockSkew skew = differs ? draw_skew(host) : ClockSkew();
        clock = std::make_unique<SkewedReactor>(reactor_, skew);
        network_.set_clock(host, *clock);
    }
    return *clock;
}

Reactor& ClientNetwork::clock_of(const std::string& host) {
    if (rate_ppm_most_ == 0) return reactor_;
    return own_clock(host, true);
}

std::string ClientNetwork::compute_host(std::size_t turn) {
    return std::string(kComputeHost) + "/" + std::to_string(turn);
}

SkewedReactor& ClientNetwork::compute_process(std::size_t turn) {
    return own_clock(compute_host(turn), false);
}

SkewedReactor& ClientNetwork::drive_process(const std::string& host) {
    return own_clock(host, true);
}

std::unique_ptr<Way> ClientNetwork::connect(const std::string& host) {
    return std::make_unique<FarWay>(*this, host, ++last_client_);
}

std::optional<std::string> ClientNetwork::awaited() const {
    for (const auto& [number, host] : hosts_) {
        if (!come_.contains(number)) return host;
    }
    return std::nullopt;
}

std::optional<Way::Over> ClientNetwork::over(SessionId session) const {
    auto found = over_.find(session);
    if (found == over_.end()) return std::nullopt;
    return found->second;
}

}  // namespace weft::sim
