#pragma once

#include "control/json/json.h"
#include "platform/net/stream.h"

#include <string>

namespace weft::control {

struct Reply {
    bool ok = false;
    Json value;        // If ok.
    std::string code;  // Else: a name of Code, and what to do in a sentence.
    std::string message;
};

// One request on a connection of its own. unavailable: nobody listens at the address.
Task<Reply> request(Network* network, std::string address, Json body, Nanos connect_deadline);

}  // namespace weft::control
