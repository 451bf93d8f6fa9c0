#pragma once

#include "control/json/json.h"
#include "platform/net/stream.h"
#include "platform/runtime/reactor.h"

#include <string>

namespace weft::control {

struct Reply {
    bool ok = false;
    Json value;        // If ok.
    std::string code;  // Else: a name of Code, and what to do in a sentence.
    std::string message;
};

// One request on a connection of its own, for as long as it takes: whoever carries it out says now
// and then that he is at it. unavailable: nobody listens at the address, or he went away.
// retry_later: who listens there has been silent for kSilenceMost; what was asked may yet be done.
Task<Reply> request(Reactor& reactor, Network* network, std::string address, Json body);

}  // namespace weft::control
