#include "processes/embedded/remote_door.h"

namespace weft::embedded {

void RemoteDoor::serve(std::unique_ptr<Listener> listener) {
    listener_ = std::move(listener);
    connections_.spawn(accept_all());
}

Task<Done> RemoteDoor::accept_all() {
    for (;;) {
        auto accepted = co_await listener_->accept();
        if (!accepted.ok()) co_return Done{};
        if (serving_.size() >= kConnectionsMost) continue;  // Closes it.
        connections_.spawn(serve_one(std::move(accepted).value()));
    }
}

Task<Done> RemoteDoor::serve_one(std::unique_ptr<Stream> stream) {
    remote::ComputeServer server(reactor_, std::move(stream), compute_, sessions_);
    auto at = serving_.insert(serving_.end(), &server);
    auto ended = co_await server.run();
    serving_.erase(at);
    co_return ended;
}

Task<Done> RemoteDoor::stop() {
    if (listener_) listener_->close();
    for (remote::ComputeServer* server : serving_) server->close();
    co_return co_await connections_.close();
}

}  // namespace weft::embedded
