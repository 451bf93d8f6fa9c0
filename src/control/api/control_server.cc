#include "control/api/control_server.h"

#include "control/api/line_stream.h"

#include <optional>

namespace weft::control {
namespace {

struct Working {
    explicit Working(Reactor& reactor) : ended(reactor), gate(reactor) {}

    std::optional<Result<std::string>> reply;
    Signal ended;
    Gate gate;  // Destroyed first.
};

Task<Done> work(ManagementService* management, std::string request, Working* working) {
    working->reply = co_await answer(management, std::move(request));
    working->ended.notify_all();
    co_return Done{};
}

}  // namespace

ControlServer::ControlServer(Reactor& reactor, ManagementService& management)
    : reactor_(reactor), management_(management), answered_(reactor), connections_(reactor) {}

void ControlServer::serve(std::unique_ptr<Listener> listener) {
    listener_ = std::move(listener);
    connections_.spawn(accept_all());
}

Task<Done> ControlServer::stop(Nanos deadline) {
    stopping_ = true;
    if (listener_) listener_->close();
    // Connections that ask nothing are destroyed with the gate.
    while (answering_ > 0) {
        bool in_time = co_await answered_.wait(deadline);
        if (!in_time) co_return Error{Code::retry_later, "requests are being carried out"};
    }
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
        Nanos by = reactor_.now() + kSilenceMost;
        std::string request = co_await or_return(co_await read_line(reactor_, stream.get(), by));
        if (stopping_) co_return Done{};
        ++answering_;
        auto answered = co_await answer_one(stream.get(), std::move(request));
        --answering_;
        answered_.notify_all();
        co_await or_return(std::move(answered));
    }
}

Task<Done> ControlServer::answer_one(Stream* stream, std::string request) {
    Working working(reactor_);
    working.gate.spawn(work(&management_, std::move(request), &working));
    Result<Done> heard = Done{};
    while (!working.reply.has_value()) {
        bool ended = co_await working.ended.wait(reactor_.now() + kBeatEvery);
        if (ended || !heard.ok()) continue;
        Nanos by = reactor_.now() + kSilenceMost;
        heard = co_await write_line(reactor_, stream, std::string(), by);
    }
    co_await or_return(std::move(heard));
    std::string reply = co_await or_return(std::move(*working.reply));
    Nanos by = reactor_.now() + kSilenceMost;
    co_return co_await write_line(reactor_, stream, std::move(reply), by);
}

}  // namespace weft::control
