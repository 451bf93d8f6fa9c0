#pragma once

#include "platform/base/types.h"
#include "platform/runtime/task.h"

#include <memory>
#include <string>

namespace weft {

// A reliable byte stream between two processes. One reader and one writer at a time.
// Errors: unavailable (the peer is gone or the stream was closed).
class Stream {
public:
    virtual ~Stream() = default;
    // Fills `into` wholly.
    virtual Task<Done> read(Bytes into) = 0;
    // Sends all of each part, in order.
    virtual Task<Done> write(std::span<const ConstBytes> parts) = 0;
    // Both directions; pending reads and writes end with unavailable.
    virtual void close() = 0;
};

class Listener {
public:
    virtual ~Listener() = default;
    virtual Task<std::unique_ptr<Stream>> accept() = 0;
    virtual void close() = 0;
    // Where it listens: what was asked for, with the port that was given for port 0.
    virtual std::string address() const { return {}; }
};

// Addresses are "tcp:HOST:PORT" or "unix:PATH".
class Network {
public:
    virtual ~Network() = default;
    virtual Result<std::unique_ptr<Listener>> listen(std::string address) = 0;
    virtual Task<std::unique_ptr<Stream>> connect(std::string address, Nanos deadline) = 0;
};

}  // namespace weft
