#include "control/api/control_client.h"

#include "control/api/line_stream.h"

namespace weft::control {

namespace {

constexpr Nanos kConnectMost = 2 * kSecond;

}  // namespace

Task<Reply> request(Reactor& reactor, Network* network, std::string address, Json body) {
    auto connected = co_await network->connect(address, reactor.now() + kConnectMost);
    std::unique_ptr<Stream> stream = co_await or_return(std::move(connected));
    Nanos by = reactor.now() + kSilenceMost;
    co_await or_return(co_await write_line(reactor, stream.get(), json_text(body), by));
    std::string line;
    while (line.empty()) {
        by = reactor.now() + kSilenceMost;
        line = co_await or_return(co_await read_line(reactor, stream.get(), by));
    }
    auto parsed = parse_json(line);
    if (!parsed.has_value() || !parsed->is_object()) {
        co_return Error{Code::corrupt, "control.reply"};
    }
    Reply reply;
    reply.ok = flag_at(*parsed, "ok");
    if (parsed->contains("value")) reply.value = (*parsed)["value"];
    reply.code = text_at(*parsed, "code");
    reply.message = text_at(*parsed, "message");
    co_return reply;
}

}  // namespace weft::control
