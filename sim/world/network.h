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
#include <string>
#include <vector>

namespace weft::sim {

inline constexpr const char* kComputeHost = "compute";

// The network of a run, and what the product has at both of its ends: the door of the compute
// role's process, and a connection in each client's.
class ClientNetwork {
public:
    ClientNetwork(SimulatedReactor& reactor, std::uint64_t seed, const NetworkSettings& settings);
    ~ClientNetwork();

    // From now on connections come to this one.
    void serve(compute::ComputeRole& compute);
    // Compute's process ends anywhere: call before the role goes. forget() comes behind that.
    void end_server();
    void forget();
    // As asked: each connection ends with its session.
    Task<Done> stop_server();

    // What happens between a client's host and compute's.
    void reset(const std::string& host);
    void cut(const std::string& host, bool from_it, bool to_it);
    void mend(const std::string& host);
    void set_link(const std::string& host, SimulatedLink link);

    SimulatedNetwork& wires() { return network_; }

    // A client's own connection, under a number of its own.
    std::unique_ptr<Way> connect(const std::string& host);

private:
    class Server;
    class FarWay;
    // When compute ended the client's session, or nothing while it has one.
    std::optional<Nanos> over_since(std::uint64_t number) const;

    SimulatedReactor& reactor_;
    SimulatedNetwork network_;
    std::uint64_t last_client_ = 0;
    std::map<std::uint64_t, Nanos> over_;  // By client.
    std::vector<std::unique_ptr<Server>> ended_;
    std::unique_ptr<Server> server_;
};

}  // namespace weft::sim
