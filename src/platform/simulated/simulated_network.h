#pragma once

#include "platform/net/stream.h"
#include "platform/runtime/reactor.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace weft {

// What it is like between two hosts, each way.
struct SimulatedLink {
    Nanos delay = 100 * kMicrosecond;          // Of what is sent, at least.
    Nanos jitter = 0;                          // Up to so much more; nothing overtakes.
    std::uint64_t bytes_a_second = 0;          // Of all connections together; 0: no limit.
    std::size_t window_bytes = 256 * kKiB;     // Sent and not yet read: what is more waits.
    std::size_t piece_bytes_most = 16 * kKiB;  // Arrive at once: a stream comes in pieces.
    std::uint64_t reset_one_in = 0;  // Writes that end their connection, anywhere; 0: none.
};

// A network of hosts under one seed, with what TCP promises of a connection: what arrives is a
// prefix of what was sent. Loss shows as delay or as the connection's end, of which each side
// hears in its own time. Its streams may outlive it. Addresses are "HOST:ANYTHING".
class SimulatedNetwork {
public:
    SimulatedNetwork(Reactor& reactor, std::uint64_t seed);
    ~SimulatedNetwork();
    SimulatedNetwork(const SimulatedNetwork&) = delete;
    SimulatedNetwork& operator=(const SimulatedNetwork&) = delete;

    // The network as processes of this host have it; lives as long as this. "HOST/ANYTHING" is a
    // process of the host that has a clock of its own.
    // connect(): unavailable (nobody listens there), retry_later (no answer by the deadline).
    Network& at(const std::string& host);

    // On which all that waits for the network at `host`, as at() has it, goes on, and by which it
    // tells deadlines, if it is not the network's; outlives its streams. For connections and
    // listeners made from now on.
    void set_clock(const std::string& host, Reactor& clock);
    // Of every two hosts that have none of their own.
    void set_link(SimulatedLink link);
    void set_link(const std::string& a, const std::string& b, SimulatedLink link);
    // Nothing that `from` sends arrives at `to` until mend(), then all of it does. Neither does
    // word of a connection's end.
    void cut(const std::string& from, const std::string& to);
    void mend(const std::string& from, const std::string& to);
    // Ends all connections between two hosts: some of what is on its way is lost.
    void reset(const std::string& a, const std::string& b);

    class Fabric;

private:
    std::shared_ptr<Fabric> fabric_;
};

}  // namespace weft
