#include "control/api/control_server.h"

#include "control/api/line_stream.h"

namespace weft::control {

ControlServer::ControlServer(Reactor& reactor, ManagementService& management)
    : reactor_(reactor), management_(management), connections_(reactor) {}

void ControlServer::serve(std::unique_ptr<Listener> listener) {
    listener_ = std::move(listener);
    connections_.spawn(accept_all());
}

Task<Done> ControlServer::stop() {
    if (listener_) listener_->close();
    // Connections that idle end when their client does; what runs is destroyed with the gate.
    co_return Done{};
}

Task<Done> ControlServer::accept_all() {
    for (;;) {
        auto accepted = co_await listener_->accept();
        if (accepted.code() == Code::unavailable) co_return Done{};
        if (!accepted.ok()) {
            // Out of descriptors or memory, until some are given back.
            co_await sleep(reactor_, kAcceptAgain);
            continue;
        }
        if (connections_.running() > kConnectionsMost) continue;  // Closes it.
        connections_.spawn(answer_all(std::move(accepted).value()));
    }
}

Task<Done> ControlServer::answer_all(std::unique_ptr<Stream> stream) {
    for (;;) {
        std::string request = co_await or_return(co_await read_line(stream.get()));
        std::string reply = co_await or_return(co_await answer(&management_, request));
        co_await or_return(co_await write_line(stream.get(), std::move(reply)));
    }
}

}  // namespace weft::control
