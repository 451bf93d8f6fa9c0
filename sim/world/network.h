#pragma once

#include "platform/simulated/simulated_network.h"
#include "platform/simulated/simulated_reactor.h"
#include "processes/client/connection.h"
#include "roles/compute/compute_role.h"
#include "sim/world/settings.h"
#include "sim/world/way.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace weft::sim {

inline constexpr const char* kComputeHost = "compute";
// Its processes take turns: one may still run when the next has taken over.
inline constexpr std::size_t kComputeProcesses = 2;

// The network of a run, and what the product has at both of its ends: the door of the compute
// role's process, and a connection in each client's.
class ClientNetwork {
public:
    ClientNetwork(SimulatedReactor& reactor, std::uint64_t seed, const NetworkSettings& settings);
    ~ClientNetwork();

    // From now on connections come to this one, which runs as compute_process(turn).
    void serve(compute::ComputeRole& compute, std::size_t turn);
    // Compute's process ends anywhere: call before the role goes. forget() comes behind that.
    void end_server();
    void forget();
    // As asked: each connection ends with its session.
    Task<Done> stop_server();

    // Clients that have had no session yet of the compute that is served; one of their hosts.
    std::optional<std::string> awaited() const;

    // What happens between a client's host and compute's.
    void reset(const std::string& host);
    void cut(const std::string& host, bool from_it, bool to_it);
    void mend(const std::string& host);
    void set_link(const std::string& host, SimulatedLink link);

    SimulatedNetwork& wires() { return network_; }
    // What a process of compute's runs on; its host's name there.
    SkewedReactor& compute_process(std::size_t turn);
    static std::string compute_host(std::size_t turn);
    // The same of a drive's process, whose clocks are its own where clients have such.
    SkewedReactor& drive_process(const std::string& host);

    // What the process on this host runs on: its clocks are its own, if the run's settings say so.
    Reactor& clock_of(const std::string& host);
    // A client's own connection, under a number of its own.
    std::unique_ptr<Way> connect(const std::string& host);

private:
    class Server;
    class FarWay;
    std::optional<Way::Over> over(SessionId session) const;
    ClockSkew draw_skew(const std::string& host) const;
    SkewedReactor& own_clock(const std::string& host, bool differs);

    SimulatedReactor& reactor_;
    std::uint64_t seed_;
    std::int64_t rate_ppm_most_;
    std::map<std::string, std::unique_ptr<SkewedReactor>> clocks_;
    SimulatedNetwork network_;
    std::uint64_t last_client_ = 0;
    std::map<SessionId, Way::Over> over_;         // Sessions that were.
    std::map<std::uint64_t, std::string> hosts_;  // Of the clients that there are.
    std::set<std::uint64_t> come_;                // Those who had a session of this server.
    std::vector<std::unique_ptr<Server>> ended_;
    std::unique_ptr<Server> server_;
};

}  // namespace weft::sim
