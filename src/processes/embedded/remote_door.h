#pragma once

#include "model/services/compute_service.h"
#include "platform/net/stream.h"
#include "platform/runtime/gate.h"
#include "roles/remote/remote_compute.h"

#include <list>
#include <memory>

namespace weft::embedded {

// Where frontends in other processes come in: each connection is a session of compute's.
class RemoteDoor {
public:
    RemoteDoor(Reactor& reactor, ComputeService& compute, SessionHost& sessions)
        : reactor_(reactor), compute_(compute), sessions_(sessions), connections_(reactor) {}

    void serve(std::unique_ptr<Listener> listener);
    // Ends every connection and its session.
    Task<Done> stop();

private:
    static constexpr std::size_t kConnectionsMost = 1024;

    Task<Done> accept_all();
    Task<Done> serve_one(std::unique_ptr<Stream> stream);

    Reactor& reactor_;
    ComputeService& compute_;
    SessionHost& sessions_;
    std::unique_ptr<Listener> listener_;
    std::list<remote::ComputeServer*> serving_;
    Gate connections_;
};

}  // namespace weft::embedded
