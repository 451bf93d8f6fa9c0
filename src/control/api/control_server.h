#pragma once

#include "model/services/management_service.h"
#include "platform/net/stream.h"
#include "platform/runtime/gate.h"

#include <memory>
#include <string>

namespace weft::control {

// Answers requests of the control protocol on a listener: a JSON object a line in, one a line
// out. Format: docs/formats/control.md. Requests of one connection are answered in order. What has
// been asked is done to its end, though who asked may go away; a connection that asks nothing for
// kSilenceMost is closed.
class ControlServer {
public:
    ControlServer(Reactor& reactor, ManagementService& management);

    void serve(std::unique_ptr<Listener> listener);
    // Nothing new is taken in; ends when what was asked before has been answered. retry_later: it
    // is not yet, and may be called again.
    Task<Done> stop(Nanos deadline);

private:
    static constexpr std::size_t kConnectionsMost = 64;
    static constexpr Nanos kAcceptAgain = 1 * kSecond;

    Task<Done> accept_all();
    Task<Done> answer_all(std::unique_ptr<Stream> stream);
    Task<Done> answer_one(Stream* stream, std::string request);

    Reactor& reactor_;
    ManagementService& management_;
    std::unique_ptr<Listener> listener_;
    std::size_t answering_ = 0;
    bool stopping_ = false;
    Signal answered_;
    Gate connections_;
};

// One request line to one reply line (both without the newline).
Task<std::string> answer(ManagementService* management, std::string request);

}  // namespace weft::control
