#include "control/api/control_client.h"

#include "control/api/line_stream.h"

namespace weft::control {

Task<Reply> request(Network* network, std::string address, Json body, Nanos connect_deadline) {
    auto connected = co_await network->connect(address, connect_deadline);
    std::unique_ptr<Stream> stream = co_await or_return(std::move(connected));
    co_await or_return(co_await write_line(stream.get(), json_text(body)));
    std::string line = co_await or_return(co_await read_line(stream.get()));
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
