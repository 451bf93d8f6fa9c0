#pragma once

#include "platform/base/result.h"

#include <string>

#include <sys/socket.h>
#include <sys/un.h>

namespace weft {

// Where a socket listens or connects: "tcp:HOST:PORT" or "unix:PATH". HOST is a number
// (192.0.2.7, [2001:db8::7]): names are resolved elsewhere, since that may take long.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;

    // Errors: invalid.
    static Result<SocketAddress> parse(const std::string& text);
    static SocketAddress of_local(int fd);

    int family() const { return storage.ss_family; }
    const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
    // Empty unless it is a unix socket's.
    std::string path() const;
    std::string text() const;
};

}  // namespace weft
