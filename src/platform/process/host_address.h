#pragma once

#include "platform/base/result.h"

#include <string>

namespace weft::process {

// "HOST:PORT" with the host's number in its name's place: "127.0.0.1:7000", or "[::1]:7000" where
// IPv6 has to be in brackets. A name that has numbers of both kinds gives that of IPv4. Asks name
// servers, and waits for them. invalid: not HOST:PORT; not_found: no such host is known.
Result<std::string> numeric_address(const std::string& host_and_port);

}  // namespace weft::process
